// Notices far sides that are gone. The stack's own user timeout also ends a connection whose far side answers but takes nothing, such as a
// database that holds up an upload behind a lock; so we count answers ourselves.
// Neighbours: streams.go knows the open streams, device.go starts the watch.
package main

import (
	"context"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// A far side from which no segment comes for this long, although it was sent some, is gone.
	goneAfter = 30 * time.Second
	lookEvery = 3 * time.Second
)

// silence counts looks, not time: after a stall of this process what has arrived is read before the next look.
type silence struct {
	received uint64
	// Segments sent when the far side was last heard, or when nothing waited for an answer.
	sent  uint64
	looks int
}

// gone takes the counts of segments at one look. What needs no answer, as the update of a window, is followed by a keep-alive that does.
func (s *silence) gone(received, sent uint64) bool {
	if received != s.received || sent == s.sent {
		s.received, s.sent, s.looks = received, sent, 0
		return false
	}
	s.looks++
	return s.looks > int(goneAfter/lookEvery)
}

// watch aborts the streams whose far side is gone, until the context ends.
func (o *openStreams) watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			o.look()
		}
	}
}

func (o *openStreams) look() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for far := range o.ends {
		counts, ok := far.endpoint.Stats().(*tcp.Stats)
		if ok && far.silence.gone(counts.SegmentsReceived.Value(), counts.SegmentsSent.Value()) {
			far.gone.Store(true)
			far.endpoint.Abort()
		}
	}
}
