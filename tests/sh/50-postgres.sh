#!/bin/sh
# Goals:
# 1. PostgreSQL with data checksums and full_page_writes=off, as a user without privileges: load by pgbench and by clients with a ledger outside
#    of the volume; SIGKILL of the server, then of the mount, under load; it recovers each time.
# 2. Every acknowledged transaction is there, no half one; pg_amcheck and, offline, pg_checksums find nothing.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
# shellcheck source=tests/apps/postgres.sh
. "$top_srcdir/tests/apps/postgres.sh"

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
pg_cluster

for round in 1 2 3 4; do
	pg_load $round
	sleep $((2 + round))
	case $round in
	1 | 3) pg_kill "$pg_postmaster" && what="the server" ;;
	*) kill_mount v && pg_kill "$pg_postmaster" && coffer mount "$tmp/v" "$mnt" && what="the mount" ;;
	esac
	pg_load_end
	expect 0 pg_start "$mnt/pg" && ok "$what was killed: recovers" || { not_ok "$what was killed: $(tail -n 5 "$pg_dir/log")"; exit 1; }
	pg_audit && ok "$what was killed: $(cat "$tmp/out")" || not_ok "$what was killed: $(cat "$tmp/out")"
done
expect 0 pg pg_amcheck --all --heapallindexed --parent-check && ok "pg_amcheck" || not_ok "pg_amcheck"
expect 0 pg pg_dumpall -f "$pg_dir/dump" && ok "pg_dumpall reads everything" || not_ok "pg_dumpall"
pg_stop "$mnt/pg" && ok "stops" || not_ok "stops"
coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt"
expect 0 pg pg_checksums --check -D "$mnt/pg" && ok "pg_checksums: $(grep 'Blocks scanned' "$tmp/out")" || not_ok "pg_checksums"
[ "$(pg pg_controldata -D "$mnt/pg" | sed -n "s/.*full_page_writes: *//p")" = off ] && ok "without full pages in its log" || not_ok "full pages"
coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
