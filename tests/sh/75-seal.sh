#!/bin/sh
# Goals: seal and unseal from standard input to standard output, with the exit codes of their pages; no terminal on either side; nothing of a secret in logs, state or
# the sealed file; a sealed file opens on another host that may use the key.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; the inner shell expands
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
printf 'correct horse battery staple' >"$tmp/secret"
seal() { coffer seal --tenant acme "$@"; }
sealed() { seal --name "$1" <"$2" >"$3"; }
opened() { coffer unseal --tenant acme --name "$1" <"$2" >"$3"; }
expect 0 sealed db "$tmp/secret" "$tmp/db" && grep -q 'version 1 sealed' "$tmp/err" && ok "a secret is sealed" || not_ok "seal: $(cat "$tmp/err")"
expect 0 opened db "$tmp/db" "$tmp/clear" && cmp "$tmp/secret" "$tmp/clear" && ok "and opens"
! grep -rq 'horse battery' "$tmp/state" "$tmp/agent.log" "$tmp/db" && ok "nothing of it is in state, log or file" || not_ok "it is in clear somewhere"
head -c 1048576 /dev/urandom >"$tmp/large"
expect 0 sealed large "$tmp/large" "$tmp/large.sealed" && expect 0 opened large "$tmp/large.sealed" "$tmp/clear" && cmp "$tmp/large" "$tmp/clear" && ok "1 MiB"
echo >>"$tmp/large"
expect 2 sealed large "$tmp/large" "$tmp/none" && grep -q '1 MiB' "$tmp/err" && ok "and no more"
expect 2 sealed db /dev/null "$tmp/none" && ok "nothing is no secret"
expect 4 opened db "$tmp/secret" "$tmp/none" && grep -q 'not a sealed' "$tmp/err" && ok "something else is no sealed file"
expect 4 opened db "$tmp/large" "$tmp/none" && ok "nor is anything too long"
expect 11 opened other "$tmp/db" "$tmp/none" && [ ! -s "$tmp/none" ] && ok "another name"
head -c -1 "$tmp/db" >"$tmp/cut"
expect 7 opened db "$tmp/cut" "$tmp/none" && [ ! -s "$tmp/none" ] && ok "a cut file"
again() { seal --name db --version "$1" <"$tmp/secret" >"$tmp/db.again"; }
expect 0 again 9 && expect 17 again 9 && expect 17 again 2 && ok "versions rise"
for v in 0 -1 1x 9223372036854775808 ''; do expect 2 again "$v" && ok "no version: $v"; done
expect 2 seal </dev/null && expect 2 coffer unseal --name db </dev/null && expect 2 seal --name db --frob </dev/null && ok "usage"
expect 1 sealed ../db "$tmp/secret" "$tmp/none" && ok "a name that is none"
on_terminal() { # CMD ARG...: with a terminal on all three
	python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$@" </dev/null
}
expect 2 on_terminal "$bin/coffer" --agent "$tmp/agent.sock" seal --tenant acme --name db && grep -q 'is a terminal' "$tmp/out" && ok "a terminal is refused"
expect 2 on_terminal sh -c '"$@" <"$0"' "$tmp/db" "$bin/coffer" --agent "$tmp/agent.sock" unseal --tenant acme --name db && ! grep -q horse "$tmp/out" && grep -q 'terminal' "$tmp/out" &&
	ok "also for output" || not_ok "on a terminal: $(cat "$tmp/out")"
expect 16 opened db "$tmp/db" /dev/full && ok "output that is full"
expect 0 coffer lock --tenant acme && expect 12 opened db "$tmp/db" "$tmp/none" && expect 12 sealed db "$tmp/secret" "$tmp/none" && ok "a locked tenant opens nothing"
expect 0 coffer unlock --tenant acme && expect 0 opened db "$tmp/db" "$tmp/clear" && ok "until it is unlocked"
[ "$(grep -c '"event":"cred.open".*"outcome":"ok"' "$tmp/state/audit.log")" -eq 4 ] && ok "each opening is in the audit log" || not_ok "audit: $(grep -c cred.open "$tmp/state/audit.log")"
expect 0 coffer audit verify "$tmp/state" && ok "which verifies"
agent_stop

# Another host: the key and the file are there, the state is not.
mv "$tmp/state" "$tmp/state.away"
agent_start
expect 0 opened db "$tmp/db" "$tmp/clear" && cmp "$tmp/secret" "$tmp/clear" && ok "it opens on another host"
mv "$tmp/etc/keys/acme-credentials" "$tmp/key"
agent_stop
agent_start
expect 12 opened db "$tmp/db" "$tmp/none" && ok "a key that is gone is a key that was withdrawn"
agent_stop
expect 10 opened db "$tmp/db" "$tmp/none" && ok "no agent"
