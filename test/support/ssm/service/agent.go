package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"sync"
	"time"
)

// The agent's side of one session: handshake, numbering, acknowledgement and repetition as the reference describes them, and behind them
// a forwarder (forward.go) on the same multiplexer as the real agent's.
type agent struct {
	session *session
	inbox   chan []byte

	mu        sync.Mutex
	clear     *sync.Cond // signalled when paused ends
	paused    bool
	stopped   bool
	sequence  int64
	unacked   []*outstanding
	expected  int64
	early     map[int64]message
	complete  bool
	forwarder *forwarder
	deafUntil time.Time
	gone      bool
	// Digests of the last messages in order: a repetition must be the same.
	digests map[int64][32]byte
	rtt     roundTrip
}

const (
	handshakeTime = 15 * time.Second
	gaveUpAfter   = 3100 * time.Millisecond
)

func newAgent(s *session) *agent {
	a := &agent{session: s, inbox: make(chan []byte), early: map[int64]message{}, digests: map[int64][32]byte{}, rtt: roundTrip{100, 0, 200}}
	a.clear = sync.NewCond(&a.mu)
	return a
}

func (a *agent) start() {
	go a.read()
	go a.repeat()
	// Real agents open their leg and ask at once; a late client gets the repeated request.
	go a.greet()
}

// settings returns those of all agents, with this one's version.
func (a *agent) settings() settings {
	now := a.session.service.switches.get()
	if own := now.Nodes[a.session.target].AgentVersion; own != "" {
		now.AgentVersion = own
	}
	return now
}

func (a *agent) greet() {
	now := a.settings()
	properties := map[string]string{"portNumber": a.session.port, "localPortNumber": "0", "type": "LocalPortForwarding"}
	if a.session.host != "" {
		properties["host"] = a.session.host
	}
	actions := []map[string]any{{"ActionType": "SessionType", "ActionParameters": map[string]any{"SessionType": "Port", "Properties": properties}}}
	if now.KMS {
		kms := map[string]any{"ActionType": "KMSEncryption", "ActionParameters": map[string]string{"KMSKeyId": "alias/sessions"}}
		actions = append(actions, kms)
	}
	request, _ := json.Marshal(map[string]any{"AgentVersion": now.AgentVersion, "RequestedClientActions": actions})
	a.send(typeHandshakeRequest, request)
	select {
	case <-a.session.done:
	case <-time.After(handshakeTime):
		a.mu.Lock()
		waits := !a.complete && !a.gone
		a.mu.Unlock()
		if waits {
			a.session.end("\n----------ERROR-------\nEncountered error while initiating handshake. Handshake timed out. Please ensure that you have the latest version of the session manager plugin.")
		}
	}
}

// receive takes a message from the service. It blocks while the agent does, which is how back-pressure reaches the client's socket.
func (a *agent) receive(raw []byte) {
	select {
	case a.inbox <- raw:
	case <-a.session.done:
	}
}

func (a *agent) read() {
	for {
		select {
		case <-a.session.done:
			return
		case raw := <-a.inbox:
			if m, err := decode(raw); err != nil {
				a.session.service.complain("%s: %v", a.session.id, err)
			} else if !a.away() {
				a.take(m)
			}
		}
	}
}

func (a *agent) take(m message) {
	switch m.kind {
	case kindAcknowledge:
		a.publish(true)
		a.acknowledged(m)
	case kindInput:
		a.publish(true)
		a.compare(m)
		switch {
		case m.sequence < a.expected:
			// Before 3.2.1041.0: "Discarding already processed message", without an acknowledgement.
			if newer(a.settings().AgentVersion, "3.2.1040.999") {
				a.reply(acknowledge(m))
			}
		case m.sequence > a.expected:
			if len(a.early) < 100_000 {
				a.early[m.sequence] = m
				a.reply(acknowledge(m))
			}
		case a.process(m):
			a.reply(acknowledge(m))
			for a.expected++; ; a.expected++ {
				next, ok := a.early[a.expected]
				if !ok || !a.process(next) {
					return
				}
				delete(a.early, a.expected)
			}
		}
	default:
		a.session.service.complain("%s: a client sent %q", a.session.id, m.kind)
	}
}

// compare complains of a repetition that differs from the first message.
func (a *agent) compare(m message) {
	digest := sha256.Sum256(m.payload)
	if before, ok := a.digests[m.sequence]; ok && before != digest {
		a.session.service.complain("%s: message %d was repeated with other bytes", a.session.id, m.sequence)
	}
	a.digests[m.sequence] = digest
	delete(a.digests, m.sequence-8192)
}

// process handles the next message in order; false: not ready, so it is neither acknowledged nor kept.
func (a *agent) process(m message) bool {
	a.mu.Lock()
	complete, forwarder := a.complete, a.forwarder
	a.mu.Unlock()
	if !complete {
		if m.payloadType == typeHandshakeResponse {
			a.answered(m.payload)
		} else {
			a.session.service.complain("%s: payload type %d before the handshake was complete: it is lost", a.session.id, m.payloadType)
		}
		return true
	}
	switch m.payloadType {
	case typeOutput:
		if forwarder == nil {
			// Before 3.0.655.0 what comes before the port plugin is ready is acknowledged and lost.
			return !newer(a.settings().AgentVersion, "3.0.654.999")
		}
		forwarder.write(m.payload)
	case typeFlag:
		if len(m.payload) == 4 {
			a.flag(binary.BigEndian.Uint32(m.payload))
		}
	}
	return true
}

func (a *agent) flag(value uint32) {
	switch value {
	case 1:
		if a.forwarder != nil {
			a.forwarder.disconnect()
		}
	case 2:
		go func() {
			time.Sleep(50 * time.Millisecond)
			a.session.end("")
		}()
	}
}

func (a *agent) answered(payload []byte) {
	var response struct {
		ClientVersion          string
		ProcessedClientActions []struct{ ActionStatus int }
	}
	if err := json.Unmarshal(payload, &response); err != nil {
		a.session.service.complain("%s: handshake response: %v", a.session.id, err)
	}
	for _, action := range response.ProcessedClientActions {
		if action.ActionStatus != 1 {
			a.session.end("\n----------ERROR-------\nEncountered error while initiating handshake. Failed to process action.")
			return
		}
	}
	a.mu.Lock()
	a.complete = true
	a.mu.Unlock()
	a.send(typeHandshakeComplete, []byte(`{"HandshakeTimeToComplete":37000000,"CustomerMessage":""}`))
	go func() {
		now := a.settings()
		time.Sleep(time.Duration(now.PluginDelayMs) * time.Millisecond)
		forwarder, refusal := newForwarder(a, now, response.ClientVersion)
		if refusal != "" {
			a.session.end("\n----------ERROR-------\n" + refusal)
			return
		}
		a.mu.Lock()
		a.forwarder = forwarder
		a.mu.Unlock()
	}()
}

// publish sends start_publication or pause_publication about the agent's leg.
func (a *agent) publish(active bool) {
	a.mu.Lock()
	a.paused = !active
	if active {
		a.clear.Broadcast()
	}
	a.mu.Unlock()
}

// reconnect makes the agent lose its leg for a time: nothing passes, and the service informs the client.
func (a *agent) reconnect(d time.Duration) {
	a.mu.Lock()
	a.deafUntil = time.Now().Add(d)
	a.mu.Unlock()
	a.session.publish(false)
	time.AfterFunc(d, func() {
		if !a.away() {
			a.publish(true)
			a.session.publish(true)
		}
	})
}

// giveUp is what an agent does that could not reopen its leg in six tries, about 3.1 s if each is refused at once: it lives on, but this session's
// leg stays closed for good, although the service still resumes the session for the client.
func (a *agent) giveUp() {
	time.AfterFunc(gaveUpAfter, func() {
		a.mu.Lock()
		a.gone = true
		a.mu.Unlock()
	})
	a.reconnect(gaveUpAfter + time.Second)
}

// away reports whether the agent has no leg at the moment.
func (a *agent) away() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gone || time.Now().Before(a.deafUntil)
}

// vanish ends the agent without a message: the service still accepts its session, which is dead.
func (a *agent) vanish() {
	a.mu.Lock()
	a.gone = true
	a.mu.Unlock()
	a.stop()
}

func (a *agent) stop() {
	a.mu.Lock()
	a.stopped = true
	forwarder := a.forwarder
	a.clear.Broadcast()
	a.mu.Unlock()
	if forwarder != nil {
		forwarder.stop()
	}
}

// streams counts the agent's open streams.
func (a *agent) streams() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.forwarder == nil || a.forwarder.mux == nil {
		return 0
	}
	return a.forwarder.mux.NumStreams()
}
