package main

import (
	"sync"

	"github.com/gorilla/websocket"
)

// tally counts by name.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *tally) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[name]++
}

func (t *tally) copy() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]int{}
	for name, count := range t.counts {
		out[name] = count
	}
	return out
}

// leg is a client's web socket; one message at a time is written to it.
type leg struct {
	conn *websocket.Conn
	mu   sync.Mutex
}

func (l *leg) write(raw []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn.WriteMessage(websocket.BinaryMessage, raw) != nil {
		_ = l.conn.Close()
	}
}
