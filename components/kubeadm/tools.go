//go:build tools

// Only the yardstick of our benchmarks: kubeadm is no part of the product.
package tools

import _ "k8s.io/kubernetes/cmd/kubeadm"
