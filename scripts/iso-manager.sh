#!/bin/sh
# Makes archives available: `iso-manager.sh [-a|--archive PATH]... [-d|--dry-run] [-l|--log-file FILE] [-v|--verbose]`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/bin/metalk8s" archive add "$@"
