#!/bin/sh
# Goals:
# 1. A real source tree (the project's own and the system's headers) goes in by tar and comes out as the same archive, byte for byte: at once,
#    with cold caches, after another mount.
# 2. rsync -aH (A, X where the volume supports them) both ways finds nothing to do afterwards; find, du and cp --sparse=always as on a plain
#    directory.
# 3. mv across directories while others read, list and walk: every file is found once, whole.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires rsync --version

archive() { # DIR: as bytes that depend on what tar can see
	tar -C "$1" -c --sort=name --format=posix --pax-option=exthdr.name=%d/x/%f,delete=atime,delete=ctime .
}

same_archive() { # TEXT
	archive "$mnt/tree" | cmp - "$tmp/want.tar" && ok "$1: the same archive of $(($(stat -c %s "$tmp/want.tar") >> 20)) MiB" || not_ok "$1: not the same archive"
}

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/tree" "$tmp/plain"
cp -a "$top_srcdir/src" "$top_srcdir/tests" "$top_srcdir/docs" /usr/include "$tmp/plain"
rm -f "$tmp/plain/tests"/*/test_*.o
ln "$tmp/plain/src/fs/ops.c" "$tmp/plain/hard" && ln -s hard "$tmp/plain/soft" && mkfifo "$tmp/plain/fifo" && chown 1234:4321 "$tmp/plain/hard"
chmod 1777 "$tmp/plain/docs"
archive "$tmp/plain" >"$tmp/want.tar"
tar -C "$mnt/tree" -xpf "$tmp/want.tar"
same_archive "at once"
echo 3 >/proc/sys/vm/drop_caches
same_archive "with cold caches"
coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt"
same_archive "mounted again"

# rsync: what the volume does not carry it must refuse, not lose.
how=-aH
: >"$mnt/probe"
if setfattr -n user.coffer -v 1 "$mnt/probe" 2>/dev/null; then
	how=${how}X
	find "$tmp/plain/src" -type f -name '*.h' -exec setfattr -n user.note -v "a note" {} +
fi
if setfacl -m u:1234:r "$mnt/probe" 2>/dev/null; then
	how=${how}A
	find "$tmp/plain/docs" -type f -exec setfacl -m u:1234:r {} +
fi
expect 0 rsync "$how" --numeric-ids --delete "$tmp/plain/" "$mnt/rsync/" && expect 0 rsync "$how" --numeric-ids "$mnt/rsync/" "$tmp/back/" || exit 1
for pair in "plain $mnt/rsync" "plain $tmp/back"; do
	rsync "$how" --numeric-ids --delete --checksum --itemize-changes --dry-run "$tmp/${pair% *}/" "${pair#* }/" | grep -v '^\.d..t' >"$tmp/todo" || :
	[ -s "$tmp/todo" ] && not_ok "rsync $how to $pair would: $(head -3 "$tmp/todo")" || ok "rsync $how: nothing to do for $pair"
done
for by in "-type f -size +20k" "-newer src/fs/ops.c" "-links +1" "-name *.h -perm 644" "-type l" "-empty" "-user 1234"; do
	# shellcheck disable=SC2086 # words
	(cd "$tmp/plain" && set -f && find . $by | sort) >"$tmp/want" && (cd "$mnt/rsync" && set -f && find . $by | sort) >"$tmp/got"
	cmp "$tmp/want" "$tmp/got" && ok "find $by: $(wc -l <"$tmp/got")" || not_ok "find $by"
done
# A directory's own size is the backing's affair.
(cd "$tmp/plain" && find . ! -type d -print0 | sort -z | du --apparent-size -lb --files0-from=- | sort) >"$tmp/want"
(cd "$mnt/rsync" && find . ! -type d -print0 | sort -z | du --apparent-size -lb --files0-from=- | sort) >"$tmp/got"
cmp "$tmp/want" "$tmp/got" && ok "du --apparent-size" || not_ok "du --apparent-size: $(diff "$tmp/want" "$tmp/got" | head -3)"

/usr/bin/python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for k in range(8): os.pwrite(fd, os.urandom(5000), k << 24)
os.ftruncate(fd, 1 << 28)' "$tmp/sparse"
for from in "$tmp/sparse" "$mnt/sparse"; do
	cp --sparse=always "$from" "$mnt/sparse.2" && mv "$mnt/sparse.2" "$mnt/sparse"
	coffer sync "$mnt"
	cmp "$tmp/sparse" "$mnt/sparse" && [ "$(du -k "$mnt/sparse" | cut -f1)" -lt 8192 ] &&
		[ "$(du -k "$mnt/sparse" | cut -f1)" -ge 40 ] && ok "cp --sparse=always: 256 MiB in $(du -k "$mnt/sparse" | cut -f1) KiB" || not_ok "cp --sparse=always: $(du -k "$mnt/sparse")"
done

# tar -S takes a file without blocks for one hole.
truncate -s 3000000 "$mnt/filled" && head -c 3000000 /dev/urandom >"$tmp/filled" && dd if="$tmp/filled" of="$mnt/filled" bs=64k conv=notrunc status=none
exec 3>"$mnt/open" && head -c 3000 "$tmp/filled" >&3
for f in filled open; do
	tar -C "$mnt" -S -cf "$tmp/s.tar" $f && tar -xOf "$tmp/s.tar" $f | cmp -n "$(stat -c %s "$mnt/$f")" - "$tmp/filled" &&
		[ "$(stat -c %b "$mnt/$f")" -gt 0 ] && ok "tar -S of $f" || not_ok "tar -S of $f, $(stat -c %b "$mnt/$f") blocks"
done
exec 3>&-

expect 0 /usr/bin/python3 "$top_srcdir/tests/mount/movers.py" "$mnt/movers" "$tmp/across" 10 && ok "$(cat "$tmp/out")" || not_ok "moving files"
coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
