// The link between WireGuard and the TCP stack: to WireGuard a TUN device, to the stack a network card. No packet leaves the process here.
// Our own, because wireguard-go's netstack keeps its endpoints to itself: no abort, no user timeout, no keep-alive.
// Neighbours: device.go makes it, timeouts.go looks before each delivery.
package main

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// Packets that wait for WireGuard: the window of a stream (4 MiB). The stack drops what is more, and a busy machine lost the end of a window
	// that way, which costs a timeout.
	queuedPackets = 4096
	// Packets that WireGuard takes or gives at once: it holds a buffer of 64 KiB for each, in each direction.
	batchSize = 64
)

type packets struct {
	*channel.Endpoint
	mtu    int
	events chan tun.Event
	ended  context.Context
	end    context.CancelFunc
	once   sync.Once
	// Unix nanoseconds; 0: never.
	lastReceived atomic.Int64
	// Guards the joiner: WireGuard writes from a goroutine for each peer, and a device has one.
	writing sync.Mutex
	joiner  joiner
	// What WireGuard has taken from the gateway and not yet written.
	inFlight *inFlight
	// Called before packets are delivered to the stack, by one goroutine at a time.
	beforeDelivery func()
}

func newPackets(mtu int) *packets {
	ended, end := context.WithCancel(context.Background())
	p := &packets{
		Endpoint: channel.New(queuedPackets, uint32(mtu), ""),
		mtu:      mtu,
		events:   make(chan tun.Event, 1),
		ended:    ended,
		end:      end,
		inFlight: newInFlight(),

		beforeDelivery: func() {},
	}
	p.joiner.deliver = p.deliver
	return p
}

var _ tun.Device = (*tunnelEnd)(nil)

// tunnelEnd is the side that WireGuard sees. A type of its own, because both sides have a method Close.
type tunnelEnd struct{ *packets }

func (t *tunnelEnd) File() *os.File           { return nil }
func (t *tunnelEnd) Name() (string, error)    { return "fly", nil }
func (t *tunnelEnd) MTU() (int, error)        { return t.mtu, nil }
func (t *tunnelEnd) BatchSize() int           { return batchSize }
func (t *tunnelEnd) Events() <-chan tun.Event { return t.events }

func (t *tunnelEnd) Close() error {
	t.once.Do(func() {
		t.end()
		close(t.events)
	})
	return nil
}

// Read gives WireGuard what the stack sends: waits for the first packet, takes along what else is there.
func (t *tunnelEnd) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	packet := t.Endpoint.ReadContext(t.ended)
	if packet == nil {
		return 0, os.ErrClosed
	}
	count := 0
	for packet != nil {
		view := packet.ToView()
		packet.DecRef()
		n, err := view.Read(bufs[count][offset:])
		view.Release()
		if err != nil {
			return count, err
		}
		sizes[count] = n
		count++
		if count == len(bufs) {
			break
		}
		packet = t.Endpoint.Read()
	}
	return count, nil
}

// Write gives the stack what WireGuard has decrypted. Anything but IPv6 is dropped: the network has nothing else.
func (t *tunnelEnd) Write(bufs [][]byte, offset int) (int, error) {
	if t.ended.Err() != nil {
		return 0, syscall.EPIPE
	}
	t.lastReceived.Store(time.Now().UnixNano())
	t.writing.Lock()
	defer t.writing.Unlock()
	t.beforeDelivery()
	for _, buf := range bufs {
		content := buf[offset:]
		if header.IPVersion(content) == header.IPv6Version {
			t.joiner.add(content)
		}
	}
	t.joiner.flush()
	t.inFlight.delivered(len(bufs))
	return len(bufs), nil
}

func (p *packets) deliver(content buffer.Buffer) {
	packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: content})
	p.Endpoint.InjectInbound(ipv6.ProtocolNumber, packet)
	packet.DecRef()
}

func (p *packets) silentMs() int64 {
	last := p.lastReceived.Load()
	if last == 0 {
		return -1
	}
	return max(0, (time.Now().UnixNano()-last)/int64(time.Millisecond))
}
