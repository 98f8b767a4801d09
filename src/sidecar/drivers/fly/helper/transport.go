// The way to the gateway, which can change while the device lives: UDP, or a web socket where UDP does not get through.
// Neighbours: device.go changes it, websocket.go is the second way.
package main

import (
	"net/netip"
	"net/url"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
)

// transport is a bind whose inside can be exchanged between BindClose and BindUpdate.
type transport struct {
	mutex    sync.Mutex
	bind     conn.Bind
	kind     string
	inFlight *inFlight
}

var _ conn.Bind = (*transport)(nil)

func newTransport(inFlight *inFlight) *transport {
	return &transport{bind: conn.NewDefaultBind(), kind: "udp", inFlight: inFlight}
}

func (t *transport) use(kind, endpoint string) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch kind {
	case "udp":
		address, err := netip.ParseAddrPort(endpoint)
		if err != nil {
			return failed("endpoint", "the gateway's endpoint is not an address and a port")
		}
		t.bind = newUDPBind(address)
	case "websocket":
		if address, err := url.Parse(endpoint); err != nil || address.Scheme != "wss" {
			return failed("endpoint", "the gateway's endpoint is not a wss URL")
		}
		t.bind = newWebSocketBind(endpoint)
	default:
		return failed("internal", "there is no transport %q", kind)
	}
	t.kind = kind
	return nil
}

func (t *transport) state() (kind, problem string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if socket, ok := t.bind.(*webSocketBind); ok {
		problem = socket.problem()
	}
	return t.kind, problem
}

func (t *transport) inside() conn.Bind {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.bind
}

func (t *transport) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	receivers, port, err := t.inside().Open(port)
	for i, receive := range receivers {
		receivers[i] = func(datagrams [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
			t.inFlight.await()
			count, err := receive(datagrams, sizes, from)
			t.inFlight.took(datagrams, sizes[:count])
			return count, err
		}
	}
	return receivers, port, err
}
func (t *transport) Close() error                               { return t.inside().Close() }
func (t *transport) SetMark(mark uint32) error                  { return t.inside().SetMark(mark) }
func (t *transport) Send(bufs [][]byte, to conn.Endpoint) error { return t.inside().Send(bufs, to) }
func (t *transport) ParseEndpoint(s string) (conn.Endpoint, error) {
	return t.inside().ParseEndpoint(s)
}

// BatchSize is the same for both ways, because the device reads it once.
func (t *transport) BatchSize() int { return batchSize }
