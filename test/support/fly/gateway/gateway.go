// WireGuard as a gateway of fly.io does it. Peers are registered by the API and, just in time, installed at their first initiation: that one
// is dropped and the gateway initiates in its turn. An unknown key is answered by silence. A peer may use every address of its /120.
// Neighbours: initiation.go reads who initiates, bind.go carries UDP and web sockets, network.go lies behind.
package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

const keepaliveSeconds = 25

type gateway struct {
	mutex      sync.Mutex
	private    *ecdh.PrivateKey
	device     *device.Device
	bind       *bind
	webSockets *webSockets
	network    *network
	registered map[device.NoisePublicKey]netip.Addr
	installed  map[device.NoisePublicKey]bool
	justInTime bool
	cookies    cookies
	relays     map[netip.AddrPort]*relay
}

func newGateway() *gateway {
	return &gateway{registered: map[device.NoisePublicKey]netip.Addr{}, installed: map[device.NoisePublicKey]bool{}, relays: map[netip.AddrPort]*relay{}}
}

func (g *gateway) start(o order) (result, error) {
	prefix, err := netip.ParsePrefix(o.Network)
	if err != nil {
		return result{}, err
	}
	if g.private, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return result{}, err
	}
	if g.network, err = newNetwork(prefix, o); err != nil {
		return result{}, err
	}
	listen, err := netip.ParseAddr(o.Listen)
	if err != nil {
		return result{}, err
	}
	if g.bind, err = listenUDP(netip.AddrPortFrom(listen, uint16(o.UDPPort)), g.initiated); err != nil {
		return result{}, err
	}
	if g.webSockets, err = listenWebSockets(netip.AddrPortFrom(listen, uint16(o.WSPort)), g.bind); err != nil {
		return result{}, err
	}
	g.device = device.NewDevice(g.network.link, g.bind, device.NewLogger(device.LogLevelSilent, ""))
	if err := g.device.IpcSet("private_key=" + hex.EncodeToString(g.private.Bytes()) + "\n"); err != nil {
		return result{}, err
	}
	if err := g.device.Up(); err != nil {
		return result{}, err
	}
	return result{PublicKey: g.publicKey(), UDPPort: int(g.bind.port()), WSPort: g.webSockets.port()}, nil
}

func (g *gateway) stop() {
	for _, relay := range g.relays {
		relay.close()
	}
	if g.device != nil {
		g.webSockets.close()
		g.device.Close()
		g.network.close()
	}
}

func (g *gateway) publicKey() string {
	return base64.StdEncoding.EncodeToString(g.private.PublicKey().Bytes())
}

func (g *gateway) set(o order) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if o.HostileNames != nil {
		g.network.names.setHostile(*o.HostileNames)
	}
	for flag, value := range map[*bool]*bool{
		&g.justInTime: o.JustInTime, &g.cookies.asked: o.AsksCookies, &g.bind.dropUDP: o.DropUDP, &g.bind.silent: o.Silent, &g.webSockets.refuse: o.RefuseWS,
	} {
		if value != nil {
			*flag = *value
		}
	}
}

// relay opens another way to this gateway.
func (g *gateway) relay(o order) (result, error) {
	listen, err := netip.ParseAddr(o.Listen)
	if err != nil {
		return result{}, err
	}
	address := g.bind.socket.LocalAddr().(*net.UDPAddr).AddrPort()
	to := netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	relay, err := listenRelay(netip.AddrPortFrom(listen, uint16(o.UDPPort)), to, o.Impairment)
	if err != nil {
		return result{}, err
	}
	g.relays[relay.address()] = relay
	return result{UDPPort: int(relay.address().Port())}, nil
}

func (g *gateway) closeRelay(o order) error {
	listen, err := netip.ParseAddr(o.Listen)
	if err != nil {
		return err
	}
	at := netip.AddrPortFrom(listen, uint16(o.UDPPort))
	relay := g.relays[at]
	if relay == nil {
		return fmt.Errorf("there is no relay on %s", at)
	}
	relay.close()
	delete(g.relays, at)
	return nil
}

func (g *gateway) addPeer(publicKey string, address netip.Addr) error {
	key, err := keyOf(publicKey)
	if err != nil {
		return err
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.registered[key] = address
	if g.justInTime {
		return nil
	}
	return g.install(key, nil)
}

// install is called with the mutex held. With an endpoint the gateway initiates.
func (g *gateway) install(key device.NoisePublicKey, endpoint conn.Endpoint) error {
	own := netip.PrefixFrom(g.registered[key], 120).Masked()
	config := fmt.Sprintf("public_key=%s\nreplace_allowed_ips=true\nallowed_ip=%s\n", hex.EncodeToString(key[:]), own)
	if endpoint != nil {
		config += fmt.Sprintf("endpoint=%s\npersistent_keepalive_interval=%d\n", endpoint.DstToString(), keepaliveSeconds)
	}
	if err := g.device.IpcSet(config); err != nil {
		return err
	}
	g.installed[key] = true
	if endpoint != nil {
		return g.device.LookupPeer(key).SendHandshakeInitiation(false)
	}
	return nil
}

func (g *gateway) removePeer(publicKey string) error {
	key, err := keyOf(publicKey)
	if err != nil {
		return err
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	delete(g.registered, key)
	delete(g.installed, key)
	g.device.RemovePeer(key)
	return nil
}

// handshake begins one with that peer, unless it began another less than 5 s ago.
func (g *gateway) handshake(publicKey string) error {
	key, err := keyOf(publicKey)
	if err != nil {
		return err
	}
	peer := g.device.LookupPeer(key)
	if peer == nil {
		return errors.New("the peer is not installed")
	}
	return peer.SendHandshakeInitiation(false)
}

// initiated is asked for every initiation; false drops it.
func (g *gateway) initiated(message []byte, from conn.Endpoint) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if reply := g.cookies.replyTo(message, from, g.private.PublicKey().Bytes()); reply != nil {
		_ = g.bind.Send([][]byte{reply}, from)
		return false
	}
	if !g.justInTime {
		return true
	}
	key, ok := initiatorOf(message, g.private)
	if !ok || g.installed[key] {
		return ok
	}
	if _, known := g.registered[key]; known {
		// Not here: the device must not be changed by its own receiver.
		go func() {
			g.mutex.Lock()
			defer g.mutex.Unlock()
			_ = g.install(key, from)
		}()
	}
	return false
}

// restart forgets the handshakes, and the peers that were installed just in time; with another key too if asked for.
func (g *gateway) restart(otherKey bool) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.device.RemoveAllPeers()
	clear(g.installed)
	if otherKey {
		private, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		g.private = private
		if err := g.device.IpcSet("private_key=" + hex.EncodeToString(private.Bytes()) + "\n"); err != nil {
			return err
		}
	}
	if g.justInTime {
		return nil
	}
	for key := range g.registered {
		if err := g.install(key, nil); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(text string) (device.NoisePublicKey, error) {
	var key device.NoisePublicKey
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(bytes) != len(key) {
		return key, errors.New("not a key of 32 bytes in base64")
	}
	copy(key[:], bytes)
	return key, nil
}
