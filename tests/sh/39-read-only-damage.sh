#!/bin/sh
# Goals: a read-only mount of a volume that was not unmounted, in hard cases: the backing is a filesystem mounted read-only (a loop device); memory does
# not follow what the log holds; a file whose metadata was damaged is EIO alone, in memory, until a read-write mount puts it in quarantine;
# damage in the log itself is refused or shown exactly as by a read-write mount.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

requires command -v mkfs.ext4
agent_start
mkdir "$tmp/fs" "$mnt"
truncate -s 700M "$tmp/image"
mkfs.ext4 -qF "$tmp/image"
mount -o loop "$tmp/image" "$tmp/fs"
mkdir "$tmp/fs/v"
coffer --quiet init "$tmp/fs/v" --tenant v --log-size 128
peak() { # of the only mount, KiB
	for pid in $(volume_processes); do
		tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q ' mount ' && awk '/^VmHWM/ { print $2 }' "/proc/$pid/status"
	done
	return 0
}
remount() {
	wait_for 10 umount "$tmp/fs" # a reader may be about to end
	mount -o "loop,$1" "$tmp/image" "$tmp/fs"
}

expect 0 coffer mount "$tmp/fs/v" "$mnt"
head -c 50000000 /dev/urandom >"$tmp/one"
head -c 50000000 /dev/urandom >"$tmp/two"
cp "$tmp/one" "$mnt/big"
for name in good bad; do head -c 30000 /dev/urandom >"$mnt/$name"; done
find "$tmp/fs/v" -inum "$(stat -c %i "$mnt/bad")" >"$tmp/bad.lower"
expect 0 coffer umount "$mnt"
remount ro
expect 0 coffer mount "$tmp/fs/v" "$mnt" -o ro && cmp "$mnt/big" "$tmp/one" && ok "on a filesystem mounted read-only" || not_ok "on a read-only filesystem"
clean=$(peak)
expect 0 coffer umount "$mnt"
remount rw

expect 0 coffer mount "$tmp/fs/v" "$mnt"
for name in good bad; do printf %s "$name was overwritten" | dd of="$mnt/$name" bs=1 seek=9000 conv=notrunc,fsync status=none; done
dd if="$tmp/two" of="$mnt/big" bs=64k conv=notrunc,fsync status=none
cp "$mnt/good" "$tmp/good"
kill_mount fs/v
remount ro
expect 0 coffer mount "$tmp/fs/v" "$mnt" -o ro && cmp "$mnt/big" "$tmp/two" && cmp "$mnt/good" "$tmp/good" && ok "not unmounted, all is read from the log" || not_ok "read from the log"
unclean=$(peak)
expect 0 coffer --json status && used=$(sed 's/.*"used_bytes":\([0-9]*\).*/\1/' "$tmp/out")
[ "$used" -gt 50000000 ] && [ $((unclean - clean)) -lt 12000 ] && ok "the log holds $used bytes, and memory is $clean and $unclean KiB" ||
	not_ok "the log holds $used bytes, and memory is $clean and $unclean KiB"
expect 0 coffer umount "$mnt"
remount rw

# An entry of a block that the log does not have: the seal over all of them cannot fit.
dd if=/dev/urandom of="$(cat "$tmp/bad.lower")" bs=1 seek=516 count=8 conv=notrunc status=none
tree "$tmp/fs/v" >"$tmp/first"
expect 0 coffer mount "$tmp/fs/v" "$mnt" -o ro && ok "a damaged file does not keep the volume from being mounted" || not_ok "mounting with a damaged file"
! cat "$mnt/bad" 2>"$tmp/said" >"$tmp/read" && grep -q 'Input/output error' "$tmp/said" && [ ! -s "$tmp/read" ] && cmp "$mnt/good" "$tmp/good" && cmp "$mnt/big" "$tmp/two" &&
	ok "it alone is EIO" || not_ok "the damaged file: $(cat "$tmp/said")"
expect 0 coffer umount "$mnt"
expect 8 coffer fsck "$tmp/fs/v" && grep -q '/bad: marked as damaged by a replay' "$tmp/err" && [ "$(grep -c '^coffer: /' "$tmp/err")" = 1 ] && ok "fsck names it, and no other" || not_ok "fsck"
[ ! -e "$tmp/fs/v/coffer.quarantine" ] && tree "$tmp/fs/v" | cmp - "$tmp/first" && ok "in memory alone" || not_ok "the volume has changed"
cp -a "$tmp/fs/v/coffer.log" "$tmp/log"

# The first descriptor, which the state vouches for or a later one does.
dd if=/dev/urandom of="$tmp/fs/v/coffer.log" bs=4096 count=3000 conv=notrunc status=none
refuses 8 'is missing' fs/v coffer mount "$tmp/fs/v" "$mnt" -o ro
refuses 8 'is missing' fs/v coffer fsck "$tmp/fs/v"
cp "$tmp/log" "$tmp/fs/v/coffer.log"
expect 0 coffer mount "$tmp/fs/v" "$mnt" && cmp "$mnt/good" "$tmp/good" && cmp "$mnt/big" "$tmp/two" && ! cat "$mnt/bad" 2>/dev/null && ok "a read-write mount shows the same" || not_ok "rw"
[ -d "$tmp/fs/v/coffer.quarantine" ] && ok "and puts the file in quarantine" || not_ok "no quarantine"
grep -q '"event":"mount.replay"' "$tmp/state/audit.log" && ok "the agent's audit log has it" || not_ok "the audit log: $(tail -1 "$tmp/state/audit.log")"
expect 0 coffer umount "$mnt"
