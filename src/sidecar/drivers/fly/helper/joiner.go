// Joins neighbouring TCP segments of one stream that WireGuard delivers together into one packet, as a kernel's receive offload does: the stack
// then reads one header instead of twenty, wakes the stream once and answers once.
// Not gVisor's own pkg/tcpip/stack/gro, whose Flush leaves all but the first packet of a bucket waiting.
// Neighbours: packets.go passes each batch on.
package main

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	// A joined packet with its headers: the stack keeps it in a piece of memory of a power of two.
	maxJoinedBytes = 32 << 10
	// Streams whose segments are joined at the same time.
	maxRuns = 16

	// Offsets in an IPv6 packet whose first header is TCP's.
	addressesAt = 8
	portsEnd    = header.IPv6MinimumSize + 4
	sequenceAt  = portsEnd
	answerAt    = sequenceAt + 4
	flagsAt     = header.IPv6MinimumSize + 13
	windowAt    = flagsAt + 1
	windowEnd   = windowAt + 2
	optionsAt   = header.IPv6MinimumSize + header.TCPMinimumSize
)

// run is a segment and those that follow it without a gap.
type run struct {
	first []byte
	// IPv6 and TCP.
	headers int
	// What follows the first segment.
	payloads [][]byte
	bytes    int
	next     uint32
	push     bool
}

// joiner is used by one goroutine at a time. Its packets are views of what was added, until flush.
type joiner struct {
	runs    []run
	deliver func(buffer.Buffer)
}

// add takes a packet, and delivers others or this one where it cannot be joined. The order within a stream is kept.
func (j *joiner) add(packet []byte) {
	headers := joinableHeaders(packet)
	r := j.runOf(packet)
	switch {
	case headers == 0:
		if r != nil {
			j.flush()
		}
		j.deliver(buffer.MakeWithData(packet))
	case r == nil:
		j.begin(packet, headers)
	case r.follows(packet, headers):
		r.append(packet)
	default:
		r.deliver(j.deliver)
		*r = newRun(packet, headers, r.payloads[:0])
	}
}

func (j *joiner) runOf(packet []byte) *run {
	if len(packet) < portsEnd {
		return nil
	}
	for i := range j.runs {
		if bytes.Equal(j.runs[i].first[addressesAt:portsEnd], packet[addressesAt:portsEnd]) {
			return &j.runs[i]
		}
	}
	return nil
}

func (j *joiner) begin(packet []byte, headers int) {
	if len(j.runs) == maxRuns {
		j.flush()
	}
	var payloads [][]byte
	if len(j.runs) < cap(j.runs) {
		// The memory of an earlier run.
		payloads = j.runs[:len(j.runs)+1][len(j.runs)].payloads[:0]
	}
	j.runs = append(j.runs, newRun(packet, headers, payloads))
}

func (j *joiner) flush() {
	for i := range j.runs {
		r := &j.runs[i]
		r.deliver(j.deliver)
		r.first = nil
		clear(r.payloads)
	}
	j.runs = j.runs[:0]
}

// joinableHeaders is the length of the headers of a valid TCP segment with content that only carries bytes; 0 for everything else.
func joinableHeaders(packet []byte) int {
	if len(packet) <= optionsAt || header.IPv6(packet).NextHeader() != uint8(header.TCPProtocolNumber) {
		return 0
	}
	ip, segment := header.IPv6(packet), header.TCP(packet[header.IPv6MinimumSize:])
	offset := int(segment.DataOffset())
	content := len(segment) - offset
	if int(ip.PayloadLength()) != len(segment) || offset < header.TCPMinimumSize || content <= 0 {
		return 0
	}
	if segment.Flags()&^header.TCPFlagPsh != header.TCPFlagAck {
		return 0
	}
	if !segment.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), checksum.Checksum(segment[offset:], 0), uint16(content)) {
		return 0
	}
	return header.IPv6MinimumSize + offset
}

func newRun(packet []byte, headers int, payloads [][]byte) run {
	content := len(packet) - headers
	return run{
		first:    packet,
		headers:  headers,
		payloads: payloads,
		bytes:    len(packet),
		next:     binary.BigEndian.Uint32(packet[sequenceAt:]) + uint32(content),
		push:     isPushed(packet),
	}
}

// follows is true for a segment that continues the run and says nothing new in its headers.
func (r *run) follows(packet []byte, headers int) bool {
	first := r.first
	return headers == r.headers && !r.push && r.bytes+len(packet)-headers <= maxJoinedBytes &&
		binary.BigEndian.Uint32(packet[sequenceAt:]) == r.next &&
		// Version, class and label; the limit of hops.
		bytes.Equal(first[:4], packet[:4]) && first[7] == packet[7] &&
		bytes.Equal(first[answerAt:answerAt+4], packet[answerAt:answerAt+4]) &&
		bytes.Equal(first[windowAt:windowEnd], packet[windowAt:windowEnd]) &&
		bytes.Equal(first[optionsAt:headers], packet[optionsAt:headers])
}

func (r *run) append(packet []byte) {
	content := packet[r.headers:]
	r.payloads = append(r.payloads, content)
	r.bytes += len(content)
	r.next += uint32(len(content))
	r.push = isPushed(packet)
}

func isPushed(packet []byte) bool { return header.TCPFlags(packet[flagsAt])&header.TCPFlagPsh != 0 }

func (r *run) deliver(to func(buffer.Buffer)) {
	if len(r.payloads) == 0 {
		to(buffer.MakeWithData(r.first))
		return
	}
	view := buffer.NewViewSize(r.bytes)
	joined := view.AsSlice()
	at := copy(joined, r.first)
	for _, payload := range r.payloads {
		at += copy(joined[at:], payload)
	}
	ip, segment := header.IPv6(joined), header.TCP(joined[header.IPv6MinimumSize:])
	ip.SetPayloadLength(uint16(len(segment)))
	if r.push {
		segment.SetFlags(uint8(segment.Flags() | header.TCPFlagPsh))
	}
	segment.SetChecksum(0)
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(segment)))
	segment.SetChecksum(^checksum.Checksum(segment, sum))
	to(buffer.MakeWithView(view))
}
