#!/usr/bin/env bash
# The build chain: ./doit.sh [-n N] [TASK...], ./doit.sh list, ./doit.sh info TASK, ./doit.sh clean
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/go/bin"

# Tools, each with the Debian package that brings it.
missing=()
for pair in cc:gcc dpkg-deb:dpkg git:git make:make pkg-config:pkg-config xorriso:xorriso; do
    command -v "${pair%%:*}" > /dev/null || missing+=("${pair##*:}")
done
pkg-config --exists libseccomp 2> /dev/null || missing+=(libseccomp-dev)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "error: tools are missing; run: sudo apt-get install --yes ${missing[*]}" >&2
        exit 1
    fi
    echo "installing ${missing[*]}" >&2
    apt-get update --quiet=2 >&2
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}" >&2
fi
for tool in cargo go; do
    command -v "$tool" > /dev/null && continue
    echo "error: \`$tool\` is not installed; README.md says which version and how" >&2
    exit 1
done

exec cargo run --quiet --locked --package metalk8s-build -- "$@"
