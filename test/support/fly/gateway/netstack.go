// The network on gVisor's stack. Every port of the first Machine leads to the same port of this machine's loopback, as a Machine on which all
// the servers of a test run; a port that refuses there refuses here.
// Neighbour: network.go chooses it.
package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const pendingConnections = 4096

type netstack struct {
	lost    atomic.Pointer[netip.Addr]
	link    *channel.Endpoint
	stack   *stack.Stack
	machine tcpip.Address
	events  chan tun.Event
	ended   context.Context
	end     context.CancelFunc
	once    sync.Once
}

var _ tun.Device = (*netstack)(nil)

func newNetstack(addresses []netip.Addr, o order) (*netstack, error) {
	ended, end := context.WithCancel(context.Background())
	n := &netstack{
		link:    channel.New(4096, mtu, ""),
		machine: tcpip.AddrFromSlice(addresses[1].AsSlice()),
		events:  make(chan tun.Event, 1),
		ended:   ended,
		end:     end,
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol6},
		}),
	}
	selective := tcpip.TCPSACKEnabled(true)
	options := []tcpip.SettableTransportProtocolOption{&selective}
	if o.TimeWaitMs > 0 {
		timeWait := tcpip.TCPTimeWaitTimeoutOption(time.Duration(o.TimeWaitMs) * time.Millisecond)
		options = append(options, &timeWait)
	}
	if o.WithoutRACK {
		recovery := tcpip.TCPRecovery(0)
		options = append(options, &recovery)
	}
	for _, option := range options {
		if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, errors.New(err.String())
		}
	}
	if err := n.stack.CreateNIC(1, n.link); err != nil {
		return nil, errors.New(err.String())
	}
	for _, address := range addresses {
		local := tcpip.ProtocolAddress{
			Protocol:          ipv6.ProtocolNumber,
			AddressWithPrefix: tcpip.AddrFromSlice(address.AsSlice()).WithPrefix(),
		}
		if err := n.stack.AddProtocolAddress(1, local, stack.AddressProperties{}); err != nil {
			return nil, errors.New(err.String())
		}
	}
	n.stack.AddRoute(tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: 1})
	forwarder := tcp.NewForwarder(n.stack, 0, pendingConnections, n.forward)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, forwarder.HandlePacket)
	return n, nil
}

// forward takes a connection to a port that nobody listens on.
func (n *netstack) forward(request *tcp.ForwarderRequest) {
	id := request.ID()
	if id.LocalAddress != n.machine {
		request.Complete(true)
		return
	}
	server, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(id.LocalPort))))
	if err != nil {
		request.Complete(true)
		return
	}
	var queue waiter.Queue
	endpoint, problem := request.CreateEndpoint(&queue)
	request.Complete(problem != nil)
	if problem != nil {
		server.Close()
		return
	}
	join(gonet.NewTCPConn(&queue, endpoint), server, endpoint.Abort)
}

func (n *netstack) listen(address netip.AddrPort) (net.Listener, error) {
	return gonet.ListenTCP(n.stack, full(address), ipv6.ProtocolNumber)
}

func (n *netstack) listenPacket(address netip.AddrPort) (net.PacketConn, error) {
	local := full(address)
	return gonet.DialUDP(n.stack, &local, nil, ipv6.ProtocolNumber)
}

func full(address netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFromSlice(address.Addr().AsSlice()), Port: address.Port()}
}

func (n *netstack) File() *os.File           { return nil }
func (n *netstack) Name() (string, error)    { return "fly", nil }
func (n *netstack) MTU() (int, error)        { return mtu, nil }
func (n *netstack) BatchSize() int           { return 1 }
func (n *netstack) Events() <-chan tun.Event { return n.events }

func (n *netstack) Close() error {
	n.once.Do(func() {
		n.end()
		close(n.events)
	})
	return nil
}

func (n *netstack) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	packet := n.link.ReadContext(n.ended)
	if packet == nil {
		return 0, os.ErrClosed
	}
	defer packet.DecRef()
	view := packet.ToView()
	defer view.Release()
	length, err := view.Read(bufs[0][offset:])
	sizes[0] = length
	return 1, err
}

func (n *netstack) Write(bufs [][]byte, offset int) (int, error) {
	lost := n.lost.Load()
	for _, content := range bufs {
		if lost != nil && destinationOf(content[offset:]) == *lost {
			continue
		}
		packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(content[offset:])})
		n.link.InjectInbound(ipv6.ProtocolNumber, packet)
		packet.DecRef()
	}
	return len(bufs), nil
}

func destinationOf(packet []byte) netip.Addr {
	const from, to = 24, 40
	if len(packet) < to {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(packet[from:to]))
}
