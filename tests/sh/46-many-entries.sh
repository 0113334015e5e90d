#!/bin/sh
# Goals: 20,000 entries in a directory (MANY_ENTRIES) cost ten times what a tenth of them do, to make, list, look at and remove; a directory whose names all
# have 255 bytes works, also after another mount; and nothing is left.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
entries=${MANY_ENTRIES:-20000}

agent_start
volume v
try() { # STEP
	/usr/bin/python3 "$top_srcdir/tests/mount/many.py" "$1" "$mnt" "$(mount_pid v)" "$entries" >"$tmp/said" 2>&1 && ok "$1: $(tail -n 1 "$tmp/said")" ||
		not_ok "$1: $(tail -n 3 "$tmp/said")"
}
expect 0 coffer mount "$tmp/v" "$mnt"
try linear
try long
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
expect 0 coffer mount "$tmp/v" "$mnt"
try removed
expect 0 coffer umount "$mnt"
[ -z "$(find "$tmp/v" -mindepth 1 ! -name 'coffer.[vsrl]*')" ] && ok "nothing is left below" || not_ok "left: $(find "$tmp/v" | tail -n 3)"
