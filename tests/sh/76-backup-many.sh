#!/bin/sh
# Goals:
# 1. COFFER_FILES small files are few objects: packs of 512, lists of 8 MiB. Ten that changed are one pack, of a volume that is mounted, too, and nothing else is read. All come back, and no others.
# 2. No backup and no restore, of many files or of one that is larger than all of it, needs more memory than docs/backup.md section 7 says.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

files=${COFFER_FILES:-10000}
XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
mkdir "$tmp/store"
many() {
	/usr/bin/python3 "$top_srcdir/tests/mount/backup_many.py" "$@"
}
number() { # KEY: of what was said in JSON
	sed -n "s/.*\"$1\":\\([0-9]*\\).*/\\1/p" "$tmp/out"
}
objects() {
	find "$tmp/store" -type f | wc -l
}
# Section 7, in KiB: of T threads, with F files and O objects in the store; of T threads; of T threads and P pieces.
run_bound() { echo $(((40 + 25 * $1) * 1024 + $2 / 4 + $3 / 5)); }
restore_bound() { echo $(((128 + 9 * $1) * 1024)); }
verify_bound() { echo $(((40 + 17 * $1) * 1024 + $2 / 4)); }
# At most BOUND KiB: within TEXT BOUND ARG...
within() {
	within_text=$1 within_bound=$2 within_start=$(date +%s)
	shift 2
	expect 0 many peak "$tmp/peak" "$bin/coffer" --agent "$tmp/agent.sock" "$@" || return 0
	[ "$(cat "$tmp/peak")" -le "$within_bound" ] && ok "$within_text: $(cat "$tmp/peak") KiB of $within_bound, $(($(date +%s) - within_start)) s" ||
		not_ok "$within_text: $(cat "$tmp/peak") KiB, and $within_bound are what it may have"
}

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/many"
many make "$mnt/many" "$files"
coffer umount "$mnt"
within "backup of $files files" "$(run_bound 4 "$files" 0)" --json backup run "$tmp/v" "$store"
[ "$(number files)" -gt "$files" ] && [ "$(objects)" -le $((files / 400 + files / 20000 + 6)) ] && ok "$files files are $(objects) objects" || not_ok "$files files are $(objects) objects: $(cat "$tmp/out")"
within "restore" "$(restore_bound 4)" restore "$store" latest "$tmp/r"
rm -rf "$tmp/r"

before=$(objects)
coffer mount "$tmp/v" "$mnt"
within "nothing has changed, and it is mounted" "$(run_bound 4 $((2 * files)) "$before")" --json backup run "$tmp/v" "$store"
ok "held still for $(number frozen_ms) ms"
many change "$mnt/many" "$files"
coffer sync "$mnt"
before=$(objects)
within "ten have changed" "$(run_bound 4 $((2 * files)) "$before")" --json backup run "$tmp/v" "$store"
[ $(($(objects) - before)) -le $((3 + 2 + files / 20000)) ] && [ "$(number bytes_sent)" -lt 2000000 ] && [ "$(number bytes_read)" -lt 4000000 ] &&
	ok "they are $(($(objects) - before)) objects, $(number bytes_sent) bytes; $(number bytes_read) were read" || not_ok "$(($(objects) - before)) objects: $(cat "$tmp/out")"
coffer umount "$mnt"
within "verify" "$(verify_bound 4 "$files")" --quiet backup verify "$store"
expect 0 coffer --quiet restore "$store" latest "$tmp/r"
expect 0 coffer --quiet trust "$tmp/r"
expect 0 coffer fsck "$tmp/r" && ok "fsck" || not_ok "fsck: $(cat "$tmp/out" "$tmp/err")"
coffer mount "$tmp/r" "$mnt"
expect 0 many check "$mnt/many" "$files" changed && ok "all are back, ten with their new content" || not_ok "restored"
coffer umount "$mnt"
rm -rf "$tmp/r" "$tmp/v" "$tmp/store"

# One file of 320 MiB.
mkdir "$tmp/store"
volume w
coffer mount "$tmp/w" "$mnt"
dd if=/dev/urandom of="$mnt/big" bs=1M count=320 status=none
coffer umount "$mnt"
within "backup of 320 MiB by one thread" "$(run_bound 1 0 0)" --quiet backup run "$tmp/w" "$store" --parallel 1
rm -rf "$tmp/store" "$tmp/cache" && mkdir "$tmp/store"
within "by four" "$(run_bound 4 0 0)" --quiet backup run "$tmp/w" "$store"
within "restore by one thread" "$(restore_bound 1)" --quiet restore "$store" latest "$tmp/r" --parallel 1
rm -rf "$tmp/r"
within "by four" "$(restore_bound 4)" --quiet restore "$store" latest "$tmp/r"
cmp "$(find "$tmp/w" -maxdepth 1 -size +300M)" "$(find "$tmp/r" -maxdepth 1 -size +300M)" && ok "the same" || not_ok "not the same"
