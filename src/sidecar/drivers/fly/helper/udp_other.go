//go:build !linux

// UDP to the gateway on systems without the offloads of udp_linux.go. Neighbour: transport.go chooses it.
package main

import (
	"net/netip"

	"golang.zx2c4.com/wireguard/conn"
)

func newUDPBind(netip.AddrPort) conn.Bind { return conn.NewDefaultBind() }
