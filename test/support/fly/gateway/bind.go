// The gateway's sockets: one UDP port, and the web sockets in front of it. Faults are made here.
// Neighbours: gateway.go decides about initiations, websocket.go hands its datagrams in.
package main

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
)

const initiationType = 1

type datagram struct {
	content []byte
	from    conn.Endpoint
}

type bind struct {
	socket    *net.UDPConn
	initiated func(message []byte, from conn.Endpoint) bool
	received  chan datagram

	mutex  sync.Mutex
	closed chan struct{}

	dropUDP bool
	silent  bool

	// Handshake initiations that came, and that were sent.
	initiationsIn, initiationsOut atomic.Int64

	sockets sync.Map // name of a web socket → *webSocket
}

var _ conn.Bind = (*bind)(nil)

func listenUDP(at netip.AddrPort, initiated func([]byte, conn.Endpoint) bool) (*bind, error) {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = socket.SetReadBuffer(4 << 20)
	_ = socket.SetWriteBuffer(4 << 20)
	b := &bind{socket: socket, initiated: initiated, received: make(chan datagram, 1024)}
	go b.readUDP()
	return b, nil
}

func (b *bind) port() uint16 { return uint16(b.socket.LocalAddr().(*net.UDPAddr).Port) }

func (b *bind) readUDP() {
	for {
		buffer := make([]byte, 2048)
		n, from, err := b.socket.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && !b.dropUDP {
			b.take(buffer[:n], udpEndpoint(netip.AddrPortFrom(from.Addr().Unmap(), from.Port())))
		}
	}
}

// take hands a datagram to WireGuard, if the gateway lets it through.
func (b *bind) take(content []byte, from conn.Endpoint) {
	if b.silent {
		return
	}
	if isInitiation(content) {
		b.initiationsIn.Add(1)
		if !b.initiated(content, from) {
			return
		}
	}
	select {
	case b.received <- datagram{content, from}:
	default:
	}
}

func isInitiation(content []byte) bool { return len(content) > 0 && content[0] == initiationType }

func (b *bind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	closed := make(chan struct{})
	b.closed = closed
	receive := func(bufs [][]byte, sizes []int, endpoints []conn.Endpoint) (int, error) {
		select {
		case <-closed:
			return 0, net.ErrClosed
		case first := <-b.received:
			count := 0
			for next := &first; next != nil; {
				sizes[count] = copy(bufs[count], next.content)
				endpoints[count] = next.from
				count++
				next = nil
				if count < len(bufs) {
					select {
					case more := <-b.received:
						next = &more
					default:
					}
				}
			}
			return count, nil
		}
	}
	return []conn.ReceiveFunc{receive}, b.port(), nil
}

// Close ends the receivers only: the port is the gateway's, over restarts of the device.
func (b *bind) Close() error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.closed != nil {
		close(b.closed)
		b.closed = nil
	}
	return nil
}

func (b *bind) Send(bufs [][]byte, to conn.Endpoint) error {
	for _, content := range bufs {
		if b.silent {
			continue
		}
		if isInitiation(content) {
			b.initiationsOut.Add(1)
		}
		switch end := to.(type) {
		case udpEndpoint:
			if !b.dropUDP {
				if _, err := b.socket.WriteToUDPAddrPort(content, netip.AddrPort(end)); err != nil {
					return err
				}
			}
		case webSocketEndpoint:
			if socket, ok := b.sockets.Load(string(end)); ok {
				socket.(*webSocket).send(content)
			}
		}
	}
	return nil
}

func (b *bind) SetMark(uint32) error { return nil }
func (b *bind) BatchSize() int       { return 128 }

func (b *bind) ParseEndpoint(text string) (conn.Endpoint, error) {
	if _, ok := b.sockets.Load(text); ok {
		return webSocketEndpoint(text), nil
	}
	address, err := netip.ParseAddrPort(text)
	return udpEndpoint(address), err
}

type udpEndpoint netip.AddrPort

func (udpEndpoint) ClearSrc()             {}
func (udpEndpoint) SrcToString() string   { return "" }
func (e udpEndpoint) DstToString() string { return netip.AddrPort(e).String() }
func (e udpEndpoint) DstToBytes() []byte  { b, _ := netip.AddrPort(e).MarshalBinary(); return b }
func (e udpEndpoint) DstIP() netip.Addr   { return netip.AddrPort(e).Addr() }
func (udpEndpoint) SrcIP() netip.Addr     { return netip.Addr{} }

type webSocketEndpoint string

func (webSocketEndpoint) ClearSrc()             {}
func (webSocketEndpoint) SrcToString() string   { return "" }
func (e webSocketEndpoint) DstToString() string { return string(e) }
func (e webSocketEndpoint) DstToBytes() []byte  { return []byte(e) }
func (webSocketEndpoint) DstIP() netip.Addr     { return netip.IPv6Unspecified() }
func (webSocketEndpoint) SrcIP() netip.Addr     { return netip.Addr{} }
