// The private network behind the gateway: the name server and the Machines, whose ports lead to real servers of the test. Once on wireguard-go's
// netstack, once on the kernel's TCP behind a TUN device (needs root and a network namespace of its own), because a far side on the engine
// that the product uses too would share its mistakes.
// Neighbours: names.go answers, gateway.go owns it.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"sync"

	"golang.zx2c4.com/wireguard/tun"
)

const (
	mtu = 1420
	// Machines have the addresses <network>::100 to <network>::11f.
	firstMachine = 0x100
	machineCount = 32
)

type network struct {
	link    tun.Device
	names   names
	listen  func(netip.AddrPort) (net.Listener, error)
	mutex   sync.Mutex
	servers map[string]net.Listener
}

func newNetwork(prefix netip.Prefix, o order) (*network, error) {
	n := &network{servers: map[string]net.Listener{}}
	addresses := []netip.Addr{at(prefix, 3)}
	for i := range machineCount {
		addresses = append(addresses, at(prefix, uint16(firstMachine+i)))
	}
	var packets net.PacketConn
	var err error
	if o.KernelTCP {
		packets, err = n.onKernel(prefix, addresses)
	} else {
		packets, err = n.onNetstack(addresses, o)
	}
	if err != nil {
		return nil, err
	}
	streams, err := n.listen(netip.AddrPortFrom(addresses[0], 53))
	if err != nil {
		return nil, err
	}
	go n.names.serveUDP(packets)
	go n.names.serveTCP(streams)
	return n, nil
}

func (n *network) onNetstack(addresses []netip.Addr, o order) (net.PacketConn, error) {
	s, err := newNetstack(addresses, o)
	if err != nil {
		return nil, err
	}
	n.link = s
	n.listen = s.listen
	return s.listenPacket(netip.AddrPortFrom(addresses[0], 53))
}

func (n *network) onKernel(prefix netip.Prefix, addresses []netip.Addr) (net.PacketConn, error) {
	link, err := tun.CreateTUN("fly%d", mtu)
	if err != nil {
		return nil, err
	}
	n.link = link
	name, err := link.Name()
	if err != nil {
		return nil, err
	}
	commands := [][]string{{"link", "set", "dev", name, "up"}, {"-6", "route", "add", prefix.String(), "dev", name}}
	for _, address := range addresses {
		commands = append(commands, []string{"-6", "addr", "add", address.String() + "/128", "dev", name, "nodad"})
	}
	for _, command := range commands {
		if output, err := exec.Command("ip", command...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %v: %w: %s", command, err, output)
		}
	}
	n.listen = func(address netip.AddrPort) (net.Listener, error) { return net.Listen("tcp6", address.String()) }
	return net.ListenPacket("udp6", netip.AddrPortFrom(addresses[0], 53).String())
}

func (n *network) close() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for _, server := range n.servers {
		server.Close()
	}
}

func (n *network) addMachine(address string, port int, target string) error {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	listener, err := n.listen(netip.AddrPortFrom(ip, uint16(port)))
	if err != nil {
		return err
	}
	n.mutex.Lock()
	n.servers[serverKey(address, port)] = listener
	n.mutex.Unlock()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go carry(client, target)
		}
	}()
	return nil
}

// lose drops every packet to the address from now on: its machine is gone without a word. On netstack only.
func (n *network) lose(address string) error {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	stack, ok := n.link.(*netstack)
	if !ok {
		return errors.New("the kernel's addresses cannot be lost")
	}
	stack.lost.Store(&ip)
	return nil
}

func (n *network) removeMachine(address string, port int) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if listener := n.servers[serverKey(address, port)]; listener != nil {
		listener.Close()
	}
	delete(n.servers, serverKey(address, port))
}

func serverKey(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

type halfCloser interface{ CloseWrite() error }

// carry joins a client of the network with a server of the test.
func carry(client net.Conn, target string) {
	server, err := net.Dial("tcp", target)
	if err != nil {
		client.Close()
		return
	}
	join(client, server, func() { reset(client) })
}

// join carries both directions, half-closes kept; a broken direction breaks both.
func join(client, server net.Conn, abortClient func()) {
	defer client.Close()
	defer server.Close()
	done := make(chan error, 2)
	direction := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.(halfCloser).CloseWrite()
		}
		done <- err
	}
	go direction(server, client)
	go direction(client, server)
	for range 2 {
		if err := <-done; err != nil {
			abortClient()
			reset(server)
			return
		}
	}
}

func reset(side net.Conn) {
	if tcp, ok := side.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func at(prefix netip.Prefix, host uint16) netip.Addr {
	bytes := prefix.Addr().As16()
	bytes[14], bytes[15] = byte(host>>8), byte(host)
	return netip.AddrFrom16(bytes)
}
