package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"time"
)

// What a test may change at any time by POST /control. Everything applies to all sessions, present and future.
type settings struct {
	AgentVersion string
	// Percent of the messages between the legs, each way, that are lost, sent twice, or delayed behind the next ones.
	LossPercent, DoublePercent, ReorderPercent float64
	// Added to every message each way.
	DelayMs float64
	// The agent sends at most 1,024 bytes a message, and about 700 of them a second.
	Pace bool
	// More than 1,000 data messages a second for 2 s end the client's socket.
	Limiter bool
	// The relay closes the client's socket for a message with a larger payload; 0: it carries every size.
	LargestPayload int
	// The agent is dead: it sends and acknowledges nothing; the service still answers.
	Silent bool
	// Sockets are closed with "Bye" after so long; 0: never.
	ByeAfterMs int
	// Sessions end without client input for so long, and at that age; 0: never.
	IdleTimeoutMs, MaxSessionMs int
	// How long the agent takes to set up its forwarding after the handshake, and to connect each stream.
	PluginDelayMs, DialDelayMs int
	// An agent whose multiplexer wants keep-alives ends the session after one to two times this long without a frame.
	KeepAliveTimeoutMs int
	// The account demands encryption.
	KMS bool
	// Nodes by id. Sessions are started only on connected ones.
	Nodes map[string]node
	// The node's DNS: name to its addresses, with commas between; empty: no such host. Agents since 3.2.1041.0 ask once for each session.
	Hosts map[string]string
	// "host:port" to which a connect hangs until it is removed from this list.
	BlackHoles []string
	// Operation to the error in its answer; OpenDataChannel is the upgrade of the web socket.
	Errors map[string]apiError
	// A StartSession this soon after the last one is throttled.
	StartGapMs int
	// How long tickets are valid, and how many of the next ones are already expired.
	TokenMs, SpoilTokens int
	// ResumeSession answers without a token: the session has ended.
	NoResumeToken bool
	// Access keys that are accepted; a key with a token requires it.
	Keys map[string]key
	// Roles that may be assumed, by their ARN; how long their credentials are valid.
	Roles         map[string]*role
	CredentialsMs int
	// Tokens of web identities that have expired.
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

// stamp sets the date of an answer by the service's clock.
func (s settings) stamp(w http.ResponseWriter) {
	w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
}

type node struct {
	Connected bool
	Tags      map[string]string
	// Empty: the one of all agents.
	AgentVersion string
}

// key is a secret access key; session ids begin with the user's name.
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
	// How many calls get it; 0: all.
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

// change overwrites the fields in the JSON; maps and lists are replaced as a whole.
func (s *switches) change(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.now
	var named map[string]json.RawMessage
	if err := json.Unmarshal(text, &named); err != nil {
		return err
	}
	// json.Unmarshal adds to an existing map: start with an empty one.
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

// injected returns the error that the switches want for this call, if any.
func (s *switches) injected(operation string) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.now.Errors[operation]
	if !ok {
		return nil
	}
	if found.Times > 0 {
		// A copy: earlier readers of the settings may still read the map.
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

// spoils reports whether the next ticket must be an expired one.
func (s *switches) spoils() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.SpoilTokens == 0 {
		return false
	}
	s.now.SpoilTokens--
	return true
}
