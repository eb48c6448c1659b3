//go:build tools

// Keeps the programs built from this folder in go.mod; versions.toml lists them.
package tools

import (
	_ "go.universe.tf/metallb/controller"
	_ "go.universe.tf/metallb/speaker"
)
