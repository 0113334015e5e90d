#!/bin/sh
# Goals:
# 1. A PostgreSQL server under load, with data checksums and full_page_writes=off, is backed up generation after generation through a live mount. Each generation is restored and mounted
#    beside the original, where another server recovers it: what was acknowledged before the backup began is there, no half transaction, pg_amcheck finds nothing.
# 2. COFFER_GENERATIONS is how many (20; stage "generations" takes 100).
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
# shellcheck source=tests/apps/postgres.sh
. "$top_srcdir/tests/apps/postgres.sh"

XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
mkdir "$tmp/store"
# A server of its own for what was restored, reached by another socket.
other=$pg_dir/other
mkdir "$other" "$other/mnt"
chown "$pg_user" "$other"
cleanup_fn umount -l "$other/mnt" "2>/dev/null"
other_pid=
other_kill() {
	[ -z "$other_pid" ] || [ ! -e "/proc/$other_pid/exe" ] || pg_kill "$other_pid"
}
cleanup_fn other_kill

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
pg_cluster
generations=${COFFER_GENERATIONS:-20}
pg_seconds=$((generations * 600)) # it is ended by the server's end
pg_load 1
some_are_acknowledged() {
	[ "$(cat "$pg_dir"/ledger/* | wc -l)" -gt "$1" ]
}

check_other() {
	rm -f "$other/mnt/pg/postmaster.pid" # names the first server, which is alive
	expect 0 pg pg_ctl -D "$other/mnt/pg" -o "-k $other" -l "$other/log" -w -t 120 start || { not_ok "$1: does not start: $(tail -n 5 "$other/log")"; return; }
	other_pid=$(head -n 1 "$other/mnt/pg/postmaster.pid")
	pg_host=$other
	pg_compare && ok "$1: $(cat "$tmp/out")" || not_ok "$1: $(cat "$tmp/out")"
	expect 0 pg pg_amcheck --all --heapallindexed --parent-check || not_ok "$1: pg_amcheck"
	pg_host=
	expect 0 pg pg_ctl -D "$other/mnt/pg" -m fast -w stop || not_ok "$1: does not stop"
	wait_for 60 [ ! -e "/proc/$other_pid/exe" ] # its pid file goes first, and then the process, which has the mount for its working directory
	[ "$n" -lt "$generations" ] || { expect 0 pg pg_checksums --check -D "$other/mnt/pg" && ok "pg_checksums: $(grep 'Blocks scanned' "$tmp/out")" || not_ok "pg_checksums"; }
}

most=0 again=0 n=0 noted=0
while [ "$n" -lt "$generations" ]; do
	n=$((n + 1))
	wait_for 60 some_are_acknowledged "$noted" # since the last generation
	pg_note
	noted=$(wc -l <"$tmp/said") tries=0
	while :; do # more than a slow machine copies in the hold: it says 19, and is said again
		code=0
		coffer --json backup run "$tmp/v" "$store" >"$tmp/run" 2>"$tmp/err" || code=$?
		tries=$((tries + 1))
		[ "$code" = 19 ] && [ "$tries" -lt 5 ] || break
	done
	again=$((again + tries - 1))
	[ "$code" = 0 ] || { not_ok "generation $n: $code: $(cat "$tmp/err")"; break; }
	grep -q '"problems":0[,}]' "$tmp/run" || not_ok "generation $n: $(cat "$tmp/run")"
	ms=$(sed 's/.*"frozen_ms":\([0-9]*\).*/\1/' "$tmp/run")
	[ "$ms" -le "$most" ] || most=$ms
	expect 0 coffer --quiet restore "$store" latest "$tmp/r"
	expect 0 coffer --quiet trust "$tmp/r"
	expect 0 coffer fsck "$tmp/r" || not_ok "generation $n: fsck: $(cat "$tmp/out" "$tmp/err")"
	expect 0 coffer mount "$tmp/r" "$other/mnt"
	check_other "generation $n"
	expect 0 coffer umount "$other/mnt"
	rm -rf "$tmp/r"
	[ "$((n % 10))" != 0 ] || expect 0 coffer --quiet backup prune "$store" --keep-last 2 --grace 0 || not_ok "prune: $(cat "$tmp/err")"
done
[ "$n" = "$generations" ] && ok "$n generations; held for at most $most ms; said again $again times"
expect 0 coffer backup verify "$store" && ok "verify" || not_ok "verify: $(cat "$tmp/err")"
pg_stop "$mnt/pg" && ok "the server went on, and stops" || not_ok "the first server"
pg_load_end
expect 0 coffer umount "$mnt"
