#!/bin/sh
# Goals:
# 1. volumes.d says where the backups of a volume are: run, list, verify, prune and drill take its name; [store] fills up what the command line leaves out.
# 2. verify and drill that end well are told to the agent, for every directory of the volume on this host; on a host that does not know it, silently not.
# 3. drill restores, checks and mounts in scratch, runs a checker there, and leaves neither mount, process, directory nor pin, also when it fails or is interrupted.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; another shell expands
. "${top_srcdir:?}/tests/sh/volume.sh"

XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
mkdir -p "$tmp/store" "$tmp/scratch" "$tmp/etc/volumes.d"
named() { # in a mount namespace where /etc/coffer is ours
	unshare --mount --propagation private sh -c 'mount -t tmpfs none /etc && mkdir -p /etc/coffer && cp -r "$1" /etc/coffer/volumes.d || exit 99; shift; exec "$@"' sh "$tmp/etc/volumes.d" \
		"$bin/coffer" --agent "$tmp/agent.sock" "$@"
}
pins() {
	find "$tmp/state/volumes" -name '*.json' | wc -l
}
drill() { # CODE ARG...: and nothing is left
	drill_code=$1
	shift
	expect "$drill_code" named --json backup drill "$@" --scratch "$tmp/scratch" || return 1
	[ -z "$(ls -A "$tmp/scratch")" ] && ! grep -q "$tmp/scratch" /proc/self/mountinfo && wait_for 20 sh -c "[ \$(find '$tmp/state/volumes' -name '*.json' | wc -l) = 1 ]"
}
done_at() {
	/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get("done", {}).get(sys.argv[2], 0))' "$(echo "$tmp"/state/volumes/*.json)" "$1"
}

agent_start
volume v
printf '[volume]\nsource = %s/v\n[backup]\nstore = %s\nkeep-daily = 2\n' "$tmp" "$store" >"$tmp/etc/volumes.d/db.conf"
printf '[volume]\nsource = %s/v\n' "$tmp" >"$tmp/etc/volumes.d/none.conf"
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/d"
echo hello >"$mnt/d/file"
dd if=/dev/urandom of="$mnt/big" bs=1M count=9 status=none
sync "$mnt/d/file" "$mnt/big"
kill_mount v # so that the log is in the snapshot
expect 0 named backup run db && ok "run NAME: $(sed 's/.*: //' "$tmp/out")" || not_ok "run NAME: $(cat "$tmp/err")"
expect 3 named backup run none && grep -q 'no store= in' "$tmp/err" && ok "a name without a store is told" || not_ok "without a store: $(cat "$tmp/err")"
expect 2 named backup list "$tmp/store" && grep -q 'not a store' "$tmp/err" && ok "a path is no store" || not_ok "a path: $(cat "$tmp/err")"
expect 0 named backup list db && [ "$(wc -l <"$tmp/out")" = 1 ] && ok "list NAME" || not_ok "list NAME: $(cat "$tmp/out" "$tmp/err")"
[ "$(done_at verify)" = 0 ] || not_ok "verified before it was"
expect 0 named backup verify db && [ ! -s "$tmp/err" ] && [ "$(done_at verify)" -gt 0 ] && grep -q '"event":"backup.verify"' "$tmp/state/audit.log" && ok "verify is told to the agent" || not_ok "verify: $(cat "$tmp/err")"
expect 0 named backup prune db --dry-run && grep -q '1 snapshots stay' "$tmp/out" && ok "prune NAME keeps what volumes.d says" || not_ok "prune NAME: $(cat "$tmp/out" "$tmp/err")"
expect 2 named backup prune "$store" && ok "(and a store says nothing)" || not_ok "prune STORE: $(cat "$tmp/err")"

drill 0 db --check '[ "$(cat d/file)" = hello ] && [ "$(stat -c %s big)" = 9437184 ] && touch written' && grep -q '"checked":true' "$tmp/out" && [ ! -s "$tmp/err" ] && ok "drill: $(cut -c1-60 "$tmp/out")" || not_ok "drill: $(cat "$tmp/out" "$tmp/err") $(ls -A "$tmp/scratch")"
grep -q '"detail":"drill .*"event":"backup.verify"' "$tmp/state/audit.log" && ok "the audit log has it" || not_ok "the audit log has it not: $(tail -2 "$tmp/state/audit.log")"
drill 0 "$store" && ok "drill STORE, without a checker" || not_ok "drill STORE: $(cat "$tmp/err")"
drill 8 db --check 'exit 3' && grep -q 'the command ended with 3' "$tmp/err" && ok "a checker that fails is damage" || not_ok "checker: $(cat "$tmp/err")"
drill 0 db --check 'sleep 1000 & :' && ok "what a checker leaves running does not keep the mount" || not_ok "left running: $(cat "$tmp/err")"
"$bin/coffer" --agent "$tmp/agent.sock" backup drill "$store" --scratch "$tmp/scratch" --check ": >'$tmp/there'; exec sleep 1000" >"$tmp/out" 2>"$tmp/err" &
pid=$!
wait_for 60 [ -e "$tmp/there" ]
kill -TERM $pid
code=0
wait $pid || code=$?
[ "$code" = 20 ] && [ -z "$(ls -A "$tmp/scratch")" ] && ! grep -q "$tmp/scratch" /proc/self/mountinfo && ok "interrupted: exit 20 and nothing left" || not_ok "interrupted: $code $(cat "$tmp/err") $(ls -A "$tmp/scratch")"
before=$(done_at verify)
segment=$(find "$tmp/store" -path '*segments*' -type f | head -1)
dd if=/dev/urandom of="$segment" bs=64 seek=100 count=1 conv=notrunc status=none
drill 8 db && [ "$(done_at verify)" = "$before" ] && ok "a store with rot: exit 8, and nothing is recorded" || not_ok "rot: $(cat "$tmp/err")"
[ "$(pins)" = 1 ] && ok "no pin is left" || not_ok "pins: $(ls "$tmp/state/volumes")"
