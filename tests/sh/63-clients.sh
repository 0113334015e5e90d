#!/bin/sh
# Goals: 64 threads with a mixed load, each with a model of its files, and one file all write to: nothing is wrong, nobody starves, also with a
# small cache= and dirty=; fsck and the independent reader agree.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
for options in rw cache=4M,dirty=8M,threads=64; do
	coffer mount "$tmp/v" "$mnt" -o $options
	mkdir "$mnt/$options"
	expect 0 timeout 120 /usr/bin/python3 "$top_srcdir/tests/mount/limits.py" clients "$mnt/$options" 64 10 && ok "$options: $(cat "$tmp/out")" || not_ok "$options"
	cp -a "$mnt" "$tmp/copy.$options"
	coffer umount "$mnt"
	expect 0 coffer fsck "$tmp/v" && ok "$options: fsck" || not_ok "$options: fsck"
	same_as_reader v "$tmp/copy.$options" && ok "$options: the independent reader sees the same" || not_ok "$options: the independent reader"
done
