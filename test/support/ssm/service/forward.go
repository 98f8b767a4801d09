package main

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xtaci/smux"
)

// The agent's port forwarding: one destination, its name resolved once, streams connected one after the other without a time limit.
type forwarder struct {
	agent *agent
	// What a connection tries in turn; nil: the name is resolved at each connection.
	addresses []string
	host      string
	wanted    string // host:port as asked
	inner     net.Conn
	mux       *smux.Session
	mu        sync.Mutex
	plain     net.Conn // without multiplexing: the only connection
	open      map[net.Conn]bool
	stopped   bool
}

const chunk = 1024

// The real agent sleeps 1 ms after each message, which makes about 700 a second on a machine of its own. Here all agents share one machine,
// and the more of them sleep the longer a sleep gets: so the rate is kept instead. A delay is made up for, up to the patience.
const (
	pace         = 1400 * time.Microsecond
	pacePatience = 20 * time.Millisecond
)

// newForwarder returns the text of a refusal if the session must end at once.
func newForwarder(a *agent, now settings, clientVersion string) (*forwarder, string) {
	f := &forwarder{agent: a, open: map[net.Conn]bool{}}
	host := a.session.host
	if !newer(now.AgentVersion, "3.1.1187.9") {
		// It knows no other host, and silently connects to its own.
		host = ""
	}
	if _, err := strconv.ParseUint(a.session.port, 10, 16); err != nil {
		return nil, "Unable to start port: invalid port number"
	}
	f.wanted = net.JoinHostPort(host, a.session.port)
	if forbidden(host, now.AgentVersion) {
		return nil, "Forwarding to IP address " + host + " is forbidden."
	}
	f.host = host
	if newer(now.AgentVersion, "3.2.1040.999") {
		// Once for the whole session, and the session ends if there is no address.
		found, err := resolve(host, now)
		if err != nil {
			return nil, err.Error()
		}
		f.addresses = found
	}
	if newer(now.AgentVersion, "3.0.196.0") && !newer("1.1.70.0", clientVersion) {
		return f, f.startMux(now, clientVersion)
	}
	return f, f.startPlain()
}

// resolve returns all addresses of a host as the node sees it; the node itself is localhost, in both families.
func resolve(host string, now settings) ([]string, error) {
	if host == "" {
		return []string{"127.0.0.1", "::1"}, nil
	}
	if address, ok := now.Hosts[host]; ok {
		if address == "" {
			return nil, &net.DNSError{Err: "no such host", Name: host, Server: "10.0.0.2:53", IsNotFound: true}
		}
		return strings.Split(address, ","), nil
	}
	return net.LookupHost(host)
}

func forbidden(host, version string) bool {
	if host == "169.254.169.254" || host == "169.254.169.253" || host == "169.254.169.123" {
		return true
	}
	ip := net.ParseIP(host)
	loopback := host == "localhost" || (ip != nil && ip.IsLoopback())
	return loopback && !newer("3.3.4851.0", version)
}

func (f *forwarder) startMux(now settings, clientVersion string) string {
	config := smux.DefaultConfig()
	// The library's check refuses a timeout shorter than its own interval.
	config.KeepAliveTimeout = time.Duration(now.KeepAliveTimeoutMs) * time.Millisecond
	config.KeepAliveDisabled = newer(clientVersion, "1.2.331.0") && newer(now.AgentVersion, "3.1.1511.0")
	inner, outer := socketPair()
	f.inner = outer
	mux, err := smux.Server(inner, config)
	if err != nil {
		return err.Error()
	}
	f.mux = mux
	go f.accept()
	go f.pump()
	return ""
}

// accept connects streams in order: one that hangs holds up all that follow.
func (f *forwarder) accept() {
	for {
		stream, err := f.mux.AcceptStream()
		if err != nil {
			// The real agent's pump blocks for ever after a protocol error: the session is dead but open.
			return
		}
		f.agent.session.service.streams.Add(1)
		conn, err := f.dial()
		if err != nil {
			var flag [4]byte
			binary.BigEndian.PutUint32(flag[:], 3)
			f.agent.send(typeFlag, flag[:])
			_ = stream.Close()
			continue
		}
		go f.join(stream, conn)
	}
}

func (f *forwarder) join(stream *smux.Stream, conn net.Conn) {
	defer f.forget(conn)
	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(conn, stream)
		done <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(stream, conn)
		done <- struct{}{}
	}()
	<-done
	_ = stream.Close()
	_ = conn.Close()
	<-done
}

func (f *forwarder) dial() (net.Conn, error) {
	for {
		now := f.agent.session.service.switches.get()
		time.Sleep(time.Duration(now.DialDelayMs) * time.Millisecond)
		f.mu.Lock()
		stopped := f.stopped
		f.mu.Unlock()
		if stopped {
			return nil, net.ErrClosed
		}
		if !slices.Contains(now.BlackHoles, f.wanted) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	addresses := f.addresses
	if addresses == nil {
		found, err := resolve(f.host, f.agent.settings())
		if err != nil {
			return nil, err
		}
		addresses = found
	}
	var conn net.Conn
	var err error
	for _, address := range addresses {
		if conn, err = net.Dial("tcp", net.JoinHostPort(address, f.agent.session.port)); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[conn] = true
	return conn, nil
}

func (f *forwarder) forget(conn net.Conn) {
	f.mu.Lock()
	delete(f.open, conn)
	f.mu.Unlock()
}

// pump sends the multiplexer's bytes, at most 1,024 a message, at the agent's pace.
func (f *forwarder) pump() {
	buffer := make([]byte, chunk)
	var next time.Time
	for {
		n, err := f.inner.Read(buffer)
		if err != nil {
			f.mu.Lock()
			stopped := f.stopped
			f.mu.Unlock()
			// The multiplexer gave up because of silence: the real agent fails the session.
			if !stopped {
				f.agent.session.end("")
			}
			return
		}
		f.agent.send(typeOutput, append([]byte(nil), buffer[:n]...))
		if f.agent.session.service.switches.get().Pace {
			if late := time.Since(next); late > pacePatience {
				next = time.Now()
			}
			next = next.Add(pace)
			time.Sleep(time.Until(next))
		}
	}
}

func (f *forwarder) write(payload []byte) {
	if f.inner != nil {
		_, _ = f.inner.Write(payload)
		return
	}
	f.mu.Lock()
	conn := f.plain
	f.mu.Unlock()
	if conn == nil && f.startPlain() != "" {
		f.agent.session.end("\n----------ERROR-------\nUnable to connect to specified port: connection refused")
		return
	}
	f.mu.Lock()
	conn = f.plain
	f.mu.Unlock()
	if conn != nil {
		_, _ = conn.Write(payload)
	}
}

// startPlain is for agents that do not multiplex: the session is one connection.
func (f *forwarder) startPlain() string {
	conn, err := f.dial()
	if err != nil {
		return "Unable to connect to specified port: " + err.Error()
	}
	f.mu.Lock()
	f.plain = conn
	f.mu.Unlock()
	go func() {
		defer f.forget(conn)
		buffer := make([]byte, chunk)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			f.agent.send(typeOutput, append([]byte(nil), buffer[:n]...))
		}
	}()
	return ""
}

func (f *forwarder) disconnect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plain != nil {
		_ = f.plain.Close()
		f.plain = nil
	}
}

func (f *forwarder) stop() {
	f.mu.Lock()
	f.stopped = true
	for conn := range f.open {
		_ = conn.Close()
	}
	f.mu.Unlock()
	if f.mux != nil {
		_ = f.mux.Close()
		_ = f.inner.Close()
	}
}

// socketPair returns the two ends of a real socket, with the kernel's buffers between them, as in the agent.
func socketPair() (net.Conn, net.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	return <-accepted, dialled
}

func newer(a, b string) bool {
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(left), len(right)) {
		x, _ := strconv.Atoi(left[i])
		y, _ := strconv.Atoi(right[i])
		if x != y {
			return x > y
		}
	}
	return len(left) > len(right)
}
