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

// connLocks let one message at a time be written to a web socket.
type connLocks struct {
	mu    sync.Mutex
	locks map[*websocket.Conn]*sync.Mutex
}

func (c *connLocks) of(conn *websocket.Conn) *sync.Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.locks == nil {
		c.locks = map[*websocket.Conn]*sync.Mutex{}
	}
	if c.locks[conn] == nil {
		c.locks[conn] = &sync.Mutex{}
	}
	return c.locks[conn]
}

// lock gives what unlocks it again, because the socket may be forgotten meanwhile.
func (c *connLocks) lock(conn *websocket.Conn) func() {
	mutex := c.of(conn)
	mutex.Lock()
	return mutex.Unlock
}

func (c *connLocks) forget(conn *websocket.Conn) {
	c.mu.Lock()
	delete(c.locks, conn)
	c.mu.Unlock()
}
