#!/usr/bin/env bash
# `metalk8s node deploy` beside `kubeadm join`: a bare machine; one with the packages of a node installed, for both;
# three bare machines at once; one that is a node already. And what an agent costs that has nothing to do but the look
# at its node each hour. All machines share the cores of this computer; one and three at once are also measured with a
# part of a core for each of the three. The lab is removed at the end.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
. benchmarks/table.sh
. benchmarks/kubeadm.sh
rounds=${ROUNDS:-3}
METALK8S_LAB=bench-join-$(printf '%s' "$root" | sha256sum | cut -c 1-8)
export METALK8S_LAB
lab() { ./lab --quiet "$@"; }
on() { lab ssh "$1" -- "$2" < /dev/null; }
trap './lab --quiet down > /dev/null' EXIT

./doit.sh iso components:kubeadm > /dev/null
kubeadm=$(./doit.sh info components:kubeadm | sed -n '/^targets/,$ s/^ - //p')/kubeadm
version=$(sed -n 's/^VERSION=//p' "$(scripts/doors/build-root)/root/product.txt")
lab down > /dev/null
lab up --machines 4 > /dev/null
kubectl='kubectl --kubeconfig /etc/kubernetes/admin.conf'
address() { on "$1" "hostname -I | cut -d' ' -f1"; }
# Applies the Node object of a worker.
described() {
    on bootstrap "$kubectl apply -f - > /dev/null <<NODE
apiVersion: v1
kind: Node
metadata:
  name: $1
  annotations: {metalk8s.scality.com/ssh-host: \"$(address "$1")\"}
  labels: {metalk8s.scality.com/version: \"$version\", node-role.kubernetes.io/node: \"\"}
NODE"
}
# Forgets a node whose machine was cleared by hand.
forgotten() {
    on bootstrap "$kubectl delete node $1 > /dev/null
    $kubectl exec -n kube-system -c salt-master salt-master-bootstrap -- salt-key --yes -d $1 > /dev/null"
}
# Seconds of a command on the Bootstrap node.
timed() {
    on bootstrap "begin=\$EPOCHREALTIME
    $1 > /root/timed 2>&1 || { tail -n 5 /root/timed >&2; exit 1; }
    echo \$EPOCHREALTIME \$begin | awk '{ printf \"%.1f\", \$1 - \$2 }'"
}
median() { printf '%s\n' "$@" | sort --numeric | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
deploy="metalk8s node deploy --no-progress"

for node in node1 node2 node3; do described "$node"; done
bare=$(timed "$deploy node1")
again=$(timed "$deploy node1")
on bootstrap "metalk8s node remove node1 --yes --no-progress > /dev/null 2>&1"
# Its agent ends some seconds after it has told of it. A deployment waits for that, which is not to be measured.
sleep 10
described node1
three=$(timed "$deploy node1 node2 node3")

# A machine with a part of a core of its own, in microseconds of each 100,000, takes nothing from the others.
quota() { podman update --cpu-quota="$2" "$(podman ps --quiet --filter "name=metalk8s-$METALK8S_LAB-$1")" > /dev/null; }
for node in node1 node2 node3; do
    on bootstrap "metalk8s node remove $node --yes --no-progress > /dev/null 2>&1"
    quota "$node" 40000
done
sleep 30
for node in node1 node2 node3; do described "$node"; done
slow=$(timed "$deploy node1")
on bootstrap "metalk8s node remove node1 --yes --no-progress > /dev/null 2>&1"
sleep 30
described node1
slow_three=$(timed "$deploy node1 node2 node3")
for node in node1 node2 node3; do quota "$node" 200000; done

# What the unit has used of a core, with all processes that it has started, in microseconds: beside a hierarchy of
# version 1 systemd keeps one of version 2, where each group has its time.
used() {
    on node1 'for folder in /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [ ! -e "$folder/system.slice/metalk8s-agent.service/cpu.stat" ] || break
    done
    awk "/^usage_usec/ { print \$2 }" "$folder/system.slice/metalk8s-agent.service/cpu.stat"'
}
# A deployment is followed by a look at the node, which must have ended.
sleep 60
before=$(used)
sleep 60
idle=$(awk -v a="$before" -v b="$(used)" 'BEGIN { printf "%.4f", (b - a) / 60e6 * 100 }')
# The look that comes each hour: the agent starts the same process, and one that fails early would cost little.
look=$(on node1 'seen=/var/lib/metalk8s/metrics/metalk8s_drift.prom
    touch /root/before
    TIMEFORMAT="%U %S"
    { time metalk8s look --node node1 > /root/look 2>&1; } 2>&1
    [ "$seen" -nt /root/before ] && grep --quiet "^metalk8s_drift_check_failed 0" "$seen" || {
        tail -n 5 /root/look >&2
        exit 1
    }' | awk '{ print $1 + $2 }')
share=$(awk -v idle="$idle" -v look="$look" 'BEGIN { printf "%.3f", idle + look / 3600 * 100 }')
memory=$(on node1 'awk "/^VmRSS/ { print \$2 / 1024 }" "/proc/$(systemctl show --property MainPID --value metalk8s-agent)/status"')

# Everything of a cluster goes; packages and images stay, and the journals: they tell that the programs are ours.
gone='systemctl stop kubelet metalk8s-agent 2> /dev/null
crictl rmp -f -a > /dev/null 2>&1
grep " /var/lib/kubelet/" /proc/mounts | cut -d" " -f2 | xargs -r umount
rm -rf /etc/kubernetes /var/lib/kubelet /var/lib/etcd /etc/cni/net.d /var/lib/calico /etc/metalk8s/pki /var/lib/metalk8s/agent
ip link delete vxlan.calico 2> /dev/null
ip route flush protocol 80 2> /dev/null
mkdir -p /etc/kubernetes/manifests /var/lib/kubelet'

# A cluster of kubeadm on one machine, with our packages, our images under its names, and a bridge for pods.
images='registry=metalk8s-registry-from-config.invalid/metalk8s-'$version'
tag_of() { sed -n "s|^ *image: .*/$1:\([^\"]*\).*|\1|p" "/etc/kubernetes/manifests/$1.yaml" | head -n 1; }'
etcd=$(on bootstrap "$images
tag_of etcd")
kubernetes=$(on bootstrap "$images
tag_of kube-apiserver")
on node2 "$images
$as_of_kubeadm
for name in kube-apiserver kube-controller-manager kube-scheduler; do
    crictl pull \$registry/\$name:$kubernetes > /dev/null
    as_of_kubeadm \$name $kubernetes
done
crictl pull \$registry/etcd:$etcd > /dev/null
as_of_kubeadm etcd $etcd"
for node in node2 node3; do
    forgotten "$node"
    podman cp "$kubeadm" "$(podman ps --quiet --filter "name=metalk8s-$METALK8S_LAB-$node"):/usr/local/bin/kubeadm"
    on "$node" "rm -f /etc/systemd/system/kubelet.service.d/09-standalone.conf
    $kubelet_of_kubeadm"
done
bridge='mkdir -p /etc/cni/net.d
cat > /etc/cni/net.d/10-bench.conflist <<BRIDGE
{"cniVersion": "1.0.0", "name": "bench", "plugins": [{"type": "bridge", "bridge": "bench0",
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]]}}]}
BRIDGE'
on node2 "$gone
$bridge
cat > /root/kubeadm.yaml <<'CONFIGURATION'
$(kubeadm_configuration "$(address node2)" "$kubernetes" "$etcd")
CONFIGURATION
kubeadm init --config /root/kubeadm.yaml --skip-phases=addon --ignore-preflight-errors=all > /root/kubeadm.log 2>&1 || { tail -n 5 /root/kubeadm.log >&2; exit 1; }"
ready="until $kubectl get node node3 2> /dev/null | grep --quiet ' Ready '; do sleep 0.1; done; echo \$EPOCHREALTIME"
ours=() theirs=()
for _ in $(seq "$rounds"); do
    on node2 "$kubectl delete node node3 --ignore-not-found > /dev/null"
    on node3 "$gone
    $bridge"
    begin=$EPOCHREALTIME
    on node3 "kubeadm join $(address node2):6443 --token $kubeadm_token --discovery-token-unsafe-skip-ca-verification --ignore-preflight-errors=all > /root/kubeadm.log 2>&1 || { tail -n 5 /root/kubeadm.log >&2; exit 1; }"
    theirs+=("$(awk -v a="$begin" -v b="$(on node2 "$ready")" 'BEGIN { printf "%.1f", b - a }')")
    forgotten node1
    on node1 "$gone"
    described node1
    ours+=("$(timed "$deploy node1")")
done
printf 'seconds until a worker is Ready, packages and images in place, %s rounds\n  kubeadm join           %s\n  metalk8s node deploy   %s\n' \
    "$rounds" "${theirs[*]}" "${ours[*]}"
mine=$(median "${ours[@]}") peer=$(median "${theirs[@]}")
result "a bare machine becomes a worker" "at most 40 s" "$bare s" "$bare" 40
result "a worker, packages and images in place" "at most 3 × \`kubeadm join\`" "$(ratio "$mine" "$peer") ($mine s beside $peer s)" "$(ratio "$mine" "$peer")" 3
result "three bare machines at once" "at most 1.5 × one" "$(ratio "$three" "$bare") ($three s beside $bare s)" "$(ratio "$three" "$bare")" 1.5
result "three bare machines at once, 0.4 of a core each" "at most 1.5 × one" "$(ratio "$slow_three" "$slow") ($slow_three s beside $slow s)" "$(ratio "$slow_three" "$slow")" 1.5
result "a worker deployed again" "at most 5 s" "$again s" "$again" 5
result "agent with nothing to do, resident" "at most 20 MiB" "$(printf %.1f "$memory") MiB" "$memory" 20
result "agent with nothing to do, and a look at its node each hour" "at most 0.1 % of a core" \
    "$share % ($idle % in a minute, $look s of a core for a look)" "$share" 0.1
