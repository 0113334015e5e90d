#!/bin/sh
# Goals: unfit mount points are told with 14, a host without /dev/fuse with 15, and the volume is as before.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires unshare --mount true

agent_start
volume v
touch "$mnt/in-the-way" "$tmp/file"
refuses 14 'not empty' v coffer mount "$tmp/v" "$mnt"
rm "$mnt/in-the-way"
refuses 14 'mount point' v coffer mount "$tmp/v" "$tmp/nowhere"
refuses 14 'not a directory' v coffer mount "$tmp/v" "$tmp/file"
without_fuse() {
	unshare --mount --propagation private sh -c 'mount -t tmpfs none /dev && exec "$@"' - "$@"
}
refuses 15 '/dev/fuse' v without_fuse "$bin/coffer" --agent "$tmp/agent.sock" mount "$tmp/v" "$mnt"
refuses 15 '/dev/fuse' v unshare --mount --propagation private sh -c 'mount --bind /dev/null /dev/fuse && exec "$@"' - \
	"$bin/coffer" --agent "$tmp/agent.sock" mount "$tmp/v" "$mnt"
expect 0 coffer mount "$tmp/v" "$mnt"
cd "$mnt"
expect 19 coffer umount "$mnt" && grep -q 'in use' "$tmp/err" && ok "umount of a mount in use" || not_ok "umount of a mount in use"
cd /
expect 0 coffer umount "$mnt" && ok "umount" || not_ok "umount"
expect 0 coffer mount "$tmp/v" "$mnt"
exec 9>"$mnt/open"
kill -KILL "$(mount_pid v)"
wait_for 5 sh -c "! stat '$mnt' 2>/dev/null"
refuses 14 'coffer umount' v coffer mount "$tmp/v" "$mnt"
expect 0 coffer umount "$mnt" && ! grep -q "$mnt" /proc/self/mountinfo && ok "umount takes a dead mount away" || not_ok "a dead mount stays"
exec 9>&-
expect 0 coffer fsck "$tmp/v"

# mount(8) calls the helper by its name; its exit status is mount(8)'s.
ln -s "$(readlink -f "$bin/coffer")" "$tmp/mount.coffer"
expect 0 "$tmp/mount.coffer" "$tmp/v" "$mnt" -o "rw,nosuid,agent=$tmp/agent.sock" && ok "mount.coffer" || not_ok "mount.coffer"
touch "$mnt/file"
expect 0 umount "$mnt"
wait_for 10 coffer fsck "$tmp/v"
expect 1 "$tmp/mount.coffer" "$tmp/v" "$mnt" -o "frob,agent=$tmp/agent.sock" && ok "mount.coffer: usage is 1" || not_ok "mount.coffer: usage is 1"
touch "$mnt/in-the-way"
expect 32 "$tmp/mount.coffer" "$tmp/v" "$mnt" -o "agent=$tmp/agent.sock" && ok "mount.coffer: failure is 32" || not_ok "mount.coffer: failure is 32"
