#!/bin/sh
# Goals:
# 1. A mounted volume under load (SQLite in two journal modes, files that are renamed between directories without end) is backed up without being stopped for longer than the mount allows; what was acknowledged before the backup began is in
#    it, the databases are whole, every file is in exactly one place. Generation after generation, each restored and checked; COFFER_GENERATIONS is how many (20; stage "generations" takes 100).
# 2. A generation sends only what changed of a big file. A mount that lost its agent is not backed up (exit 10), and goes on.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
load=$top_srcdir/tests/mount/backup_load.py
mkdir "$tmp/store" "$tmp/mnt2"
agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/db"
dd if=/dev/urandom of="$mnt/big" bs=1M count=60 status=none
sync "$mnt/big"
# By way of a bind mount of a part, which is not where the volume is mounted. The load writes what was acknowledged beside it.
mkdir "$tmp/load"
mount --bind "$mnt/db" "$tmp/load"
generations=${COFFER_GENERATIONS:-20}
/usr/bin/python3 "$load" "$tmp/load" run "$((generations * 600))" >"$tmp/load.out" 2>&1 & # it is ended by our end
pid=$!
wait_for 30 [ -s "$tmp/acked.WAL" ]
wait_for 30 [ -s "$tmp/acked.DELETE" ]
wait_for 30 [ -s "$tmp/acked.movers" ]
generation=0 again=0
while [ "$generation" -lt "$generations" ]; do
	generation=$((generation + 1))
	wal=$(cat "$tmp/acked.WAL") delete=$(cat "$tmp/acked.DELETE")
	[ "$generation" != 4 ] || printf y | dd of="$mnt/big" bs=1 seek=30000000 conv=notrunc,fsync status=none
	tries=0
	while :; do # more than a slow machine copies in the hold: it says 19, and is said again
		code=0
		coffer --json backup run "$tmp/v" "$store" >"$tmp/out" 2>"$tmp/err" || code=$?
		tries=$((tries + 1))
		[ "$code" = 19 ] && [ "$tries" -lt 5 ] || break
	done
	again=$((again + tries - 1))
	[ "$code" = 0 ] || { not_ok "generation $generation: $code: $(cat "$tmp/err")"; break; }
	sent=$(/usr/bin/python3 -c 'import json, sys; d = json.load(sys.stdin); assert d["frozen_ms"] < 5000 and d["problems"] == 0; print(d["bytes_sent"], d["rounds"] * (d["bytes"] - 50000000))' <"$tmp/out") || not_ok "generation $generation: $(cat "$tmp/out")"
	# Of the 60 MiB that stand still one window at most is sent again; of the rest each round sends what it finds.
	[ "$generation" = 1 ] || [ "${sent% *}" -lt "${sent#* }" ] || not_ok "generation $generation sent $sent"
	expect 0 coffer --quiet restore "$store" latest "$tmp/r"
	expect 0 coffer --quiet trust "$tmp/r"
	expect 0 coffer fsck "$tmp/r" || not_ok "generation $generation: fsck: $(cat "$tmp/out" "$tmp/err")"
	expect 0 coffer mount "$tmp/r" "$tmp/mnt2"
	/usr/bin/python3 "$load" "$tmp/mnt2/db" check "$wal" "$delete" >"$tmp/check" 2>&1 && ok "generation $generation (${sent% *} bytes sent): $(cat "$tmp/check")" || not_ok "generation $generation: $(tail -3 "$tmp/check"; cat "$tmp/out")"
	cmp "$mnt/big" "$tmp/mnt2/big" || not_ok "generation $generation: big differs"
	expect 0 coffer umount "$tmp/mnt2"
	rm -rf "$tmp/r"
	[ "$((generation % 10))" != 0 ] || expect 0 coffer --quiet backup prune "$store" --keep-last 2 --grace 0 || not_ok "prune: $(cat "$tmp/err")"
done
[ "$generation" = "$generations" ] && ok "$generation generations; said again $again times"
expect 0 coffer backup show "$store" && grep -q '^way *\(frozen\|cloned\), log empty$' "$tmp/out" && ok "$(grep rounds "$tmp/out")" || not_ok "show: $(cat "$tmp/out")"
expect 0 coffer backup verify "$store" && ok "verify" || not_ok "verify: $(cat "$tmp/err")"
[ -e "/proc/$pid/exe" ] && ok "the load went on" || not_ok "the load has ended: $(cat "$tmp/load.out")"
agent_stop
expect 10 coffer backup run "$tmp/v" "$store" && [ -e "/proc/$pid/exe" ] && ok "no agent: exit 10" || not_ok "without an agent: $(cat "$tmp/err")"
kill "$pid"
wait "$pid" 2>/dev/null || :
