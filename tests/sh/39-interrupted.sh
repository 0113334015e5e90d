#!/bin/sh
# Goals: a mount whose caller is ended before the mount answers is not left behind, and the volume is free and whole.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires mkdir "$mnt"

mounting() {
	[ "$(volume_processes | grep -cvx "$agent")" -eq "$1" ]
}

agent_start
volume v
kill -STOP "$agent"
"$bin/coffer" --agent "$tmp/agent.sock" mount "$tmp/v" "$mnt" &
parent=$!
wait_for 10 mounting 2 # it, and the process that is to serve
kill -KILL "$parent"
wait "$parent" 2>/dev/null || :
kill -CONT "$agent"
wait_for 20 mounting 0 && ok "the mount process ends" || not_ok "the mount process ends"
! grep -q "$mnt" /proc/self/mountinfo && ok "nothing is mounted" || not_ok "nothing is mounted"
expect 0 coffer mount "$tmp/v" "$mnt"
expect 0 coffer umount "$mnt" && ok "the volume is free" || not_ok "the volume is free"
expect 0 coffer fsck "$tmp/v"
