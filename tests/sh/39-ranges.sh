#!/bin/sh
# Goals:
# 1. fallocate, SEEK_DATA and SEEK_HOLE, copy_file_range below a mount do what they do below a plain directory, and it outlives a mount.
# 2. What is promised by coffer alone: other modes refused, holes stay holes, space punched comes back.
# 3. The tools that use them: cp --sparse, fallocate -d, tar -S, du.
# 4. Afterwards the volume is whole.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
cat >"$tmp/remount" <<END
'$bin/coffer' --agent '$tmp/agent.sock' umount '$mnt' && '$bin/coffer' --agent '$tmp/agent.sock' mount '$tmp/v' '$mnt'
END
/usr/bin/python3 "$top_srcdir/tests/mount/ranges.py" "$mnt" --ours --remount "sh $tmp/remount" >"$tmp/out" && ok "ranges: $(grep -c '^ok' "$tmp/out") findings" ||
	not_ok "ranges: $(grep '^FAILED' "$tmp/out")"

# a sparse file through the tools
dd if=/dev/urandom of="$mnt/sparse" bs=4096 count=5 seek=1000 status=none
dd if=/dev/urandom of="$mnt/sparse" bs=4096 count=3 seek=9000 conv=notrunc status=none
cp --sparse=auto "$mnt/sparse" "$mnt/copy"
cp --sparse=always "$mnt/sparse" "$tmp/outside"
tar -C "$mnt" -S -cf "$tmp/tar" sparse
cmp "$mnt/sparse" "$mnt/copy" && cmp "$mnt/sparse" "$tmp/outside" && tar -C "$mnt" -df "$tmp/tar" && ok "cp and tar copy a sparse file" || not_ok "sparse copies"
[ "$(stat -c %s "$tmp/tar")" -lt 200000 ] && ok "tar finds the holes" || not_ok "tar: $(stat -c %s "$tmp/tar") bytes"
head -c 20000000 /dev/zero >"$mnt/zeros"
fallocate -d "$mnt/zeros"
cmp -n 20000000 "$mnt/zeros" /dev/zero && ok "fallocate -d" || not_ok "fallocate -d"
coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
[ "$(du -sk --exclude='coffer.*' "$tmp/v" | cut -f1)" -lt 20000 ] && ok "holes take no space below" || not_ok "du: $(du -sk --exclude='coffer.*' "$tmp/v")"
mkdir "$tmp/plain"
/usr/bin/python3 "$top_srcdir/tests/mount/ranges.py" "$tmp/plain" >"$tmp/out" && ok "and below a plain directory" || not_ok "plain directory: $(grep '^FAILED' "$tmp/out")"
