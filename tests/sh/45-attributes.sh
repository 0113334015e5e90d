#!/bin/sh
# Goals:
# 1. Extended attributes outlive unmounting; the independent reader finds and decrypts them; nothing of them is in clear below.
# 2. A name or a value changed below is left out, or EIO, and told by fsck; the file's content is served.
# 3. Small writes ask nothing: neither for security.capability nor for attributes.
# 4. FIFOs and sockets outlive unmounting; device nodes are refused without the option dev; a FIFO or device put in place of a file below is
#    never opened by the daemon, and can be removed.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
mkdir "$tmp/probe"
requires /usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.a", b"v")' "$tmp/probe"

agent_start
volume v
try() { # STEP
	/usr/bin/python3 "$top_srcdir/tests/mount/attributes.py" "$1" "$mnt" "$tmp/v" "$(mount_pid v)" >"$tmp/said" 2>&1 && ok "$1: $(tail -n 1 "$tmp/said")" ||
		not_ok "$1: $(tail -n 3 "$tmp/said")"
}
expect 0 coffer mount "$tmp/v" "$mnt"
try make
try writes
expect 0 coffer umount "$mnt"
reader v extract "$tmp/extracted" >"$tmp/said" 2>&1 || not_ok "the independent reader: $(tail -n 3 "$tmp/said")"
mkdir "$tmp/model"
/usr/bin/python3 "$top_srcdir/tests/mount/attributes.py" check "$tmp/extracted" "$tmp/v" 0 >"$tmp/said" 2>&1 && ok "the independent reader has them: $(cat "$tmp/said")" ||
	not_ok "extracted: $(tail -n 3 "$tmp/said")"
expect 0 coffer mount "$tmp/v" "$mnt"
try check
try nodes
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
expect 0 coffer mount "$tmp/v" "$mnt"
try nodes-there
try hostile
expect 0 coffer umount "$mnt"
expect 0 coffer mount "$tmp/v" "$mnt" -o ro
try read-only
expect 0 coffer umount "$mnt"
expect 8 coffer fsck "$tmp/v" && [ "$(grep -c 'attribute does not decrypt' "$tmp/err")" = 2 ] && ok "fsck tells both" || not_ok "fsck at the end: $(cat "$tmp/err")"
expect 8 coffer fsck "$tmp/v" --repair && grep -q '2 left' "$tmp/out" && expect 8 coffer fsck "$tmp/v" && ok "a repair leaves them as they are" || not_ok "repair: $(cat "$tmp/out" "$tmp/err")"
