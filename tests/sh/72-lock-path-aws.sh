#!/bin/sh
# The lock path with AWS KMS: local-kms has the states of keys, moto the policies, and a proxy what neither can be brought to say. What the mount does then is the same as with
# Vault (71-lock-path.sh). LOCK_PATH_DEFAULT=1 (by hand, some minutes): with the default timers, but for the cases that take hours.
set -eu
# shellcheck source=tests/sh/volume.sh
. "${top_srcdir:?}/tests/sh/volume.sh"
# shellcheck source=tests/kms/aws-functions.sh
. "$top_srcdir/tests/kms/aws-functions.sh"

start_aws lk
start_aws moto moto
mkdir -p "$tmp/etc/tenants.d"
for server in lk moto; do
	{
		printf '%s\n' "[tenant]" "kms=aws-kms://$(cat "$tmp/aws-$server/arn")"
		[ -n "${LOCK_PATH_DEFAULT:-}" ] || printf '%s\n' probe=2s confirm=2/2s max-stale=60s max-auth=4s
		aws_tenant $server
	} >"$tmp/etc/tenants.d/$server.conf"
done
agent_start
aws="/usr/bin/python3 $top_srcdir/tests/kms/aws.py"

lock_path() { # NAME REFUSE ALLOW: shell commands
	# shellcheck disable=SC2086 # words
	/usr/bin/python3 "$top_srcdir/tests/kms/lock_path.py" "$top_srcdir/tests/lock/clients.py" "$mnt" "$tmp" "$1" "${LOCK_PATH_DEFAULT:+4}60" \
		-- sh -c "$2" -- sh -c "$3" || functions_failed=1
	rm -f "$mnt"/*
}

fault() { # a command that gives the proxy this fault
	printf "printf '%%s' '%s' >%s/aws-lk/fault" "$1" "$tmp"
}

state_is() { # STATE WHAT: and the mount is served
	if wait_for 60 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' --json status | grep -q '\"state\":\"$1\"'" && [ "$(cat "$mnt/still")" = still ]; then
		ok "$2: $1, and served"
	else
		not_ok "$2: $(coffer --json status)"
	fi
}

volume lk --tenant lk --kms "aws-kms://$(cat "$tmp/aws-lk/arn")"
coffer mount "$tmp/lk" "$mnt"
lock_path "DisableKey (REVOKED)" "$aws call $tmp/aws-lk DisableKey" "$aws call $tmp/aws-lk EnableKey"
lock_path "ScheduleKeyDeletion (REVOKED)" "$aws call $tmp/aws-lk ScheduleKeyDeletion '{\"PendingWindowInDays\":7}'" "$aws call $tmp/aws-lk CancelKeyDeletion"
[ -n "${LOCK_PATH_DEFAULT:-}" ] || {
	lock_path "expired credentials (AUTH)" "$(fault 'body 400 {"__type":"ExpiredTokenException","message":"x"}')" "$(fault '')"

	# What is no refusal locks nothing before max-stale=.
	echo still >"$mnt/still"
	for case in "a throttling storm=body 400 {\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}" \
		"a key of another region=body 400 {\"__type\":\"NotFoundException\",\"message\":\"Invalid arn eu-west-1\"}" \
		"somebody else's page=body 403 <html>hotel</html>"; do
		eval "$(fault "${case#*=}")"
		state_is STALE "${case%%=*}"
		eval "$(fault '')"
		state_is ACTIVE "and behind it"
	done
	before=$(wc -l <"$tmp/aws-lk/requests")
	eval "$(fault 'clock 1200 400 {"__type":"InvalidSignatureException","message":"Signature expired"}')"
	wait_for 60 sh -c "[ \$(wc -l <'$tmp/aws-lk/requests') -ge $((before + 4)) ]"
	state_is ACTIVE "a clock that is 20 minutes off"
	eval "$(fault '')"
}
expect 0 coffer umount "$mnt"

volume moto --tenant moto --kms "aws-kms://$(cat "$tmp/aws-moto/arn")"
coffer mount "$tmp/moto" "$mnt"
lock_path "IAM Deny (DENIED)" "$aws deny $tmp/aws-moto" "$aws allow $tmp/aws-moto"
expect 0 coffer umount "$mnt"
for v in lk moto; do expect 0 coffer fsck "$tmp/$v" && ok "fsck of $v is clean behind all that"; done

expect 0 coffer audit verify "$tmp/state" && ok "the audit log is whole"
if grep '"event":"key.revoked_seen"' "$tmp/state/audit.log" | grep '"http":403' | grep -q '"req_id":"'; then ok "refusals carry AWS's status and request"; else not_ok "refusals: $(grep revoked_seen "$tmp/state/audit.log")"; fi
if grep '"event":"key.unwrap"' "$tmp/state/audit.log" | grep -q '"credential_source":"file AK'; then ok "keys that were given name the credential"; else not_ok "unwraps: $(grep key.unwrap "$tmp/state/audit.log" | tail -2)"; fi
secret=$(sed -n 's/^aws_secret_access_key=//p' "$tmp/aws-moto/credentials")
if grep -rqF -- "$secret" "$tmp/agent.log" "$tmp/state"; then not_ok "the secret key is in a log"; else ok "the secret key is in no log"; fi
