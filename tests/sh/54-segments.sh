#!/bin/sh
# Goals:
# 1. An index of many small segments, written, fsynced, renamed, merged and deleted, with readers that hold deleted files open and map them:
#    every read is right.
# 2. The mount is killed in the middle: the last commit point that was acknowledged, or the next, opens, with every file it names.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/index"
expect 0 /usr/bin/python3 "$top_srcdir/tests/mount/segments.py" "$mnt/index" "$tmp/said" 8 && ok "$(cat "$tmp/out")" || not_ok "undisturbed"
for round in 1 2 3; do
	/usr/bin/python3 "$top_srcdir/tests/mount/segments.py" "$mnt/index" "$tmp/said" 30 >"$tmp/load.out" 2>&1 &
	load=$!
	sleep $((3 + round))
	kill_mount v
	status=0 && wait $load || status=$?
	# A mapping of a mount that has died ends its process with SIGBUS.
	[ $status = 2 ] || [ $status = 135 ] && ok "kill $round: $(paste -sd' ' "$tmp/load.out")" || not_ok "kill $round: $status $(cat "$tmp/load.out")"
	coffer mount "$tmp/v" "$mnt"
	expect 0 /usr/bin/python3 "$top_srcdir/tests/mount/segments.py" audit "$mnt/index" "$tmp/said" && ok "kill $round: $(cat "$tmp/out")" || not_ok "kill $round"
done
coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
