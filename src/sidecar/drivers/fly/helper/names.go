// Names and echoes inside the network: both are answered by the network's own server, `<network>::3`.
// Neighbours: device.go.
package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// More addresses of a name are not tried anyway.
const maxAddresses = 16

// lookup asks for the AAAA records of a name: over UDP, over TCP where the answer is too long. An unknown name and a name without addresses
// are the same here, as nothing is known of how the network's server tells them apart.
func lookup(ctx context.Context, d *device, name string) ([]string, error) {
	server := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(d.nameServer().AsSlice()), Port: 53}
	resolver := net.Resolver{
		PreferGo:     true,
		StrictErrors: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			if network == "tcp" || network == "tcp6" {
				return gonet.DialContextTCP(ctx, d.stack, server, ipv6.ProtocolNumber)
			}
			return gonet.DialUDP(d.stack, nil, &server, ipv6.ProtocolNumber)
		},
	}
	// The final dot keeps the machine's search list out of it.
	found, err := resolver.LookupNetIP(ctx, "ip6", name+".")
	if err != nil {
		var problem *net.DNSError
		if errors.As(err, &problem) && problem.IsNotFound {
			return nil, failed("notFound", "the name has no address in the network")
		}
		if ctx.Err() != nil {
			return nil, failed("timeout", "the network's name server did not answer")
		}
		return nil, failed("nameServer", "the network's name server failed")
	}
	addresses := make([]string, 0, min(len(found), maxAddresses))
	for _, address := range found[:min(len(found), maxAddresses)] {
		addresses = append(addresses, address.String())
	}
	return addresses, nil
}

var lastSequence atomic.Uint32

// echo sends one ICMPv6 echo request to the network's server and returns the time to its reply.
func (d *device) echo(ctx context.Context) (time.Duration, error) {
	var queue waiter.Queue
	endpoint, problem := d.stack.NewEndpoint(icmp.ProtocolNumber6, ipv6.ProtocolNumber, &queue)
	if problem != nil {
		return 0, failed("internal", "no endpoint for an echo: %s", problem)
	}
	defer endpoint.Close()
	server := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(d.nameServer().AsSlice())}
	if problem := endpoint.Connect(server); problem != nil {
		return 0, failed("unreachable", "no echo: %s", problem)
	}
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)

	sequence := uint16(lastSequence.Add(1))
	request := header.ICMPv6(make([]byte, header.ICMPv6EchoMinimumSize))
	request.SetType(header.ICMPv6EchoRequest)
	request.SetSequence(sequence)
	started := time.Now()
	if _, problem := endpoint.Write(bytes.NewReader(request), tcpip.WriteOptions{}); problem != nil {
		return 0, failed("unreachable", "no echo: %s", problem)
	}
	for {
		select {
		case <-ctx.Done():
			return 0, failed("timeout", "no echo in time")
		case <-readable:
		}
		var reply bytes.Buffer
		if _, problem := endpoint.Read(&reply, tcpip.ReadOptions{}); problem != nil {
			continue
		}
		answer := header.ICMPv6(reply.Bytes())
		if len(answer) >= header.ICMPv6EchoMinimumSize && answer.Type() == header.ICMPv6EchoReply && answer.Sequence() == sequence {
			return time.Since(started), nil
		}
	}
}
