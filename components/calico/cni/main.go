// Calico's CNI plugins in one program: it runs the part whose name it was called by.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/calico/cni-plugin/pkg/ipamplugin"
	"github.com/projectcalico/calico/cni-plugin/pkg/plugin"
)

// VERSION is stamped by the build.
var VERSION string

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "calico":
		plugin.Main(VERSION)
	case "calico-ipam":
		ipamplugin.Main(VERSION)
	default:
		fmt.Fprintf(os.Stderr, "error: `%s` is neither calico nor calico-ipam: call this file by one of them\n", name)
		os.Exit(2)
	}
}
