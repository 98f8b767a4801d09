// One WireGuard device with the TCP stack above it: one peer of the organization's network and its gateway.
// Neighbours: packets.go (joins the two), transport.go (UDP or web socket below), streams.go dials through it, silence.go and timeouts.go watch its streams.
package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	wireguard "golang.zx2c4.com/wireguard/device"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nic = 1
	// Keeps the mapping of a NAT on the way alive; WireGuard sends nothing while idle.
	keepaliveSeconds = 15
	// A stream starts with little, so that a thousand whose clients do not read stay within the pod's memory. The stack lets a stream that
	// is read grow as bandwidth and distance need.
	initialReceiveBuffer = 16 << 10
	initialSendBuffer    = 64 << 10
	maxBuffer            = 4 << 20
	// Default: 120 s. After an outage of the tunnel an open stream goes on within this time.
	maxRetransmitPause = 2 * time.Second
	// The most that a device which closes waits for its last packets, and the time that encrypting and sending them takes at the most.
	flushLimit = 500 * time.Millisecond
	flushStep  = 50 * time.Millisecond
)

type deviceOptions struct {
	privateKey string
	gatewayKey string
	address    netip.Addr
	mtu        int
}

type device struct {
	wireguard *wireguard.Device
	gateway   wireguard.NoisePublicKey
	stack     *stack.Stack
	packets   *packets
	transport *transport
	address   netip.Addr
	open      *openStreams
	ports     *portSequence
	// Whether a transport was ever set.
	up bool
}

type stats struct {
	// When the last handshake was completed, in milliseconds of Unix time; 0: none yet.
	HandshakeAtMs int64 `json:"handshakeAtMs"`
	// Since a packet of the network last arrived; -1: none yet.
	SilentMs  int64  `json:"silentMs"`
	Received  uint64 `json:"received"`
	Sent      uint64 `json:"sent"`
	Streams   int    `json:"streams"`
	Transport string `json:"transport"`
	// Why the web socket is not connected; empty if it is, and for UDP.
	TransportError string `json:"transportError,omitempty"`
}

// openDevice makes a device that has no transport yet: it sends and receives nothing until setTransport.
func openDevice(options deviceOptions) (*device, error) {
	private, err := keyOf(options.privateKey)
	if err != nil {
		return nil, failed("internal", "the private key is not 32 bytes in base64")
	}
	public, err := keyOf(options.gatewayKey)
	if err != nil {
		return nil, failed("internal", "the gateway's key is not 32 bytes in base64")
	}
	packets := newPackets(options.mtu)
	netStack, err := newStack(packets, options.address)
	if err != nil {
		return nil, err
	}
	transport := newTransport(packets.inFlight)
	d := &device{
		wireguard: wireguard.NewDevice(&tunnelEnd{packets}, transport, wireguard.NewLogger(wireguard.LogLevelSilent, "")),
		gateway:   wireguard.NoisePublicKey(public),
		stack:     netStack,
		packets:   packets,
		transport: transport,
		address:   options.address,
		open:      newOpenStreams(),
		ports:     newPortSequence(),
	}
	packets.beforeDelivery = newTimeouts(netStack, d.open).look
	config := fmt.Sprintf("private_key=%s\npublic_key=%s\nallowed_ip=%s\n",
		hex.EncodeToString(private[:]), hex.EncodeToString(public[:]), d.network())
	if err := d.wireguard.IpcSet(config); err != nil {
		d.close()
		return nil, err
	}
	go d.open.watch(packets.ended)
	return d, nil
}

func newStack(link stack.LinkEndpoint, address netip.Addr) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol6},
	})
	// Selective acknowledgements are off by default; without them one loss costs a round trip each.
	selective := tcpip.TCPSACKEnabled(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: initialReceiveBuffer, Max: maxBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: initialSendBuffer, Max: maxBuffer}
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	pause := tcpip.TCPMaxRTOOption(maxRetransmitPause)
	for _, option := range []tcpip.SettableTransportProtocolOption{&selective, &receive, &send, &moderate, &pause} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("set an option of the TCP stack: %s", err)
		}
	}
	if err := s.CreateNIC(nic, link); err != nil {
		return nil, fmt.Errorf("create the stack's interface: %s", err)
	}
	local := tcpip.ProtocolAddress{
		Protocol:          ipv6.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFromSlice(address.AsSlice()).WithPrefix(),
	}
	if err := s.AddProtocolAddress(nic, local, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("set the peer's address: %s", err)
	}
	s.AddRoute(tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: nic})
	return s, nil
}

// network is what lies behind the gateway: the first 48 bits of the peer's own address.
func (d *device) network() netip.Prefix {
	return netip.PrefixFrom(d.address, 48).Masked()
}

// nameServer is `<network>::3`, which also answers echo requests.
func (d *device) nameServer() netip.Addr {
	bytes := d.network().Addr().As16()
	bytes[15] = 3
	return netip.AddrFrom16(bytes)
}

// setTransport moves the device to another way to the gateway, or to another address of it. Streams live on: WireGuard roams.
func (d *device) setTransport(kind, endpoint string) error {
	if err := d.wireguard.BindClose(); err != nil {
		return err
	}
	if err := d.transport.use(kind, endpoint); err != nil {
		return err
	}
	config := fmt.Sprintf("public_key=%s\nupdate_only=true\nendpoint=%s\npersistent_keepalive_interval=%d\n",
		hex.EncodeToString(d.gateway[:]), endpoint, keepaliveSeconds)
	if err := d.wireguard.IpcSet(config); err != nil {
		return failed("endpoint", "the gateway's address cannot be used: %v", err)
	}
	// Up opens the socket the first time. BindUpdate would open another one, and the answer to the first initiation would miss it.
	open := d.wireguard.Up
	if d.up {
		open = d.wireguard.BindUpdate
	}
	if err := open(); err != nil {
		return failed("socket", "no socket to the gateway: %v", err)
	}
	d.up = true
	return d.handshake()
}

// handshake starts a new one at once; what the present keys still carry goes on. A gateway that forgot the peer ignores everything else.
func (d *device) handshake() error {
	peer := d.wireguard.LookupPeer(d.gateway)
	if peer == nil {
		return failed("internal", "the device has no peer")
	}
	// Fails where no packet can be sent now: WireGuard itself tries again every 5 s.
	_ = peer.SendHandshakeInitiation(false)
	return nil
}

func (d *device) stats() (*stats, error) {
	text, err := d.wireguard.IpcGet()
	if err != nil {
		return nil, err
	}
	values := map[string]int64{}
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, "=")
		if number, err := strconv.ParseInt(value, 10, 64); err == nil {
			values[key] = number
		}
	}
	s := &stats{
		SilentMs: d.packets.silentMs(),
		Received: uint64(values["rx_bytes"]),
		Sent:     uint64(values["tx_bytes"]),
		Streams:  d.open.count(),
	}
	if seconds := values["last_handshake_time_sec"]; seconds > 0 {
		s.HandshakeAtMs = time.Unix(seconds, values["last_handshake_time_nsec"]).UnixMilli()
	}
	s.Transport, s.TransportError = d.transport.state()
	return s, nil
}

// close aborts every stream first, so that the far sides hear of it while the tunnel still carries.
func (d *device) close() {
	d.open.abortAll()
	d.flush()
	d.wireguard.Close()
	d.stack.Close()
}

// flush waits until what the stack sent has left: Close drops it, and WireGuard encrypts beside us.
func (d *device) flush() {
	if !d.up {
		return
	}
	for end := time.Now().Add(flushLimit); time.Now().Before(end); {
		waiting := d.packets.NumQueued() > 0
		time.Sleep(flushStep)
		if !waiting {
			return
		}
	}
}

func keyOf(text string) ([32]byte, error) {
	var key [32]byte
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(bytes) != len(key) {
		return key, fmt.Errorf("not a key")
	}
	copy(key[:], bytes)
	return key, nil
}

// resolve gives the IPv6 addresses of a name, or of an address itself, as the network's own name server knows them now.
func (d *device) resolve(ctx context.Context, name string) ([]string, error) {
	if address, err := netip.ParseAddr(name); err == nil {
		return []string{address.String()}, nil
	}
	return lookup(ctx, d, name)
}
