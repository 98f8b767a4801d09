// Run by test/integration/fly/helper-go.test.ts.
package main

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/waiter"
)

// tunedOfTest is an endpoint that the stack lets grow to the largest buffer at once.
type tunedOfTest struct {
	tcpip.Endpoint
	options tcpip.SocketOptions
}

func (e *tunedOfTest) SocketOptions() *tcpip.SocketOptions { return &e.options }

func (e *tunedOfTest) ModerateRecvBuf(int) { e.options.SetReceiveBufferSize(maxBuffer, false) }

func farEndOfTest() *farEnd {
	e := &tunedOfTest{}
	e.options.InitHandler(&tcpip.DefaultSocketOptionsHandler{}, nil, nil, nil)
	e.options.SetReceiveBufferSize(initialReceiveBuffer, false)
	return &farEnd{endpoint: e}
}

// download lets a client take so much that its buffer grows as far as it may, and gives what it has grown by.
func (f *farEnd) download() int64 {
	for range 20 {
		f.letGrow(maxBuffer)
	}
	return f.growth.bytes
}

// openStreamsOfTest opens so many until the test's end, when all must have given back what they have grown by.
func openStreamsOfTest(t *testing.T, count int) []*farEnd {
	t.Helper()
	open := newOpenStreams()
	ends := make([]*farEnd, count)
	for i := range ends {
		ends[i] = farEndOfTest()
		if !open.add(ends[i]) {
			t.Fatal("closed")
		}
	}
	t.Cleanup(func() {
		for _, far := range ends {
			open.remove(far)
		}
		if left := growth.Load(); left != 0 {
			t.Errorf("%d were not given back", left)
		}
	})
	return ends
}

func TestIdleStreamsLeaveGrowthToTheNextOnes(t *testing.T) {
	ends := openStreamsOfTest(t, manyStreams-1)
	for i, far := range ends {
		before := growth.Load()
		grown := far.download()
		switch {
		case before < roomOfFew.tuned && grown != maxBuffer-initialReceiveBuffer:
			t.Fatalf("the stack may not decide for stream %d: %d", i, grown)
		// After a pool of 16 that all downloaded once, and after one of 48.
		case i == 16 && grown < 384<<10, i == 48 && grown < 128<<10:
			t.Fatalf("stream %d has %d", i, grown)
		case grown < roomOfFew.floor:
			t.Fatalf("stream %d has not even the floor: %d", i, grown)
		}
	}
	if all := growth.Load(); all > 64<<20 {
		t.Fatalf("%d in all", all)
	}
}

func TestManyStreamsGrowTogetherByTheLimitOfMany(t *testing.T) {
	ends := openStreamsOfTest(t, 1000)
	for i, far := range ends {
		before := growth.Load()
		grown := far.download()
		if i == 4 && grown < 128<<10 {
			t.Fatalf("stream %d has %d", i, grown)
		}
		if share := roomOfMany.share(before); before >= roomOfMany.tuned && grown > share {
			t.Fatalf("stream %d has %d of %d", i, grown, share)
		}
	}
	if all := growth.Load(); all > roomOfMany.shared {
		t.Fatalf("%d in all", all)
	}
}

func TestSlowStreamDoesNotGrowByShares(t *testing.T) {
	growth.Add(roomOfFew.shared)
	defer growth.Add(-roomOfFew.shared)
	far := farEndOfTest()
	for range 100 {
		far.letGrow(initialReceiveBuffer / 2)
		far.growth.since = far.growth.since.Add(-2 * timeOfNeed)
	}
	if far.growth.bytes != 0 {
		t.Fatal(far.growth.bytes)
	}
}

// An endpoint of the real stack, which must still carry when the helper has set its buffer.
func TestStreamOfTheStackReachesTheFloorAndCarries(t *testing.T) {
	growth.Add(roomOfFew.shared)
	defer growth.Add(-roomOfFew.shared)
	far := connectedToSource(t, 4<<20)
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	far.queue.EventRegister(&entry)
	defer far.queue.EventUnregister(&entry)
	target := make([]byte, maxOwnFrameBytes)
	for all := 0; ; {
		n, problem := readSome(far, target)
		all += n
		if _, waits := problem.(*tcpip.ErrWouldBlock); waits {
			select {
			case <-readable:
			case <-time.After(time.Minute):
				t.Fatalf("nothing comes after %d bytes", all)
			}
		} else if _, ended := problem.(*tcpip.ErrClosedForReceive); ended {
			if all != 4<<20 {
				t.Fatalf("%d bytes", all)
			}
			break
		} else if problem != nil {
			t.Fatal(problem)
		}
	}
	if far.growth.bytes != roomOfFew.floor || far.endpoint.SocketOptions().GetReceiveBufferSize() != initialReceiveBuffer+roomOfFew.floor {
		t.Fatal(far.growth.bytes)
	}
	far.giveGrowthBack()
}

// connectedToSource gives a stream whose far side sends so much and ends.
func connectedToSource(t *testing.T, size int) *farEnd {
	t.Helper()
	near, distant := pipe.New("", "", 1280)
	ours, theirs := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	from, problem := newStack(near, ours)
	if problem != nil {
		t.Fatal(problem)
	}
	to, problem := newStack(distant, theirs)
	if problem != nil {
		t.Fatal(problem)
	}
	t.Cleanup(func() {
		from.Destroy()
		to.Destroy()
	})
	listener, err := gonet.ListenTCP(to, tcpip.FullAddress{Port: 80}, ipv6.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		_, _ = client.Write(make([]byte, size))
	}()
	d := &device{stack: from, address: ours, ports: newPortSequence()}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	far, refusal := dial(ctx, d, theirs.String(), 80)
	if refusal != nil {
		t.Fatal(refusal)
	}
	t.Cleanup(far.endpoint.Abort)
	return far
}
