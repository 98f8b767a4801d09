package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The binary message of a data channel, as the agent and the service write and read it.
type message struct {
	kind        string
	sequence    int64
	flags       uint64
	id          [16]byte
	payloadType uint32
	payload     []byte
}

const (
	kindInput       = "input_stream_data"
	kindOutput      = "output_stream_data"
	kindAcknowledge = "acknowledge"
	kindClosed      = "channel_closed"
	kindStart       = "start_publication"
	kindPause       = "pause_publication"
)

const (
	typeOutput            = 1
	typeHandshakeRequest  = 5
	typeHandshakeResponse = 6
	typeHandshakeComplete = 7
	typeFlag              = 10
)

func newID() (id [16]byte) {
	_, _ = rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func idText(id [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// The agent's form: a header of 116 bytes, blanks after the kind.
func (m message) encode() []byte {
	out := make([]byte, 120+len(m.payload))
	binary.BigEndian.PutUint32(out[0:], 116)
	m.encodeFixed(out, ' ')
	binary.BigEndian.PutUint32(out[112:], m.payloadType)
	binary.BigEndian.PutUint32(out[116:], uint32(len(m.payload)))
	copy(out[120:], m.payload)
	return out
}

// The service's own form: a header of 112 bytes, NUL after the kind.
func (m message) encodeShort() []byte {
	out := make([]byte, 116+len(m.payload))
	binary.BigEndian.PutUint32(out[0:], 112)
	m.encodeFixed(out, 0)
	binary.BigEndian.PutUint32(out[112:], uint32(len(m.payload)))
	copy(out[116:], m.payload)
	return out
}

func (m message) encodeFixed(out []byte, padding byte) {
	for i := 4; i < 36; i++ {
		out[i] = padding
	}
	copy(out[4:36], m.kind)
	binary.BigEndian.PutUint32(out[36:], 1)
	binary.BigEndian.PutUint64(out[40:], uint64(time.Now().UnixMilli()))
	binary.BigEndian.PutUint64(out[48:], uint64(m.sequence))
	binary.BigEndian.PutUint64(out[56:], m.flags)
	copy(out[64:72], m.id[8:16])
	copy(out[72:80], m.id[0:8])
	digest := sha256.Sum256(m.payload)
	copy(out[80:112], digest[:])
}

// decode reads what a client sent. The agent checks header length, kind and date only; this one is strict, because its client is under test.
func decode(in []byte) (message, error) {
	var m message
	if len(in) < 120 {
		return m, fmt.Errorf("a message of %d bytes", len(in))
	}
	if header := binary.BigEndian.Uint32(in); header != 116 {
		return m, fmt.Errorf("a header of %d bytes", header)
	}
	m.kind = strings.TrimRight(string(in[4:36]), " ")
	if binary.BigEndian.Uint32(in[36:]) != 1 {
		return m, fmt.Errorf("schema version %d", binary.BigEndian.Uint32(in[36:]))
	}
	if binary.BigEndian.Uint64(in[40:]) == 0 {
		return m, fmt.Errorf("no date")
	}
	m.sequence = int64(binary.BigEndian.Uint64(in[48:]))
	m.flags = binary.BigEndian.Uint64(in[56:])
	copy(m.id[8:16], in[64:72])
	copy(m.id[0:8], in[72:80])
	m.payloadType = binary.BigEndian.Uint32(in[112:])
	m.payload = in[120:]
	if length := binary.BigEndian.Uint32(in[116:]); int(length) != len(m.payload) {
		return m, fmt.Errorf("a length of %d for %d bytes", length, len(m.payload))
	}
	if digest := sha256.Sum256(m.payload); string(digest[:]) != string(in[80:112]) {
		return m, fmt.Errorf("a wrong digest")
	}
	return m, nil
}

type acknowledgement struct {
	AcknowledgedMessageType           string
	AcknowledgedMessageId             string
	AcknowledgedMessageSequenceNumber int64
	IsSequentialMessage               bool
}

func acknowledge(m message) []byte {
	content, _ := json.Marshal(acknowledgement{m.kind, idText(m.id), m.sequence, true})
	return message{kind: kindAcknowledge, flags: 3, id: newID(), payload: content}.encode()
}

// With something after the header: AWS's client cannot read a message that ends there.
func publication(kind string) []byte {
	return message{kind: kind, flags: 3, id: newID(), payload: []byte("{}")}.encodeShort()
}

func channelClosed(sessionID, output string) []byte {
	content, _ := json.Marshal(map[string]any{
		"MessageId": idText(newID()), "CreatedDate": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"DestinationId": idText(newID()), "SessionId": sessionID, "MessageType": kindClosed, "SchemaVersion": 1, "Output": output,
	})
	return message{kind: kindClosed, flags: 3, id: newID(), payload: content}.encodeShort()
}
