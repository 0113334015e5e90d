# database-functions.sh: what the scripts of the rig with a database ask: . /root/database-functions.sh, after functions.sh
# shellcheck shell=bash disable=SC2016,SC2034,SC2086,SC2154,SC2317
pg=postgresql@15-main.service
bin=/usr/lib/postgresql/15/bin
examples=/usr/local/share/doc/coffer/examples
[ -d $examples ] || examples=/usr/share/doc/coffer/examples
as() { # USER CMD ARG...
	local user=$1
	shift
	setpriv --reuid="$user" --regid="$user" --init-groups env HOME=/tmp "$@"
}
# The Vault server of unit bao: its files are in /srv/kms.
bao() { # request METHOD PATH [JSON]
	local what=$1
	shift
	python3 /root/bao.py "$what" /srv/kms "$@"
}
another() { local now; now=$(main_pid "$1") && [ "$now" != 0 ] && [ "$now" != "$2" ] && state_is "$1" active; }
# Its process has ended, whatever became of the unit.
stopped() { [ "$(main_pid "$1")" != "$2" ] || { systemctl status "$1"; return 1; }; }
# Or it goes on and can do nothing: a server that had nothing to write when the key went lets nobody in. What is written here changes nothing.
out_of_use() { stopped "$1" "$2" >/dev/null || ! as postgres timeout 20 psql -XqAt -d bench -c "update pgbench_branches set bbalance = bbalance"; }
restarted() { [ "$(systemctl show -P NRestarts coffer@acme)" -ge "$1" ]; }
lease() { # NAME STATE
	coffer --json status | python3 -c 'import json, sys
m = {m["mountpoint"]: m["lease"] for m in json.load(sys.stdin)["mounts"]}
print(m)
sys.exit(m["/mnt/" + sys.argv[1]]["state"] != sys.argv[2])' "$1" "$2"
}
acked() { echo $(($(tail -n 1 /srv/app/acked))); }
commits() { [ "$(acked)" -gt "$1" ]; }
query() { as postgres psql -XqAt -d bench -c "$1"; }
# What the client was told of before we ask is there.
nothing_lost() {
	cp /srv/app/acked /tmp/acked && query "select n from numbers" >/tmp/numbers || return 1
	[ -s /tmp/acked ] && [ -z "$(comm -23 <(sort -u /tmp/acked) <(sort -u /tmp/numbers))" ]
}
sums_agree() {
	[ "$(query "select (select sum(abalance) from pgbench_accounts) = (select sum(tbalance) from pgbench_tellers)
		and (select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)
		and (select sum(bbalance) from pgbench_branches) = coalesce((select sum(delta) from pgbench_history), 0)")" = t ]
}
# Two clients that change nothing meanwhile: amcheck of heap and indexes, and each page's checksum while it reads.
verified() {
	local status=0
	systemctl stop app load
	as postgres $bin/pg_amcheck --install-missing --heapallindexed -d bench || status=$?
	systemctl start app load
	return $status
}
# What lies below the mount, seen where nothing is mounted on it.
bare() { # CMD ARG...: run there
	local at status=0
	at=$(mktemp -d /tmp/below.XXXXXX) && mount --bind / "$at" || return 1
	(cd "$at/mnt/acme" && "$@") || status=$?
	umount "$at" && rmdir "$at" && return $status
}
bare_is_empty() { bare sh -c '[ -z "$(ls -A)" ]'; }
# There a cluster lies that would start.
decoy_is_left_alone() { bare sh -c '[ -e 15/PG_VERSION ] && [ ! -e 15/postmaster.pid ] && [ -z "$(find . -newer /srv/decoy-made)" ]'; }
