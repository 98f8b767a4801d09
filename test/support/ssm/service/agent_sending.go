package main

import (
	"encoding/json"
	"time"
)

// What the agent sends: numbered, kept until it is acknowledged, and repeated as the reference describes. agent.go is what it receives.

type outstanding struct {
	sequence int64
	raw      []byte
	sent     time.Time
}

type roundTrip struct{ smoothed, variation, timeout float64 }

// send numbers a message of the agent and keeps it until it is acknowledged. It waits while publication is paused.
func (a *agent) send(payloadType uint32, payload []byte) {
	a.mu.Lock()
	for a.paused && !a.stopped {
		a.clear.Wait()
	}
	if a.stopped {
		a.mu.Unlock()
		return
	}
	m := message{kind: kindOutput, sequence: a.sequence, id: newID(), payloadType: payloadType, payload: payload}
	if a.sequence == 0 {
		m.flags = 1
	}
	raw := m.encode()
	a.sequence++
	a.mu.Unlock()
	// Like the real agent: it books the message only after it has sent it, so an acknowledgement that is faster than that is lost.
	sent := time.Now()
	a.reply(raw)
	a.mu.Lock()
	if len(a.unacked) < 100_000 {
		a.unacked = append(a.unacked, &outstanding{m.sequence, raw, sent})
	}
	a.mu.Unlock()
}

func (a *agent) reply(raw []byte) {
	if !a.away() {
		a.session.down.send(raw)
	}
}

func (a *agent) acknowledged(m message) {
	var ack acknowledgement
	if err := json.Unmarshal(m.payload, &ack); err != nil || ack.AcknowledgedMessageType != kindOutput {
		a.session.service.complain("%s: acknowledgement %s: %v", a.session.id, m.payload, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, o := range a.unacked {
		if o.sequence == ack.AcknowledgedMessageSequenceNumber {
			a.rtt.sample(float64(time.Since(o.sent).Microseconds()) / 1000)
			a.unacked = append(a.unacked[:i], a.unacked[i+1:]...)
			return
		}
	}
}

func (r *roundTrip) sample(ms float64) {
	difference := r.smoothed - ms
	if difference < 0 {
		difference = -difference
	}
	r.variation = 0.75*r.variation + 0.25*difference
	r.smoothed = 0.875*r.smoothed + 0.125*ms
	r.timeout = min(1000, r.smoothed+max(10, 4*r.variation))
}

// repeat repeats only the oldest message, every 100 ms.
func (a *agent) repeat() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-a.session.done:
			return
		case <-ticker.C:
		}
		a.mu.Lock()
		var raw []byte
		if len(a.unacked) > 0 && !a.paused {
			if head := a.unacked[0]; float64(time.Since(head.sent).Milliseconds()) > a.rtt.timeout {
				head.sent = time.Now()
				raw = head.raw
			}
		}
		a.mu.Unlock()
		if raw != nil {
			a.reply(raw)
		}
	}
}
