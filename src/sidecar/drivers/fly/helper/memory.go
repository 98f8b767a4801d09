// How much memory the helper's heap may take. A few busy streams need room, because WireGuard's packets wait in buffers of 64 KiB each, of which
// little is used: with a limit of 64 MiB the garbage collector ran every 10 ms. A thousand streams need the pod's memory themselves.
// And how much may wait for clients that read nothing: the stack lets a stream's buffer grow with what its client takes, and fills it when the
// client stops. The buffers of a thousand clients that had read some of a download grew to 220 MiB.
// Neighbours: streams.go counts the open streams, pump.go reads from them.
package main

import (
	"runtime/debug"
	"sync/atomic"
)

const (
	// From so many streams on the heap is kept small, until there are so few again.
	manyStreams = 256
	fewStreams  = 128

	// What the receive buffers of all streams may grow by together, beyond the one that each begins with.
	maxGrowth       = 64 << 20
	maxGrowthOfMany = 16 << 20
)

type heapSize struct {
	// Garbage in percent of what is in use, and the limit of both.
	percent int
	limit   int64
}

var (
	roomyHeap = heapSize{percent: 100, limit: 96 << 20}
	smallHeap = heapSize{percent: 50, limit: 64 << 20}

	streamsOfAll atomic.Int64
	isSmall      atomic.Bool
	growth       atomic.Int64
)

func (h heapSize) use() {
	debug.SetGCPercent(h.percent)
	debug.SetMemoryLimit(h.limit)
}

func countStream() {
	if streamsOfAll.Add(1) == manyStreams && isSmall.CompareAndSwap(false, true) {
		smallHeap.use()
	}
}

func discountStream() {
	if streamsOfAll.Add(-1) == fewStreams && isSmall.CompareAndSwap(true, false) {
		roomyHeap.use()
	}
}

// letGrow lets the receive buffer grow with what the client has taken.
func (f *farEnd) letGrow(taken int) {
	limit := int64(maxGrowth)
	if isSmall.Load() {
		limit = maxGrowthOfMany
	}
	if growth.Load() >= limit {
		return
	}
	f.endpoint.ModerateRecvBuf(taken)
	if more := f.endpoint.SocketOptions().GetReceiveBufferSize() - initialReceiveBuffer - f.grown; more > 0 {
		f.grown += more
		growth.Add(more)
	}
}
