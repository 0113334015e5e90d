#!/bin/sh
# A volume whose key is in a Vault server: made, mounted; refused with 12 while the key's owner says no, with 13 while nobody answers; as it was when the
# answer is good again. The agent is configured by nothing: the URI's host, the system's authorities, and a token in its environment.
set -eu
# shellcheck source=tests/sh/volume.sh
. "${top_srcdir:?}/tests/sh/volume.sh"
# shellcheck source=tests/kms/functions.sh
. "$top_srcdir/tests/kms/functions.sh"

start_bao
bao_key acme
token=$(bao_request POST auth/token/create '{"policies":["acme"],"ttl":"3600s"}' |
	/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["auth"]["client_token"])')

# The system's authorities are what this file says; it is the test's in the agent's mount namespace alone.
mkdir -p "$tmp/etc" "$tmp/state"
# shellcheck disable=SC2016 # the inner shell's
VAULT_TOKEN=$token unshare --mount sh -c 'mount --bind "$1" /etc/ssl/certs/ca-certificates.crt; shift; exec "$@"' sh "$bao/ca.pem" \
	"$bin/coffer-agent" --config "$tmp/etc" --state "$tmp/state" --socket "$tmp/agent.sock" --foreground >"$tmp/agent.log" 2>&1 &
wait_for 30 coffer status

mounts_and_reads() {
	expect 0 coffer mount "$tmp/acme" "$mnt" && [ "$(cat "$mnt/file")" = text ] && expect 0 coffer umount "$mnt" && ok "$*"
}

refused() { # CODE TEXT WHAT
	expect "$1" coffer mount "$tmp/acme" "$mnt" || return 0
	if grep -qF -- "$2" "$tmp/err"; then ok "$3: $(cat "$tmp/err")"; else not_ok "$3: $(cat "$tmp/err")"; fi
}

expect 12 coffer --quiet init "$tmp/none" --tenant acme --log-size 16 --kms "hcvault://$bao_host/transit/keys/none"
volume acme --kms "hcvault://$bao_host/transit/keys/acme"
ok "a volume is made"
coffer mount "$tmp/acme" "$mnt"
echo text >"$mnt/file"
coffer umount "$mnt"
mounts_and_reads "what was written is there"

bao_request PUT sys/policies/acl/acme '{"policy":"# nothing\n"}' >/dev/null
refused 12 "permission denied" "policy removed"
bao_key acme
mounts_and_reads "policy back"
bao_request DELETE transit/keys/acme/soft-delete >/dev/null
refused 12 "soft-deleted" "key deleted softly"
bao_request POST transit/keys/acme/soft-delete-restore '{}' >/dev/null
mounts_and_reads "key restored"
seal_bao
refused 13 "Vault is sealed" "sealed"
unseal_bao
wait_for 60 coffer mount "$tmp/acme" "$mnt"
coffer umount "$mnt"
ok "unsealed"
bao_request POST transit/keys/acme/config '{"deletion_allowed":true}' >/dev/null
bao_request DELETE transit/keys/acme >/dev/null
refused 12 "encryption key not found" "key deleted"
stop_bao
refused 13 "no connection" "server stopped"

if grep -rqF "$token" "$tmp/agent.log" "$tmp/state"; then not_ok "the token is in a log"; else ok "the token is in no log"; fi
