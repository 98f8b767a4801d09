// The helper of the fly driver: WireGuard and TCP in user space, for one pod. It is told what to do in lines of JSON on standard input,
// answers on standard output, carries each stream over a connection of its own to a unix socket, and ends with its standard input.
// It decides nothing: which peer, which transport, when to try again is the driver's (../driver.ts).
// Neighbours: commands.go (the lines), device.go (one WireGuard device with its TCP stack), streams.go (the unix socket).
package main

import (
	"fmt"
	"os"
)

func main() {
	roomyHeap.use()
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
