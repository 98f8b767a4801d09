package main

import (
	"encoding/json"
	"maps"
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
	// The agent sends at most 1,024 bytes a message, and about 700 of them a second.
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
	// An agent whose multiplexer asks for life ends the session after one to two times so long without a frame.
	KeepAliveTimeoutMs int
	// The account demands encryption.
	KMS bool
	// Nodes: id to what is known of them. Sessions are started on connected ones only.
	Nodes map[string]node
	// Names as the agent resolves them, once for each session: name to address.
	Hosts map[string]string
	// "host:port" to which connecting hangs until it is taken off this list.
	BlackHoles []string
	// Operation to the error that it is answered with; OpenDataChannel is the upgrade of the web socket.
	Errors map[string]apiError
	// A StartSession this soon after the one before is throttled.
	StartGapMs int
	// Tickets live so long, and so many of the next ones are expired already.
	TokenMs, SpoilTokens int
	// ResumeSession answers without a token: the session is over.
	NoResumeToken bool
	// Access keys that are accepted; a key with a token wants it.
	Keys map[string]key
	// Roles that may be assumed, by their ARN; what is given out for them lives so long.
	Roles         map[string]*role
	CredentialsMs int
	// Tokens of web identities that are over.
	ExpiredWebTokens []string
	// Tasks of the Elastic Container Service.
	Tasks []task
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
	// Empty: that of all.
	AgentVersion string
}

// key is a secret access key; the user's name begins the ids of sessions.
type key struct {
	Secret, Token, User string
	Expired             bool
	expires             time.Time
}

type role struct {
	ExternalID string
	// Web identities that may assume it.
	WebTokens []string
}

type task struct {
	Cluster, Service, ID string
	// Container to its runtime id.
	Containers      map[string]string
	Stopped, NoExec bool
}

type apiError struct {
	Type, Message string
	// 0: 400.
	Status int
	// So many calls are answered with it; 0: all.
	Times int
}

func (e apiError) status() int {
	if e.Status == 0 {
		return 400
	}
	return e.Status
}

type switches struct {
	mu  sync.Mutex
	now settings
}

func newSwitches() *switches {
	return &switches{now: settings{
		AgentVersion:       "3.3.4108.0",
		Pace:               true,
		Limiter:            true,
		SignedUpgrade:      true,
		KeepAliveTimeoutMs: 30_000,
		TokenMs:            30_000,
		CredentialsMs:      3_600_000,
		Nodes:              map[string]node{"i-0123456789abcdef0": {Connected: true}},
		Keys:               map[string]key{"AKIDEXAMPLE": {Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", User: "operator"}},
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
		case "Roles":
			next.Roles = nil
		case "Tasks":
			next.Tasks = nil
		case "ExpiredWebTokens":
			next.ExpiredWebTokens = nil
		}
	}
	if err := json.Unmarshal(text, &next); err != nil {
		return err
	}
	s.now = next
	return nil
}

// injected is the error that the switches want for this call, if any.
func (s *switches) injected(operation string) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.now.Errors[operation]
	if !ok {
		return nil
	}
	if found.Times > 0 {
		// A copy: the map may be read by who got the settings before.
		s.now.Errors = maps.Clone(s.now.Errors)
		left := found
		if left.Times--; left.Times == 0 {
			delete(s.now.Errors, operation)
		} else {
			s.now.Errors[operation] = left
		}
	}
	return &found
}

// spoils tells whether the next ticket is to be an expired one.
func (s *switches) spoils() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.SpoilTokens == 0 {
		return false
	}
	s.now.SpoilTokens--
	return true
}
