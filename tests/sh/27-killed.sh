#!/bin/sh
# Goals: the mount is killed under load, several rounds: whoever uses it gets an error within a second; it mounts again; what was fsynced
# is there and whole; the independent reader agrees about the unclean volume before, fsck finds nothing after.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
for round in 1 2 3; do
	expect 0 coffer mount "$tmp/v" "$mnt" -o dirty=16M
	for load in a b; do
		/usr/bin/python3 "$top_srcdir/tests/mount/append_load.py" "$mnt" "$load" >>"$tmp/acked.$load" 2>"$tmp/error.$load" &
	done
	tar -C "$top_srcdir" -cf - src docs 2>/dev/null | tar -C "$mnt" -xf - 2>/dev/null &
	sleep $((round % 2 + 1))
	killed=$(/usr/bin/python3 -c 'import time; print(time.monotonic())')
	kill_mount v
	wait_for 5 [ -s "$tmp/error.a" -a -s "$tmp/error.b" ]
	awk -v k="$killed" '$1 - k > 1 { exit 1 }' "$tmp/error.a" "$tmp/error.b" && ok "round $round: callers got an error within a second" ||
		not_ok "round $round: callers waited: killed at $killed, $(cat "$tmp"/error.?)"
	reader v verify >"$tmp/out" 2>&1 && ok "round $round: the reader verifies the unclean volume" || not_ok "reader: $(tail -n 5 "$tmp/out")"
	cat "$tmp"/acked.? >"$tmp/acked"
	expect 0 coffer mount "$tmp/v" "$mnt"
	/usr/bin/python3 "$top_srcdir/tests/mount/append_look.py" "$mnt" "$tmp/acked" >"$tmp/out" 2>&1 && ok "round $round: fsynced bytes are there: $(cat "$tmp/out")" ||
		not_ok "round $round: $(tail -n 1 "$tmp/out")"
	expect 0 coffer umount "$mnt"
	expect 0 coffer fsck "$tmp/v" && ok "round $round: fsck: $(sed 's/.*: //' "$tmp/out")" || not_ok "round $round: fsck"
done
