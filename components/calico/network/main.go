// Gives the container runtime its network: copies the plugins' configuration to the host, once their kubeconfig is
// there. A node whose runtime has a network is Ready, so this is the last that comes before calico-node.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	kubeconfig = "calico-kubeconfig"
	patience   = 30 * time.Second
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: network-configuration FILE FOLDER")
		os.Exit(2)
	}
	if err := give(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func give(file, folder string) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		found, err := os.Stat(filepath.Join(folder, kubeconfig))
		if err == nil && found.Size() > 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not in %s after %s: see the log of the container cni-token", kubeconfig, folder, patience)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	target := filepath.Join(folder, filepath.Base(file))
	// The runtime reads what ends with .conflist, and must never read a half.
	if err := os.WriteFile(target+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(target+".new", target)
}
