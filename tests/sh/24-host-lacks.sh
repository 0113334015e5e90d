#!/bin/sh
# Goals: a backing filesystem that cannot keep a volume is refused (15), a full one and a full table of descriptors are told (16), at
# init and at mount, and leave the directory as it was.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires unshare --mount true
requires mkfs.ext4 -V

agent_start
mkdir "$mnt" "$tmp/fs"
image() { # MKFS MiB [OPTIONS]: a filesystem in a file, mounted at $tmp/fs
	truncate -s "$2M" "$tmp/image"
	"$1" "$tmp/image" >/dev/null 2>&1
	mount -o "loop${3:+,$3}" "$tmp/image" "$tmp/fs"
	mkdir "$tmp/fs/v"
}
gone() {
	umount "$tmp/fs"
	rm "$tmp/image"
}
if command -v mkfs.vfat >/dev/null && modprobe -q vfat 2>/dev/null || grep -q vfat /proc/filesystems; then
	image mkfs.vfat 64
	refuses 15 'FAT' fs coffer init "$tmp/fs/v" --tenant t
	gone
else
	ok "FAT # SKIP no vfat here"
fi
mount -t tmpfs -o size=600M none "$tmp/fs"
mkdir "$tmp/fs/v"
refuses 15 'memory' fs coffer init "$tmp/fs/v" --tenant t
expect 0 coffer init "$tmp/fs/v" --tenant t --unsafe-backing && expect 0 coffer mount "$tmp/fs/v" "$mnt" -o unsafe-backing &&
	echo text >"$mnt/file" && expect 0 coffer umount "$mnt" && ok "unsafe-backing takes it all the same" || not_ok "unsafe-backing takes it all the same"
refuses 15 'memory' fs coffer mount "$tmp/fs/v" "$mnt"
umount "$tmp/fs"
mount -t tmpfs none "$tmp/fs"
mkdir "$tmp/fs/lower" "$tmp/fs/upper" "$tmp/fs/work" "$tmp/fs/v" "$tmp/low"
if mount -t overlay -o "lowerdir=$tmp/low,upperdir=$tmp/fs/upper,workdir=$tmp/fs/work" none "$tmp/fs/v" 2>/dev/null; then
	refuses 15 'device' fs coffer init "$tmp/fs/v/x" --tenant t
	umount "$tmp/fs/v"
fi
umount "$tmp/fs"
image mkfs.ext2 600
refuses 15 'journal' fs coffer init "$tmp/fs/v" --tenant t
gone
image mkfs.ext4 600 data=writeback
refuses 15 'data=writeback' fs coffer init "$tmp/fs/v" --tenant t
gone

image mkfs.ext4 64
refuses 16 'space' fs coffer init "$tmp/fs/v" --tenant t
[ -z "$(ls -A "$tmp/fs/v")" ] && ok "a full disk: init leaves nothing" || not_ok "a full disk: init leaves $(ls "$tmp/fs/v")"
gone

volume v
expect 0 coffer mount "$tmp/v" "$mnt"
echo text >"$mnt/file"
expect 0 coffer umount "$mnt"
few() { # descriptors; coffer raises its soft limit, so the hard one too
	# shellcheck disable=SC3045 # dash and bash have it
	(ulimit -n 8 && exec "$@")
}
refuses 16 'descriptors' v few "$bin/coffer" --agent "$tmp/agent.sock" mount "$tmp/v" "$mnt"
refuses 16 'descriptors' v few "$bin/coffer" --agent "$tmp/agent.sock" fsck "$tmp/v"
[ -z "$(ls -A "$mnt")" ] && expect 0 coffer mount "$tmp/v" "$mnt" && [ "$(cat "$mnt/file")" = text ] && ok "and then it mounts" || not_ok "and then it mounts"
expect 0 coffer umount "$mnt"
