#!/bin/sh
# Goals:
# 1. A source tree copied in compares byte for byte, at once, with cold caches, and through the independent reader.
# 2. It is copied within the mount, moved between directories, and removed by rm -r, also while somebody lists it.
# 3. SQLite works without being killed, too.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

same() {
	diff -r --no-dereference "$top_srcdir/src" "$1" >"$tmp/diff" 2>&1 && ok "$2" || not_ok "$2: $(head -3 "$tmp/diff")"
}

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
cp -a "$top_srcdir/src" "$mnt/src"
same "$mnt/src" "copied"
cp -a "$mnt/src" "$mnt/copy"
mkdir -p "$mnt/a/b"
mv "$mnt/copy" "$mnt/a/b/moved"
same "$mnt/a/b/moved" "copied again and moved"
[ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches
same "$mnt/src" "with cold caches"
(cd "$mnt" && find . -printf '%p %y %m %s %T@ %l\n' | grep -v '^\. ' | sed '/ d /s/ [0-9]* \([0-9.]*\) $/ \1/' | sort) >"$tmp/list"
coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt"
(cd "$mnt" && find . -printf '%p %y %m %s %T@ %l\n' | grep -v '^\. ' | sed '/ d /s/ [0-9]* \([0-9.]*\) $/ \1/' | sort) >"$tmp/again"
cmp -s "$tmp/list" "$tmp/again" && ok "names, modes, sizes and times outlive the mount" || not_ok "attributes: $(diff "$tmp/list" "$tmp/again" | head -4)"
same "$mnt/a/b/moved" "mounted again"
(while ls -lR "$mnt/a" >/dev/null 2>&1; do [ -e "$mnt/a" ] || break; done) &
lister=$!
rm -r "$mnt/a" && [ ! -e "$mnt/a" ] && ok "rm -r while it is listed" || not_ok "rm -r while it is listed"
wait $lister
mkdir "$mnt/db"
/usr/bin/python3 "$top_srcdir/tests/mount/databases.py" run "$mnt/db" "$tmp/rows" 100
/usr/bin/python3 "$top_srcdir/tests/mount/databases.py" check "$mnt/db" "$tmp/rows" >"$tmp/out" && ok "SQLite" || not_ok "SQLite: $(cat "$tmp/out")"
cp -a "$mnt" "$tmp/copy"
coffer umount "$mnt"
same_as_reader v "$tmp/copy" && ok "the independent reader sees the same" || not_ok "the independent reader sees the same"
