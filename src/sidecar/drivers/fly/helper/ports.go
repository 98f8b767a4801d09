// Which local port a stream takes: always the next one, so that none is used again before all others were. A far side keeps a connection that
// it ended for a minute (TIME_WAIT), and may drop the next one between the same two ports: with the stack's random ports, that held up one of
// some hundred connections until its dial timed out.
// Neighbour: streams.go dials.
package main

import (
	"math/rand/v2"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const (
	firstLocalPort = 16_000
	localPorts     = 1<<16 - firstLocalPort
	// Streams that are open keep theirs: so many are passed over.
	maxPortTries = 16_384
)

type portSequence struct{ last atomic.Uint32 }

// newPortSequence begins anywhere: a helper that was started again has the address of the one before it.
func newPortSequence() *portSequence {
	s := &portSequence{}
	s.last.Store(rand.Uint32N(localPorts))
	return s
}

// bind gives the endpoint the next free port.
func (s *portSequence) bind(endpoint tcpip.Endpoint, address tcpip.Address) tcpip.Error {
	var problem tcpip.Error
	for range maxPortTries {
		port := firstLocalPort + s.last.Add(1)%localPorts
		problem = endpoint.Bind(tcpip.FullAddress{NIC: nic, Addr: address, Port: uint16(port)})
		if _, inUse := problem.(*tcpip.ErrPortInUse); !inUse {
			return problem
		}
	}
	return problem
}
