// The DNS server of the test cluster: Service names for pods, and the names of the private network's bastions. It has the plugins that
// the Corefile (lab/cluster/node-config.ts) uses; CoreDNS's own main has sixty, with the clients of three clouds.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	coremain.Run()
}
