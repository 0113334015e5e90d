#!/bin/sh
# Goals: those of tests/lock/lock.py, on a mount of this build without an agent.
# shellcheck source=tests/sh/functions.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/functions.sh"

requires [ -w /dev/fuse ]
requires [ "$(id -u)" = 0 ]
cleanup_fn umount -l "$tmp/mnt" 2\>/dev/null
/usr/bin/python3 "$top_srcdir/tests/lock/lock.py" "${top_builddir:?}/tests/lock/locker" "$tmp" 2>"$tmp/log" || {
	sed 's/^/# /' "$tmp/log"
	not_ok "tests/lock/lock.py"
}
