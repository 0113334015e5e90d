#!/bin/sh
# Goals:
# 1. What a program may expect of a directory holds below a mount, and outlives unmounting and mounting.
# 2. The same test passes below a plain directory but for what it knows to be ours: so it tests what it says.
# 3. Afterwards the volume is whole.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
cat >"$tmp/remount" <<END
'$bin/coffer' --agent '$tmp/agent.sock' umount '$mnt' && '$bin/coffer' --agent '$tmp/agent.sock' mount '$tmp/v' '$mnt'
END
/usr/bin/python3 "$top_srcdir/tests/mount/semantics.py" "$mnt" --remount "sh $tmp/remount" >"$tmp/out" && ok "semantics: $(grep -c '^ok' "$tmp/out") kinds" ||
	not_ok "semantics: $(grep '^FAILED' "$tmp/out")"
coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
mkdir "$tmp/plain"
/usr/bin/python3 "$top_srcdir/tests/mount/semantics.py" "$tmp/plain" >"$tmp/out" || :
[ "$(grep -c '^FAILED' "$tmp/out")" -le 1 ] && ok "and below a plain directory" || not_ok "plain directory: $(grep '^FAILED' "$tmp/out")"
