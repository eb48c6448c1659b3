#!/usr/bin/env bash
# `bootstrap.sh` beside `kubeadm init`: the time until the API server is ready, on one machine of the lab, with
# the same packages and images in place for both; before that, once on the bare machine. The lab is removed at the
# end.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
. benchmarks/table.sh
. benchmarks/kubeadm.sh
rounds=${ROUNDS:-3}
METALK8S_LAB=bench-$(printf '%s' "$root" | sha256sum | cut -c 1-8)
export METALK8S_LAB
lab() { ./lab --quiet "$@"; }
machine() { lab ssh bootstrap -- "$1" < /dev/null; }
trap './lab --quiet down > /dev/null' EXIT

./doit.sh iso components:kubeadm > /dev/null
kubeadm=$(./doit.sh info components:kubeadm | sed -n '/^targets/,$ s/^ - //p')/kubeadm
version=$(sed -n 's/^VERSION=//p' _build/root/product.txt)
bootstrap=/srv/scality/metalk8s-$version/bootstrap.sh
lab down > /dev/null
lab up > /dev/null
# The journal tells when the command's first step began and when the API server answered.
times() {
    machine 'cat "$(ls /var/lib/metalk8s/runs/*.jsonl | tail --lines 1)"' | python3 -c '
import datetime, json, sys
records = [json.loads(line) for line in sys.stdin]
at = lambda record: datetime.datetime.fromisoformat(record["at"][:26].rstrip("Z") + "+00:00").timestamp()
ready = [at(r) for r in records if r["record"] == "step_finished" and r["step"] == "control-plane"][0]
print(round(ready - at(records[0]), 1), round(at(records[-1]) - at(records[0]), 1))'
}
read -r ready all < <(times)
result "\`bootstrap.sh\`, bare machine, control plane" "at most 60 s" "$ready s" "$ready" 60
result "\`bootstrap.sh\`, bare machine, everything" "at most 120 s" "$all s" "$all" 120
container=$(podman ps --quiet --filter "name=metalk8s-$METALK8S_LAB-bootstrap")
podman cp "$kubeadm" "$container:/usr/local/bin/kubeadm"

# Everything of a cluster goes; packages and images stay, and the journals: they tell that the programs are ours.
reset='systemctl stop kubelet
crictl rmp -f -a > /dev/null 2>&1
grep " /var/lib/kubelet/" /proc/mounts | cut -d" " -f2 | xargs -r umount
rm -rf /etc/kubernetes /var/lib/kubelet /var/lib/etcd /etc/cni/net.d /var/lib/calico /etc/metalk8s/pki/repositories
mkdir -p /etc/kubernetes /var/lib/kubelet'

# kubeadm wants images by its own names.
registry=metalk8s-registry-from-config.invalid/metalk8s-$version
tag_of() { machine "ctr -n k8s.io images ls -q | sed -n 's|^$registry/$1:||p'"; }
etcd=$(tag_of etcd)
kubernetes=$(tag_of kube-apiserver)
machine "registry=$registry
$as_of_kubeadm
for name in kube-apiserver kube-controller-manager kube-scheduler; do as_of_kubeadm \$name $kubernetes; done
as_of_kubeadm etcd $etcd
cat > /root/kubeadm.yaml <<'CONFIGURATION'
$(kubeadm_configuration "$(machine "hostname -I | cut -d' ' -f1")" "$kubernetes" "$etcd")
CONFIGURATION"

ours=() theirs=() whole=()
for _ in $(seq "$rounds"); do
    machine "$reset"
    machine "$kubelet_of_kubeadm"
    theirs+=("$(machine 'start=$(date +%s.%N); kubeadm init --config /root/kubeadm.yaml --skip-phases=addon --ignore-preflight-errors=all > /root/kubeadm.log 2>&1 || { tail -n 5 /root/kubeadm.log >&2; exit 1; }; until kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz > /dev/null 2>&1; do sleep 0.1; done; end=$(date +%s.%N); echo "$end - $start" | awk "{print \$1 - \$3}"')")
    machine "$reset; rm -f /etc/systemd/system/kubelet.service.d/99-bench.conf; systemctl daemon-reload"
    machine "$bootstrap > /root/bootstrap.log 2>&1 || { tail -n 5 /root/bootstrap.log >&2; exit 1; }"
    read -r ready all < <(times)
    ours+=("$ready")
    whole+=("$all")
done
again=$(machine "start=\$EPOCHREALTIME; $bootstrap --output json 2> /dev/null > /root/again.json; echo \$EPOCHREALTIME \$start | awk '{printf \"%.1f\", \$1 - \$2}'")
changed=$(machine 'cat /root/again.json' | python3 -c 'import json, sys; print(json.load(sys.stdin)["changed"])')
printf 'seconds until the API server is ready, %s rounds\n  kubeadm init   %s\n  bootstrap.sh   %s\n  until everything is ready   %s\n' \
    "$rounds" "${theirs[*]}" "${ours[*]}" "${whole[*]}"
median() { printf '%s\n' "$@" | sort --numeric | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
mine=$(median "${ours[@]}") peer=$(median "${theirs[@]}")
ratio=$(awk -v a="$mine" -v b="$peer" 'BEGIN { printf "%.2f", a / b }')
result "\`bootstrap.sh\`, packages and images in place" "at most 1.5 × \`kubeadm init\`" \
    "$ratio ($mine s beside $peer s)" "$ratio" 1.5
result "\`bootstrap.sh\` again" "at most 5 s" "$again s" "$again" 5
result "\`bootstrap.sh\` again, states changed" "0" "$changed" "$changed" 0
