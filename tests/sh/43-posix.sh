#!/bin/sh
# Goals: the POSIX table (tests/mount/posix_table.py): thousands of calls, as root and as a user, give below a mount what they give on ext4, but for a short
# list with reasons; and then the volume is whole. The plain directory and the volume lie on the same fresh ext4, without atime as below a mount.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires mkfs.ext4 -V

agent_start
mkdir "$tmp/fs" "$mnt"
truncate -s 512M "$tmp/image"
mkfs.ext4 -q "$tmp/image"
mount -o loop,noatime "$tmp/image" "$tmp/fs"
mkdir "$tmp/fs/v" "$tmp/fs/plain"
expect 0 coffer init "$tmp/fs/v" --tenant v --log-size 16
expect 0 coffer mount "$tmp/fs/v" "$mnt" -o dev,suid
/usr/bin/python3 "$top_srcdir/tests/mount/posix_table.py" "$tmp/fs/plain" "$mnt" >"$tmp/said" 2>&1 && cat "$tmp/said" || {
	tail -n 60 "$tmp/said"
	not_ok "the tables differ: $(tail -n 1 "$tmp/said")"
}
expect 0 coffer umount "$mnt" && ok "umount" || not_ok "umount"
expect 0 coffer fsck "$tmp/fs/v" && ok "fsck" || not_ok "fsck"
