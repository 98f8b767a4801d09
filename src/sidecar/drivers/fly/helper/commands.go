// The lines between the driver and the helper. One request is one line, one answer is one line with the same id; answers come in the order
// in which they are ready. Keys stand in requests only, never in an answer or an error.
// Neighbours: main.go calls serve; helper-process.ts is the other end.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
)

// More than any request needs; a longer line ends the helper.
const maxLineBytes = 64 << 10

type request struct {
	ID int    `json:"id"`
	Op string `json:"op"`
	// start
	Socket string `json:"socket,omitempty"`
	Token  string `json:"token,omitempty"`
	// all but start and ping
	Device string `json:"device,omitempty"`
	// open
	PrivateKey string `json:"privateKey,omitempty"`
	GatewayKey string `json:"gatewayKey,omitempty"`
	Address    string `json:"address,omitempty"`
	MTU        int    `json:"mtu,omitempty"`
	// transport: "udp" with Endpoint "address:port", or "websocket" with a URL
	Transport string `json:"transport,omitempty"`
	Endpoint  string `json:"endpoint,omitempty"`
	// resolve
	Name string `json:"name,omitempty"`
	// echo and resolve
	TimeoutMs int `json:"timeoutMs,omitempty"`
}

type answer struct {
	ID        int      `json:"id"`
	Error     *failure `json:"error,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	RTTMs     float64  `json:"rttMs,omitempty"`
	Stats     *stats   `json:"stats,omitempty"`
}

// failure is an error as the driver tells it apart: by its kind, never by its text.
type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func (f *failure) Error() string { return f.Message }

func failed(kind, format string, args ...any) *failure {
	return &failure{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// asFailure keeps a failure as it is and calls everything else internal: a bug of the helper, or a system that lacks something.
func asFailure(err error) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return failed("timeout", "no answer in time")
	}
	return failed("internal", "%v", err)
}

// serve runs until the input ends; then all devices and streams are gone. An unreadable line is an error: the driver and the helper are
// built from the same commit, so nothing sensible can follow.
func serve(in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	h := &helper{devices: map[string]*device{}}
	defer h.close()
	var writing sync.Mutex
	reply := func(a answer) {
		line, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		writing.Lock()
		defer writing.Unlock()
		// If the driver is gone the input ends too.
		_, _ = out.Write(append(line, '\n'))
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLineBytes)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return errors.New("a request is not JSON")
		}
		// Changes are made in the order of the lines; what waits for the network does not hold up the next line.
		if wait := h.begin(r); wait == nil {
			continue
		} else {
			go func() { reply(wait(ctx)) }()
		}
	}
	return lines.Err()
}

type helper struct {
	mutex   sync.Mutex
	devices map[string]*device
	server  *streamServer
}

func (h *helper) close() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.server != nil {
		h.server.close()
	}
	var closing sync.WaitGroup
	for name, d := range h.devices {
		closing.Add(1)
		go func() {
			defer closing.Done()
			d.close()
		}()
		delete(h.devices, name)
	}
	closing.Wait()
}

func (h *helper) device(name string) (*device, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if d := h.devices[name]; d != nil {
		return d, nil
	}
	return nil, failed("noDevice", "there is no device %q", name)
}

// begin makes the change that the request asks for, in order, and returns what gives its answer.
func (h *helper) begin(r request) func(context.Context) answer {
	now := func(err error) func(context.Context) answer {
		return func(context.Context) answer { return answerOf(r.ID, err) }
	}
	switch r.Op {
	case "ping":
		return now(nil)
	case "start":
		return now(h.start(r))
	case "open":
		return now(h.open(r))
	}
	d, err := h.device(r.Device)
	if err != nil {
		return now(err)
	}
	timeout := time.Duration(r.TimeoutMs) * time.Millisecond
	switch r.Op {
	case "transport":
		return now(d.setTransport(r.Transport, r.Endpoint))
	case "handshake":
		return now(d.handshake())
	case "stats":
		s, err := d.stats()
		return func(context.Context) answer { return answer{ID: r.ID, Error: orNil(err), Stats: s} }
	case "echo":
		return func(ctx context.Context) answer {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			rtt, err := d.echo(ctx)
			return answer{ID: r.ID, Error: orNil(err), RTTMs: float64(rtt.Microseconds()) / 1000}
		}
	case "resolve":
		return func(ctx context.Context) answer {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			addresses, err := d.resolve(ctx, r.Name)
			return answer{ID: r.ID, Error: orNil(err), Addresses: addresses}
		}
	case "close":
		h.mutex.Lock()
		delete(h.devices, r.Device)
		h.mutex.Unlock()
		return func(context.Context) answer {
			d.close()
			return answer{ID: r.ID}
		}
	}
	return now(failed("internal", "there is no operation %q", r.Op))
}

func (h *helper) start(r request) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.server != nil {
		return failed("internal", "already started")
	}
	server, err := listenForStreams(r.Socket, r.Token, h.device)
	if err != nil {
		return err
	}
	h.server = server
	return nil
}

func (h *helper) open(r request) error {
	address, err := netip.ParseAddr(r.Address)
	if err != nil {
		return failed("internal", "the peer's address is not an IP address")
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.devices[r.Device] != nil {
		return failed("internal", "the device %q is open already", r.Device)
	}
	d, err := openDevice(deviceOptions{
		privateKey: r.PrivateKey,
		gatewayKey: r.GatewayKey,
		address:    address,
		mtu:        r.MTU,
	})
	if err != nil {
		return err
	}
	h.devices[r.Device] = d
	return nil
}

func answerOf(id int, err error) answer { return answer{ID: id, Error: orNil(err)} }

func orNil(err error) *failure {
	if err == nil {
		return nil
	}
	return asFailure(err)
}
