#!/bin/sh
# The lock path, end to end: a real Vault server refuses, and a mount at work gives nothing any more; it allows again, and everything is back. Agent, tenants.d, commands and
# mount are the whole programs. LOCK_PATH_DEFAULT=1 (by hand, some minutes): with the default timers, but for the cases that take hours.
set -eu
# shellcheck source=tests/sh/volume.sh
. "${top_srcdir:?}/tests/sh/volume.sh"
# shellcheck source=tests/kms/functions.sh
. "$top_srcdir/tests/kms/functions.sh"

requests="$top_srcdir/tests/kms/bao.py request $bao"
start_bao
bao_key acme
bao_approle acme
mkdir -p "$tmp/etc/tenants.d"
rules() { # [tenant] settings
	{ echo "[tenant]"; echo "kms=hcvault://$bao_host/transit/keys/acme"; [ -n "${LOCK_PATH_DEFAULT:-}" ] || printf '%s\n' probe=2s confirm=2/2s max-stale=8s max-auth=4s; printf '%s\n' "$@"; bao_tenant acme; } \
		>"$tmp/etc/tenants.d/acme.conf"
}
rules
# What `coffer policy` prints is all that the host is given, and is enough for what follows.
expect 0 coffer policy vault --tenant acme --config "$tmp/etc"
policy=$(/usr/bin/python3 -c 'import json, sys; print(json.dumps({"policy": sys.stdin.read()}))' <"$tmp/out")
bao_request PUT sys/policies/acl/acme "$policy" >/dev/null
agent_start
volume acme --kms "hcvault://$bao_host/transit/keys/acme"
coffer mount "$tmp/acme" "$mnt"

lock_path() { # NAME REFUSE ALLOW: shell commands
	# shellcheck disable=SC2086 # words
	/usr/bin/python3 "$top_srcdir/tests/kms/lock_path.py" "$top_srcdir/tests/lock/clients.py" "$mnt" "$tmp" "$1" "${LOCK_PATH_DEFAULT:+4}60" \
		-- sh -c "$2" -- sh -c "$3" || functions_failed=1
	rm -f "$mnt"/*
}

py=/usr/bin/python3
lock_path "key deleted softly (REVOKED)" "$py $requests DELETE transit/keys/acme/soft-delete" "$py $requests POST transit/keys/acme/soft-delete-restore '{}'"
lock_path "policy removed (DENIED)" "$py $requests PUT sys/policies/acl/acme '{\"policy\":\"# nothing\"}'" "$py $requests PUT sys/policies/acl/acme '$policy'"

[ -n "${LOCK_PATH_DEFAULT:-}" ] || {
	cat >"$tmp/revoke" <<END
$py $requests POST auth/approle/role/acme/secret-id/destroy "{\\"secret_id\\":\\"\$(cat "$bao/acme.secret-id")\\"}"
$py $requests POST sys/leases/revoke-prefix/auth/approle/login '{"sync":true}'
END
	cat >"$tmp/grant" <<END
umask 077
$py $requests POST auth/approle/role/acme/secret-id '{}' | $py -c 'import json, sys; print(json.load(sys.stdin)["data"]["secret_id"])' >"$bao/new"
mv "$bao/new" "$bao/acme.secret-id"
END
	lock_path "our login is taken away (AUTH)" "sh $tmp/revoke" "sh $tmp/grant"

	# It hangs, for less than max-stale=: a writer goes on.
	/usr/bin/python3 "$top_srcdir/tests/lock/clients.py" writer "$mnt/w" "$tmp/w.ledger" </dev/null >"$tmp/writer.out" 2>&1 &
	writer=$!
	wait_for 30 [ -s "$tmp/w.ledger" ]
	kill -STOP "$(cat "$bao/pid")"
	wait_for 60 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' --json status | grep -q '\"state\":\"STALE\"'" # four tries take 15 s
	before=$(cat "$tmp/w.ledger")
	wait_for 30 sh -c "[ \"\$(cat '$tmp/w.ledger')\" != '$before' ]"
	ok "a server that hangs: STALE, and a writer at work goes on"
	kill -CONT "$(cat "$bao/pid")"
	kill "$writer"
	wait_for 30 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' --json status | grep -q '\"state\":\"ACTIVE\"'"

	# Nobody answers: nothing stops before max-stale=.
	echo still >"$mnt/still"
	begin=$(date +%s)
	seal_bao
	wait_for 120 sh -c "[ \"\$(cat '$mnt/still' 2>/dev/null)\" != still ]"
	took=$(($(date +%s) - begin))
	if [ "$took" -ge 7 ]; then ok "a sealed server: served for $took s (max-stale=8s), then locked"; else not_ok "locked after $took s of an outage"; fi
	unseal_bao
	wait_for 60 cat "$mnt/still"
	ok "unsealed: data is back by itself"
}

# An operator's word stands over restarts of the agent, and without auto-unlock= nothing opens by itself.
expect 0 coffer lock "$tmp/acme" --reason "case 4711"
agent_stop
agent_start
wait_for 30 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' --json status | grep -q '\"state\":\"LOCKED\",\"reason\":\"[^\"]*case 4711'"
if cat "$mnt"/* >/dev/null 2>&1; then not_ok "open after a restart"; else ok "an operator's lock outlives the agent, and says why"; fi
expect 12 coffer fsck "$tmp/acme" || :
wait_for 30 coffer unlock "$tmp/acme"
wait_for 30 ls "$mnt"
ok "unlocked by the operator"
rules auto-unlock=no
[ -n "${LOCK_PATH_DEFAULT:-}" ] || {
	agent_stop
	agent_start
	wait_for 30 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' --json status | grep -q '\"state\":\"ACTIVE\"'"
	bao_request DELETE transit/keys/acme/soft-delete >/dev/null
	wait_for 60 sh -c "! ls '$mnt' 2>/dev/null"
	bao_request POST transit/keys/acme/soft-delete-restore '{}' >/dev/null
	sleep 5
	if ls "$mnt" >/dev/null 2>&1; then not_ok "opened by itself"; else ok "auto-unlock=no: locked until somebody says otherwise"; fi
	wait_for 30 coffer unlock "$tmp/acme"
	ls "$mnt" >/dev/null && ok "and then it opens"
}
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/acme" && ok "fsck is clean behind all that"

# Gone for good: locked, and a locked mount can be taken away.
coffer mount "$tmp/acme" "$mnt"
bao_request POST transit/keys/acme/config '{"deletion_allowed":true}' >/dev/null
bao_request DELETE transit/keys/acme >/dev/null
wait_for 300 sh -c "! ls '$mnt' 2>/dev/null"
ok "a key that is deleted for good: locked"
expect 0 coffer umount "$mnt" && expect 12 coffer fsck "$tmp/acme" && ok "the mount can be taken away, and nobody opens the volume any more"
expect 0 coffer audit verify "$tmp/state" && ok "the audit log is whole"
if grep '"event":"key.revoked_seen"' "$tmp/state/audit.log" | grep '"http":403' | grep -q '"req_id":"'; then ok "refusals carry the server's status and request"; else not_ok "refusals: $(grep revoked_seen "$tmp/state/audit.log")"; fi
if grep '"event":"key.unwrap"' "$tmp/state/audit.log" | grep '"http":200' | grep -q '"credential_source":"approle'; then ok "so do keys that were given, and the credential"; else not_ok "unwraps: $(grep key.unwrap "$tmp/state/audit.log" | tail -2)"; fi
secret=$(cat "$bao/acme.secret-id")
if grep -rqF "$secret" "$tmp/agent.log" "$tmp/state"; then not_ok "the secret_id is in a log"; else ok "the secret_id is in no log"; fi
