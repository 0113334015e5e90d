#!/bin/sh
# Goals: SQLite with a write-ahead log and with a rollback journal: transactions by two processes, the mount is killed in the middle; after
# it mounts again integrity_check is ok and every acknowledged transaction is there, no half one.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
for mode in wal delete; do
	for round in 1 2 3; do
		expect 0 coffer mount "$tmp/v" "$mnt"
		[ $round = 1 ] || { /usr/bin/python3 "$top_srcdir/tests/mount/bank_audit.py" "$mnt/$mode.db" "$tmp/said.$mode" >"$tmp/out" 2>&1 &&
			ok "$mode, kill $((round - 1)): $(cat "$tmp/out")" || not_ok "$mode, kill $((round - 1)): $(tail -n 1 "$tmp/out")"; }
		for who in ann bob; do
			/usr/bin/python3 "$top_srcdir/tests/mount/bank.py" "$mnt/$mode.db" $mode $who >>"$tmp/said.$mode" 2>/dev/null &
		done
		sleep 2
		kill_mount v
	done
done
expect 0 coffer fsck "$tmp/v" && ok "fsck: $(sed 's/.*: //' "$tmp/out")" || not_ok "fsck"
