#!/bin/sh
# Goals: read-only mounts, also of a volume that was not unmounted and on a read-only backing, several at once, never beside a writer: they show what a
# read-write mount shows then, and not one byte, time or name below is changed; neither does fsck.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
mkdir "$tmp/other" "$tmp/ro" "$tmp/want"
below() { # all there is to know below, but for the access times of symbolic links; the listing first, so that it is older than our reading
	find "$1" -printf '%P %y %i %n %s %m %U %G %b %T@ %C@ %l\n' | LC_ALL=C sort
	find "$1" ! -type l -printf '%P %A@\n' | LC_ALL=C sort
	find "$1" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}
same_below() { # DIR TEXT: as in $tmp/first
	below "$1" >"$tmp/now"
	cmp "$tmp/now" "$tmp/first" && ok "$2: nothing below has changed" || not_ok "$2: changed below: $(diff "$tmp/first" "$tmp/now" | head -n 5)"
}
shows() { # DIR TEXT: what $tmp/want has, read in several ways
	diff -r "$tmp/want" "$1" && (cd "$1" && find . -type f -print0 | xargs -0 -n 4 -P 4 cat >/dev/null && tar cf - . | tar tf - >/dev/null) &&
		ok "$2" || not_ok "$2"
}
put() { # the same into the mount and the copy
	for put_at in "$mnt" "$tmp/want"; do
		mkdir -p "$put_at/$1"
		dd if=/dev/urandom of="$put_at/$1/big" bs=64k count="$2" seek="$3" conv=notrunc status=none iflag=fullblock 2>/dev/null
	done
	cp "$tmp/want/$1/big" "$mnt/$1/big.copy" && cp "$tmp/want/$1/big" "$tmp/want/$1/big.copy"
	cp "$tmp/want/$1/big" "$mnt/$1/big"
}

one_reader() { # sets reader_pid, once those whose mounts have ended are gone
	reader_pid=$(for p in $(volume_processes); do if tr '\0' ' ' <"/proc/$p/cmdline" | grep -q ' -o ro'; then echo "$p"; fi; done)
	[ "$(echo "$reader_pid" | wc -w)" = 1 ]
}

expect 0 coffer mount "$tmp/v" "$mnt"
echo text | tee "$mnt/file" >"$tmp/want/file"
put dir 40 0
expect 0 coffer umount "$mnt"
below "$tmp/v" >/dev/null
below "$tmp/v" >"$tmp/first"
mount --bind "$tmp/v" "$tmp/ro"
mount -o remount,bind,ro "$tmp/ro"
expect 0 coffer mount "$tmp/ro" "$mnt" -o ro && shows "$mnt" "on a read-only backing"
expect 0 coffer mount "$tmp/v" "$tmp/other" -o ro && shows "$tmp/other" "two at once"
for change in "touch $mnt/new" "rm $mnt/file" "chmod 600 $mnt/file" "truncate -s 1 $mnt/file" "mkdir $mnt/dir2" "mv $mnt/file $mnt/f"; do
	! $change 2>"$tmp/said" && grep -q 'Read-only file system' "$tmp/said" || not_ok "$change: $(cat "$tmp/said")"
done
ok "and nothing can be changed"
expect 0 coffer fsck "$tmp/v" && ok "fsck beside them" || not_ok "fsck beside them"
expect 0 coffer umount "$mnt"
expect 1 coffer mount "$tmp/ro" "$mnt" && grep -q 'Read-only file system' "$tmp/err" && ok "a read-write mount is refused there" || not_ok "rw on ro"
wait_for 10 umount "$tmp/ro"
wait_for 10 one_reader
refuses 6 "by pid $reader_pid" v coffer mount "$tmp/v" "$mnt"
expect 0 coffer umount "$tmp/other"
same_below "$tmp/v" "unmounted before"

expect 0 coffer mount "$tmp/v" "$mnt"
refuses 6 "pid $(mount_pid v)" v coffer mount "$tmp/v" "$tmp/other" -o ro
echo more | tee "$mnt/more" >"$tmp/want/more"
/usr/bin/python3 "$top_srcdir/tests/mount/scatter.py" "$mnt" "$tmp/want"
sync "$mnt/more"
kill_mount v
below "$tmp/v" >/dev/null
below "$tmp/v" >"$tmp/first"
mount --bind "$tmp/v" "$tmp/ro"
mount -o remount,bind,ro "$tmp/ro"
expect 0 coffer fsck "$tmp/v" && grep -q ' 0 problems' "$tmp/out" && ok "fsck of a volume that was not unmounted" || not_ok "fsck of an unclean volume"
expect 0 coffer --json fsck "$tmp/ro" && ! grep -q '"replayed_transactions":0' "$tmp/out" && ok "also on a read-only backing" || not_ok "fsck on a read-only backing"
expect 0 coffer mount "$tmp/ro" "$mnt" -o ro && shows "$mnt" "a volume that was not unmounted, on a read-only backing"
expect 0 coffer mount "$tmp/v" "$tmp/other" -o ro && shows "$tmp/other" "and once more, beside it"
shows "$mnt" "read again"
expect 0 coffer umount "$mnt" && expect 0 coffer umount "$tmp/other"
wait_for 10 umount "$tmp/ro"
same_below "$tmp/v" "not unmounted"
expect 0 coffer mount "$tmp/v" "$mnt" && shows "$mnt" "a read-write mount then shows the same"
expect 0 coffer umount "$mnt"
! grep -q '"event":"volume.older' "$tmp/state/audit.log" && ok "no word of an older volume" || not_ok "older: $(cat "$tmp/state/audit.log")"
