// Lets an upload go on after an outage. When no answer comes in time, all that is on its way counts as lost, and the stack sends it again while
// answers arrive. But gVisor's loss detection by time (RACK) takes the first of these answers for the proof of a new loss: it begins a fast
// recovery, counts what was lost as still on its way, and so sends two segments and waits for the next timeout. An upload went on with 4 KB/s
// for minutes (docs/decisions/0018-an-upload-after-an-outage.md). Without selective acknowledgements gVisor leaves RACK aside. So a connection
// does without them from the second timeout on, until all that was on its way then has arrived.
// Neighbours: packets.go asks before each delivery, streams.go knows the connections.
package main

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// One timeout may be the end of a burst of losses, which RACK repairs. So many in a row are an outage or what follows one.
	timeoutsOfOutage = 2
	// Segments that pass from one timeout to the next after an outage.
	few = 8
	// The time between two looks at connections that send again, for each of them: a look costs a hundredth of it.
	betweenLooks = 100 * time.Microsecond
)

// timeouts is used by one goroutine at a time.
type timeouts struct {
	open *openStreams
	// Of all connections: the stack's count, and what it was at the last look.
	all  *tcpip.StatCounter
	seen uint64
	// Connections that send again what was on its way at a timeout.
	resending map[*farEnd]struct{}
	lookedAt  time.Time
}

// resent is what a connection's timeouts have changed.
type resent struct {
	last progress
	// Timeouts without progress between them.
	inRow uint64
	// Whether the far side had agreed to selective acknowledgements.
	selective bool
}

// progress is what a connection had counted at a timeout.
type progress struct {
	timeouts, received, retransmits uint64
	// Bytes that the stack has taken.
	written int64
}

// goesOnFrom is false for an upload that stands still. What the far side sends is no sign of it: that may be a download of the same connection.
func (p progress) goesOnFrom(last progress) bool {
	return p.received-last.received > few && (p.written > last.written || p.retransmits-last.retransmits > few)
}

func newTimeouts(s *stack.Stack, open *openStreams) *timeouts {
	return &timeouts{open: open, all: s.Stats().TCP.Timeouts, resending: map[*farEnd]struct{}{}}
}

// look must come before the first answer to what was sent again: it is called before each delivery to the stack.
func (t *timeouts) look() {
	all := t.all.Value()
	isDue := len(t.resending) > 0 && time.Since(t.lookedAt) >= time.Duration(len(t.resending))*betweenLooks
	if all == t.seen && !isDue {
		return
	}
	t.open.mutex.Lock()
	defer t.open.mutex.Unlock()
	if all != t.seen {
		t.seen = all
		for far := range t.open.ends {
			t.lookForTimeout(far)
		}
	}
	if !isDue {
		return
	}
	t.lookedAt = time.Now()
	for far := range t.resending {
		_, isOpen := t.open.ends[far]
		if !isOpen || far.allArrived() {
			delete(t.resending, far)
		}
	}
}

func (t *timeouts) lookForTimeout(far *farEnd) {
	endpoint, isTCP := far.endpoint.(*tcp.Endpoint)
	counts, isCounted := far.endpoint.Stats().(*tcp.Stats)
	if !isTCP || !isCounted {
		return
	}
	resent := &far.resent
	now := progress{
		timeouts:    counts.SendErrors.Timeouts.Value(),
		received:    counts.SegmentsReceived.Value(),
		retransmits: counts.SendErrors.Retransmits.Value(),
		written:     far.written.Load(),
	}
	last := resent.last
	fresh := now.timeouts - last.timeouts
	if fresh == 0 {
		return
	}
	resent.last = now
	if now.goesOnFrom(last) {
		resent.inRow = 0
	}
	resent.inRow += fresh
	_, already := t.resending[far]
	switch {
	case resent.inRow >= timeoutsOfOutage:
		if !already {
			t.resending[far] = struct{}{}
			resent.selective = setSelective(endpoint, false)
		}
		beginAnew(endpoint)
	case already:
		// Much has arrived, and a part was lost again.
		delete(t.resending, far)
		setSelective(endpoint, resent.selective)
	}
}

// allArrived is true when nothing is left of what was on its way at the last timeout. Then the connection is as before.
func (f *farEnd) allArrived() bool {
	endpoint, isTCP := f.endpoint.(*tcp.Endpoint)
	var info tcpip.TCPInfoOption
	if !isTCP || endpoint.GetSockOpt(&info) != nil {
		return true
	}
	if info.CcState != tcpip.Open {
		return false
	}
	setSelective(endpoint, f.resent.selective)
	return true
}

// setSelective returns what it was before.
func setSelective(endpoint *tcp.Endpoint, selective bool) bool {
	endpoint.LockUser()
	defer endpoint.UnlockUser()
	before := endpoint.SACKPermitted
	endpoint.SACKPermitted = selective
	return before
}

// beginAnew sets the congestion control that the connection has: the stack then forgets window and threshold.
func beginAnew(endpoint *tcp.Endpoint) {
	var control tcpip.CongestionControlOption
	if endpoint.GetSockOpt(&control) == nil {
		_ = endpoint.SetSockOpt(&control)
	}
}
