// A bastion on Go's own SSH library (golang.org/x/crypto/ssh), as bastions written in Go have it: public keys, and direct-tcpip alone.
// Neighbour: ../bastions.ts starts it, and reads its port from the first line that it prints.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh"
)

func main() {
	hostKeyFile := flag.String("host-key", "", "file of the host key")
	authorizedFile := flag.String("authorized", "", "file of the authorized keys")
	rekeyBytes := flag.Uint64("rekey-bytes", 0, "bytes between two key exchanges")
	flag.Parse()

	config := &ssh.ServerConfig{
		Config: ssh.Config{RekeyThreshold: *rekeyBytes},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !isAuthorized(*authorizedFile, key) {
				return nil, fmt.Errorf("this key is not authorized")
			}
			return nil, nil
		},
	}
	text, err := os.ReadFile(*hostKeyFile)
	if err != nil {
		log.Fatal(err)
	}
	hostKey, err := ssh.ParsePrivateKey(text)
	if err != nil {
		log.Fatal(err)
	}
	config.AddHostKey(hostKey)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on port %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		socket, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(socket, config)
	}
}

// Read again for each login, as sshd does.
func isAuthorized(file string, key ssh.PublicKey) bool {
	rest, err := os.ReadFile(file)
	for err == nil && len(rest) > 0 {
		var known ssh.PublicKey
		known, _, _, rest, err = ssh.ParseAuthorizedKey(rest)
		if err == nil && bytes.Equal(known.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}

func serve(socket net.Conn, config *ssh.ServerConfig) {
	defer socket.Close()
	connection, channels, requests, err := ssh.NewServerConn(socket, config)
	if err != nil {
		log.Print(err)
		return
	}
	defer connection.Close()
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		go forward(channel)
	}
}

// What RFC 4254, section 7.2, sends to open a channel.
type destination struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

func forward(asked ssh.NewChannel) {
	var to destination
	if asked.ChannelType() != "direct-tcpip" || ssh.Unmarshal(asked.ExtraData(), &to) != nil {
		_ = asked.Reject(ssh.UnknownChannelType, "only direct-tcpip")
		return
	}
	dialled, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		_ = asked.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	far := dialled.(*net.TCPConn)
	channel, requests, err := asked.Accept()
	if err != nil {
		far.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	sent := make(chan struct{})
	go func() {
		_, _ = io.Copy(far, channel)
		_ = far.CloseWrite()
		close(sent)
	}()
	_, _ = io.Copy(channel, far)
	_ = channel.CloseWrite()
	<-sent
	channel.Close()
	far.Close()
}
