// Bounds the packets between the gateway's socket and the TCP stack. WireGuard keeps each of them in a buffer of 64 KiB, takes as many as come, and
// decrypts them later: a burst for a thousand streams on a busy machine took 100 MiB. What is not taken waits in the kernel's buffer of the socket.
// Neighbours: transport.go counts what comes, packets.go what has been delivered.
package main

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	wireguard "golang.zx2c4.com/wireguard/device"
)

const (
	maxInFlight = 512
	// While there are many streams, which need the memory themselves.
	maxInFlightOfMany = 192
	// What WireGuard drops never arrives, and is forgotten after this.
	forgetInFlight = 10 * time.Millisecond
)

type inFlight struct {
	count atomic.Int64
	room  chan struct{}
}

func newInFlight() *inFlight { return &inFlight{room: make(chan struct{}, 1)} }

func (f *inFlight) full() bool {
	if isSmall.Load() {
		return f.count.Load() >= maxInFlightOfMany
	}
	return f.count.Load() >= maxInFlight
}

// await returns when there is room for a batch.
func (f *inFlight) await() {
	if !f.full() {
		return
	}
	timer := time.NewTimer(forgetInFlight)
	defer timer.Stop()
	for f.full() {
		select {
		case <-f.room:
		case <-timer.C:
			f.count.Store(0)
		}
	}
}

// took counts the datagrams that carry a packet of the network.
func (f *inFlight) took(datagrams [][]byte, sizes []int) {
	packets := int64(0)
	for i, size := range sizes {
		if size > wireguard.MessageKeepaliveSize && binary.LittleEndian.Uint32(datagrams[i]) == wireguard.MessageTransportType {
			packets++
		}
	}
	f.count.Add(packets)
}

func (f *inFlight) delivered(packets int) {
	// Forgotten packets may arrive after all.
	if f.count.Add(-int64(packets)) < 0 {
		f.count.Store(0)
	}
	select {
	case f.room <- struct{}{}:
	default:
	}
}
