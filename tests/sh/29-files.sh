#!/bin/sh
# Goals: the project's own sources copied and compared byte for byte, with links, long names and a sparse file of many gaps;
# the independent reader sees the same; a plain user in a mount of root's owns what he makes.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
chmod 755 "$tmp" "$mnt"
mkdir "$tmp/tree"
tar -C "$top_srcdir" --exclude=.git --exclude='*.o' --exclude='*.a' -cf - src tools tests docs man | tar -C "$tmp/tree" -xf -
ln "$tmp/tree/docs/format.md" "$tmp/tree/hard"
ln -s docs/format.md "$tmp/tree/soft"
mkfifo "$tmp/tree/fifo"
touch "$tmp/tree/$(printf 'ä%.0s' $(seq 127))"
truncate -s 700M "$tmp/tree/sparse"
for k in $(seq 0 40); do printf "island %d" "$k" | dd of="$tmp/tree/sparse" bs=1 seek=$((k * 16000000)) conv=notrunc status=none; done
cp -a --sparse=always "$tmp/tree" "$mnt/tree"
same() { # DIR: content, types, modes, owners, times, links
	diff -r --no-dereference --exclude=fifo "$tmp/tree" "$1" &&
		(cd "$tmp/tree" && find . -printf '%p %y %m %U %G %n %T@ %l\n' | sed 's/^\(.* d [0-9]* [0-9]* [0-9]*\) [0-9]*/\1/' | sort) >"$tmp/a" &&
		(cd "$1" && find . -printf '%p %y %m %U %G %n %T@ %l\n' | sed 's/^\(.* d [0-9]* [0-9]* [0-9]*\) [0-9]*/\1/' | sort) >"$tmp/b" &&
		diff "$tmp/a" "$tmp/b"
}
same "$mnt/tree" && ok "the sources, copied, are the same" || not_ok "the sources differ"
expect 0 coffer umount "$mnt"
expect 0 coffer mount "$tmp/v" "$mnt"
same "$mnt/tree" && ok "also when mounted again" || not_ok "they differ when mounted again"
/usr/bin/python3 "$top_srcdir/tests/mount/two_processes.py" "$mnt" 2>"$tmp/said" && ok "two processes append and share a mapping" || not_ok "two processes: $(tail -n 1 "$tmp/said")"
mkdir -m 1777 "$mnt/shared"
setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "umask 077 && echo mine >'$mnt/shared/file' && mkdir '$mnt/shared/dir'" &&
	[ "$(stat -c %u:%g:%a "$mnt/shared/file" "$mnt/shared/dir" | xargs)" = '65534:65534:600 65534:65534:700' ] &&
	ok "what a plain user makes is his" || not_ok "owners: $(stat -c '%n %u:%g:%a' "$mnt"/shared/*)"
! setpriv --reuid 65534 --regid 65534 --clear-groups touch "$mnt/no" 2>/dev/null && ok "and modes hold" || not_ok "a plain user wrote into root's"
cp -a "$mnt" "$tmp/copy"
expect 0 coffer sync "$mnt"
kill_mount v
reader v verify >"$tmp/out" 2>&1 && ok "the reader verifies what was killed while idle" || not_ok "reader: $(tail -n 3 "$tmp/out")"
expect 0 coffer mount "$tmp/v" "$mnt" && expect 0 coffer umount "$mnt"
same_as_reader v "$tmp/copy" >"$tmp/out" 2>&1 && ok "the reader extracts the same" || not_ok "extracted: $(tail -n 3 "$tmp/out")"
