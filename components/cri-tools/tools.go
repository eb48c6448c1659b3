//go:build tools

// Keeps the programs built from this folder in go.mod; versions.toml lists them.
package tools

import _ "sigs.k8s.io/cri-tools/cmd/crictl"
