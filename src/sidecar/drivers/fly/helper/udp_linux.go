// UDP to the gateway with the kernel's offloads: one call takes or gives many datagrams. Our own, because wireguard-go's bind goes through 128
// message slots at each call, however few datagrams it takes, and holds a buffer of 64 KiB for each of them, for IPv4 and for IPv6.
// Neighbours: transport.go chooses it, udp_other.go is its place on other systems.
package main

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
)

const (
	udp4 = "udp4"
	udp6 = "udp6"
	// What the kernel may hold for us, as wireguard-go asks for it; the system's limit is usually lower.
	udpSocketBytes = 7 << 20
	// Datagrams, or groups of up to 64 of one size, that one call takes.
	receivedAtOnce   = 4
	maxGroupBytes    = 64 << 10
	maxGroupSegments = 64
	// What an IPv4 packet carries at the most.
	maxUDPBytes = 1<<16 - 1 - 20 - 8
)

type batchSocket interface {
	ReadBatch([]ipv4.Message, int) (int, error)
	WriteBatch([]ipv4.Message, int) (int, error)
}

func batchOf(socket *net.UDPConn, network string) batchSocket {
	if network == udp4 {
		return ipv4.NewPacketConn(socket)
	}
	return ipv6.NewPacketConn(socket)
}

// udpBind has one socket, of the family of the gateway's address.
type udpBind struct {
	network string
	mutex   sync.Mutex
	// Nil while closed.
	socket *net.UDPConn
	batch  batchSocket
	// Whether the kernel cuts what is sent into datagrams.
	segment bool
}

var _ conn.Bind = (*udpBind)(nil)

func newUDPBind(endpoint netip.AddrPort) conn.Bind {
	if endpoint.Addr().Is4() {
		return &udpBind{network: udp4}
	}
	return &udpBind{network: udp6}
}

func (b *udpBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.socket != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	socket, err := net.ListenUDP(b.network, &net.UDPAddr{Port: int(port)})
	if err != nil {
		return nil, 0, err
	}
	raw, err := socket.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { b.segment = prepare(int(fd)) })
	}
	if err != nil {
		socket.Close()
		return nil, 0, err
	}
	b.socket, b.batch = socket, batchOf(socket, b.network)
	return []conn.ReceiveFunc{newReceiver(b.batch).receive}, uint16(socket.LocalAddr().(*net.UDPAddr).Port), nil
}

// prepare sets what the kernel allows, and says whether it cuts what is sent into datagrams.
func prepare(fd int) bool {
	for _, option := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF, unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, udpSocketBytes)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	return err == nil
}

func (b *udpBind) Close() error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.socket == nil {
		return nil
	}
	socket := b.socket
	b.socket, b.batch = nil, nil
	return socket.Close()
}

// SetMark is for routing by policy, which a pod has not.
func (b *udpBind) SetMark(uint32) error { return nil }

func (b *udpBind) BatchSize() int { return batchSize }

func (b *udpBind) ParseEndpoint(text string) (conn.Endpoint, error) {
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return nil, err
	}
	return &conn.StdNetEndpoint{AddrPort: address}, nil
}

func (b *udpBind) Send(datagrams [][]byte, to conn.Endpoint) error {
	b.mutex.Lock()
	batch, segment := b.batch, b.segment
	b.mutex.Unlock()
	// One of the web socket may come late, after a change of the transport.
	gateway, isUDP := to.(*conn.StdNetEndpoint)
	if batch == nil || !isUDP {
		return net.ErrClosed
	}
	address := net.UDPAddrFromAddrPort(gateway.AddrPort)
	err := sendAll(batch, groups(datagrams, address, segment))
	// A network card without checksums in hardware.
	if segment && errors.Is(err, unix.EIO) {
		b.mutex.Lock()
		b.segment = false
		b.mutex.Unlock()
		return sendAll(batch, groups(datagrams, address, false))
	}
	return err
}

func sendAll(batch batchSocket, messages []ipv4.Message) error {
	for len(messages) > 0 {
		sent, err := batch.WriteBatch(messages, 0)
		if err != nil {
			return err
		}
		messages = messages[sent:]
	}
	return nil
}

// groups puts neighbours of one size into one message, which the kernel cuts again. The last of a group may be shorter.
func groups(datagrams [][]byte, to net.Addr, segment bool) []ipv4.Message {
	var messages []ipv4.Message
	for len(datagrams) > 0 {
		size, total, count := len(datagrams[0]), len(datagrams[0]), 1
		for segment && count < len(datagrams) && count < maxGroupSegments {
			next := len(datagrams[count])
			if next > size || total+next > maxUDPBytes || len(datagrams[count-1]) < size {
				break
			}
			total += next
			count++
		}
		message := ipv4.Message{Buffers: datagrams[:count], Addr: to}
		if count > 1 {
			message.OOB = segmentSize(uint16(size))
		}
		messages = append(messages, message)
		datagrams = datagrams[count:]
	}
	return messages
}

// segmentSize is the control message UDP_SEGMENT.
func segmentSize(size uint16) []byte {
	control := make([]byte, unix.CmsgSpace(2))
	head := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	head.Level, head.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	head.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], size)
	return control
}

// receiver takes groups of datagrams apart. What finds no room in one call is given with the next.
type receiver struct {
	batch    batchSocket
	messages []ipv4.Message
	// Those received last, the one that comes next, and where in it.
	count, next, at int
	from            netip.AddrPort
	endpoint        conn.Endpoint
}

func newReceiver(batch batchSocket) *receiver {
	messages := make([]ipv4.Message, receivedAtOnce)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, maxGroupBytes)}
		messages[i].OOB = make([]byte, unix.CmsgSpace(4))
	}
	return &receiver{batch: batch, messages: messages}
}

func (r *receiver) receive(buffers [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
	if r.next == r.count {
		count, err := r.batch.ReadBatch(r.messages, 0)
		if err != nil {
			return 0, err
		}
		r.count, r.next, r.at = count, 0, 0
	}
	given := 0
	for r.next < r.count && given < len(buffers) {
		message := &r.messages[r.next]
		size := segmentSizeOf(message)
		endpoint := r.endpointOf(message.Addr)
		for given < len(buffers) && r.at < message.N {
			piece := message.Buffers[0][r.at:min(r.at+size, message.N)]
			sizes[given] = copy(buffers[given], piece)
			from[given] = endpoint
			r.at += len(piece)
			given++
		}
		if r.at >= message.N {
			r.next++
			r.at = 0
		}
	}
	return given, nil
}

// endpointOf makes a new one only if the sender changes.
func (r *receiver) endpointOf(sender net.Addr) conn.Endpoint {
	address := sender.(*net.UDPAddr).AddrPort()
	if r.endpoint == nil || address != r.from {
		r.from, r.endpoint = address, &conn.StdNetEndpoint{AddrPort: address}
	}
	return r.endpoint
}

// segmentSizeOf reads the control message UDP_GRO; without it the message is one datagram.
func segmentSizeOf(message *ipv4.Message) int {
	control := message.OOB[:message.NN]
	for len(control) >= unix.SizeofCmsghdr {
		head, content, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		if head.Level == unix.IPPROTO_UDP && head.Type == unix.UDP_GRO && len(content) >= 4 {
			return int(binary.NativeEndian.Uint32(content))
		}
		control = rest
	}
	return message.N
}
