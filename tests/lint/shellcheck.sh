#!/bin/sh
# Every shell script of the tree, by its first line.
set -eu
cd "${top_srcdir:-.}"
command -v shellcheck >/dev/null || { echo "shellcheck is missing"; exit 77; }
# shellcheck disable=SC2046 # our names have no blanks
shellcheck -x -s sh $(find autogen.sh tests .ci quickstart -type f -exec grep -lE '^#! ?/bin/sh' {} + 2>/dev/null | sort)
# shellcheck disable=SC2046
set -- $(find runtests quickstart tests .ci -type f -exec grep -lE '^#! ?/(usr/bin/env |bin/)bash' {} + 2>/dev/null | sort)
[ $# -eq 0 ] || shellcheck -x -s bash "$@"
