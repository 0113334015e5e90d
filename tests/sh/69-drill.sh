#!/bin/sh
# Goals: drill locks a scratch volume that is at work, by an operator's word or by a command that takes the key away, sees from outside that nothing can be read any
# more, opens it again, and leaves everything as it was, also when it fails or is interrupted; the drill is in the audit log. This is the lock path on a real mount
# with a local key: stage kms has it with a real key service.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

mkdir -p "$tmp/etc/tenants.d"
printf '[tenant]\nprobe=1s\nconfirm=1\n' >"$tmp/etc/tenants.d/v.conf"
agent_start
volume v
key=$(key_of v)

clean() { # TEXT: nothing is mounted, the volume opens and is empty
	! grep -q coffer-drill /proc/self/mountinfo || { not_ok "$1: still mounted"; return; }
	coffer mount "$tmp/v" "$mnt" && [ -z "$(ls -A "$mnt")" ] && coffer umount "$mnt" && ok "$1: as it was" || not_ok "$1: $(ls -lA "$mnt")"
}

expect 0 coffer --json drill "$tmp/v" && /usr/bin/python3 - "$tmp/out" <<'END' && ok "an operator's lock" || not_ok "an operator's lock: $(cat "$tmp/out" "$tmp/err")"
import json, sys
o = json.load(open(sys.argv[1]))
assert o["by"] == "operator" and o["tenant"] == "v" and o["acknowledged"] > 0, o
assert 0 <= o["read_ms"] <= o["page_cache_ms"] <= o["clients_ms"] < 60000 and o["back_ms"] < 60000, o
END
clean "afterwards"
expect 0 coffer drill "$tmp/v" --revoke "mv '$key' '$tmp/away'" --restore "mv '$tmp/away' '$key'" && grep -q 'by command: read(2) ended after .* all there' "$tmp/out" &&
	ok "a key that is taken away" || not_ok "a key that is taken away: $(cat "$tmp/out" "$tmp/err")"
clean "afterwards"
expect 0 coffer audit show "$tmp/state" && [ "$(grep -c ' drill ' "$tmp/out")" = 2 ] && grep ' drill ' "$tmp/out" | grep -q 'an operator' && grep -q 'lease.*LOCKED\|mount.lock\|key.lock' "$tmp/out" &&
	ok "it is in the audit log" || not_ok "audit log: $(cat "$tmp/out")"

expect 1 coffer drill "$tmp/v" --revoke true --restore true --wait 2 && grep -q 'can still be read: not within 2 s' "$tmp/err" && ok "nothing was refused: told" ||
	not_ok "nothing was refused: $(cat "$tmp/err")"
clean "afterwards"
expect 1 coffer drill "$tmp/v" --revoke 'exit 3' --restore ": >'$tmp/restored'" && grep -q 'ended with 3' "$tmp/err" && [ -e "$tmp/restored" ] && ok "a command that fails is undone" ||
	not_ok "a command that fails: $(cat "$tmp/err")"
"$bin/coffer" --agent "$tmp/agent.sock" drill "$tmp/v" --revoke ": >'$tmp/revoked'" --restore ": >'$tmp/again'" >"$tmp/out" 2>"$tmp/err" &
pid=$!
wait_for 60 [ -e "$tmp/revoked" ]
kill -TERM $pid
wait $pid && not_ok "interrupted: it says 0" || { [ $? = 20 ] && [ -e "$tmp/again" ] && ok "interrupted" || not_ok "interrupted: $(cat "$tmp/err")"; }
clean "afterwards"

coffer mount "$tmp/v" "$mnt"
expect 6 coffer drill "$tmp/v" && ok "not of a mounted volume"
echo data >"$mnt/file"
coffer umount "$mnt"
expect 17 coffer drill "$tmp/v" && grep -q scratch "$tmp/err" && ok "not of a volume with anything in it" || not_ok "with a file: $(cat "$tmp/err")"
coffer mount "$tmp/v" "$mnt" && [ "$(cat "$mnt/file")" = data ] && coffer umount "$mnt" && ok "which is not touched" || not_ok "which is not touched"
expect 2 coffer drill "$tmp/v" --revoke true && ok "one command alone is no drill"
expect 2 coffer drill "$tmp/v" --wait 0 && ok "nor is no time"
expect 2 coffer drill && ok "nor no volume"
