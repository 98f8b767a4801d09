// The web socket in front of the gateway: TLS with a certificate that nobody can check, the magic number, datagrams behind their length in text
// messages. What it sends is cut and joined at random, with empty datagrams between, because boundaries mean nothing.
// Neighbour: bind.go takes and gives the datagrams.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const magic = 0x2facED77

type webSockets struct {
	listener net.Listener
	server   *http.Server
	bind     *bind
	refuse   bool
}

func listenWebSockets(at netip.AddrPort, bind *bind) (*webSockets, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", at.String(), &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return nil, err
	}
	w := &webSockets{listener: listener, bind: bind}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = w.server.Serve(listener) }()
	return w, nil
}

func (w *webSockets) port() int { return w.listener.Addr().(*net.TCPAddr).Port }

func (w *webSockets) close() {
	w.server.Close()
	w.cut()
}

// cut ends every socket that is open now.
func (w *webSockets) cut() {
	w.bind.sockets.Range(func(_, socket any) bool {
		socket.(*webSocket).conn.Close()
		return true
	})
}

func (w *webSockets) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if w.refuse {
		http.Error(response, "no web sockets today", http.StatusServiceUnavailable)
		return
	}
	if request.Header.Get("Origin") == "" {
		http.Error(response, "no Origin", http.StatusForbidden)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(response, request, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	socket := &webSocket{conn: conn, name: conn.RemoteAddr().String()}
	w.bind.sockets.Store(socket.name, socket)
	defer w.bind.sockets.Delete(socket.name)
	_ = socket.read(w.bind)
}

type webSocket struct {
	conn  *websocket.Conn
	name  string
	mutex sync.Mutex
	rest  []byte
}

// send writes in pieces that do not follow the datagrams' boundaries, and never keeps anything back.
func (s *webSocket) send(content []byte) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	frame = append(frame, content...)
	if mathrand.IntN(8) == 0 {
		frame = append(frame, 0, 0, 0, 0)
	}
	for len(frame) > 0 {
		n := len(frame)
		if mathrand.IntN(4) == 0 {
			n = 1 + mathrand.IntN(len(frame))
		}
		_ = s.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if s.conn.WriteMessage(websocket.TextMessage, frame[:n]) != nil {
			return
		}
		frame = frame[n:]
	}
}

func (s *webSocket) read(bind *bind) error {
	reader, writer := io.Pipe()
	defer writer.Close()
	go func() {
		defer s.conn.Close()
		var head [4]byte
		if _, err := io.ReadFull(reader, head[:]); err != nil || binary.BigEndian.Uint32(head[:]) != magic {
			reader.CloseWithError(errors.New("no magic number"))
			return
		}
		for {
			if _, err := io.ReadFull(reader, head[:]); err != nil {
				return
			}
			content := make([]byte, binary.BigEndian.Uint32(head[:]))
			if _, err := io.ReadFull(reader, content); err != nil {
				return
			}
			if len(content) > 0 {
				bind.take(content, webSocketEndpoint(s.name))
			}
		}
	}()
	for {
		_, message, err := s.conn.ReadMessage()
		if err != nil {
			return err
		}
		if _, err := writer.Write(message); err != nil {
			return err
		}
	}
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"nobody.invalid"}}
	content, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{content}, PrivateKey: key}, err
}
