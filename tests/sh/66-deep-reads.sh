#!/bin/sh
# Goals: many small O_DIRECT reads under way at once, taken together by one worker, beside writes, punches, large reads, lseek and stat: each finds a
# version that was there meanwhile, whole; also with one worker, which serves everything else too.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
for options in rw threads=1,dirty=8M; do
	coffer mount "$tmp/v" "$mnt" -o $options
	[ "$(find "/proc/$(mount_pid v)/fd" -lname /dev/fuse | wc -l)" = 2 ] && ok "$options: two descriptors" || not_ok "$options: no second descriptor"
	expect 0 timeout 120 /usr/bin/python3 "$top_srcdir/tests/mount/deep.py" "$mnt/file" 5 && ok "$options: $(cat "$tmp/out")" || not_ok "$options"
	coffer --json status >"$tmp/status"
	grep -q '"integrity_failures": *0' "$tmp/status" && ok "$options: nothing failed to verify" || not_ok "$options: $(cat "$tmp/status")"
	coffer umount "$mnt"
done
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
