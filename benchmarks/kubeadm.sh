# shellcheck shell=bash disable=SC2034
# What `kubeadm` needs on a machine of the lab that has our packages and images. Sourced by benchmarks beside it.

# Its configuration: kubeadm_configuration ADDRESS KUBERNETES ETCD, the versions being those of our images.
kubeadm_token=abcdef.0123456789abcdef
kubeadm_configuration() {
    cat <<CLUSTER
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: $1}
bootstrapTokens: [{token: $kubeadm_token}]
nodeRegistration: {criSocket: unix:///run/containerd/containerd.sock, imagePullPolicy: IfNotPresent}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$2
imageRepository: bench.invalid
etcd: {local: {imageTag: "$3"}}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {nodefs.available: 1%, imagefs.available: 1%}
CLUSTER
}

# A command for such a machine: its kubelet reads what kubeadm writes.
kubelet_of_kubeadm='printf "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml --container-runtime-endpoint=unix:///run/containerd/containerd.sock\n" > /etc/systemd/system/kubelet.service.d/99-bench.conf
systemctl daemon-reload'

# Gives an image of ours the name that kubeadm looks for: as_of_kubeadm NAME TAG, on such a machine.
as_of_kubeadm='as_of_kubeadm() {
    local tag=$2
    [ "$1" = etcd ] || tag=v$tag
    ctr -n k8s.io images tag --force "$registry/$1:$2" "bench.invalid/$1:$tag" > /dev/null 2>&1
}'
