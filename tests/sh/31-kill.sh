#!/bin/sh
# Goals:
# 1. SIGKILL of the mount under load: callers get an error within a second, nobody hangs.
# 2. Mounted again, each file is what was last fsynced (or a later state that was on its way); fsck and the independent reader agree.
# 3. SQLite in WAL and rollback mode: intact, with every commit that had returned.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
for seed in 1 2 3; do
	coffer mount "$tmp/v" "$mnt"
	mkdir -p "$mnt/load" "$mnt/db"
	/usr/bin/python3 "$top_srcdir/tests/mount/kill_load.py" write "$mnt/load" "$tmp/ledger" $seed >"$tmp/load.out" &
	load=$!
	/usr/bin/python3 "$top_srcdir/tests/mount/databases.py" run "$mnt/db" "$tmp/rows" 1000000 >"$tmp/db.out" 2>&1 &
	db=$!
	sleep $((seed * 2))
	kill_mount v
	wait $load && ok "seed $seed: $(cat "$tmp/load.out")" || not_ok "seed $seed: an error came late: $(cat "$tmp/load.out")"
	wait $db || not_ok "seed $seed: $(cat "$tmp/db.out")"
	coffer mount "$tmp/v" "$mnt"
	/usr/bin/python3 "$top_srcdir/tests/mount/kill_load.py" verify "$mnt/load" "$tmp/ledger" >"$tmp/out" && ok "seed $seed: $(cat "$tmp/out")" ||
		not_ok "seed $seed: $(cat "$tmp/out")"
	/usr/bin/python3 "$top_srcdir/tests/mount/databases.py" check "$mnt/db" "$tmp/rows" >"$tmp/out" 2>&1 && ok "seed $seed: $(cat "$tmp/out")" ||
		not_ok "seed $seed: $(cat "$tmp/out")"
	rm -rf "$mnt/load"
	coffer umount "$mnt"
	expect 0 coffer fsck "$tmp/v" && ok "seed $seed: fsck" || not_ok "seed $seed: fsck"
done
reader v verify >"$tmp/out" 2>&1 && ok "the independent reader agrees" || not_ok "the independent reader: $(tail -1 "$tmp/out")"
