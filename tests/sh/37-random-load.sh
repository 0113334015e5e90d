#!/bin/sh
# Goals:
# 1. Four processes with a model of their files, against dropped caches: everything reads as the model says.
# 2. The same with 240 descriptors for the mount.
# 3. Afterwards fsck finds nothing, and the independent reader sees what was there.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
for limit in 20000 240; do
	prlimit --nofile=$limit:$limit "$bin/coffer" --agent "$tmp/agent.sock" mount "$tmp/v" "$mnt"
	mkdir "$mnt/$limit"
	/usr/bin/python3 "$top_srcdir/tests/mount/random_load.py" "$mnt/$limit" 5 $limit >"$tmp/out" 2>&1 && ok "$limit descriptors: $(paste -sd, "$tmp/out")" ||
		not_ok "$limit descriptors: $(tail -3 "$tmp/out")"
	cp -a "$mnt" "$tmp/copy$limit"
	coffer umount "$mnt"
	expect 0 coffer fsck "$tmp/v" && ok "$limit descriptors: fsck" || not_ok "$limit descriptors: fsck"
	same_as_reader v "$tmp/copy$limit" && ok "$limit descriptors: the independent reader sees the same" || not_ok "$limit descriptors: the independent reader"
done
