#!/bin/sh
# Goals: what operators look at.
# 1. status --json has every member that is promised, with its type; what people read says what is amiss, and colours only a terminal that wants them.
# 2. top draws, has rates, ends with q or a signal and leaves the terminal as it was; --json prints lines; without a terminal it says what to do.
# 3. A mount point's name cannot write to the terminal.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

terminal() {
	/usr/bin/python3 "$top_srcdir/tests/seen/top.py" "$1" "$bin/coffer" "$tmp/agent.sock" "$2" "$3"
}

agent_start
volume acme
mnt=$tmp/mnt$(printf '\033[2Jx')
mkdir "$mnt"
coffer mount "$tmp/acme" "$mnt"
dd if=/dev/urandom of="$mnt/f" bs=64k count=16 conv=fsync status=none
expect 0 coffer --json status
/usr/bin/python3 - "$tmp/out" "$mnt" <<'PY' && ok "status --json is what is promised" || not_ok "status --json: $(cat "$tmp/out")"
import json, re, sys
s = json.load(open(sys.argv[1]))
assert s["version"] == 1 and s["agent"]["reachable"] is True and isinstance(s["agent"]["pid"], int) and s["agent"]["version"]
(m,) = s["mounts"]
assert m["mountpoint"] == sys.argv[2].replace("\033", "\\x1b") and m["state"] == "ready" and m["read_only"] is False and m["rekey"] is None
time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
for key in ("volume", "uuid", "tenant", "source"):
    assert isinstance(m[key], str) and m[key], key
for key in ("pid", "dirty_bytes", "read_bytes", "write_bytes", "integrity_failures", "replayed_transactions", "operations", "commits"):
    assert type(m[key]) is int, key
for key in ("size_bytes", "used_bytes", "last_commit_age_ms"):
    assert type(m["log"][key]) is int, key
assert time.fullmatch(m["since"]) and m["write_bytes"] >= 1 << 20 and m["operations"] > 3 and m["commits"] >= 1
lease = m["lease"]
assert lease["state"] == "ACTIVE" and time.fullmatch(lease["since"]) and lease["locks_at"] is None
assert lease["key_uri"].startswith("local:") and isinstance(lease["reason"], str)
PY
expect 0 coffer status
grep -q 'mnt\\x1b\[2Jx  *acme  *ready  *ACTIVE' "$tmp/out" && ! grep -q "$(printf '\033')" "$tmp/out" && ok "nothing of a name reaches the terminal" || not_ok "status: $(cat -v "$tmp/out")"
terminal status MOUNTPOINT ACTIVE && ok "colours on a terminal, not with NO_COLOR" || not_ok "colours"

terminal draws 'coffer top: 1 mount' ACTIVE && ok "top draws, and q ends it" || not_ok "top"
terminal signal 'OPS/S' ready && ok "a signal ends it, and the terminal is as before" || not_ok "top, a signal"
expect 2 coffer top && grep -q -- '--json top' "$tmp/err" && ok "no terminal, no drawing" || not_ok "top without a terminal"
expect 2 coffer top --interval 0 && expect 2 coffer top --count && expect 2 coffer top now && ok "usage" || not_ok "usage"
(while :; do dd if=/dev/zero of="$mnt/load" bs=64k count=8 conv=fsync status=none 2>/dev/null || exit; done) &
load=$!
expect 0 coffer --json top --count 2
kill "$load"
wait "$load" 2>/dev/null || :
/usr/bin/python3 - "$tmp/out" <<'PY' && ok "top --json: rates" || not_ok "top --json: $(cat "$tmp/out")"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert len(lines) == 2 and all(x["tenant"] == "acme" and x["lease"] == "ACTIVE" for x in lines)
assert all(x["write_bytes_per_s"] > 0 and x["operations_per_s"] > 0 and x["commits_per_s"] >= 0 for x in lines), lines
PY

coffer lock --reason 'quarterly drill' "$tmp/acme"
expect 0 coffer status
grep -q 'LOCKED since 20.*: .*quarterly drill' "$tmp/out" && grep -q ' locked ' "$tmp/out" && ok "why it is locked" || not_ok "locked: $(cat "$tmp/out")"
coffer unlock "$tmp/acme"
wait_for 20 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' status | grep -q 'ready  *ACTIVE'"
back=$(find "$tmp/acme" -type f -size +900k ! -name 'coffer.*')
coffer umount "$mnt"
printf zz | dd of="$back" bs=1 seek=70000 conv=notrunc status=none
coffer mount "$tmp/acme" "$mnt"
! cat "$mnt/f" >/dev/null 2>&1 || not_ok "damage was read"
expect 0 coffer status
grep -q 'did not verify; the journal names' "$tmp/out" && ok "damage is told" || not_ok "damage: $(cat "$tmp/out")"
kill -KILL "$(mount_pid acme)"
umount -l "$mnt"
coffer mount "$tmp/acme" "$mnt"
expect 10 "$bin/coffer" --agent "$tmp/none.sock" top --count 1 --json
coffer umount "$mnt"
