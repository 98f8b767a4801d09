package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// One session: the client's leg (a web socket, or none at the moment), the agent's leg (in this process), and the lines between them.
type session struct {
	service                        *service
	id, target, reason, host, port string
	started                        time.Time
	agent                          *agent
	up, down                       *line

	mu        sync.Mutex
	client    *leg
	lastInput time.Time
	over      bool
	done      chan struct{}
}

func (s *service) newSession(target, reason, host, port string) *session {
	id := "operator-" + idText(newID())[24:]
	now := time.Now()
	session := &session{service: s, id: id, target: target, reason: reason, host: host, port: port, started: now, lastInput: now, done: make(chan struct{})}
	session.agent = newAgent(session)
	session.up = newLine(s.switches, session.done, session.agent.receive)
	session.down = newLine(s.switches, session.done, session.toClient)
	session.agent.start()
	s.mu.Lock()
	s.sessions[id] = session
	s.mu.Unlock()
	go session.watch()
	return session
}

func (s *session) touch() {
	s.mu.Lock()
	s.lastInput = time.Now()
	s.mu.Unlock()
}

// A second socket of the same session takes the place of the first.
func (s *session) attach(client *leg) {
	s.mu.Lock()
	before := s.client
	s.client = client
	s.mu.Unlock()
	if before != nil {
		_ = before.conn.Close()
	}
	s.toClient(publication(kindStart))
	s.agent.publish(true)
}

func (s *session) detach(client *leg) {
	s.mu.Lock()
	gone := s.client == client
	if gone {
		s.client = nil
	}
	s.mu.Unlock()
	if gone {
		s.agent.publish(false)
	}
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

// end is the service's word that the session is over; the text is what the client is told.
func (s *session) end(output string) {
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
	s.service.mu.Lock()
	delete(s.service.sessions, s.id)
	s.service.mu.Unlock()
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

// A line carries messages one way, in order but for the faults that the switches ask for. It holds its sender back when it is full.
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
