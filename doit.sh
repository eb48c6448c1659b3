#!/usr/bin/env bash
# The build chain; ./doit.sh --help tells more:
# ./doit.sh [-n N] [TASK...], ./doit.sh list|info|clean|graph|reproduce|tabcompletion
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/go/bin"
scripts/doors/prepare build
exec scripts/doors/run metalk8s-build "$@"
