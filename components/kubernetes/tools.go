//go:build tools

// Keeps the program built from this folder beside main.go in go.mod; versions.toml lists it.
package main

import _ "k8s.io/kubernetes/cmd/kube-proxy"
