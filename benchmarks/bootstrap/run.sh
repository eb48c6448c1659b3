#!/usr/bin/env bash
# `bootstrap.sh` beside `kubeadm init`: the time from the start of the process until the API server answers `/readyz`,
# on one machine of the lab, with the same packages and images in place for both; before that, once on the bare
# machine. The lab is removed at the end.
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
version=$(sed -n 's/^VERSION=//p' "$(scripts/doors/build-root)/root/product.txt")
folder=/srv/scality/metalk8s-$version
bootstrap=$folder/bootstrap.sh
lab down > /dev/null
lab up --no-bootstrap > /dev/null
# What `lab up` does before it runs the script.
read -r address control workload < <(lab status --output json | python3 -c 'import json, sys
lab = json.load(sys.stdin)
print(lab["machines"][0]["control"], lab["control_plane"], lab["workload_plane"])')
machine "mkdir -p $folder /etc/metalk8s
mount /archives/metalk8s.iso $folder
cat > /etc/metalk8s/bootstrap.yaml <<CONFIGURATION
apiVersion: metalk8s.scality.com/v1alpha2
kind: BootstrapConfiguration
networks: {controlPlane: $control, workloadPlane: $workload}
ca: {minion: bootstrap}
archives: [/archives/metalk8s.iso]
CONFIGURATION"

# One clock for both, for the machine: clock COMMAND... prints the seconds from the start of the process until the API
# server answers `/readyz`, and until the process has ended. Both let anybody ask for that path.
clock='clock() {
    local start ready end
    answers() { curl --silent --fail --insecure --max-time 1 --output /dev/null "https://$address:6443/readyz"; }
    failed() { tail -n 5 /root/clock.log >&2; return 1; }
    ! answers || { echo "an API server answers already" >&2; return 1; }
    rm -f /root/clock.code
    start=$EPOCHREALTIME
    { "$@" > /root/clock.log 2>&1; echo $? > /root/clock.code; } &
    until answers; do
        [ $SECONDS -lt 600 ] && ! grep --quiet --no-messages "[^0]" /root/clock.code || { failed; return; }
        sleep 0.1
    done
    ready=$EPOCHREALTIME
    wait
    end=$EPOCHREALTIME
    [ "$(cat /root/clock.code)" = 0 ] || { failed; return; }
    echo "$start $ready $end" | awk "{ printf \"%.1f %.1f\\n\", \$2 - \$1, \$3 - \$1 }"
}'
clocked() { machine "address=$address
$clock
clock $1"; }
figures=$(clocked "$bootstrap")
read -r ready all <<< "$figures"
result "\`bootstrap.sh\`, bare machine, control plane" "at most 60 s" "$ready s" "$ready" 60
result "\`bootstrap.sh\`, bare machine, everything" "at most 120 s" "$all s" "$all" 120
container=$(podman ps --quiet --filter "name=metalk8s-$METALK8S_LAB-bootstrap")
podman cp "$kubeadm" "$container:/usr/local/bin/kubeadm"

# Everything of a cluster goes; packages and images stay, and the journals: they tell that the programs are ours. The
# note /var/lib/metalk8s/verified.json stays as well: an archive that was compared with its manifest is not compared again
# while its file looks the same.
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
    figures=$(clocked "kubeadm init --config /root/kubeadm.yaml --skip-phases=addon --ignore-preflight-errors=all")
    theirs+=("${figures% *}")
    machine "$reset; rm -f /etc/systemd/system/kubelet.service.d/99-bench.conf; systemctl daemon-reload"
    figures=$(clocked "$bootstrap")
    ours+=("${figures% *}")
    whole+=("${figures#* }")
done
again=$(machine "start=\$EPOCHREALTIME; $bootstrap --output json 2> /dev/null > /root/again.json; echo \$EPOCHREALTIME \$start | awk '{printf \"%.1f\", \$1 - \$2}'")
changed=$(machine 'cat /root/again.json' | python3 -c 'import json, sys; print(json.load(sys.stdin)["changed"])')
printf 'seconds from the start of the process until the API server answers /readyz, %s rounds\n  kubeadm init   %s\n  bootstrap.sh   %s\n  until bootstrap.sh has ended   %s\n' \
    "$rounds" "${theirs[*]}" "${ours[*]}" "${whole[*]}"
printf 'in place for both: packages, images; for bootstrap.sh also the note that its archive was verified, so that it is not compared with its manifest again\n'
median() { printf '%s\n' "$@" | sort --numeric | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
mine=$(median "${ours[@]}") peer=$(median "${theirs[@]}")
ratio=$(awk -v a="$mine" -v b="$peer" 'BEGIN { printf "%.2f", a / b }')
result "\`bootstrap.sh\`, packages and images in place" "at most 1.5 × \`kubeadm init\`" \
    "$ratio ($mine s beside $peer s)" "$ratio" 1.5
result "\`bootstrap.sh\` again" "at most 5 s" "$again s" "$again" 5
result "\`bootstrap.sh\` again, states changed" "0" "$changed" "$changed" 0
