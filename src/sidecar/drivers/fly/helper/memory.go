// How much memory the helper's heap may take. A few busy streams need room, because WireGuard's packets wait in buffers of 64 KiB each, of which
// little is used: with a limit of 64 MiB the garbage collector ran every 10 ms. A thousand streams need the pod's memory themselves.
// Neighbour: streams.go counts the open streams.
package main

import (
	"runtime/debug"
	"sync/atomic"
)

const (
	// From so many streams on the heap is kept small, until there are so few again.
	manyStreams = 256
	fewStreams  = 128
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
