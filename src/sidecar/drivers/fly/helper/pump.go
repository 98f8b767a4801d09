// Carries one stream: frames on the unix socket, bytes on the far side. A frame is one byte of kind, four of length (big-endian), then the
// content: DATA; FIN (empty) ends a direction cleanly; RESET (a kind of failure as text) breaks both. Buffers are held only while they are
// filled and passed on, so a stream that is idle, or whose client reads nothing, costs two goroutines and no memory for bytes here.
// Neighbours: streams.go calls it; ../helper/frames.ts reads and writes the same frames.
package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	frameData  = 0
	frameFin   = 1
	frameReset = 2

	frameHeaderBytes = 5
	// The most that one frame of the driver carries, and one of ours. A frame of the driver may wait for the far side with its buffer.
	maxFrameBytes    = 16 << 10
	maxOwnFrameBytes = 64 << 10

	// How often a stream whose far side takes nothing looks whether the driver is still there.
	lookForEnd = time.Second
)

type ownFrame [frameHeaderBytes + maxOwnFrameBytes]byte

var (
	frames    = sync.Pool{New: func() any { return new([maxFrameBytes]byte) }}
	ownFrames = sync.Pool{New: func() any { return new(ownFrame) }}
)

// pump returns when both directions have ended or one broke; then the far side is closed or aborted, and the driver knows.
func pump(client *net.UnixConn, fromDriver io.Reader, far *farEnd) {
	p := &stream{client: client, far: far, finTaken: make(chan struct{}), inputEnded: make(chan struct{})}
	go p.carryToFar(fromDriver)
	if p.carryToDriver() && p.awaitDriversEnd() {
		far.endpoint.Close()
	} else {
		far.endpoint.Abort()
	}
	// Ends the reader, which may wait for the driver.
	client.Close()
	<-p.inputEnded
}

type stream struct {
	client *net.UnixConn
	far    *farEnd
	// Closed with the driver's FIN.
	finTaken chan struct{}
	// Closed when nothing more is read from the driver.
	inputEnded chan struct{}
	// The far side has ended its direction.
	farEnded atomic.Bool
}

// ended is true when both directions have ended cleanly: then the driver closes its connection, and nothing is broken by that.
func (s *stream) ended() bool { return isClosed(s.finTaken) && s.farEnded.Load() }

func isClosed(signal <-chan struct{}) bool {
	select {
	case <-signal:
		return true
	default:
		return false
	}
}

// carryToFar reads until the driver's connection ends, also after its FIN: a driver that is gone must not leave the far side waiting.
func (s *stream) carryToFar(fromDriver io.Reader) {
	defer close(s.inputEnded)
	entry, writable := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	s.far.queue.EventRegister(&entry)
	defer s.far.queue.EventUnregister(&entry)
	for s.takeFrame(fromDriver, writable) {
	}
	if !s.ended() {
		// Wakes the other direction too.
		s.far.endpoint.Abort()
	}
}

// takeFrame is false with the driver's RESET, the end of its connection, or a far side that broke.
func (s *stream) takeFrame(fromDriver io.Reader, writable <-chan struct{}) bool {
	var head [frameHeaderBytes]byte
	if _, err := io.ReadFull(fromDriver, head[:]); err != nil {
		return false
	}
	length := binary.BigEndian.Uint32(head[1:])
	if head[0] == frameFin && length == 0 {
		if isClosed(s.finTaken) || s.far.endpoint.Shutdown(tcpip.ShutdownWrite) != nil {
			return false
		}
		close(s.finTaken)
		return true
	}
	if head[0] != frameData || length > maxFrameBytes {
		return false
	}
	frame := frames.Get().(*[maxFrameBytes]byte)
	defer frames.Put(frame)
	_, err := io.ReadFull(fromDriver, frame[:length])
	return err == nil && s.writeAll(frame[:length], writable)
}

func (s *stream) writeAll(content []byte, writable <-chan struct{}) bool {
	far := s.far
	var reader bytes.Reader
	for len(content) > 0 {
		reader.Reset(content)
		n, problem := far.endpoint.Write(&reader, tcpip.WriteOptions{})
		content = content[n:]
		far.written.Add(n)
		switch problem.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			// Nothing is read meanwhile, so the driver's end is looked for.
			select {
			case <-writable:
			case <-time.After(lookForEnd):
				if hungUp(s.client) {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}

// hungUp is true when the driver has closed its connection, also while bytes of it wait to be read.
func hungUp(client *net.UnixConn) bool {
	raw, err := client.SyscallConn()
	if err != nil {
		return true
	}
	hung := false
	err = raw.Control(func(fd uintptr) {
		state := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(state, 0)
		hung = err == nil && n > 0 && state[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return hung || err != nil
}

// carryToDriver ends with the far side's FIN (true), or with its break, or the driver's (false). A break is reported to the driver.
func (s *stream) carryToDriver() bool {
	client, far := s.client, s.far
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	far.queue.EventRegister(&entry)
	defer far.queue.EventUnregister(&entry)
	for {
		if far.endpoint.Readiness(waiter.ReadableEvents|waiter.EventErr|waiter.EventHUp) == 0 {
			<-readable
			// What else has arrived is delivered first, so that a busy stream is read in large pieces.
			runtime.Gosched()
		}
		problem, err := passOn(client, far)
		if err != nil {
			return false
		}
		switch problem.(type) {
		case nil, *tcpip.ErrWouldBlock:
		case *tcpip.ErrClosedForReceive:
			s.farEnded.Store(true)
			return sendFrame(client, frameFin, "") == nil
		default:
			_ = sendFrame(client, frameReset, s.far.kindOf(problem))
			return false
		}
	}
}

// awaitDriversEnd follows the far side's FIN: true with the driver's FIN, false when either side breaks before it.
func (s *stream) awaitDriversEnd() bool {
	entry, broken := waiter.NewChannelEntry(waiter.EventErr | waiter.EventHUp)
	s.far.queue.EventRegister(&entry)
	defer s.far.queue.EventUnregister(&entry)
	for {
		select {
		case <-s.finTaken:
			return true
		case <-s.inputEnded:
			if s.ended() {
				return true
			}
			_ = sendFrame(s.client, frameReset, "broken")
			return false
		case <-broken:
			if problem := s.far.endpoint.LastError(); problem != nil {
				_ = sendFrame(s.client, frameReset, s.far.kindOf(problem))
				return false
			}
		}
	}
}

// passOn carries what the far side has sent, at most a frame, once the driver's connection takes it: until then it stays in the far side's
// window, which is all that a stalled client may fill.
func passOn(client *net.UnixConn, far *farEnd) (problem tcpip.Error, err error) {
	raw, err := client.SyscallConn()
	if err != nil {
		return nil, err
	}
	var rest []byte
	var failure error
	err = raw.Write(func(fd uintptr) bool {
		if !takesBytes(fd) {
			return false
		}
		frame := ownFrames.Get().(*ownFrame)
		defer ownFrames.Put(frame)
		var n int
		if n, problem = readSome(far, frame[frameHeaderBytes:]); n > 0 {
			rest, failure = writeFrame(int(fd), frame, n)
		}
		return true
	})
	if err == nil {
		err = failure
	}
	if err == nil && len(rest) > 0 {
		_, err = client.Write(rest)
	}
	return problem, err
}

// takesBytes is true when the socket has room; with the kernel's sizes there is then room for a whole frame. An error counts as room: the write shows it.
func takesBytes(fd uintptr) bool {
	state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(state, 0)
	return err != nil || n > 0
}

// readSome reads what is there, at most what `target` holds.
func readSome(far *farEnd, target []byte) (int, tcpip.Error) {
	writer := tcpip.SliceWriter(target)
	result, problem := far.endpoint.Read(&writer, tcpip.ReadOptions{})
	if result.Count > 0 {
		far.letGrow(result.Count)
	}
	return result.Count, problem
}

// writeFrame sends one frame of data without waiting and gives a copy of what found no room.
func writeFrame(fd int, frame *ownFrame, length int) (rest []byte, err error) {
	frame[0] = frameData
	binary.BigEndian.PutUint32(frame[1:], uint32(length))
	content := frame[:frameHeaderBytes+length]
	written, err := unix.Write(fd, content)
	if err == unix.EAGAIN || err == unix.EINTR {
		written, err = 0, nil
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(content[written:]), nil
}

func sendFrame(client io.Writer, kind byte, content string) error {
	frame := append([]byte{kind, 0, 0, 0, 0}, content...)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(content)))
	_, err := client.Write(frame)
	return err
}
