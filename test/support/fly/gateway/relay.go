// A bad way to the gateway: a UDP relay that loses, repeats, delays (evenly or not), reorders and damages datagrams, and drops those that are too long for the path
// without a word, as where ICMP is blocked. What it does to which datagram follows from its seed. It stands on an address of its own, so that
// a gateway can seem to move.
// Neighbour: gateway.go keeps them by their address.
package main

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Of an IPv4 packet around a datagram.
const outerHeaderBytes = 20 + 8

type impairment struct {
	Seed uint64 `json:"seed,omitempty"`
	// Of a hundred datagrams, in each direction.
	Loss      float64 `json:"loss,omitempty"`
	Duplicate float64 `json:"duplicate,omitempty"`
	// One bit of so many is another one on arrival.
	Corrupt float64 `json:"corrupt,omitempty"`
	// So many arrive later than the following ones.
	Reorder float64 `json:"reorder,omitempty"`
	DelayMs float64 `json:"delayMs,omitempty"`
	// The delay grows by up to so much, and changes all the time; the order stays.
	JitterMs float64 `json:"jitterMs,omitempty"`
	// 0: any length passes.
	PathMTU int `json:"pathMtu,omitempty"`
}

const (
	reorderDelay = 2 * time.Millisecond
	// How long the delay stays the same with jitter.
	jitterLasts = 20 * time.Millisecond
)

type relay struct {
	socket  *net.UDPConn
	gateway netip.AddrPort
	how     impairment

	mutex   sync.Mutex
	clients map[netip.AddrPort]*relayed
}

// relayed is one client with its own socket to the gateway, as behind a NAT.
type relayed struct {
	toGateway *net.UDPConn
	up        *direction
}

func listenRelay(at, gateway netip.AddrPort, how impairment) (*relay, error) {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	roomy(socket)
	r := &relay{socket: socket, gateway: gateway, how: how, clients: map[netip.AddrPort]*relayed{}}
	go r.run()
	return r, nil
}

func roomy(socket *net.UDPConn) {
	_ = socket.SetReadBuffer(4 << 20)
	_ = socket.SetWriteBuffer(4 << 20)
}

func (r *relay) address() netip.AddrPort {
	address := r.socket.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

func (r *relay) close() {
	r.socket.Close()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, client := range r.clients {
		client.toGateway.Close()
	}
}

func (r *relay) run() {
	buffer := make([]byte, 65536)
	for {
		n, from, err := r.socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if client := r.clientOf(from); client != nil {
			client.up.pass(buffer[:n])
		}
	}
}

func (r *relay) clientOf(from netip.AddrPort) *relayed {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if client := r.clients[from]; client != nil {
		return client
	}
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.gateway))
	if err != nil {
		return nil
	}
	roomy(socket)
	up := newDirection(r.how, uint64(len(r.clients))*2, func(content []byte) { _, _ = socket.Write(content) })
	down := newDirection(r.how, uint64(len(r.clients))*2+1, func(content []byte) {
		_, _ = r.socket.WriteToUDPAddrPort(content, from)
	})
	client := &relayed{toGateway: socket, up: up}
	r.clients[from] = client
	go func() {
		buffer := make([]byte, 65536)
		for {
			n, err := socket.Read(buffer)
			if err != nil {
				return
			}
			down.pass(buffer[:n])
		}
	}()
	return client
}

// direction carries one way of one client. Each has its own sequence of random numbers.
type direction struct {
	how    impairment
	random *rand.Rand
	send   func([]byte)
	// What is delayed, in order; nil without a delay.
	later chan delayed
	// Of the delay, what jitter adds now, and until when.
	jitter      time.Duration
	jitterUntil time.Time
}

type delayed struct {
	content []byte
	due     time.Time
}

func newDirection(how impairment, stream uint64, send func([]byte)) *direction {
	d := &direction{how: how, random: rand.New(rand.NewPCG(how.Seed, stream)), send: send}
	if how.DelayMs > 0 || how.JitterMs > 0 {
		d.later = make(chan delayed, 16384)
		go func() {
			for each := range d.later {
				time.Sleep(time.Until(each.due))
				d.send(each.content)
			}
		}()
	}
	return d
}

func (d *direction) happens(percent float64) bool {
	return percent > 0 && d.random.Float64()*100 < percent
}

// pass is called by one goroutine only.
func (d *direction) pass(content []byte) {
	if d.how.PathMTU > 0 && len(content)+outerHeaderBytes > d.how.PathMTU || d.happens(d.how.Loss) {
		return
	}
	if d.happens(d.how.Corrupt) {
		content = append([]byte(nil), content...)
		content[d.random.IntN(len(content))] ^= 1 << d.random.IntN(8)
	}
	if d.happens(d.how.Reorder) {
		kept := append([]byte(nil), content...)
		time.AfterFunc(reorderDelay+d.delay(), func() { d.send(kept) })
		return
	}
	d.forward(content)
	if d.happens(d.how.Duplicate) {
		d.forward(content)
	}
}

func (d *direction) delay() time.Duration {
	return time.Duration(d.how.DelayMs * float64(time.Millisecond))
}

func (d *direction) due() time.Time {
	now := time.Now()
	if d.how.JitterMs > 0 && now.After(d.jitterUntil) {
		d.jitter = time.Duration(d.random.Float64() * d.how.JitterMs * float64(time.Millisecond))
		d.jitterUntil = now.Add(jitterLasts)
	}
	return now.Add(d.delay() + d.jitter)
}

func (d *direction) forward(content []byte) {
	if d.later == nil {
		d.send(content)
		return
	}
	select {
	case d.later <- delayed{append([]byte(nil), content...), d.due()}:
	default:
		// A router's queue is not endless.
	}
}
