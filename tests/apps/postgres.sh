# postgres.sh: a PostgreSQL server of a test script, as the user of Debian's package: . "$top_srcdir/tests/apps/postgres.sh"
# shellcheck shell=sh
#
#   mnt                 the mount point is one that this user reaches
#   pg PROGRAM ARG...   one of its programs as its user, connected to the server (whose socket is in $pg_host, if that is set)
#   pg_configure DIR    the cluster's settings: no TCP, small logs, full_page_writes=off
#   pg_start DIR        start and wait until it answers
#   pg_stop DIR         stop, and wait until the process has ended, too
#   pg_sql TEXT         run it; rows to standard output
#   pg_cluster          in $mnt, mounted: a cluster with checksums, pg, started, and what pg_load needs in it
#   pg_load ROUND       start pgbench's TPC-B, for $pg_seconds (60), and clients that move money and note each commit that returned
#   pg_load_end         wait for them; they end by themselves when the server is gone
#   pg_audit            every noted transaction is there, at most one more a client ($pg_more_max), sums fit; says so in $tmp/out
#   pg_note             what was noted up to now goes to $tmp/said; pg_compare asks the server for it: all is there, sums fit; $tmp/out
#   pg_kill PID         SIGKILL of every process of the server whose postmaster this is
pg_bin=/usr/lib/postgresql/15/bin
pg_user=postgres
pg_clients="1 2 3" pg_more_max=12
requires [ -x "$pg_bin/postgres" ]
requires id -u "$pg_user"

# Where that user may go, and where names of sockets are short; what tells about commits lies outside of the volume.
pg_dir=$(mktemp -d /tmp/coffer-test-pg.XXXXXX)
cleanup_fn rm -rf "$pg_dir"
chown "$pg_user" "$pg_dir"
mnt=$pg_dir/mnt
mkdir "$mnt" "$pg_dir/ledger"
cleanup_fn umount -l "$mnt" "2>/dev/null"

pg() {
	(cd / && exec env LC_ALL=C PGHOST="${pg_host:-$pg_dir}" PGDATABASE=postgres setpriv --reuid="$pg_user" --regid="$pg_user" --clear-groups -- \
		"$pg_bin/$@")
}

pg_configure() {
	cat >>"$1/postgresql.conf" <<-END
		listen_addresses = ''
		unix_socket_directories = '$pg_dir'
		full_page_writes = off
		wal_init_zero = on
		shared_buffers = 16MB
		max_wal_size = 64MB
		min_wal_size = 32MB
		checkpoint_timeout = 30s
		autovacuum_naptime = 3s
	END
}

pg_start() {
	pg pg_ctl -D "$1" -l "$pg_dir/log" -w -t 60 start
	pg_postmaster=$(head -n 1 "$1/postmaster.pid")
}

# pg_ctl goes by postmaster.pid, which goes before the process, and with it its working directory.
pg_stop() {
	expect 0 pg pg_ctl -D "$1" -m fast -w stop || return 1
	wait_for 20 [ ! -e "/proc/$pg_postmaster/exe" ]
}

pg_sql() {
	pg psql -XAtq -v ON_ERROR_STOP=1 -c "$1"
}

# Each line is sent when the one before it is done; the number is said only if everything before it was.
pg_client() { # WHO ROUND
	/usr/bin/python3 -c 'import random, sys
who, first = int(sys.argv[1]), int(sys.argv[2]) * 1000000
for n in range(first, first + 1000000):
    a, d = random.randrange(1, 400001), random.randrange(1, 1000)
    print(f"begin; update pgbench_accounts set abalance = abalance - {d} where aid = {a};"
          f"insert into acknowledged values({who}, {n}, {d}); commit;\n\\echo {who} {n}")' "$1" "$2" 2>/dev/null |
		pg psql -Xq -v ON_ERROR_STOP=1 >"$pg_dir/ledger/$1.$2" 2>/dev/null || :
}

# shellcheck disable=SC2015 # ok does not fail
pg_cluster() {
	chmod 755 "$mnt"
	install -d -o "$pg_user" -m 700 "$mnt/pg"
	expect 0 pg initdb -D "$mnt/pg" --data-checksums --no-locale -E UTF8 -A trust && ok "initdb with checksums" || not_ok "initdb"
	pg_configure "$mnt/pg"
	expect 0 pg_start "$mnt/pg" && ok "starts" || exit 1
	expect 0 pg pgbench -q -i -s 4 postgres && ok "pgbench -i" || not_ok "pgbench -i"
	pg_sql "create extension amcheck; create table acknowledged(who int, n int, delta int, primary key(who, n)); checkpoint"
}

pg_load() {
	pg_load_pids=
	for pg_who in $pg_clients; do
		pg_client "$pg_who" "$1" &
		pg_load_pids="$pg_load_pids $!"
	done
	pg pgbench -n -c 3 -T "${pg_seconds:-60}" postgres >"$pg_dir/pgbench.$1" 2>&1 &
	pg_load_pids="$pg_load_pids $!"
}

pg_load_end() {
	for pg_pid in $pg_load_pids; do
		wait "$pg_pid" || :
	done
}

pg_kill() {
	pg_killed=$1
	# Children are in process groups of their own, and know the postmaster as their parent until it dies.
	pg_children=$(ps -o pid= --ppid "$pg_killed")
	# shellcheck disable=SC2086 # numbers are words
	kill -KILL "$pg_killed" $pg_children 2>/dev/null || :
	for pg_pid in $pg_killed $pg_children; do
		wait_for 20 [ ! -e "/proc/$pg_pid/exe" ]
	done
}
cleanup_fn pg_end

pg_end() {
	[ -z "${pg_postmaster:-}" ] || [ ! -e "/proc/$pg_postmaster/exe" ] || pg_kill "$pg_postmaster"
}

# Of the lines of clients that are at work, the whole ones.
pg_note() {
	for pg_file in "$pg_dir"/ledger/*; do
		head -n "$(wc -l <"$pg_file")" "$pg_file"
	done | sort >"$tmp/said"
}

pg_compare() {
	pg_sql "select who || ' ' || n from acknowledged" | sort >"$tmp/found"
	pg_lost=$(comm -23 "$tmp/said" "$tmp/found" | wc -l)
	pg_more=$(comm -13 "$tmp/said" "$tmp/found" | wc -l)
	pg_sums=$(pg_sql "select (select sum(abalance) from pgbench_accounts) + (select coalesce(sum(delta), 0) from acknowledged) =
		(select sum(bbalance) from pgbench_branches) and (select sum(tbalance) from pgbench_tellers) =
		(select sum(bbalance) from pgbench_branches) and (select coalesce(sum(delta), 0) from pgbench_history) =
		(select sum(bbalance) from pgbench_branches)")
	pg_history=$(pg_sql "select count(*) from pgbench_history")
	echo "$(wc -l <"$tmp/said") acknowledged, $pg_lost lost, $pg_more more; $pg_history by pgbench; sums fit: $pg_sums" >"$tmp/out"
	[ -s "$tmp/said" ] && [ "$pg_lost" = 0 ] && [ "$pg_history" -gt 0 ] && [ "$pg_sums" = t ]
}

pg_audit() {
	pg_note
	pg_compare && [ "$pg_more" -le "$pg_more_max" ]
}
