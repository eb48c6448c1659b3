#!/bin/sh
# The front doors of an archive, which are this file under their documented names; `--help` behind each tells more.
#
#   bootstrap.sh      turns this machine into a Bootstrap node
#   iso-manager.sh    makes archives available
#   backup.sh         makes a backup of the Bootstrap node
set -eu
here=$(cd "$(dirname "$0")" && pwd)
name=$(basename "$0")
case $name in
    bootstrap.sh) set -- bootstrap --archive "$here" "$@" ;;
    iso-manager.sh) set -- archive add "$@" ;;
    backup.sh) set -- backup "$@" ;;
    *)
        printf '%s\n' "error: this is called \`$name\`, and not as it lies in the archive" \
            'hint: its names are `bootstrap.sh`, `iso-manager.sh` and `backup.sh`' >&2
        exit 1
        ;;
esac

# A damaged program can judge neither itself nor the rest of the archive, so it is compared before it starts.
refuse() {
    printf '%s\n' "error: the archive \`$here\` $2 ($1)" ${3:+"  cause: $3"} \
        "hint: copy the archive again, and compare its checksum with the one published beside it" \
        "hint: \`metalk8s explain $1\` tells what it means and what to do" >&2
    exit 1
}
listed=$(cat "$here/manifest.json" 2>&1) || refuse MK1302 'cannot be read' "$listed"
expected=$(printf '%s\n' "$listed" | tr -d '[:space:]' |
    LC_ALL=C sed -n 's|.*"bin/metalk8s":{[^}]*"sha256":"\([0-9a-f]\{64\}\)".*|\1|p')
[ -n "$expected" ] || refuse MK1302 'cannot be read' "its \`manifest.json\` has no sha256 of \`bin/metalk8s\`"
found=$(cd "$here" && sha256sum bin/metalk8s 2>&1) || refuse MK1302 'cannot be read' "$found"
found=${found%% *}
[ "$found" = "$expected" ] ||
    refuse MK1303 "is damaged: \`bin/metalk8s\` was changed: sha256 $found, expected $expected"

exec "$here/bin/metalk8s" "$@"
