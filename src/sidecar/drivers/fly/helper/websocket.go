// WireGuard's datagrams over a web socket, as fly.io's gateways take them where UDP is blocked: the socket is a byte stream in text messages
// that carries a magic number, then each datagram behind its length. Message boundaries mean nothing. (flyctl, wg/websockets)
// Neighbours: transport.go chooses it.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.zx2c4.com/wireguard/conn"
)

const (
	webSocketMagic = 0x2facED77
	// A longer one is not WireGuard's: the stream is out of step.
	maxDatagramBytes = 2000
	queuedDatagrams  = 1024
	redialPause      = 5 * time.Second
	socketDeadline   = 10 * time.Second
	// The gateway takes a socket that is idle for longer as gone.
	idleKeepalive = time.Second
)

type webSocketBind struct {
	url   string
	mutex sync.Mutex
	// Set while open.
	stop     context.CancelFunc
	done     chan struct{}
	received chan []byte
	toSend   chan []byte
	lastErr  error
}

var _ conn.Bind = (*webSocketBind)(nil)

func newWebSocketBind(url string) *webSocketBind {
	return &webSocketBind{url: url, lastErr: errors.New("not connected yet")}
}

func (b *webSocketBind) problem() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.lastErr == nil {
		return ""
	}
	return b.lastErr.Error()
}

func (b *webSocketBind) setProblem(err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.lastErr = err
}

func (b *webSocketBind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.stop != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.done = make(chan struct{})
	b.received = make(chan []byte, queuedDatagrams)
	b.toSend = make(chan []byte, queuedDatagrams)
	received, toSend, done := b.received, b.toSend, b.done
	go func() {
		defer close(done)
		b.run(ctx, received, toSend)
	}()
	endpoint := webSocketEndpoint(b.url)
	receive := func(bufs [][]byte, sizes []int, endpoints []conn.Endpoint) (int, error) {
		select {
		case <-ctx.Done():
			return 0, net.ErrClosed
		case datagram := <-received:
			sizes[0] = copy(bufs[0], datagram)
			endpoints[0] = endpoint
			return 1, nil
		}
	}
	return []conn.ReceiveFunc{receive}, 0, nil
}

func (b *webSocketBind) Close() error {
	b.mutex.Lock()
	stop, done := b.stop, b.done
	b.stop = nil
	b.mutex.Unlock()
	if stop != nil {
		stop()
		<-done
	}
	return nil
}

// Send never waits: what finds no room is lost, as with UDP.
func (b *webSocketBind) Send(bufs [][]byte, _ conn.Endpoint) error {
	b.mutex.Lock()
	toSend, open := b.toSend, b.stop != nil
	b.mutex.Unlock()
	if !open {
		return net.ErrClosed
	}
	for _, buf := range bufs {
		select {
		case toSend <- bytes.Clone(buf):
		default:
		}
	}
	return nil
}

func (b *webSocketBind) SetMark(uint32) error { return nil }
func (b *webSocketBind) BatchSize() int       { return conn.IdealBatchSize }

func (b *webSocketBind) ParseEndpoint(string) (conn.Endpoint, error) {
	return webSocketEndpoint(b.url), nil
}

// run keeps one socket connected until the context ends.
func (b *webSocketBind) run(ctx context.Context, received chan<- []byte, toSend <-chan []byte) {
	for ctx.Err() == nil {
		b.setProblem(b.carry(ctx, received, toSend))
		select {
		case <-ctx.Done():
		case <-time.After(redialPause):
		}
	}
}

// carry dials once and carries until the socket or the context ends.
func (b *webSocketBind) carry(ctx context.Context, received chan<- []byte, toSend <-chan []byte) error {
	dialer := websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: socketDeadline,
		// WireGuard inside proves who the gateway is; its certificate is for other names.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
	dialing, cancel := context.WithTimeout(ctx, socketDeadline)
	defer cancel()
	socket, response, err := dialer.DialContext(dialing, b.url, http.Header{"Origin": {b.url}})
	if err != nil {
		if response != nil {
			return errors.New("the gateway refused the web socket with status " + response.Status[:3])
		}
		return err
	}
	defer socket.Close()
	socket.SetReadLimit(1 << 20)
	ended, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(ended, func() { socket.Close() })
	defer stop()
	go func() { end(readDatagrams(&messageReader{socket: socket}, received)) }()
	if err := writeMessage(socket, binary.BigEndian.AppendUint32(nil, webSocketMagic)); err != nil {
		return err
	}
	b.setProblem(nil)
	return b.write(ended, socket, toSend)
}

func (b *webSocketBind) write(ctx context.Context, socket *websocket.Conn, toSend <-chan []byte) error {
	idle := time.NewTicker(idleKeepalive)
	defer idle.Stop()
	var frame []byte
	for {
		frame = frame[:0]
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-idle.C:
			frame = binary.BigEndian.AppendUint32(frame, 0)
		case datagram := <-toSend:
			frame = appendDatagram(frame, datagram)
			// What else waits goes into the same message.
			for more := true; more && len(frame) < 32<<10; {
				select {
				case datagram := <-toSend:
					frame = appendDatagram(frame, datagram)
				default:
					more = false
				}
			}
			idle.Reset(idleKeepalive)
		}
		if err := writeMessage(socket, frame); err != nil {
			return err
		}
	}
}

func appendDatagram(frame, datagram []byte) []byte {
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(datagram)))
	return append(frame, datagram...)
}

func writeMessage(socket *websocket.Conn, content []byte) error {
	if err := socket.SetWriteDeadline(time.Now().Add(socketDeadline)); err != nil {
		return err
	}
	return socket.WriteMessage(websocket.TextMessage, content)
}

// readDatagrams takes the stream apart until it ends or is out of step.
func readDatagrams(stream io.Reader, received chan<- []byte) error {
	var length [4]byte
	for {
		if _, err := io.ReadFull(stream, length[:]); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(length[:])
		if size == 0 {
			continue
		}
		if size > maxDatagramBytes {
			return errors.New("the gateway's web socket is out of step")
		}
		datagram := make([]byte, size)
		if _, err := io.ReadFull(stream, datagram); err != nil {
			return err
		}
		select {
		case received <- datagram:
		default:
		}
	}
}

// messageReader reads the messages of a socket, text or binary, as one stream.
type messageReader struct {
	socket  *websocket.Conn
	message io.Reader
}

func (r *messageReader) Read(target []byte) (int, error) {
	for {
		if r.message == nil {
			_, message, err := r.socket.NextReader()
			if err != nil {
				return 0, err
			}
			r.message = message
		}
		n, err := r.message.Read(target)
		if errors.Is(err, io.EOF) {
			r.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// webSocketEndpoint is the gateway by its URL: it has no address that roams.
type webSocketEndpoint string

func (webSocketEndpoint) ClearSrc()             {}
func (webSocketEndpoint) SrcToString() string   { return "" }
func (e webSocketEndpoint) DstToString() string { return string(e) }
func (e webSocketEndpoint) DstToBytes() []byte  { return []byte(e) }
func (webSocketEndpoint) DstIP() netip.Addr     { return netip.IPv6Unspecified() }
func (webSocketEndpoint) SrcIP() netip.Addr     { return netip.IPv6Unspecified() }
