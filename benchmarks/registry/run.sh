#!/bin/sh
# The registry beside nginx: the same files, the same clients, in turn, over the loopback; plain, and with TLS as
# a cluster uses it.
#
#   benchmarks/registry/run.sh [--rounds N] [--seconds N]
#
# METALK8S  the program to measure; by default the one of this checkout's archive
# ARCHIVE   the folder of an unpacked or mounted archive; by default that of this checkout's build, and where
#           there is none, a small one that is made for the purpose
# PORT      of our server; the next three are taken too; by default 18080
#
# Needs nginx, wrk, curl, jq, openssl. The ratio is ours to nginx's.
set -eu

rounds=5
seconds=4
port=${PORT:-18080}
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        *) echo "usage: $0 [--rounds N] [--seconds N]" >&2; exit 2 ;;
    esac
done
checkout=$(cd "$(dirname "$0")/../.." && pwd)
. "$checkout/benchmarks/table.sh"
build=$("$checkout/scripts/doors/build-root")
metalk8s=${METALK8S:-$build/root/bin/metalk8s}
for program in "$metalk8s" nginx wrk curl jq openssl; do
    command -v "$program" >/dev/null || { echo "error: \`$program\` is not there" >&2; exit 1; }
done

mkdir -p "$build"
work=$(mktemp -d -p "$build" bench-registry.XXXXXX)
servers=
finish() {
    for pid in $servers; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- the files ---------------------------------------------------------------------------------------------

if [ -z "${ARCHIVE:-}" ] && [ -e "$build/root/images/index.json" ]; then
    # The same files under the name that a mounted archive has.
    ARCHIVE=$work/root/metalk8s-$(sed -n 's/^VERSION=//p' "$build/root/product.txt")
    mkdir -p "$work/root"
    cp -al "$build/root" "$ARCHIVE"
fi
if [ -n "${ARCHIVE:-}" ]; then
    echo "the archive $(sed -n 's/^NAME=//p' "$ARCHIVE/product.txt") $(sed -n 's/^VERSION=//p' "$ARCHIVE/product.txt")"
    ARCHIVE=$(cd "$ARCHIVE" && pwd)
    root=$(dirname "$ARCHIVE") environment=$(basename "$ARCHIVE")
    images=$root/$environment/images
else
    echo "an archive made for the purpose"
    root=$work/root environment=metalk8s-0.0.0
    images=$root/$environment/images
    blobs=$images/blobs/sha256
    mkdir -p "$blobs"
    echo "NAME=MetalK8s" >"$root/$environment/product.txt"
    add() { # keeps standard input as a blob; prints its digest
        cat >"$work/blob"
        digest=$(sha256sum <"$work/blob" | cut -d' ' -f1)
        mv "$work/blob" "$blobs/$digest"
        echo "$digest"
    }
    size() { stat -c %s "$blobs/$1"; }
    # Sizes as they are found in images of Kubernetes: one small file, programs of some tens of megabytes.
    entries=
    for mebibytes in 1 4 12 24 40 64 80; do
        layer=$(head -c $((mebibytes * 1048576)) /dev/urandom | add)
        config=$(jq -n --arg d "sha256:$layer" '{architecture: "amd64", os: "linux", rootfs: {type: "layers", diff_ids: [$d]}}' | add)
        manifest=$(jq -n --arg c "sha256:$config" --argjson cs "$(size "$config")" \
            --arg l "sha256:$layer" --argjson ls "$(size "$layer")" '{
            schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
            config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs},
            layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar+zstd", digest: $l, size: $ls}]}' | add)
        entries="$entries $(jq -nc --arg d "sha256:$manifest" --argjson s "$(size "$manifest")" \
            --arg n "image-$mebibytes:1" '{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d,
            size: $s, annotations: {"org.opencontainers.image.ref.name": $n}}')"
    done
    echo "$entries" | jq -s '{schemaVersion: 2, manifests: .}' >"$images/index.json"
fi

# Every blob of every image, and every manifest by its tag.
jq -r '.manifests[] | [.annotations["org.opencontainers.image.ref.name"], .digest] | @tsv' "$images/index.json" |
    while read -r name digest; do
        image=${name%:*} tag=${name##*:}
        echo "location = /v2/$environment/$image/manifests/$tag { alias $images/blobs/sha256/${digest#sha256:}; }" \
            >>"$work/manifests.conf"
        echo "/v2/$environment/$image/manifests/$tag" >>"$work/manifests"
        jq -r '(.config, .layers[]?) | .digest' "$images/blobs/sha256/${digest#sha256:}" |
            sed "s|^|/v2/$environment/$image/blobs/|" >>"$work/blobs"
    done

# --- the servers -------------------------------------------------------------------------------------------

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=bench \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/crt.pem" 2>/dev/null
cat >"$work/nginx.conf" <<EOF
user $(id -un) $(id -gn); daemon off; pid $work/nginx.pid; worker_processes auto; error_log $work/nginx.log;
events { worker_connections 1024; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; types { }
    default_type application/vnd.oci.image.manifest.v1+json;
    client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
    ssl_certificate $work/crt.pem; ssl_certificate_key $work/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:$((port + 1));
        listen 127.0.0.1:$((port + 3)) ssl;
        include $work/manifests.conf;
        location ~ ^/v2/$environment/[^/]+/blobs/sha256:([0-9a-f]+)\$ { alias $images/blobs/sha256/\$1; }
    }
}
EOF
nginx -c "$work/nginx.conf" -e "$work/nginx.log" & servers=$!
"$metalk8s" repositories --root "$root" --listen 127.0.0.1:$port >"$work/plain.log" 2>&1 & plain=$!
servers="$servers $plain"
"$metalk8s" repositories --root "$root" --listen 127.0.0.1:$((port + 2)) \
    --tls-certificate "$work/crt.pem" --tls-key "$work/key.pem" >"$work/tls.log" 2>&1 & tls=$!
servers="$servers $tls"
plain_ours=http://127.0.0.1:$port plain_nginx=http://127.0.0.1:$((port + 1))
tls_ours=https://127.0.0.1:$((port + 2)) tls_nginx=https://127.0.0.1:$((port + 3))
first=$(head -n 1 "$work/manifests")
for each in "$plain_ours" "$plain_nginx" "$tls_ours" "$tls_nginx"; do
    curl -sf --cacert "$work/crt.pem" -o /dev/null --retry 50 --retry-connrefused --retry-delay 1 "$each$first" ||
        { cat "$work"/*.log >&2; exit 1; }
done

# --- the clients -------------------------------------------------------------------------------------------

pull_all() { # server: two clients pull all blobs, three times each; prints MiB/s
    sed "s|.*|url = \"$1&\"\noutput = \"/dev/null\"|" "$work/blobs" >"$work/pull"
    start=$(date +%s%N)
    clients=''
    for client in 1 2; do
        (for _ in 1 2 3; do curl -sf --cacert "$work/crt.pem" -K "$work/pull" -w '%{size_download}\n'; done >"$work/bytes.$client") &
        clients="$clients $!"
    done
    for client in $clients; do wait "$client" || return; done
    end=$(date +%s%N)
    cat "$work"/bytes.? | awk -v ns=$((end - start)) '{ sum += $1 } END { printf "%.0f\n", sum / 1048576 / (ns / 1e9) }'
}

manifests() { # server: fifty clients ask for small manifests; prints requests/s
    {
        echo 'local paths = {'
        sed 's|.*|"&",|' "$work/manifests"
        echo '}'
        echo 'local turn = 0'
        echo 'request = function() turn = turn % #paths + 1; return wrk.format("GET", paths[turn]) end'
        # shellcheck disable=SC2016
        echo 'done = function(s) if s.errors.status + s.errors.read + s.errors.connect > 0 then print("ERRORS") end end'
    } >"$work/manifests.lua"
    wrk -t 2 -c 50 -d "${seconds}s" -s "$work/manifests.lua" "$1" >"$work/wrk"
    if grep -q ERRORS "$work/wrk"; then cat "$work/wrk" >&2; exit 1; fi
    awk '/Requests\/sec/ { printf "%.0f\n", $2 }' "$work/wrk"
}

memory() { # process: the most memory it ever had, KiB
    awk '/VmHWM/ { print $2 }' "/proc/$1/status"
}

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
row() { # label, file, unit
    a=$(median "$work/$2.ours") b=$(median "$work/$2.nginx")
    ratio=$(echo "$a $b" | awk '{ printf "%.2f", $1 / $2 }')
    result "registry, $1" "at least 0.9 × nginx" "$ratio ($a beside $b $3)" "$ratio" 0.9 least
}

compare() { # label, our server, nginx, our process
    pull_all "$2" >/dev/null # the files are in memory from here on, for both
    pull_all "$3" >/dev/null
    manifests "$2" >/dev/null
    before=$(memory "$4")
    rm -f "$work"/*.ours "$work"/*.nginx
    for _ in $(seq "$rounds"); do
        for what in pull_all manifests; do
            $what "$2" >>"$work/$what.ours"
            $what "$3" >>"$work/$what.nginx"
        done
    done
    row "$1, 2 clients, all blobs" pull_all MiB/s
    row "$1, 50 clients, small manifests" manifests req/s
    after=$(memory "$4")
    result "registry, $1, memory" "flat" "$before KiB after the first round, $after KiB after the last" \
        "$after" "$((before + before / 4))"
}

echo "medians of $rounds rounds"
compare plain "$plain_ours" "$plain_nginx" "$plain"
compare TLS "$tls_ours" "$tls_nginx" "$tls"
