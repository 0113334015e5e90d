#!/bin/sh
# Goals: volumes.d gives volumes names, mount points and options; what is wrong in such a file is told with file and line (3), and what is
# on the command line wins. In a mount namespace with an /etc of its own.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; what is quoted runs inside
. "${top_srcdir:?}/tests/sh/volume.sh"
requires unshare --mount true

agent_start
volume v
inside() { # SHELL TEXT: with coffer, $mnt, and the file $tmp/v.conf as volumes.d/v.conf
	unshare --mount --propagation private env mnt="$mnt" tmp="$tmp" bin="$bin" sh -c '
		mount -t tmpfs none /etc && mkdir -p /etc/coffer/volumes.d && cp "$tmp/v.conf" /etc/coffer/volumes.d/ || exit 99
		coffer() { "$bin/coffer" --agent "$tmp/agent.sock" "$@"; }
		eval "$1"' - "$1"
}
printf '[volume]\nsource=%s\nmountpoint=%s\noptions=ro,threads=2\ntenant=v\n[backup]\nkeep-daily=7\n' "$tmp/v" "$mnt" >"$tmp/v.conf"
expect 0 inside 'coffer info v' && grep -q "^tenant  *v" "$tmp/out" && ok "a name" || not_ok "a name"
expect 0 inside 'coffer mount v && grep -q " $mnt ro," /proc/self/mountinfo && ! touch "$mnt/f" 2>/dev/null && coffer umount v' &&
	ok "its mount point and options" || not_ok "its mount point and options"
expect 0 inside 'mkdir "$tmp/other" && coffer mount v "$tmp/other" -o rw && touch "$tmp/other/f" && coffer umount "$tmp/other"' &&
	ok "the command line wins" || not_ok "the command line does not win"
expect 0 inside 'coffer --json fsck v' && ok "fsck by name" || not_ok "fsck by name"
expect 18 inside 'coffer info w' && ok "another name" || not_ok "another name"
expect 14 inside 'coffer umount v' && ok "umount of a name that is not mounted" || not_ok "umount by name"
expect 0 coffer --json info "$tmp/v" && uuid=$(sed 's/.*"uuid":"\([0-9a-f]*\)".*/\1/' "$tmp/out")
printf '[volume]\nsource=%s\ntenant=v\nuuid=%s\n' "$tmp/v" "$uuid" >"$tmp/v.conf"
expect 0 inside 'coffer info v && coffer mount v "$mnt" && coffer umount "$mnt"' && ok "its uuid and tenant" || not_ok "its uuid and tenant"
for line in "tenant=w" "uuid=00$(echo "$uuid" | cut -c 3-)"; do
	printf '[volume]\nsource=%s\n%s\n' "$tmp/v" "$line" >"$tmp/v.conf"
	expect 3 inside 'coffer mount v "$mnt"' && grep -q "another .*${line%%=*}= of volumes.d/v.conf" "$tmp/err" && ok "another volume than $line says" || not_ok "$line: $(cat "$tmp/err")"
	expect 3 inside 'coffer fsck v' && ok "fsck, too" || not_ok "fsck of another volume"
done
printf '[volume]\nsource=%s\ntenant=v\n' "$tmp/new" >"$tmp/v.conf"
expect 2 inside 'coffer init v --tenant w' && expect 0 inside 'coffer --quiet init v --log-size 16 && coffer info v' && grep -q '^tenant  *v$' "$tmp/out" &&
	ok "init by a name with tenant=" || not_ok "init by name"
wrong() { # LINE TEXT: line 3 of the file is LINE
	printf '[volume]\nsource=%s\n%s\n' "$tmp/v" "$1" >"$tmp/v.conf"
	expect 3 inside 'coffer mount v "$mnt"' && [ "$(wc -l <"$tmp/err")" = 1 ] && grep -q "$2" "$tmp/err" && ok "refused: $1: $(cut -d : -f 2- "$tmp/err")" || not_ok "$1: $(cat "$tmp/err")"
}
wrong 'sauce=/x' 'v.conf:3.*sauce'
wrong 'uuid=12' 'v.conf:3: uuid='
wrong 'mountpoint=mnt' 'v.conf:3: mountpoint='
wrong 'store=s3://b/p' 'v.conf:3.*store'
wrong '[colour]' 'v.conf:3'
wrong 'options=frob' 'frob'
wrong 'options=ro,options' 'options'
wrong 'source' 'v.conf:3'
printf '[volume]\nsource=relative\n' >"$tmp/v.conf"
expect 3 inside 'coffer info v' && grep -q 'absolute' "$tmp/err" && ok "a relative source=" || not_ok "a relative source=: $(cat "$tmp/err")"
: >"$tmp/v.conf"
expect 3 inside 'coffer info v' && ok "an empty file" || not_ok "an empty file"
