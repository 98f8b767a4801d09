package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// What a test may change at any time, by POST /control. Everything is for all sessions, present and coming.
type settings struct {
	AgentVersion string
	// Percent of the messages between the legs, each way, that are lost, sent twice, or held back behind the next ones.
	LossPercent, DoublePercent, ReorderPercent float64
	// Added to every message each way.
	DelayMs float64
	// The agent sends at most 1,024 bytes a message and sleeps 1 ms after each.
	Pace bool
	// More than 1,000 data messages a second for 2 s end the client's socket.
	Limiter bool
	// The agent is gone: nothing of it comes, nothing is acknowledged; the service still answers.
	Silent bool
	// Sockets are closed with "Bye" after so long; 0: never.
	ByeAfterMs int
	// Sessions end without client input for so long, and at that age; 0: never.
	IdleTimeoutMs, MaxSessionMs int
	// The agent takes so long to set up its forwarding after the handshake, and to connect each stream.
	PluginDelayMs, DialDelayMs int
	// The account demands encryption.
	KMS bool
	// Nodes: id to what is known of them. Sessions are started on connected ones only.
	Nodes map[string]node
	// Names as the agent resolves them, once for each session: name to address.
	Hosts map[string]string
	// "host:port" to which connecting hangs until it is taken off this list.
	BlackHoles []string
	// Operation to the error that it is answered with.
	Errors map[string]apiError
	// Access keys that are accepted; a key with a token wants it.
	Keys map[string]key
	// Whether the upgrade of the web socket must be signed.
	SignedUpgrade bool
	// How far the service's clock is ahead of this machine's.
	ClockMs int
}

func (s settings) clock() time.Time {
	return time.Now().Add(time.Duration(s.ClockMs) * time.Millisecond)
}

// stamp dates an answer by the service's clock.
func (s settings) stamp(w http.ResponseWriter) {
	w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
}

type node struct {
	Connected bool
	Tags      map[string]string
}

type key struct{ Secret, Token string }

type apiError struct {
	Type, Message string
	Status        int
}

type switches struct {
	mu  sync.Mutex
	now settings
}

func newSwitches() *switches {
	return &switches{now: settings{
		AgentVersion:  "3.3.4108.0",
		Pace:          true,
		Limiter:       true,
		SignedUpgrade: true,
		Nodes:         map[string]node{"i-0123456789abcdef0": {Connected: true}},
		Keys:          map[string]key{"AKIDEXAMPLE": {Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}},
	}}
}

func (s *switches) get() settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// change overwrites the fields that the JSON names; maps and lists are replaced whole.
func (s *switches) change(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.now
	var named map[string]json.RawMessage
	if err := json.Unmarshal(text, &named); err != nil {
		return err
	}
	// json.Unmarshal adds to a map that is there: a named one starts empty.
	for name := range named {
		switch name {
		case "Nodes":
			next.Nodes = nil
		case "Hosts":
			next.Hosts = nil
		case "Errors":
			next.Errors = nil
		case "Keys":
			next.Keys = nil
		case "BlackHoles":
			next.BlackHoles = nil
		}
	}
	if err := json.Unmarshal(text, &next); err != nil {
		return err
	}
	s.now = next
	return nil
}
