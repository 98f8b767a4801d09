package main

import (
	"encoding/json"
	"net/http"
	"time"
)

const workerNoticed = time.Minute

// An action that a test requests by POST /control, on every session or on those of one target.
type order struct {
	Set    json.RawMessage `json:"set"`
	Do     string          `json:"do"`
	Target string          `json:"target"`
	// How long the action lasts, in milliseconds.
	Ms int `json:"ms"`
}

// control: GET returns what was seen; POST {"set": {…}} changes switches, {"do": …} acts on sessions.
func (s *service) control(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var o order
		err := json.NewDecoder(r.Body).Decode(&o)
		if err == nil && o.Set != nil {
			err = s.switches.change(o.Set)
		}
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		if o.Do != "" && !s.obey(o) {
			http.Error(w, "there is no order "+o.Do, 400)
			return
		}
	}
	sessions := []map[string]string{}
	open := 0
	for _, session := range s.all() {
		sessions = append(sessions, map[string]string{
			"id": session.id, "reason": session.reason, "target": session.target, "status": session.status(),
		})
		open += session.agent.streams()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{
		"sessions": sessions, "calls": s.calls.copy(), "streams": s.streams.Load(), "open": open, "inputs": s.inputs.Load(),
		"complaints": s.complaints,
	})
}

func (s *service) obey(o order) bool {
	lasts := time.Duration(o.Ms) * time.Millisecond
	acts := map[string]func(*session){
		// The client's socket: cut by the network, or closed by the service, like every hour.
		"cut": (*session).cut,
		"bye": (*session).bye,
		// The session ends for good, and both sides are informed.
		"end": func(one *session) { one.end("") },
		// The agent loses its own leg and comes back.
		"reconnect": func(one *session) { one.agent.reconnect(lasts) },
		// The agent loses its own leg and gives it up: the session is a zombie from then on.
		"giveup": func(one *session) { one.agent.giveUp() },
		// The agent restarts: its session workers survive, so nothing ends; only new sessions cannot be started for some time.
		"restart": func(one *session) {},
		// The service ends the sessions with a word, and the node cannot be reached for some time.
		"evict": func(one *session) { one.end("") },
		// The node vanishes, for some time or (0) for good: its sessions stay, resumable but dead.
		"vanish": func(one *session) { one.agent.vanish() },
		// The session's worker is killed; the agent notices after a minute, and ends the session.
		"kill": func(one *session) {
			one.agent.vanish()
			time.AfterFunc(workerNoticed, func() { one.end("") })
		},
		"pause": func(one *session) { one.publish(false) },
		"start": func(one *session) { one.publish(true) },
	}
	act, known := acts[o.Do]
	if !known {
		return false
	}
	if o.Do == "restart" || o.Do == "evict" || o.Do == "vanish" {
		s.away(o.Target, lasts)
	}
	for _, session := range s.all() {
		if o.Target == "" || o.Target == session.target {
			act(session)
		}
	}
	return true
}

// away makes a node (or all) unreachable for so long; 0: until the switch Nodes alone decides again.
func (s *service) away(target string, lasts time.Duration) {
	until := time.Now().Add(lasts)
	if lasts == 0 {
		until = until.Add(24 * time.Hour)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.switches.get().Nodes {
		if target == "" || target == id {
			s.absent[id] = until
		}
	}
}

// connected reports whether sessions can be started on the target now.
func (s *service) connected(target string, now settings) bool {
	for _, task := range now.Tasks {
		if task.target(target) {
			return true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Nodes[target].Connected && time.Now().After(s.absent[target])
}

// hurried reports whether a session is started too soon after the last one.
func (s *service) hurried(gapMs int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.lastStart
	s.lastStart = time.Now()
	return s.lastStart.Sub(before) < time.Duration(gapMs)*time.Millisecond
}
