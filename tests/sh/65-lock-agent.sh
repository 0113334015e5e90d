#!/bin/sh
# Goals: a mount of whole programs, with an agent behind a relay that pushes lock and unlock.
# 1. Locked: ENOKEY, status says so, umount works. Unlocked with the key; with a wrong one, or without, it stays locked.
# 2. Without an agent for longer than it allowed (1 s here) it locks itself, and says so when it registers again.
# 3. fsck and the independent reader find a clean, whole volume; nothing of it stands in a log, environment or command line.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

relay_start() {
	rm -f "$tmp/relay.sock" "$tmp/orders"
	mkfifo "$tmp/orders"
	/usr/bin/python3 "$top_srcdir/tests/lock/relay.py" "$tmp/relay.sock" "$tmp/agent.sock" <"$tmp/orders" >"$tmp/relay.out" 2>"$tmp/relay.err" &
	relay=$!
	exec 9>"$tmp/orders"
	wait_for 30 [ -S "$tmp/relay.sock" ]
}

relay_stop() {
	exec 9>&-
	wait "$relay" || :
}

order() { # EVENT ANSWER
	: >"$tmp/relay.out"
	echo "$1" >&9
	wait_for 60 grep -q "^$1 " "$tmp/relay.out"
	grep -q "^$1 $2" "$tmp/relay.out" && ok "$1: $2" || not_ok "$1: not $2: $(cat "$tmp/relay.out")"
}

is_locked() {
	LC_ALL=C head -c 1 "$mnt/file" 2>&1 | grep -q 'Required key not available'
}

locked_now() {
	is_locked && ok "$1" || not_ok "$1: $(ls -l "$mnt" 2>&1)"
}

mount_here() {
	coffer mount "$@" -o agent="$tmp/relay.sock" "$tmp/v" "$mnt" 2>"$tmp/mount.err" 9>&-
}

agent_start
relay_start
volume v
mount_here
echo planted-content >"$mnt/file"
mkdir "$mnt/planted-name"
sync -f "$mnt/file"
order lock ok
locked_now "a locked mount says ENOKEY"
coffer status --json | grep -q '"locked": *true' && ok "status has it" || not_ok "status: $(coffer status --json)"
tr '\0' '\n' <"/proc/$(mount_pid v)/environ" | cat - "/proc/$(mount_pid v)/cmdline" "$tmp/agent.log" "$tmp/state/audit.log" "$tmp/mount.err" |
	grep -a planted && not_ok "names or contents in a log" || ok "nothing of it in logs, environment and command line"
mv "$(key_of v)" "$tmp/key"
order unlock DENIED
locked_now "without the key it stays locked"
mv "$tmp/key" "$(key_of v)"
order unlock ok
[ "$(cat "$mnt/file")" = planted-content ] && ok "the content is back" || not_ok "the content: $(cat "$mnt/file" 2>&1)"
order lock ok
expect 0 coffer umount "$mnt" && ok "umount while locked"
reader v verify >"$tmp/out" 2>&1 && ok "the independent reader agrees" || not_ok "the independent reader: $(tail -1 "$tmp/out")"
mount_here
relay_stop
wait_for 60 is_locked
ok "a mount without its agent locks itself"
relay_start
wait_for 60 grep -q "^registered locked" "$tmp/relay.out"
ok "and says so to the next one"
order unlock ok
[ "$(cat "$mnt/file")" = planted-content ] && ok "the content is back" || not_ok "the content: $(cat "$mnt/file" 2>&1)"
expect 0 coffer umount "$mnt"
mount_here
order lock ok
ended=$(mount_pid v)
kill "$ended"
wait_for 60 [ ! -e "/proc/$ended/exe" ]
grep -q '^at rest' "$tmp/v/coffer.lock" && ok "ended by a signal while locked: at rest" || not_ok "$(cat "$tmp/v/coffer.lock")"
mount_here -o ro
order lock ok
locked_now "a read-only mount, too"
order unlock ok
[ "$(cat "$mnt/file")" = planted-content ] && ok "and back" || not_ok "a read-only mount: $(cat "$mnt/file" 2>&1)"
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck"
relay_stop
