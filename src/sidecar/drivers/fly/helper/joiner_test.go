// Run by test/integration/fly/helper-go.test.ts.
package main

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const headersOfTest = header.IPv6MinimumSize + header.TCPMinimumSize

type segmentOfTest struct {
	port     uint16
	sequence uint32
	answer   uint32
	flags    header.TCPFlags
	content  []byte
}

func packetOf(s segmentOfTest) []byte {
	packet := make([]byte, headersOfTest+len(s.content))
	from, to := tcpip.AddrFrom16([16]byte{0xfd, 15: 1}), tcpip.AddrFrom16([16]byte{0xfd, 15: 2})
	header.IPv6(packet).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(header.TCPMinimumSize + len(s.content)),
		TransportProtocol: header.TCPProtocolNumber,
		HopLimit:          64,
		SrcAddr:           from,
		DstAddr:           to,
	})
	segment := header.TCP(packet[header.IPv6MinimumSize:])
	copy(packet[headersOfTest:], s.content)
	segment.Encode(&header.TCPFields{
		SrcPort: 80, DstPort: s.port, SeqNum: s.sequence, AckNum: s.answer, DataOffset: header.TCPMinimumSize, Flags: s.flags, WindowSize: 100,
	})
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, from, to, uint16(len(segment)))
	segment.SetChecksum(^checksum.Checksum(segment, sum))
	return packet
}

// joined gives what is delivered of the packets of one batch.
func joined(packets ...[]byte) [][]byte {
	var delivered [][]byte
	j := joiner{deliver: func(content buffer.Buffer) { delivered = append(delivered, content.Flatten()) }}
	for _, packet := range packets {
		j.add(packet)
	}
	j.flush()
	return delivered
}

func contentOf(packet []byte) []byte { return packet[headersOfTest:] }

func isValid(packet []byte) bool {
	ip, segment := header.IPv6(packet), header.TCP(packet[header.IPv6MinimumSize:])
	content := checksum.Checksum(segment[segment.DataOffset():], 0)
	return ip.IsValid(len(packet)) && segment.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), content, uint16(len(segment)-int(segment.DataOffset())))
}

func TestNeighboursOfOneStreamBecomeOnePacket(t *testing.T) {
	got := joined(
		packetOf(segmentOfTest{port: 1, sequence: 10, flags: header.TCPFlagAck, content: []byte("abc")}),
		packetOf(segmentOfTest{port: 2, sequence: 90, flags: header.TCPFlagAck, content: []byte("other")}),
		packetOf(segmentOfTest{port: 1, sequence: 13, flags: header.TCPFlagAck | header.TCPFlagPsh, content: []byte("de")}),
	)
	if len(got) != 2 || string(contentOf(got[0])) != "abcde" || string(contentOf(got[1])) != "other" {
		t.Fatalf("%q", got)
	}
	if !isValid(got[0]) || header.TCP(got[0][header.IPv6MinimumSize:]).Flags() != header.TCPFlagAck|header.TCPFlagPsh {
		t.Fatalf("%x", got[0])
	}
}

func TestWhatSaysMoreThanBytesStaysAsItIs(t *testing.T) {
	first := segmentOfTest{port: 1, sequence: 10, answer: 1, flags: header.TCPFlagAck, content: []byte("abc")}
	follower := segmentOfTest{port: 1, sequence: 13, answer: 1, flags: header.TCPFlagAck, content: []byte("de")}
	if got := joined(packetOf(first), packetOf(follower)); len(got) != 1 {
		t.Fatalf("%q", got)
	}
	gap, otherAnswer, fin := follower, follower, follower
	gap.sequence++
	otherAnswer.answer++
	fin.flags |= header.TCPFlagFin
	empty := follower
	empty.content = nil
	broken := packetOf(follower)
	broken[len(broken)-1] ^= 1
	padded := append(packetOf(follower), 0)
	for what, packet := range map[string][]byte{
		"a gap": packetOf(gap), "another answer": packetOf(otherAnswer), "an end": packetOf(fin), "an answer alone": packetOf(empty),
		"a broken byte": broken, "a byte too many": padded,
	} {
		got := joined(packetOf(first), packet)
		if len(got) != 2 || !bytes.Equal(got[0], packetOf(first)) || !bytes.Equal(got[1], packet) {
			t.Errorf("%s: %q", what, got)
		}
	}
	pushed := first
	pushed.flags |= header.TCPFlagPsh
	if got := joined(packetOf(pushed), packetOf(follower)); len(got) != 2 {
		t.Errorf("after a push: %q", got)
	}
}

func TestNoByteIsLostOrMovedWhateverComes(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		next := map[uint16]uint32{}
		var packets [][]byte
		for range 200 {
			s := segmentOfTest{port: uint16(random.IntN(maxRuns + 3)), flags: header.TCPFlagAck, content: make([]byte, random.IntN(1220))}
			for i := range s.content {
				s.content[i] = byte(random.Uint32())
			}
			if random.IntN(20) == 0 {
				next[s.port] += random.Uint32()
			}
			if random.IntN(30) == 0 {
				s.flags |= header.TCPFlagPsh
			}
			s.sequence = next[s.port]
			next[s.port] += uint32(len(s.content))
			packets = append(packets, packetOf(s))
		}
		got := joined(packets...)
		sent, carried := byStream(packets), byStream(got)
		if len(got) >= len(packets) {
			t.Fatalf("seed %d: nothing was joined", seed)
		}
		for _, packet := range got {
			if !isValid(packet) || len(packet) > maxJoinedBytes {
				t.Fatalf("seed %d: %d bytes, or a wrong checksum", seed, len(packet))
			}
		}
		for port, expected := range sent {
			if !bytes.Equal(carried[port], expected) {
				t.Fatalf("seed %d: the bytes of port %d", seed, port)
			}
		}
	}
}

// byStream is every byte of each stream, each behind its place, in the order of arrival.
func byStream(packets [][]byte) map[uint16][]byte {
	streams := map[uint16][]byte{}
	for _, packet := range packets {
		segment := header.TCP(packet[header.IPv6MinimumSize:])
		bytesOf := streams[segment.DestinationPort()]
		for i, one := range contentOf(packet) {
			bytesOf = append(binary.BigEndian.AppendUint32(bytesOf, segment.SequenceNumber()+uint32(i)), one)
		}
		streams[segment.DestinationPort()] = bytesOf
	}
	return streams
}
