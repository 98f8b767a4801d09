// The network's name server at `<network>::3`, over UDP and TCP: AAAA and TXT records with a life of 5 s. An answer that does not fit into 512
// bytes comes truncated over UDP.
// Neighbour: network.go listens for it.
package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	timeToLive  = 5
	maxUDPBytes = 512
)

type names struct {
	mutex     sync.Mutex
	addresses map[string][]string
	texts     map[string]string
	asked     []string
	hostile   bool
}

func (n *names) setHostile(hostile bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.hostile = hostile
}

func (n *names) set(addresses map[string][]string, texts map[string]string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.addresses, n.texts = addresses, texts
}

func (n *names) takeAsked() []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	asked := n.asked
	n.asked = nil
	return asked
}

func (n *names) serveUDP(socket net.PacketConn) {
	buffer := make([]byte, 2048)
	for {
		length, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		if answer := n.answer(buffer[:length], maxUDPBytes); answer != nil {
			_, _ = socket.WriteTo(answer, from)
		}
	}
}

func (n *names) serveTCP(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			var length [2]byte
			if _, err := io.ReadFull(client, length[:]); err != nil {
				return
			}
			question := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(client, question); err != nil {
				return
			}
			if answer := n.answer(question, 65535); answer != nil {
				_, _ = client.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		}()
	}
}

func (n *names) answer(message []byte, limit int) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	n.mutex.Lock()
	n.asked = append(n.asked, name)
	addresses, known := n.addresses[name]
	text, hasText := n.texts[name]
	hostile := n.hostile
	n.mutex.Unlock()
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired},
		Questions: []dnsmessage.Question{question},
	}
	if hostile {
		return loop(reply)
	}
	if !known && !hasText {
		reply.RCode = dnsmessage.RCodeNameError
	}
	resource := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: timeToLive}
	if question.Type == dnsmessage.TypeAAAA {
		for _, address := range addresses {
			if ip, err := netip.ParseAddr(address); err == nil {
				reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: resource, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
			}
		}
	}
	if question.Type == dnsmessage.TypeTXT && hasText {
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: resource, Body: &dnsmessage.TXTResource{TXT: []string{text}}})
	}
	packed, err := reply.Pack()
	if err == nil && len(packed) > limit {
		reply.Answers, reply.Truncated = nil, true
		packed, err = reply.Pack()
	}
	if err != nil {
		return nil
	}
	return packed
}

// loop is an answer whose only record has a name that points to itself.
func loop(reply dnsmessage.Message) []byte {
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	const answerCountOffset, pointer = 6, 0xc000
	binary.BigEndian.PutUint16(packed[answerCountOffset:], 1)
	packed = binary.BigEndian.AppendUint16(packed, pointer|uint16(len(packed)))
	return append(packed, make([]byte, 26)...)
}
