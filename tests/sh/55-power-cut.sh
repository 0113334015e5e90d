#!/bin/sh
# Goals: the power fails under PostgreSQL (full_page_writes=off) on a mount on ext4 on a disk that loses, tears and reorders what was not flushed:
# 1. each write and flush of the disk is noted (tests/powercut/disk.c) under load; of moments that the seed chooses disks are made as a cut may leave them.
# 2. On each ext4 and the volume are mounted as after a crash, the server recovers, every transaction that was acknowledged before the cut is there, none by
#    half; pg_amcheck and pg_checksums find nothing, fsck neither.
# POWER_CUTS and POWER_SEED: more of them, by hand.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
# shellcheck source=tests/apps/postgres.sh
. "$top_srcdir/tests/apps/postgres.sh"
disk=$top_builddir/tests/powercut/disk
requires mkfs.ext4 -V
requires [ -x "$disk" ]
cuts=${POWER_CUTS:-4} seed=${POWER_SEED:-20261126}

# The disk and what is on it, in $tmp/fs; the mount in $mnt.
up() { # FILE
	mount -o loop,noatime "$1" "$tmp/fs"
	coffer trust --older "$tmp/fs/v" >"$tmp/out" 2>&1 || cat "$tmp/out" # a cut is older than what this host has seen
	coffer mount "$tmp/fs/v" "$mnt"
}

down() {
	wait_for 20 coffer umount "$mnt"
	wait_for 20 umount "$tmp/fs"
}

position() {
	stat -c %s "$tmp/log"
}

# What psql says, each line with the length that the log has by then.
noted() {
	while read -r noted_line; do echo "$noted_line $(position)"; done
}

agent_start
truncate -s 1G "$tmp/image"
mkfs.ext4 -q "$tmp/image"
mkdir "$tmp/fs" "$tmp/disk"
mount -o loop,noatime "$tmp/image" "$tmp/fs"
mkdir "$tmp/fs/v"
expect 0 coffer --quiet init "$tmp/fs/v" --tenant v --log-size 16
umount "$tmp/fs"
up "$tmp/image"
pg_cluster
pg_stop "$mnt/pg" || not_ok "stop"
down
cp --sparse=always "$tmp/image" "$tmp/before"

"$disk" serve "$tmp/image" "$tmp/log" "$tmp/disk" 2>"$tmp/disk.err" &
server=$!
wait_for 10 [ -e "$tmp/disk/disk" ]
up "$tmp/disk/disk"
expect 0 pg_start "$mnt/pg" || exit 1
first=$(position)
for who in $pg_clients; do
	mkfifo "$tmp/said.$who"
	noted <"$tmp/said.$who" >"$tmp/noted.$who" &
	ln -s "$tmp/said.$who" "$pg_dir/ledger/$who.1"
done
pg_load 1
sleep 12
last=$(position)
pg_kill "$pg_postmaster"
pg_load_end
kill_mount fs/v
wait_for 20 umount "$tmp/fs" # a process that was killed has closed everything a moment later
wait_for 20 umount "$tmp/disk"
wait "$server" || not_ok "the disk: $(cat "$tmp/disk.err")"
wait_for 10 [ "$(cat "$tmp"/noted.* | wc -l)" -gt 0 ]
rm "$pg_dir"/ledger/*
[ "$(cat "$tmp"/noted.* | wc -l)" -ge 20 ] && ok "$(cat "$tmp"/noted.* | wc -l) transactions acknowledged, $(((last - first) >> 20)) MiB written" ||
	not_ok "too few transactions: $(cat "$tmp"/noted.* | wc -l)"

# From where a fifth of them was acknowledged.
first=$(awk '{ print $3 }' "$tmp"/noted.* | sort -n | awk '{ at[NR] = $1 } END { print at[int(NR / 5)] }')
for k in $(seq "$cuts"); do
	at=$(/usr/bin/python3 -c 'import random, sys
print(random.Random(f"{sys.argv[1]} {sys.argv[2]}").randrange(int(sys.argv[3]), int(sys.argv[4])))' "$seed" "$k" "$first" "$last")
	cp --sparse=always "$tmp/before" "$tmp/after"
	expect 0 "$disk" cut "$tmp/after" "$tmp/log" "$at" "$k" || not_ok "cut $k"
	what="cut $k: $(cat "$tmp/out")"
	awk -v at="$at" '$3 <= at { print $1, $2 }' "$tmp"/noted.* >"$pg_dir/ledger/1.1"
	up "$tmp/after" 2>"$tmp/mount.err" || { cat "$tmp/mount.err"; not_ok "$what: mount"; exit 1; }
	rm -f "$mnt/pg/postmaster.pid" "$pg_dir"/.s.PGSQL.* # of before the boot: somebody else may have its number
	: >"$pg_dir/log"
	expect 0 pg_start "$mnt/pg" || { not_ok "$what: $(tail -n 5 "$pg_dir/log")"; exit 1; }
	pg_more_max=1000000 # what was acknowledged behind the cut, by a server that went on
	pg_audit && ok "$what: $(cat "$tmp/out")" || { not_ok "$what: $(cat "$tmp/out"); $(tail -n 12 "$pg_dir/log")"; exit 1; }
	expect 0 pg pg_amcheck --all --heapallindexed --parent-check || not_ok "$what: pg_amcheck"
	pg_stop "$mnt/pg" || not_ok "$what: stop"
	expect 0 pg pg_checksums --check -D "$mnt/pg" || not_ok "$what: pg_checksums"
	wait_for 20 coffer umount "$mnt"
	expect 0 coffer fsck "$tmp/fs/v" || not_ok "$what: fsck"
	wait_for 20 umount "$tmp/fs"
	expect 0 e2fsck -fn "$tmp/after" || not_ok "$what: e2fsck"
done
