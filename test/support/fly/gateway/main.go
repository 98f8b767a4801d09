// A gateway of fly.io with the private network behind it, for tests: WireGuard by wireguard-go, the network on its netstack or on the kernel's
// TCP behind a TUN device, names, Machines, Flycast, the web socket in front. It is told what to be in lines of JSON on standard input, answers
// each with a line, and ends with its input. It shares no code with the product's helper; what it does follows fly.io's documentation.
// Neighbours: orders.go (the lines), gateway.go (WireGuard), network.go (Machines), names.go (DNS), websocket.go.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	gateway := newGateway()
	defer gateway.stop()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 4096), 1<<20)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			fmt.Fprintln(os.Stderr, "an order is not JSON:", err)
			os.Exit(1)
		}
		result := gateway.obey(o)
		result.ID = o.ID
		line, err := json.Marshal(result)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}
