// The service of AWS Session Manager and the agents behind it, as the reference describes them, for tests: the JSON API, the data channel,
// and real connections to real destinations. It prints its address as one line of JSON and ends with its standard input. With a
// certificate it speaks only TLS, like AWS; without one it is for loopback.
// POST /control sets its deliberate faults; GET /control returns what it saw.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

type service struct {
	switches *switches
	// The address of data channels in answers to clients: ws://… or wss://….
	channels string
	calls    tally
	streams  atomic.Int64
	inputs   atomic.Int64

	mu         sync.Mutex
	sessions   map[string]*session
	tokens     map[string]ticket
	minted     map[string]key
	absent     map[string]time.Time
	lastStart  time.Time
	complaints []string
}

type ticket struct {
	session *session
	expires time.Time
}

func newService(channels string) *service {
	return &service{
		switches: newSwitches(), channels: channels, sessions: map[string]*session{}, tokens: map[string]ticket{},
		minted: map[string]key{}, absent: map[string]time.Time{},
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of the API, the data channels and /control")
	name := flag.String("name", "", "host that clients are told for their data channels; the address unless given")
	certificate := flag.String("certificate", "", "PEM file; with it, TLS")
	key := flag.String("key", "", "PEM file of the certificate's key")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		panic(err)
	}
	address, channels := listener.Addr().String(), listener.Addr().String()
	if *name != "" {
		_, port, _ := net.SplitHostPort(address)
		channels = net.JoinHostPort(*name, port)
	}
	scheme := "ws://"
	if *certificate != "" {
		scheme = "wss://"
	}
	s := newService(scheme + channels)
	handler := http.NewServeMux()
	handler.HandleFunc("/control", s.control)
	handler.HandleFunc("/v1/data-channel/", s.dataChannel)
	handler.HandleFunc("/", s.api)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Printf("{\"address\":%q}\n", address)
	if *certificate != "" {
		panic(http.ServeTLS(listener, handler, *certificate, *key))
	}
	panic(http.Serve(listener, handler))
}

func (s *service) session(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

func (s *service) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*session
	for _, session := range s.sessions {
		all = append(all, session)
	}
	return all
}

// complain records a client's violation of the protocol; any of them fails a test.
func (s *service) complain(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.complaints) < 100 {
		s.complaints = append(s.complaints, fmt.Sprintf(format, args...))
	}
}

// The bytes of a message before its payload.
const inputHeader = 120

var upgrader = websocket.Upgrader{ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10, CheckOrigin: func(*http.Request) bool { return true }}

func (s *service) dataChannel(w http.ResponseWriter, r *http.Request) {
	now := s.switches.get()
	now.stamp(w)
	session := s.session(strings.TrimPrefix(r.URL.Path, "/v1/data-channel/"))
	if session == nil {
		http.Error(w, "no such session", 404)
		return
	}
	if refused := s.switches.injected("OpenDataChannel"); refused != nil {
		s.calls.add("Upgrade:" + refused.Type)
		http.Error(w, refused.Type, refused.status())
		return
	}
	if now.SignedUpgrade {
		if _, refused := checkSignature(r, nil, scope{"ssmmessages", now.clock()}, s.keys(now)); refused != nil {
			s.calls.add("Upgrade:" + refused.Type)
			http.Error(w, refused.Type, 403)
			return
		}
	}
	s.calls.add("Upgrade")
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	if !s.admitted(conn, session) {
		text := websocket.FormatCloseMessage(websocket.ClosePolicyViolation, "token")
		_ = conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
		return
	}
	client := &leg{conn: conn}
	session.attach(client)
	defer session.detach(client)
	if now.ByeAfterMs > 0 {
		timer := time.AfterFunc(time.Duration(now.ByeAfterMs)*time.Millisecond, session.bye)
		defer timer.Stop()
	}
	var limit limiter
	for {
		kind, raw, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.BinaryMessage {
			s.complain("%s: a text message after the first", session.id)
			continue
		}
		if len(raw) > 36 && strings.HasPrefix(string(raw[4:36]), kindInput) {
			s.inputs.Add(1)
			session.touch()
			if most := s.switches.get().LargestPayload; most > 0 && len(raw) > inputHeader+most {
				s.calls.add("TooLarge")
				text := websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "")
				_ = conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
				return
			}
			if s.switches.get().Limiter && limit.exceeded(time.Now()) {
				s.calls.add("Limited")
				session.agent.publish(false)
				return
			}
		}
		session.up.send(raw)
	}
}

func (s *service) admitted(conn *websocket.Conn, session *session) bool {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	kind, raw, err := conn.ReadMessage()
	_ = conn.SetReadDeadline(time.Time{})
	var first struct{ MessageSchemaVersion, RequestId, TokenValue, ClientId, ClientVersion string }
	if err != nil || kind != websocket.TextMessage || json.Unmarshal(raw, &first) != nil || len(first.RequestId) < 16 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ticket, ok := s.tokens[first.TokenValue]
	delete(s.tokens, first.TokenValue)
	return ok && ticket.session == session && time.Now().Before(ticket.expires)
}

// limiter counts data messages per second: more than 1,000 in two seconds in a row are too many.
type limiter struct {
	second int64
	count  int
	over   int
}

func (l *limiter) exceeded(now time.Time) bool {
	if second := now.Unix(); second != l.second {
		if l.count > 1000 && second == l.second+1 {
			l.over++
		} else {
			l.over = 0
		}
		l.second, l.count = second, 0
	}
	l.count++
	return l.over >= 2
}
