#!/bin/sh
# Goals: a mount goes on in another program (coffer restart).
# 1. Ten times, under load: whatever was open stays so, and every byte is what it should be (tests/mount/restart.py). One process all the while; the volume is clean.
# 2. Refused before anything has happened, and the mount goes on: no agent, no key, a program that cannot, a locked or read-only mount.
# 3. Two that restart at once; an agent that is away in between.
# 4. A program that is gone when it is to be executed: undone. One that promises to go on and dies: callers get ENOTCONN at once, and what was fsynced is there.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

mkdir "$tmp/bin"
cp "$bin/coffer" "$bin/coffer-agent" "$tmp/bin"
cp "$bin/coffer" "$tmp/good"
bin=$tmp/bin
mount_here() {
	coffer mount "$tmp/v" "$mnt"
	echo kept >"$mnt/kept"
	sync "$mnt/kept"
	exec 8<"$mnt/kept"
}
program() { # what is there now, in place of the old one, as a package puts it there
	chmod 755 "$tmp/new" && mv "$tmp/new" "$tmp/bin/coffer"
}
good() {
	cp "$tmp/good" "$tmp/new" && program
}
refused() { # TEXT: the mount goes on, with what is open in it
	expect 1 "$tmp/good" --agent "$tmp/agent.sock" restart "$mnt" || return 0
	grep -q -- "goes on as it was: .*$1" "$tmp/err" || { not_ok "$1: but it says: $(cat "$tmp/err")"; return 0; }
	[ "$(cat <&8)" = kept ] && [ "$(cat "$mnt/kept")" = kept ] && echo more >"$mnt/more" && ok "refused: $1" || not_ok "$1: the mount has not gone on"
	exec 8<"$mnt/kept"
}

agent_start
volume v
mount_here
pid=$(mount_pid v)
/usr/bin/python3 "$top_srcdir/tests/mount/restart.py" "$mnt" 10 "$tmp/bin/coffer" --agent "$tmp/agent.sock" restart "$mnt" >"$tmp/out" 2>&1 &&
	ok "ten restarts under load $(grep '^#' "$tmp/out")" || not_ok "ten restarts: $(tail -n 20 "$tmp/out")"
[ "$(mount_pid v)" = "$pid" ] && ok "in one process" || not_ok "another process"
coffer status --json | grep -q "\"mountpoint\": *\"$mnt\"" && ok "the agent lists it" || not_ok "status: $(coffer status)"
good
coffer restart "$mnt" && ok "by a program that was replaced meanwhile" || not_ok "not with a new program"
[ "$(readlink "/proc/$pid/exe")" = "$tmp/bin/coffer" ] && ok "which it now is" || not_ok "it is $(readlink "/proc/$pid/exe")"

mv "$(key_of v)" "$tmp/key"
refused "the agent does not give its key"
mv "$tmp/key" "$(key_of v)"
agent_stop
refused "the agent does not give its key"
agent_start 8<&-
cp /bin/false "$tmp/new" && program
refused "cannot go on"
printf '#!/bin/sh\necho "coffer: no, not I" >&2; exit 1\n' >"$tmp/new" && program
refused "no, not I"
printf '#!/bin/sh\nrm -f %s\n' "$tmp/bin/coffer" >"$tmp/new" && program
refused "No such file"
good
coffer restart "$mnt" && ok "and after all that it can" || not_ok "it cannot any more"
coffer restart "$mnt" &
first=$!
coffer restart "$mnt" && wait "$first" && ok "two at once: both are answered" || not_ok "one of two at once is not answered"
printf '#!/bin/sh\n[ ! -e %s ] || { kill %s; while [ -S %s ] && kill -0 %s; do sleep 0.05; done; : >%s; } 2>/dev/null\n: >%s\nexec %s "$@"\n' \
	"$tmp/asked" "$agent" "$tmp/agent.sock" "$agent" "$tmp/away" "$tmp/asked" "$tmp/good" >"$tmp/new" && program
"$tmp/good" restart "$mnt" &
first=$!
wait_for 60 [ -e "$tmp/away" ]
wait "$agent" || :
agent_start 8<&-
wait "$first" && [ "$(cat "$mnt/kept")" = kept ] && ok "an agent that is away just then is waited for" || not_ok "an agent that is away just then"
rm "$tmp/asked"
good
exec 8<&-
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck"
reader v verify >"$tmp/out" 2>&1 && ok "the independent reader agrees" || not_ok "the independent reader: $(tail -1 "$tmp/out")"

mount_here
echo also >>"$mnt/kept"
sync "$mnt/kept"
printf '#!/bin/sh\n[ ! -e %s ] || exit 1\n: >%s\n' "$tmp/asked" "$tmp/asked" >"$tmp/new" && program
expect 1 "$tmp/good" restart "$mnt" && grep -q "has ended" "$tmp/err" && ok "a program that dies: told" || not_ok "a program that dies: $(cat "$tmp/err")"
cat <&8 2>&1 | grep -q 'not connected' && ok "callers get ENOTCONN" || not_ok "callers get something else"
exec 8<&-
good
expect 0 coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt"
[ "$(xargs <"$mnt/kept")" = "kept also" ] && ok "what was fsynced is there" || not_ok "it holds $(cat "$mnt/kept")"
expect 0 coffer umount "$mnt"
coffer mount -o ro "$tmp/v" "$mnt"
expect 5 coffer restart "$mnt" && ok "read-only: refused" || not_ok "read-only"
expect 0 coffer umount "$mnt"
expect 14 coffer restart "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck"
agent_stop
