// A plain client of a private network of fly.io, for the benchmark: wireguard-go with its own TCP stack, as flyctl's agent has them, in one
// process; each connection to a local port is dialled inside the tunnel and copied both ways. No names, no supervision, no limits.
// It takes one line of JSON on standard input, prints `listening <port>`, and ends with its input.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"
)

type config struct {
	PrivateKey string `json:"privateKey"`
	GatewayKey string `json:"gatewayKey"`
	Address    string `json:"address"`
	Endpoint   string `json:"endpoint"`
	// `[address]:port` inside the network.
	Destination string `json:"destination"`
	MTU         int    `json:"mtu"`
}

func main() {
	input := bufio.NewReader(os.Stdin)
	if err := run(input); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, input)
}

func run(input *bufio.Reader) error {
	line, err := input.ReadBytes('\n')
	if err != nil {
		return err
	}
	var c config
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	network, err := join(c)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go carry(client, network, c.Destination)
		}
	}()
	return nil
}

func join(c config) (*netstack.Net, error) {
	address, err := netip.ParseAddr(c.Address)
	if err != nil {
		return nil, err
	}
	link, network, err := netstack.CreateNetTUN([]netip.Addr{address}, nil, c.MTU)
	if err != nil {
		return nil, err
	}
	d := device.NewDevice(link, conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
	settings := fmt.Sprintf("private_key=%s\npublic_key=%s\nallowed_ip=::/0\nendpoint=%s\n", hexOf(c.PrivateKey), hexOf(c.GatewayKey), c.Endpoint)
	if err := d.IpcSet(settings); err != nil {
		return nil, err
	}
	return network, d.Up()
}

func hexOf(key string) string {
	bytes, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(bytes)
}

func carry(client net.Conn, network *netstack.Net, destination string) {
	defer client.Close()
	far, err := network.DialContext(context.Background(), "tcp6", destination)
	if err != nil {
		return
	}
	defer far.Close()
	done := make(chan struct{}, 2)
	direction := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(interface{ CloseWrite() error }).CloseWrite()
		done <- struct{}{}
	}
	go direction(far, client)
	go direction(client, far)
	<-done
	<-done
}
