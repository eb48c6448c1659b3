#!/bin/sh
# Turns this machine into a Bootstrap node. Documented as `bootstrap.sh [--verbose] [--log-file FILE]`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/bin/metalk8s" bootstrap --archive "$here" "$@"
