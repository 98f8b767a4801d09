// How much memory the helper's heap may take. A few busy streams need room, because WireGuard's packets wait in buffers of 64 KiB each, of which
// little is used: with a limit of 64 MiB the garbage collector ran every 10 ms. A thousand streams need the pod's memory themselves.
// And how much may wait for clients that read nothing: the stack lets a stream's buffer grow with what its client takes, and fills it when the
// client stops. The buffers of a thousand clients that had read some of a download grew to 220 MiB. What a buffer has grown by is promised to
// the far side and cannot be taken back: the stack would drop what comes, and the far side would count that as loss, and give the connection up
// when its client has read nothing for 15 minutes. So idle streams keep their growth, and the more is given away, the less the next one gets.
// Neighbours: streams.go counts the open streams, pump.go reads from them.
package main

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	// From so many streams on the heap is kept small, until there are so few again.
	manyStreams = 256
	fewStreams  = 128

	// Of what is left to share, one stream gets this part: a hundred idle ones leave something to the next.
	partsOfRest = 32
	// A stream needs more when it takes what its buffer holds within this time. The stack announces half of a buffer, so that a stream which
	// waits for its window does this over a round trip of up to 250 ms.
	timeOfNeed = 500 * time.Millisecond
)

// growthRoom is what the receive buffers of all streams may grow by together, beyond the one that each begins with: `shared`, and each by `floor`
// even if nothing is left of that.
type growthRoom struct {
	// Below this the stack decides, and gives each what bandwidth and distance need. The last one may exceed this by maxBuffer.
	tuned  int64
	shared int64
	floor  int64
}

type heapSize struct {
	// Garbage in percent of what is in use, and the limit of both.
	percent int
	limit   int64
}

var (
	// Together at most 64 MiB: there are fewer than manyStreams floors.
	roomOfFew  = growthRoom{tuned: 28 << 20, shared: 48 << 20, floor: 64 << 10}
	roomOfMany = growthRoom{tuned: 4 << 20, shared: 16 << 20}

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

// share is what one stream may grow by when all together have grown by `total`.
func (r growthRoom) share(total int64) int64 {
	return max(r.floor, (r.shared-total)/partsOfRest)
}

// receiveGrowth is what a stream's receive buffer has grown by. It is used by the goroutine that reads, and given back after its end.
type receiveGrowth struct {
	bytes int64
	// Whether it grows by shares. Then it does so until its end: the stack no longer tunes a buffer that somebody else has set.
	byShares bool
	// Taken by the client since then.
	taken int64
	since time.Time
}

// letGrow lets the receive buffer grow with what the client has taken.
func (f *farEnd) letGrow(taken int) {
	room := roomOfFew
	if isSmall.Load() {
		room = roomOfMany
	}
	total := growth.Load()
	if total < room.tuned && !f.growth.byShares {
		f.endpoint.ModerateRecvBuf(taken)
		f.countGrowth()
		return
	}
	size := f.endpoint.SocketOptions().GetReceiveBufferSize()
	larger := min(2*size, initialReceiveBuffer+room.share(total), maxBuffer)
	if f.growth.isNeeded(taken, size) && larger > size {
		f.growth.byShares = true
		f.endpoint.SocketOptions().SetReceiveBufferSize(larger, true)
		f.countGrowth()
	}
}

// isNeeded is true when the client has taken `size` bytes fast enough.
func (g *receiveGrowth) isNeeded(taken int, size int64) bool {
	if now := time.Now(); now.Sub(g.since) > timeOfNeed {
		g.since, g.taken = now, 0
	}
	g.taken += int64(taken)
	if g.taken < size {
		return false
	}
	g.taken = 0
	return true
}

func (f *farEnd) countGrowth() {
	if more := f.endpoint.SocketOptions().GetReceiveBufferSize() - initialReceiveBuffer - f.growth.bytes; more > 0 {
		f.growth.bytes += more
		growth.Add(more)
	}
}

func (f *farEnd) giveGrowthBack() {
	growth.Add(-f.growth.bytes)
	f.growth.bytes = 0
}
