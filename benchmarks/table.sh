# shellcheck shell=bash
# Read by the benchmarks: one line of the table that `make bench` prints at its end.
#
#   result WHAT MUST SEEN FIGURE LIMIT    FIGURE is at most LIMIT, or with `least` behind it at least LIMIT
result() {
    verdict=$(awk -v figure="$4" -v limit="$5" -v least="${6:-}" \
        'BEGIN { print (least == "" ? figure <= limit : figure >= limit) ? "ok" : "MISSED" }')
    printf '%s|%s|%s|%s\n' "$1" "$2" "$3" "$verdict" >> "${METALK8S_BENCH_TABLE:-/dev/null}"
    printf '%s: %s (%s), %s\n' "$1" "$3" "$2" "$verdict"
}
