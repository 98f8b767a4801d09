// Run by test/integration/fly/helper-go.test.ts.
package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	wireguard "golang.zx2c4.com/wireguard/device"
)

// opened gives a bind with its way to receive, and its endpoint as another bind sees it.
func opened(t *testing.T, address string) (conn.Bind, conn.ReceiveFunc, conn.Endpoint) {
	t.Helper()
	bind := newUDPBind(netip.AddrPortFrom(netip.MustParseAddr(address), 0))
	receivers, port, err := bind.Open(0)
	if err != nil || len(receivers) != 1 {
		t.Fatal(len(receivers), err)
	}
	t.Cleanup(func() { bind.Close() })
	endpoint, err := bind.ParseEndpoint(netip.AddrPortFrom(netip.MustParseAddr(address), port).String())
	if err != nil {
		t.Fatal(err)
	}
	return bind, receivers[0], endpoint
}

func TestDatagramsOfAllSizesArriveAsTheyWereSent(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		sender, _, from := opened(t, address)
		_, receive, to := opened(t, address)
		var sent [][]byte
		for i, size := range []int{1340, 1340, 1340, 96, 1340, 32, 32, 148, 1400, 1400, 1399, 1400} {
			sent = append(sent, bytes.Repeat([]byte{byte(i + 1)}, size))
		}
		for i := range 100 {
			sent = append(sent, bytes.Repeat([]byte{byte(100 + i)}, 1300))
		}
		if err := sender.Send(sent, to); err != nil {
			t.Fatal(err)
		}
		// Fewer at a time than one call of the kernel may bring.
		buffers, sizes, endpoints := make([][]byte, 5), make([]int, 5), make([]conn.Endpoint, 5)
		for i := range buffers {
			buffers[i] = make([]byte, 2000)
		}
		got := 0
		for got < len(sent) {
			count, err := receive(buffers, sizes, endpoints)
			if err != nil {
				t.Fatal(err)
			}
			for i := range count {
				if !bytes.Equal(buffers[i][:sizes[i]], sent[got]) {
					t.Fatalf("%s: datagram %d has %d bytes, sent were %d", address, got, sizes[i], len(sent[got]))
				}
				if endpoints[i].DstToString() != from.DstToString() {
					t.Fatal(endpoints[i].DstToString())
				}
				got++
			}
		}
	}
}

func TestNeighboursOfOneSizeLeaveTogether(t *testing.T) {
	sizes := func(segment bool, lengths ...int) string {
		datagrams := make([][]byte, len(lengths))
		for i, length := range lengths {
			datagrams[i] = make([]byte, length)
		}
		var counts []int
		for _, message := range groups(datagrams, nil, segment) {
			counts = append(counts, len(message.Buffers))
		}
		return fmt.Sprint(counts)
	}
	long := make([]int, 130)
	for i := range long {
		long[i] = 100
	}
	for _, one := range []struct{ got, expected string }{
		{sizes(true, 10, 10, 7, 10, 12), "[3 1 1]"},
		{sizes(false, 10, 10, 7), "[1 1 1]"},
		{sizes(true, long...), "[64 64 2]"},
		{sizes(true, 32000, 32000, 32000), "[2 1]"},
	} {
		if one.got != one.expected {
			t.Errorf("%s, expected %s", one.got, one.expected)
		}
	}
}

func TestABurstWaitsUntilEarlierPacketsAreDelivered(t *testing.T) {
	f := newInFlight()
	packet := make([]byte, 100)
	packet[0] = wireguard.MessageTransportType
	for range maxInFlight {
		f.took([][]byte{packet, packet[:wireguard.MessageKeepaliveSize]}, []int{100, wireguard.MessageKeepaliveSize})
	}
	if !f.full() {
		t.Fatal(f.count.Load())
	}
	f.delivered(1)
	if f.full() {
		t.Fatal("there is room for one")
	}
	f.took([][]byte{packet}, []int{100})
	// None arrives: they were dropped, and are forgotten.
	begun := time.Now()
	f.await()
	if f.count.Load() != 0 || time.Since(begun) < forgetInFlight {
		t.Fatal(f.count.Load(), time.Since(begun))
	}
}
