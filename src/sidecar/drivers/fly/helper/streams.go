// The unix socket over which the driver opens streams: one connection for each. It begins with a line of JSON (token, device, address) that
// is answered by one; after that both sides send frames. A connection that ends without FIN or RESET in a direction is a break, which is why
// there are frames at all: a unix socket cannot carry a reset, and a killed process would look like a clean end.
// Neighbours: pump.go carries the bytes; ../helper/stream.ts is the other end.
package main

import (
	"bufio"
	"context"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// A connection that does not say what it wants within this time is closed.
	requestDeadline = 5 * time.Second
	maxRequestBytes = 1 << 10
	// An idle stream asks its far side for an answer this often; silence.go ends it without one.
	keepaliveIdle     = 15 * time.Second
	keepaliveInterval = 5 * time.Second
)

type streamRequest struct {
	Token     string `json:"token"`
	Device    string `json:"device"`
	Address   string `json:"address"`
	Port      uint16 `json:"port"`
	TimeoutMs int    `json:"timeoutMs"`
}

type streamServer struct {
	listener net.Listener
	token    []byte
	device   func(name string) (*device, error)
}

// listenForStreams listens at once; the folder's mode keeps other users out, the token other processes.
func listenForStreams(path, token string, device func(string) (*device, error)) (*streamServer, error) {
	if token == "" {
		return nil, failed("internal", "the token is empty")
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, failed("socket", "the helper cannot listen: %v", err)
	}
	s := &streamServer{listener: listener, token: []byte(token), device: device}
	go s.accept()
	return s, nil
}

func (s *streamServer) close() { s.listener.Close() }

func (s *streamServer) accept() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			if netErr, ok := err.(net.Error); ok && netErr.Timeout() {
				continue
			}
			return
		}
		go s.serve(client.(*net.UnixConn))
	}
}

func (s *streamServer) serve(client *net.UnixConn) {
	defer client.Close()
	_ = client.SetReadDeadline(time.Now().Add(requestDeadline))
	reader := bufio.NewReaderSize(client, maxRequestBytes)
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return
	}
	_ = client.SetReadDeadline(time.Time{})
	var r streamRequest
	if json.Unmarshal(line, &r) != nil || subtle.ConstantTimeCompare([]byte(r.Token), s.token) != 1 {
		return
	}
	d, err := s.device(r.Device)
	if err != nil {
		refuse(client, asFailure(err))
		return
	}
	far, problem := dialWhileWanted(d, r, client)
	if problem != nil {
		refuse(client, problem)
		return
	}
	if !d.open.add(far) {
		far.endpoint.Abort()
		refuse(client, failed("closed", "the device is closed"))
		return
	}
	defer d.open.remove(far)
	if _, err := client.Write([]byte("{}\n")); err != nil {
		far.endpoint.Abort()
		return
	}
	pump(client, reader, far)
}

func refuse(client net.Conn, problem *failure) {
	line, err := json.Marshal(answer{Error: problem})
	if err == nil {
		_, _ = client.Write(append(line, '\n'))
	}
}

// farEnd is a connected TCP endpoint of the stack.
type farEnd struct {
	endpoint tcpip.Endpoint
	queue    *waiter.Queue
	// Whether it was aborted because nothing came from it any more.
	gone atomic.Bool
	// Bytes for it that the stack has taken.
	written atomic.Int64
	growth  receiveGrowth
	// Both guarded by the mutex of openStreams.
	silence silence
	resent  resent
}

func (f *farEnd) kindOf(problem tcpip.Error) string {
	if f.gone.Load() {
		return "timeout"
	}
	return kindOf(problem)
}

// dialWhileWanted gives up as soon as the driver closes its connection: nothing but a close comes before the answer.
func dialWhileWanted(d *device, r streamRequest, client *net.UnixConn) (*farEnd, *failure) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.TimeoutMs)*time.Millisecond)
	defer cancel()
	dialled := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		watchForClose(client, dialled, cancel)
	}()
	far, problem := dial(ctx, d, r.Address, r.Port)
	close(dialled)
	// The watcher's read must be over before the pump reads.
	_ = client.SetReadDeadline(time.Now())
	<-watching
	_ = client.SetReadDeadline(time.Time{})
	return far, problem
}

// watchForClose cancels when the driver closes its side before the dial is over.
func watchForClose(client *net.UnixConn, dialled <-chan struct{}, cancel func()) {
	raw, err := client.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		select {
		case <-dialled:
			return true
		default:
		}
		// Only looks: what has come stays for the pump.
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err == syscall.EAGAIN {
			return false
		}
		if n <= 0 {
			cancel()
		}
		return true
	})
}

func dial(ctx context.Context, d *device, address string, port uint16) (*farEnd, *failure) {
	to, err := netip.ParseAddr(address)
	if err != nil || !to.Is6() {
		return nil, failed("internal", "the address is not an IPv6 address")
	}
	queue := &waiter.Queue{}
	endpoint, problem := d.stack.NewEndpoint(tcp.ProtocolNumber, ipv6.ProtocolNumber, queue)
	if problem != nil {
		return nil, failed("internal", "no endpoint: %s", problem)
	}
	setOptions(endpoint)
	if problem = d.ports.bind(endpoint, tcpip.AddrFromSlice(d.address.AsSlice())); problem != nil {
		endpoint.Close()
		return nil, failed("internal", "no local port: %s", problem)
	}
	entry, writable := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	problem = endpoint.Connect(tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(to.AsSlice()), Port: port})
	if _, started := problem.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			endpoint.Abort()
			return nil, failed("timeout", "no answer in time")
		case <-writable:
		}
		problem = endpoint.LastError()
	}
	if problem != nil {
		endpoint.Close()
		return nil, failed(kindOf(problem), "%s", problem)
	}
	return &farEnd{endpoint: endpoint, queue: queue}, nil
}

func setOptions(endpoint tcpip.Endpoint) {
	endpoint.SocketOptions().SetKeepAlive(true)
	// Small messages leave at once: databases speak in them.
	endpoint.SocketOptions().SetDelayOption(false)
	idle := tcpip.KeepaliveIdleOption(keepaliveIdle)
	interval := tcpip.KeepaliveIntervalOption(keepaliveInterval)
	for _, option := range []tcpip.SettableSocketOption{&idle, &interval} {
		_ = endpoint.SetSockOpt(option)
	}
}

// kindOf tells apart what the driver tells apart.
func kindOf(problem tcpip.Error) string {
	switch problem.(type) {
	case *tcpip.ErrConnectionRefused:
		return "refused"
	case *tcpip.ErrConnectionReset, *tcpip.ErrConnectionAborted:
		return "reset"
	case *tcpip.ErrTimeout:
		return "timeout"
	case *tcpip.ErrHostUnreachable, *tcpip.ErrNetworkUnreachable, *tcpip.ErrHostDown, *tcpip.ErrNoNet:
		return "unreachable"
	}
	return "broken"
}

// openStreams knows the connected streams of a device, so that closing it reaches each far side.
type openStreams struct {
	mutex  sync.Mutex
	ends   map[*farEnd]struct{}
	closed bool
}

func newOpenStreams() *openStreams { return &openStreams{ends: map[*farEnd]struct{}{}} }

func (o *openStreams) add(far *farEnd) bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if !o.closed {
		o.ends[far] = struct{}{}
		countStream()
	}
	return !o.closed
}

func (o *openStreams) remove(far *farEnd) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.ends, far)
	discountStream()
	far.giveGrowthBack()
}

func (o *openStreams) count() int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return len(o.ends)
}

func (o *openStreams) abortAll() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.closed = true
	for far := range o.ends {
		far.endpoint.Abort()
	}
}
