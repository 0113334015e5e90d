#!/bin/sh
# Goals:
# 1. Agent, init, mount: three commands, and a volume holds files over unmounting and mounting.
# 2. Without an agent each command that needs one says in one line how to start it, and ends with 10.
# 3. status, info, sync, fsck, trust say what they should; with --json what they print is JSON.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

is_json() {
	/usr/bin/python3 -m json.tool <"$tmp/out" >/dev/null
}

mkdir "$tmp/v" "$mnt"
for command in "init $tmp/v --tenant v" status; do
	# shellcheck disable=SC2086
	expect 10 coffer $command && [ "$(wc -l <"$tmp/err")" = 1 ] && grep -q 'coffer-agent' "$tmp/err" && ok "no agent: $command" || not_ok "no agent: $command"
done
expect 10 coffer --json status && is_json && grep -q '"reachable":false' "$tmp/out" && ok "no agent: status --json" || not_ok "no agent: status --json"
[ -z "$(ls -A "$tmp/v")" ] && ok "a refused init leaves nothing" || not_ok "a refused init leaves nothing"

agent_start
expect 0 coffer init "$tmp/v" --tenant v && grep -q 'for development' "$tmp/err" && ok "init warns of the local key" || not_ok "init warns of the local key"
expect 0 coffer mount "$tmp/v" "$mnt" && [ ! -s "$tmp/err" ] && ok "mount, silently" || not_ok "mount, silently"
expect 0 coffer status && grep -q "^$mnt  *v  *ready" "$tmp/out" && ok "status" || not_ok "status"
expect 0 coffer --json status && is_json && grep -q '"state":"ready"' "$tmp/out" && ok "status --json" || not_ok "status --json"
mkdir "$mnt/d"
echo hello >"$mnt/d/file"
dd if=/dev/urandom of="$mnt/d/big" bs=1M count=3 status=none
ln -s d/file "$mnt/link"
cp -a "$mnt" "$tmp/copy"
expect 0 coffer sync "$mnt" && ok "sync" || not_ok "sync"
start=$(date +%s)
mkdir "$tmp/other"
expect 6 coffer mount "$tmp/v" "$tmp/other" && grep -q "pid $(mount_pid v)" "$tmp/err" && ok "a second mount is told who holds the volume" || not_ok "a second mount is told who holds the volume"
[ $(($(date +%s) - start)) -ge 9 ] && ok "after waiting for a leaving one" || not_ok "it did not wait"
coffer mount "$tmp/v" "$tmp/other" &
waits=$!
sleep 1
expect 0 timeout 60 "$bin/coffer" umount "$mnt" && ok "umount" || not_ok "umount"
wait $waits && [ -e "$tmp/other/d/big" ] && ok "one that waited gets it" || not_ok "the one that waited did not get it"
expect 0 coffer umount "$tmp/other"
expect 14 coffer umount "$mnt" && expect 14 coffer sync "$mnt" && ok "umount and sync of what is not mounted" || not_ok "umount and sync of what is not mounted"
expect 0 coffer --json info "$tmp/v" && is_json && grep -q '"tenant":"v"' "$tmp/out" && ok "info --json" || not_ok "info --json"
expect 0 coffer --json fsck "$tmp/v" && is_json && grep -q '"problems":0' "$tmp/out" && ok "fsck --json" || not_ok "fsck --json"
expect 0 coffer fsck "$tmp/v" && grep -q ' 2 directories, 2 files, .* 0 problems' "$tmp/out" && ok "fsck" || not_ok "fsck"
expect 0 coffer trust "$tmp/v" && grep -q 'was pinned already' "$tmp/out" && ok "trust" || not_ok "trust"
same_as_reader v "$tmp/copy" && ok "the independent reader sees the same" || not_ok "the independent reader sees the same"
expect 0 coffer mount "$tmp/v" "$mnt" && diff -r --no-dereference "$tmp/copy" "$mnt" && ok "mounted again: all there" || not_ok "mounted again: all there"
agent_stop
echo more >"$mnt/without-agent" && ok "a mount goes on without the agent" || not_ok "a mount goes on without the agent"
agent_start
wait_for 15 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' status | grep -q ready" && ok "and tells the next one" || not_ok "and tells the next one"
expect 0 coffer umount "$mnt"
expect 0 coffer status && grep -q 'nothing is mounted' "$tmp/out" && ok "nothing is mounted" || not_ok "nothing is mounted"
