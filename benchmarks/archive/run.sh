#!/usr/bin/env bash
# The archive: how long the build chain takes when everything is cached, and how large the result is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. benchmarks/table.sh

./doit.sh iso > /dev/null
start=$EPOCHREALTIME
./doit.sh iso > /dev/null
seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
result "\`make iso\`, everything cached" "at most 60 s" "$seconds s" "$seconds" 60
mebibytes=$(( $(stat --format %s "$(scripts/doors/build-root)/metalk8s.iso") / 1048576 ))
result "archive" "at most 600 MiB" "$mebibytes MiB" "$mebibytes" 600
