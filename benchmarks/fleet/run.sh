#!/usr/bin/env bash
# What a fleet costs: agents of nodes that do not exist, from 10 to 1,000, at the API server and etcd of one machine
# of the lab. Each is the daemon that a node runs; all of them live in one process on this computer, which shares
# its cores with the machine. The lab is removed at the end.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
. benchmarks/table.sh
sizes=${SIZES:-10 100 300 1000}
rounds=${ROUNDS:-3}
# Seconds in which the requests of idle agents are counted.
window=300
METALK8S_LAB=bench-fleet-$(printf '%s' "$root" | sha256sum | cut -c 1-8)
export METALK8S_LAB
# In memory: every node has a disk of its own, and here there is one for all of them and for etcd.
folder=$(mktemp --directory --tmpdir=/dev/shm metalk8s-fleet.XXXXXX)
mkdir "$folder/users"
lab() { ./lab --quiet "$@"; }
machine() { lab ssh bootstrap -- "$1" < /dev/null; }
simulators=()
end() {
    (( ${#simulators[@]} == 0 )) || kill "${simulators[@]}" 2> /dev/null || true
    ./lab --quiet down > /dev/null
    rm -rf "$folder"
}
trap end EXIT

# Link-time optimisation would double the time of this build, and an agent waits most of its time.
CARGO_PROFILE_RELEASE_LTO=off cargo build --locked --quiet --release --workspace --examples
built() { find target -path "*/release/examples/$1" | head -n 1; }
program=$(built simulated)
renewing=$(built renewing)
lab down > /dev/null
lab up > /dev/null
container=$(podman ps --quiet --filter "name=metalk8s-$METALK8S_LAB-bootstrap")

# One agent's objects: itself, and its rights on itself, as the conductor makes them.
objects() {
    cat <<OBJECTS
{"apiVersion": "fleet.metalk8s.scality.com/v1alpha1", "kind": "Agent", "metadata": {"name": "$1", "namespace": "metalk8s-fleet"}, "spec": {"version": "$2", "roles": ["node"], "addresses": {"controlPlane": "192.0.2.1", "workloadPlane": "192.0.2.1"}}}
---
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "agent-$1", "namespace": "metalk8s-fleet"}, "rules": [{"apiGroups": ["fleet.metalk8s.scality.com"], "resources": ["agents"], "resourceNames": ["$1"], "verbs": ["get", "list", "watch"]}, {"apiGroups": ["fleet.metalk8s.scality.com"], "resources": ["agents/status"], "resourceNames": ["$1"], "verbs": ["get", "patch"]}]}
---
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "agent-$1", "namespace": "metalk8s-fleet"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "agent-$1"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "metalk8s:agent:$1"}]}
---
OBJECTS
}

# A certificate and a kubeconfig for each, as its node would have them, and in a group by which they are counted.
podman exec --interactive "$container" bash -c 'cat > /root/users.sh' <<'USERS'
mkdir -p /root/users && cd /root/users || exit 1
pki=/etc/kubernetes/pki
server=https://$(grep --only-matching 'advertise-address=[0-9.]*' /etc/kubernetes/manifests/kube-apiserver.yaml | cut -d = -f 2):6443
for number in $(seq "$1" "$2"); do
    openssl ecparam -name prime256v1 -genkey -noout -out key
    openssl req -new -key key -subj "/O=metalk8s:agents/O=bench:agents/CN=metalk8s:agent:sim-$number" |
        openssl x509 -req -CA $pki/ca.crt -CAkey $pki/ca.key -set_serial "$((1000000 + number))" -days 1 \
            -extfile <(echo extendedKeyUsage=clientAuth) -out crt 2> /dev/null
    cat > "sim-$number" <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "$server", certificate-authority-data: $(base64 -w0 $pki/ca.crt)}}]
users: [{name: u, user: {client-certificate-data: $(base64 -w0 crt), client-key-data: $(base64 -w0 key)}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
CONFIG
done
rm -f key crt
USERS
users='bash /root/users.sh'

version=$(sed -n 's/^VERSION=//p' "$(scripts/doors/build-root)/root/product.txt")
in_master() { machine "kubectl --kubeconfig /etc/kubernetes/admin.conf exec -n kube-system -c salt-master salt-master-bootstrap -- $1"; }
# Metrics of requests name no user, but the schema of flows that a request fits. So there is one for these agents, of
# the level that they have without it, and all that they ask for is counted: every resource and path, new watches, too.
machine "kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f - > /dev/null <<SCHEMA
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: bench-agents}
spec:
  priorityLevelConfiguration: {name: global-default}
  matchingPrecedence: 5000
  distinguisherMethod: {type: ByUser}
  rules:
    - subjects: [{kind: Group, group: {name: 'bench:agents'}}]
      resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*']}]
      nonResourceRules: [{verbs: ['*'], nonResourceURLs: ['*']}]
SCHEMA"
requests() { machine "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /metrics" | awk '/^apiserver_flowcontrol_(dispatched|rejected)_requests_total\{/ && /flow_schema="bench-agents"/ { sum += $NF } END { print sum + 0 }'; }
resident() { machine "ps -o rss= -C metalk8s -o args= | awk '/conductor/ { print \$1 }'" | awk '{ print $1 / 1024 }'; }

there=0
printf '%8s %16s %20s %24s %16s\n' agents 'ping, seconds' 'milliseconds each' 'requests each, a second' 'conductor, MiB'
for size in $sizes; do
    for number in $(seq "$there" $((size - 1))); do objects "sim-$number" "$version"; done |
        podman exec --interactive "$container" bash -c 'cat > /root/objects'
    machine "$users $there $((size - 1))"
    # Only the new ones: a kubeconfig that is written again makes its agent connect again.
    podman exec "$container" bash -c "cd /root/users && tar -c \$(seq --format 'sim-%.0f' $there $((size - 1)))" | tar -x -C "$folder/users"
    machine 'kubectl --kubeconfig /etc/kubernetes/admin.conf create -f /root/objects > /dev/null'
    "$program" "$folder/users" "$folder/spools" "$there" $((size - there)) > "$folder/log-$size" 2>&1 &
    simulators+=($!)
    there=$size
    for _ in $(seq 120); do
        told=$(machine "kubectl --kubeconfig /etc/kubernetes/admin.conf get agents -n metalk8s-fleet -o jsonpath='{range .items[*]}{.status.grains.os}{\"\\n\"}{end}'" | grep --count Simulated || true)
        (( told < size )) || break
        sleep 1
    done
    (( told == size )) || { echo "only $told of $size agents have told of themselves"; tail -n 3 "$folder/log-$size"; exit 1; }
    seconds=()
    for _ in $(seq "$rounds"); do
        seconds+=("$(in_master "bash -c 'begin=\$EPOCHREALTIME; answered=\$(salt \"sim-*\" test.ping --timeout 60 --out txt | grep --count True); echo \$answered \$begin \$EPOCHREALTIME'" | awk '{ printf "%d %.2f", $1, $3 - $2 }')")
    done
    answered=$(printf '%s\n' "${seconds[@]}" | awk -v size="$size" '$1 != size { print "only " $1 " answered" }')
    [[ -z $answered ]] || { echo "$answered of $size"; exit 1; }
    ping=$(printf '%s\n' "${seconds[@]}" | awk '{ print $2 }' | sort --numeric | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
    # A watch lasts 290 s. What an agent costs is the same for all sizes, so the first and the last show it.
    idle=-
    if [[ $size == "${sizes%% *}" || $size == "${sizes##* }" ]]; then
        sleep 20
        before=$(requests)
        (( before >= size )) || { echo "$size agents have asked for $before things: they are not counted"; exit 1; }
        sleep "$window"
        idle=$(awk -v a="$before" -v b="$(requests)" -v n="$size" -v s="$window" 'BEGIN { printf "%.4f", (b - a) / s / n }')
    fi
    memory=$(resident)
    each=$(awk -v s="$ping" -v n="$size" 'BEGIN { printf "%.1f", s * 1000 / n }')
    printf '%8s %16s %20s %24s %16.0f\n' "$size" "$ping" "$each" "$idle" "$memory"
done
read -r half last < <("$renewing" "$folder/users" 0 "$size")
printf 'certificates that are due at once for %s agents: half have theirs after %s s, the last after %s s\n' "$size" "$half" "$last"
printf 'requests: all that these agents ask the API server for in %s s. They have a watch and tell their status as any\nagent does; what a node does each hour, and when a certificate is due, they do not: look at it, renew certificates.\n' "$window"
result "\`salt '*' test.ping\`, $size agents" "at most 10 s" "$ping s" "$ping" 10
result "conductor, $size agents, resident" "at most 256 MiB" "$(printf %.0f "$memory") MiB" "$memory" 256
result "certificates for $size agents at once, the last" "at most 90 s, which an agent waits" "$last s" "$last" 90
result "requests to the API for each idle agent, $size agents" "at most 0.02 a second" "$idle a second" "$idle" 0.02
