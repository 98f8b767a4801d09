// A gateway under load: it answers an initiation by a cookie, and takes it only when it comes again with that. WireGuard itself does so when
// many initiations wait, which a test cannot bring about at will.
// Neighbour: gateway.go asks for every initiation.
package main

import (
	"bytes"
	"encoding/binary"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
)

const senderOffset = 4

type cookies struct {
	asked   bool
	checker *device.CookieChecker
}

// replyTo is the cookie for an initiation that lacks one; nil lets it through.
func (c *cookies) replyTo(message []byte, from conn.Endpoint, public []byte) []byte {
	if !c.asked || len(message) != device.MessageInitiationSize {
		return nil
	}
	if c.checker == nil {
		c.checker = &device.CookieChecker{}
		c.checker.Init(device.NoisePublicKey(public))
	}
	if c.checker.CheckMAC2(message, from.DstToBytes()) {
		return nil
	}
	reply, err := c.checker.CreateReply(message, binary.LittleEndian.Uint32(message[senderOffset:]), from.DstToBytes())
	if err != nil {
		return nil
	}
	var content bytes.Buffer
	_ = binary.Write(&content, binary.LittleEndian, reply)
	return content.Bytes()
}
