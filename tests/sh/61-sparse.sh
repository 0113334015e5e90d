#!/bin/sh
# Goals:
# 1. A sparse file of 4 TiB: written in the middle and at the end, holes read, cut and grown; the same after SIGKILL and another mount.
# 2. More holes than the header has room for: filling one with metadata stays within dirty= and cache=.
# 3. A file of COFFER_GIB GiB with blocks in COFFER_ISLANDS places keeps the mount's memory within its base and cache=.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
islands=${COFFER_ISLANDS:-8000} gib=${COFFER_GIB:-8}

look() {
	/usr/bin/python3 "$top_srcdir/tests/mount/limits.py" "$@"
}

memory_kib() {
	sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(mount_pid v)/status"
}

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
expect 0 look sparse "$mnt/big" && ok "$(cat "$tmp/out")" || not_ok "4 TiB"
expect 0 look sparse "$mnt/cut" && ok "cut and grown" || not_ok "cut and grown"
kill_mount v
coffer mount "$tmp/v" "$mnt"
expect 0 look sparse-look "$mnt/big" && ok "after SIGKILL: $(cat "$tmp/out")" || not_ok "after SIGKILL"
[ "$(stat -c %s "$mnt/cut")" = 0 ] && ok "what was cut to nothing stays so" || not_ok "cut: $(stat -c %s "$mnt/cut")"
coffer umount "$mnt"
expect 0 timeout 60 "$bin/coffer" --agent "$tmp/agent.sock" fsck "$tmp/v" && ok "fsck of 4 TiB" || not_ok "fsck of 4 TiB"
coffer mount "$tmp/v" "$mnt"
rm "$mnt/big"

coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt" -o dirty=8M,cache=8M
mkdir "$mnt/clients"
expect 0 look clients "$mnt/clients" 8 3 || not_ok "the workers' own memory"
base=$(memory_kib)
expect 0 look islands "$mnt/holes" 26 260 && ok "26 holes: $(cat "$tmp/out")" || not_ok "26 holes"
used=$(memory_kib)
[ $((used - base)) -lt $((32 * 1024)) ] && ok "memory: $base KiB, then $used" || not_ok "memory: $base KiB, then $used with dirty=8M,cache=8M"
rm "$mnt/holes"
expect 0 look islands "$mnt/islands" "$islands" "$gib" && ok "$(cat "$tmp/out")" || not_ok "islands"
coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt" -o cache=8M
mkdir "$mnt/clients2"
expect 0 look clients "$mnt/clients2" 8 3 || not_ok "the workers' own memory"
base=$(memory_kib)
expect 0 look islands-look "$mnt/islands" "$islands" "$gib" && ok "$(cat "$tmp/out")" || not_ok "read again"
used=$(memory_kib)
[ $((used - base)) -lt $((8 * 1024 + 8 * 1024)) ] && ok "memory: $base KiB, then $used with cache=8M; all of it would be $((islands * 4)) KiB" ||
	not_ok "memory: $base KiB, then $used with cache=8M"
coffer umount "$mnt"
