// Calico's CNI plugins and their installer in one program: it runs the part whose name it was called by.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/calico/cni-plugin/pkg/install"
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
	case "install":
		if err := install.Install(VERSION); err != nil {
			fmt.Fprintf(os.Stderr, "error: could not install the CNI plugins: %v\n", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "error: `%s` is none of calico, calico-ipam, install: call this file by one of them\n", name)
		os.Exit(2)
	}
}
