// What a test can tell the gateway to be or to do. Neighbour: main.go reads the lines, ../fly-gateway.ts writes them.
package main

import (
	"errors"
	"net/netip"
)

type order struct {
	ID int    `json:"id"`
	Op string `json:"op"`
	// start
	Listen    string `json:"listen,omitempty"`
	UDPPort   int    `json:"udpPort,omitempty"`
	WSPort    int    `json:"wsPort,omitempty"`
	Network   string `json:"network,omitempty"`
	KernelTCP bool   `json:"kernelTcp,omitempty"`
	// How long netstack keeps a connection that its side ended. Default: 60 s.
	TimeWaitMs int `json:"timeWaitMs,omitempty"`
	// Netstack detects losses by selective acknowledgements alone: as a sender it then goes on after an outage, as Linux does.
	WithoutRACK bool `json:"withoutRack,omitempty"`
	// peer, removePeer, handshake
	PublicKey string `json:"publicKey,omitempty"`
	Address   string `json:"address,omitempty"`
	// machine: every TCP port of Address leads to the same port of Target, or to TargetPort
	Target string `json:"target,omitempty"`
	Port   int    `json:"port,omitempty"`
	// names
	Names map[string][]string `json:"names,omitempty"`
	Texts map[string]string   `json:"texts,omitempty"`
	// switches
	JustInTime *bool `json:"justInTime,omitempty"`
	DropUDP    *bool `json:"dropUdp,omitempty"`
	RefuseWS   *bool `json:"refuseWs,omitempty"`
	Silent     *bool `json:"silent,omitempty"`
	// An initiation without a cookie is answered by one, and dropped.
	AsksCookies *bool `json:"asksCookies,omitempty"`
	// Each answer of the name server has a compression pointer that leads to itself.
	HostileNames *bool `json:"hostileNames,omitempty"`
	// relay, with Listen and UDPPort; closeRelay with both
	Impairment impairment `json:"impairment,omitempty"`
}

type result struct {
	ID        int    `json:"id"`
	Error     string `json:"error,omitempty"`
	PublicKey string `json:"publicKey,omitempty"`
	UDPPort   int    `json:"udpPort,omitempty"`
	WSPort    int    `json:"wsPort,omitempty"`
	// Handshake initiations since the start.
	Received int64 `json:"received,omitempty"`
	Sent     int64 `json:"sent,omitempty"`
	// Names that were asked for since the last `asked`.
	Asked []string `json:"asked,omitempty"`
}

func (g *gateway) obey(o order) result {
	r, err := g.answer(o)
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (g *gateway) answer(o order) (result, error) {
	switch o.Op {
	case "start":
		return g.start(o)
	case "peer":
		address, err := netip.ParseAddr(o.Address)
		if err != nil {
			return result{}, err
		}
		return result{}, g.addPeer(o.PublicKey, address)
	case "removePeer":
		return result{}, g.removePeer(o.PublicKey)
	case "handshake":
		return result{}, g.handshake(o.PublicKey)
	case "initiations":
		return result{Received: g.bind.initiationsIn.Load(), Sent: g.bind.initiationsOut.Load()}, nil
	case "machine":
		return result{}, g.network.addMachine(o.Address, o.Port, o.Target)
	case "removeMachine":
		g.network.removeMachine(o.Address, o.Port)
		return result{}, nil
	case "names":
		g.network.names.set(o.Names, o.Texts)
		return result{}, nil
	case "asked":
		return result{Asked: g.network.names.takeAsked()}, nil
	case "switch":
		g.set(o)
		return result{}, nil
	case "restart":
		// Forgets every handshake and every peer that was installed just in time; keys stay.
		return result{}, g.restart(false)
	case "rotateKey":
		err := g.restart(true)
		return result{PublicKey: g.publicKey()}, err
	case "lose":
		return result{}, g.network.lose(o.Address)
	case "relay":
		return g.relay(o)
	case "closeRelay":
		return result{}, g.closeRelay(o)
	case "cutWebSockets":
		g.webSockets.cut()
		return result{}, nil
	}
	return result{}, errors.New("there is no order " + o.Op)
}
