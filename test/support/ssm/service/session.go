package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// One session: the client's leg (a web socket, or none at the moment), the agent's leg (in this process), and the lines between them.
type session struct {
	start
	service  *service
	id       string
	started  time.Time
	agent    *agent
	up, down *line

	mu        sync.Mutex
	client    *leg
	attached  bool
	lastInput time.Time
	over      bool
	done      chan struct{}
}

// start is the request for a session: by whom, for what, and where its agent connects.
type start struct{ target, reason, owner, host, port string }

func (s *service) newSession(from start) *session {
	suffix := make([]byte, 26)
	for i := range suffix {
		suffix[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[rand.IntN(36)]
	}
	now := time.Now()
	session := &session{
		start: from, service: s, id: from.owner + "-" + string(suffix), started: now, lastInput: now, done: make(chan struct{}),
	}
	session.agent = newAgent(session)
	session.up = newLine(s.switches, session.done, session.agent.receive)
	session.down = newLine(s.switches, session.done, session.toClient)
	session.agent.start()
	s.mu.Lock()
	s.sessions[session.id] = session
	s.mu.Unlock()
	go session.watch()
	return session
}

func (s *session) ownerARN() string {
	return "arn:aws:iam::" + account + ":user/" + s.owner
}

func (s *session) status() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.client != nil:
		return "Connected"
	case s.attached:
		return "Disconnected"
	default:
		return "Connecting"
	}
}

// publish informs the client whether there is an agent's leg.
func (s *session) publish(active bool) {
	if active {
		s.toClient(publication(kindStart))
	} else {
		s.toClient(publication(kindPause))
	}
}

func (s *session) touch() {
	s.mu.Lock()
	s.lastInput = time.Now()
	s.mu.Unlock()
}

// A second socket of the same session replaces the first. Both ends are informed under the lock, the client first: the message about the
// end of the first must not come after the one about the second.
func (s *session) attach(client *leg) {
	s.mu.Lock()
	before := s.client
	s.client, s.attached = client, true
	if s.agent.away() {
		client.write(publication(kindPause))
	} else {
		client.write(publication(kindStart))
	}
	s.agent.publish(true)
	s.mu.Unlock()
	if before != nil {
		_ = before.conn.Close()
	}
}

func (s *session) detach(client *leg) {
	s.mu.Lock()
	gone := s.client == client
	if gone {
		s.client = nil
		s.agent.publish(false)
	}
	s.mu.Unlock()
}

func (s *session) current() *leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

func (s *session) toClient(raw []byte) {
	if client := s.current(); client != nil {
		client.write(raw)
	}
}

func (s *session) cut() {
	if client := s.current(); client != nil {
		_ = client.conn.NetConn().Close()
	}
}

func (s *session) bye() {
	if client := s.current(); client != nil {
		text := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "Bye")
		_ = client.conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
		time.AfterFunc(100*time.Millisecond, func() { _ = client.conn.Close() })
	}
}

// end ends the session at the service; the client gets the text. The service forgets it first: whoever hears of the end finds it in no list.
func (s *session) end(output string) {
	s.service.mu.Lock()
	delete(s.service.sessions, s.id)
	s.service.mu.Unlock()
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.over = true
	s.mu.Unlock()
	s.toClient(channelClosed(s.id, output))
	close(s.done)
	s.agent.stop()
	time.AfterFunc(200*time.Millisecond, s.cut)
}

func (s *session) watch() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
		}
		now := s.service.switches.get()
		s.mu.Lock()
		idle := time.Since(s.lastInput)
		s.mu.Unlock()
		if now.IdleTimeoutMs > 0 && idle > time.Duration(now.IdleTimeoutMs)*time.Millisecond {
			s.end("")
		}
		if now.MaxSessionMs > 0 && time.Since(s.started) > time.Duration(now.MaxSessionMs)*time.Millisecond {
			s.end("")
		}
	}
}

// A line carries messages one way, in order except for the faults of the switches. It holds back its sender when it is full.
type line struct {
	switches *switches
	queue    chan parcel
	done     chan struct{}
}

type parcel struct {
	due time.Time
	raw []byte
}

func newLine(switches *switches, done chan struct{}, deliver func([]byte)) *line {
	l := &line{switches, make(chan parcel, 1024), done}
	go func() {
		for {
			select {
			case <-done:
				return
			case p := <-l.queue:
				if wait := time.Until(p.due); wait > 0 {
					time.Sleep(wait)
				}
				deliver(p.raw)
			}
		}
	}()
	return l
}

func (l *line) send(raw []byte) {
	now := l.switches.get()
	hits := func(percent float64) bool { return percent > 0 && rand.Float64()*100 < percent }
	if now.Silent || hits(now.LossPercent) {
		return
	}
	due := time.Now().Add(time.Duration(now.DelayMs * float64(time.Millisecond)))
	if hits(now.ReorderPercent) {
		time.AfterFunc(5*time.Millisecond, func() { l.put(parcel{due, raw}) })
		return
	}
	l.put(parcel{due, raw})
	if hits(now.DoublePercent) {
		l.put(parcel{due, raw})
	}
}

func (l *line) put(p parcel) {
	select {
	case l.queue <- p:
	case <-l.done:
	}
}
