#!/bin/sh
# Goals: on a backing filesystem whose files can share blocks (XFS, btrfs) the last round of a mounted volume's backup is of clones:
# 1. The manifest says so, the mount holds still for less than reading takes, and what was acknowledged is in it, whole, as in 78-backup-live.sh. Nothing is left of a clone, also when the run is killed.
# 2. Where no clone can be made (the volume cannot be written to from here, too little space) it is done as elsewhere, and the manifest says that.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; inner shells expand
. "${top_srcdir:?}/tests/sh/volume.sh"
for kind in xfs btrfs; do
	requires "mkfs.$kind" -V
	modprobe "$kind" 2>/dev/null || :
	requires grep -qw "$kind" /proc/filesystems
done
load=$top_srcdir/tests/mount/backup_load.py
store=file://$tmp/store
load_pid=
load_end() {
	[ -z "$load_pid" ] || kill "$load_pid" 2>/dev/null || :
	[ -z "$load_pid" ] || wait "$load_pid" 2>/dev/null || :
	load_pid=
}
cleanup_fn load_end
way() { # WAY TEXT: of the newest snapshot
	expect 0 coffer --json backup show "$store"
	grep -q "\"way\":\"$1\"" "$tmp/out" && ok "$2: $1, held for $(sed 's/.*"frozen_ms":\([0-9]*\).*/\1/' "$tmp/out") ms" || not_ok "$2: not $1: $(cat "$tmp/out")"
}
back() { # TEXT: the newest is whole, and has what was acknowledged
	expect 0 coffer --quiet restore "$store" latest "$tmp/r" && expect 0 coffer --quiet trust "$tmp/r" && expect 0 coffer fsck "$tmp/r" || not_ok "$1: $(cat "$tmp/out" "$tmp/err")"
	expect 0 coffer mount "$tmp/r" "$tmp/mnt2"
	/usr/bin/python3 "$load" "$tmp/mnt2/db" check "$wal" "$delete" >"$tmp/check" 2>&1 && ok "$1: $(cat "$tmp/check")" || not_ok "$1: $(tail -3 "$tmp/check")"
	expect 0 coffer umount "$tmp/mnt2"
	rm -rf "$tmp/r"
}
acked() {
	wal=$(cat "$tmp/acked.WAL") delete=$(cat "$tmp/acked.DELETE")
}
agent_start
mkdir "$tmp/mnt2" "$tmp/load"
for kind in xfs btrfs; do
	XDG_CACHE_HOME=$tmp/cache-$kind
	export XDG_CACHE_HOME
	rm -rf "$tmp/store"
	mkdir "$tmp/store" "$tmp/$kind"
	truncate -s 6G "$tmp/$kind.img"
	"mkfs.$kind" -q "$tmp/$kind.img" >/dev/null 2>&1
	mount -o loop "$tmp/$kind.img" "$tmp/$kind" || { echo "skipped: needs loop devices"; exit 77; }
	coffer --quiet init "$tmp/$kind/v" --tenant v --log-size 16
	mkdir -p "$mnt"
	expect 0 coffer mount "$tmp/$kind/v" "$mnt"
	mkdir "$mnt/db"
	mount --bind "$mnt/db" "$tmp/load"
	rm -f "$tmp"/acked.*
	/usr/bin/python3 "$load" "$tmp/load" run 600 >"$tmp/load.out" 2>&1 &
	load_pid=$!
	for name in WAL DELETE movers; do wait_for 60 [ -s "$tmp/acked.$name" ]; done
	for n in 1 2; do
		acked
		# The second time the store is slow: most is read long after the mount went on, which overwrites it meanwhile.
		[ "$n" = 1 ] && rate=1G || rate=2M
		expect 0 coffer backup run "$tmp/$kind/v" "$store" --limit-upload "$rate" || not_ok "$kind: $(cat "$tmp/err")"
		way cloned "$kind $n"
		back "$kind $n"
	done
	# Killed while it is at work: there is no file without a name left, and the next run is none the wiser.
	"$bin/coffer" --agent "$tmp/agent.sock" backup run "$tmp/$kind/v" "$store" --limit-upload 4M --force >/dev/null 2>&1 &
	pid=$!
	while [ -e "/proc/$pid/exe" ]; do
		# shellcheck disable=SC2010 # what the links say
		ls -l "/proc/$pid/fd" 2>/dev/null | grep -q "$tmp/$kind/v/#.*(deleted)" && { killed=$kind; kill -KILL "$pid"; break; }
	done
	wait "$pid" 2>/dev/null || :
	[ "${killed-}" = "$kind" ] && ok "$kind: killed with a clone in its hands" || not_ok "$kind: no clone was seen"
	acked
	# Seen through a bind mount that is read-only no clone can be made.
	mkdir -p "$tmp/ro"
	expect 0 unshare -m sh -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"' sh "$tmp/$kind/v" "$bin/coffer" --agent "$tmp/agent.sock" backup run "$tmp/$kind/v" "$store" ||
		not_ok "$kind read-only: $(cat "$tmp/err")"
	way frozen "$kind, which cannot be written to"
	back "$kind, read-only"
	load_end
	umount "$tmp/load"
	expect 0 coffer umount "$mnt"
	umount "$tmp/$kind" && ok "$kind: nothing holds it" || not_ok "$kind: busy"
	rm "$tmp/$kind.img"
done

truncate -s 400M "$tmp/small.img"
mkfs.xfs -q "$tmp/small.img"
mkdir "$tmp/small"
mount -o loop "$tmp/small.img" "$tmp/small"
coffer --quiet init "$tmp/small/v" --tenant v --log-size 16
expect 0 coffer mount "$tmp/small/v" "$mnt"
echo text >"$mnt/file"
rm -rf "$tmp/store"
mkdir "$tmp/store"
expect 0 coffer backup run "$tmp/small/v" "$store" || not_ok "too little space: $(cat "$tmp/err")"
way frozen "too little space for clones"
expect 0 coffer umount "$mnt"
umount "$tmp/small"
