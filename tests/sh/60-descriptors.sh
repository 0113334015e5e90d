#!/bin/sh
# Goals: a mount with 256 descriptors and 20,000 files: created, fsynced, thousands held open and some unlinked meanwhile, read back, walked;
# the same after another mount.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
few() {
	prlimit --nofile=256:256 "$bin/coffer" --agent "$tmp/agent.sock" mount "$tmp/v" "$mnt"
}
few
expect 0 /usr/bin/python3 "$top_srcdir/tests/mount/limits.py" descriptors "$mnt" 20000 && ok "$(cat "$tmp/out")" || not_ok "20,000 files"
used=$(find "/proc/$(mount_pid v)/fd" -type l | wc -l)
[ "$used" -le 256 ] && ok "with $used descriptors" || not_ok "$used descriptors"
find "$mnt" -type f -printf '%P %s\n' | sort >"$tmp/want"
coffer umount "$mnt"
few
find "$mnt" -type f -printf '%P %s\n' | sort | cmp - "$tmp/want" && ok "walked again: $(wc -l <"$tmp/want") files" || not_ok "walked again"
expect 0 rm -r "$mnt/1" "$mnt/2" && ok "rm -r" || not_ok "rm -r"
coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
