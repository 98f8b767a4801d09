// Run by test/integration/fly/helper-go.test.ts.
package main

import "testing"

func TestOnlyAnUploadThatMovesGoesOn(t *testing.T) {
	last := progress{timeouts: 1, received: 100, retransmits: 50, written: 1 << 20}
	after := func(received, retransmits uint64, written int64) progress {
		return progress{timeouts: 2, received: last.received + received, retransmits: last.retransmits + retransmits, written: last.written + written}
	}
	for what, one := range map[string]struct {
		now    progress
		goesOn bool
	}{
		"nothing at all":                           {after(0, 0, 0), false},
		"a download of the same connection":        {after(1000, 1, 0), false},
		"a few segments sent again":                {after(few+1, few, 0), false},
		"much sent again, nothing answered":        {after(few, 1000, 0), false},
		"much sent again and answered":             {after(few+1, few+1, 0), true},
		"new bytes taken, answers of few segments": {after(few, 0, 1), false},
		"new bytes taken and answered":             {after(few+1, 0, 1), true},
	} {
		if got := one.now.goesOnFrom(last); got != one.goesOn {
			t.Errorf("%s: %v", what, got)
		}
	}
}
