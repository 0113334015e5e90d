#!/bin/sh
# Goals:
# 1. A mount with fuse-uring, where the kernel offers it, gets its requests by io_uring and serves what any other serves: names, contents, lookups for data by many threads at once
#    (more than its workers), several processes; what was fsynced is there when it was killed; locked and unlocked as in 64-lock.
# 2. It cannot be handed over, says so, and goes on; unmounting ends it while others use it.
# 3. Where the kernel does not offer it, it says so and serves the usual way.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

param=/sys/module/fuse/parameters/enable_uring
requires [ -w $param ]
exec 7<$param
flock 7 # of the host: one such test at a time
before=$(cat $param)
put_back() { echo "$before" >$param; }
cleanup_fn put_back

agent_start
volume v

echo N >$param
expect 0 coffer mount "$tmp/v" "$mnt" -o fuse-uring,threads=4 && grep -q 'fuse-uring: the kernel does not offer it' "$tmp/err" && ok "not offered: said" || not_ok "not offered: $(cat "$tmp/err")"
echo text >"$mnt/file" && [ "$(cat "$mnt/file")" = text ] && ok "not offered: it serves" || not_ok "not offered: it does not serve"
expect 0 coffer umount "$mnt"

echo Y >$param
rings() { find "/proc/$(mount_pid v)/fd" -lname 'anon_inode:\[io_uring\]' | wc -l; }
# Of the threads named "ring": how often they have waited.
waits() { for task in "/proc/$(mount_pid v)"/task/*; do grep -q '^coffer-ring' "$task/comm" && sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "$task/status"; done | awk '{ n += $1 } END { print n + 0 }'; }
expect 0 coffer mount "$tmp/v" "$mnt" -o fuse-uring,threads=4
[ "$(rings)" -ge $((2 * $(nproc))) ] && ok "a ring for each worker" || not_ok "rings: $(rings)"
n=$(waits)
for k in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo $k >"$mnt/f$k" && mkdir "$mnt/d$k"; done
[ "$(waits)" -ge $((n + 40)) ] && ok "requests come by them" || not_ok "requests: $n, then $(waits)"
expect 0 timeout 100 /usr/bin/python3 "$top_srcdir/tests/mount/seeks.py" "$mnt" 80 6 && ok "lseek: $(cat "$tmp/out")" || not_ok "lseek: $(cat "$tmp/err")"
expect 0 timeout 100 /usr/bin/python3 "$top_srcdir/tests/mount/deep.py" "$mnt/deep" 2 && ok "reads and writes: $(cat "$tmp/out")" || not_ok "reads and writes: $(cat "$tmp/err")"
mkdir "$mnt/fight"
expect 0 timeout 100 "$top_builddir/tests/stress/namestress" "$mnt/fight" -r -n 2000 -s 48 && ok "a fight over names" || not_ok "the fight: $(head -n 5 "$tmp/out")"
head -c 3000000 /dev/urandom >"$tmp/big"
cp "$tmp/big" "$mnt/big" && echo 3 >/proc/sys/vm/drop_caches && cmp "$tmp/big" "$mnt/big" && ok "a file of some requests" || not_ok "a file of some requests"

expect 1 coffer restart "$mnt" && grep -q 'goes on as it was: mounted with fuse-uring' "$tmp/err" && ok "it is not handed over" || not_ok "restart: $(cat "$tmp/err")"
[ "$(cat "$mnt/f7")" = 7 ] && ok "and goes on" || not_ok "it does not go on"
/usr/bin/python3 -c 'import os, sys; f = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY); os.write(f, b"kept"); os.fsync(f)' "$mnt/synced"
kill_mount v
expect 0 coffer mount "$tmp/v" "$mnt" -o fuse-uring && [ "$(cat "$mnt/synced")" = kept ] && ok "killed: what was fsynced is there" || not_ok "killed: $(cat "$tmp/err")"
pid=$(mount_pid v)
exec 8<"$mnt/synced"
umount -l "$mnt"
[ "$(cat <&8)" = kept ] && ok "unmounted lazily: what is open goes on" || not_ok "unmounted lazily"
exec 8<&-
wait_for 20 [ ! -e "/proc/$pid/exe" ] && ok "and it ends with its last user" || not_ok "it does not end"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck: $(cat "$tmp/out" "$tmp/err")"

mkdir "$tmp/lock"
LOCKER_FUSE_URING=1 /usr/bin/python3 "$top_srcdir/tests/lock/lock.py" "$top_builddir/tests/lock/locker" "$tmp/lock" 2>"$tmp/log" || { sed 's/^/# /' "$tmp/log"; not_ok "tests/lock/lock.py"; }
umount -l "$tmp/lock/mnt" 2>/dev/null || :
