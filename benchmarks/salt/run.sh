#!/usr/bin/env bash
# `salt-call --local state.apply` of files with nothing to change: Salt's beside ours, the whole process, in turn.
#
#   benchmarks/salt/run.sh [--states N] [--rounds N]
#
# METALK8S  the program to measure; by default the one of this checkout's archive
# SALT      a `salt-call` to measure beside it; by default one is installed in the cache, below `bench/salt`
# RESULT    where the figures go as JSON; by default benchmarks/salt.json below the build root
#
# Both read the same SLS file and look at the same files. Prints medians; the goal is 50 times as fast.
set -euo pipefail

salt_version=3008.3
states=1000
rounds=5
while (( $# > 0 )); do
    case $1 in
        --states) states=$2; shift 2 ;;
        --rounds) rounds=$2; shift 2 ;;
        *) echo "usage: $0 [--states N] [--rounds N]" >&2; exit 2 ;;
    esac
done
checkout=$(cd "$(dirname "$0")/../.." && pwd)
build=$("$checkout/scripts/doors/build-root")
result=${RESULT:-$build/benchmarks/salt.json}

. "$checkout/benchmarks/table.sh"
metalk8s=${METALK8S:-$build/root/bin/metalk8s}
[[ -x $metalk8s ]] || { echo "error: there is no program; make it with \`./doit.sh iso\`" >&2; exit 1; }

venv=$("$checkout/scripts/doors/cache")/bench/salt
salt=${SALT:-$venv/bin/salt-call}
if [[ -z ${SALT:-} && $("$salt" --version 2>/dev/null) != "salt-call $salt_version "* ]]; then
    echo "Installing Salt $salt_version for comparison ..." >&2
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "salt==$salt_version"
fi
export PYTHONWARNINGS=ignore
found_version=$("$salt" --version 2>/dev/null)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# --- the states --------------------------------------------------------------------------------------------

mkdir "$work/states" "$work/files" "$work/conf"
for (( number = 0; number < states; number++ )); do
    cat <<EOF
file-$number:
  file.managed:
    - name: $work/files/$number.conf
    - mode: '0644'
    - contents: |
        # Settings of service $number.
        name = service-$number
        listen = 127.0.0.1:$(( 10000 + number ))
        workers = 4
        log = /var/log/service-$number.log
EOF
done > "$work/states/bench.sls"
cat > "$work/conf/minion" <<EOF
root_dir: $work/root
file_client: local
id: bench
EOF

# --- the runs ----------------------------------------------------------------------------------------------

of_salt() { "$salt" --local -c "$work/conf" --file-root "$work/states" state.apply bench 2> "$work/salt.log"; }
of_ours() { "$metalk8s" salt-call --local --file-root "$work/states" state.apply bench 2> "$work/ours.log"; }

# who, what the summary must say: leaves the wall time in `ms`
run() {
    local start=$EPOCHREALTIME
    "of_$1" > "$work/$1.out" || { cat "$work/$1.log" "$work/$1.out" >&2; exit 1; }
    local end=$EPOCHREALTIME
    ms=$(awk -v a="$start" -v b="$end" 'BEGIN { printf "%.1f", (b - a) * 1000 }')
    grep -Eqx "$2" "$work/$1.out" || { tail "$work/$1.out" >&2; echo "error: $1 did not say \`$2\`" >&2; exit 1; }
}

new="Succeeded: +$states \\(changed=$states\\)"
nothing="Succeeded: +$states"
run ours "$new"
run ours "$nothing"
run salt "$nothing" # what ours made is right for Salt
rm -rf "$work/files"
mkdir "$work/files"
run salt "$new"
run ours "$nothing" # and the other way round
for (( round = 0; round < rounds; round++ )); do
    for who in salt ours; do
        run "$who" "$nothing"
        echo "$ms" >> "$work/$who.ms"
    done
done

# --- the result --------------------------------------------------------------------------------------------

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'; }
list() { paste -sd, "$1"; }
theirs=$(median "$work/salt.ms")
ours=$(median "$work/ours.ms")
ratio=$(awk -v a="$theirs" -v b="$ours" 'BEGIN { printf "%.0f", a / b }')
mkdir -p "$(dirname "$result")"
cat > "$result" <<EOF
{
  "benchmark": "salt",
  "states": $states,
  "peer": "$found_version",
  "peer_ms": [$(list "$work/salt.ms")],
  "ours_ms": [$(list "$work/ours.ms")],
  "peer_median_ms": $theirs,
  "ours_median_ms": $ours,
  "ratio": $ratio,
  "goal": 50
}
EOF
result "$states file states, nothing to change" "at most 1/50 of Salt" \
    "1/$ratio ($ours ms beside $theirs ms, $found_version)" "$ratio" 50 least
