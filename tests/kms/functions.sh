# functions.sh: a Vault server for scripts: . "$top_srcdir/tests/kms/functions.sh", after tests/sh/functions.sh or volume.sh
# shellcheck shell=sh
#
#   start_bao              an OpenBao server of this script alone, initialised, unsealed, with Transit; ends with the script. Its files are in $bao:
#                          ca.pem, root-token, port; bao_host is localhost:PORT
#   bao_request METHOD PATH [JSON]   a request of root below /v1/; the answer is printed; fails above status 399
#   bao_key NAME [JSON]    a key of Transit, and a policy of the same name that lets it be used
#   bao_approle NAME       lets the policy NAME log in: role_id in $bao/NAME.role-id, secret_id in $bao/NAME.secret-id
#   bao_tenant NAME        prints [kms] settings for tenants.d/NAME.conf that log in so
#   stop_bao, seal_bao, unseal_bao
: "${tmp:?}" "${top_srcdir:?}"
bao=$tmp/bao

bao_py() {
	/usr/bin/python3 "$top_srcdir/tests/kms/bao.py" "$@"
}

start_bao() {
	"$top_srcdir/tests/kms/servers" -n >/dev/null || {
		[ "${CI:-}" != true ] || { not_ok "the Vault server of tests/kms/servers is not installed"; exit 1; }
		echo "skipped: needs the server of tests/kms/servers"
		exit 77
	}
	mkdir -p "$bao"
	bao_py start "$bao"
	# shellcheck disable=SC2034 # the script's
	bao_host=localhost:$(cat "$bao/port")
	cleanup_fn stop_bao
	bao_request POST sys/mounts/transit '{"type":"transit"}' >/dev/null
	bao_request POST sys/auth/approle '{"type":"approle"}' >/dev/null
}

stop_bao() {
	[ -s "$bao/pid" ] || return 0
	bao_pid=$(cat "$bao/pid")
	rm -f "$bao/pid"
	kill "$bao_pid" 2>/dev/null || return 0
	wait_for 20 [ ! -e "/proc/$bao_pid/exe" ]
}

bao_request() {
	bao_py request "$bao" "$@"
}

seal_bao() {
	bao_request PUT sys/seal >/dev/null
}

unseal_bao() {
	bao_request PUT sys/unseal "{\"key\":\"$(cat "$bao/unseal-key")\"}" >/dev/null
}

bao_key() {
	bao_request POST "transit/keys/$1" "${2:-{\}}" >/dev/null
	bao_request PUT "sys/policies/acl/$1" "{\"policy\":\"path \\\"transit/encrypt/$1\\\" { capabilities=[\\\"update\\\"] }\\npath \\\"transit/decrypt/$1\\\" { capabilities=[\\\"update\\\"] }\"}" >/dev/null
}

bao_field() {
	/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][sys.argv[1]])' "$1"
}

bao_approle() {
	bao_request POST "auth/approle/role/$1" "{\"token_policies\":\"$1\",\"token_ttl\":\"600s\"}" >/dev/null
	bao_request GET "auth/approle/role/$1/role-id" | bao_field role_id >"$bao/$1.role-id"
	(umask 077 && bao_request POST "auth/approle/role/$1/secret-id" '{}' | bao_field secret_id >"$bao/$1.secret-id")
}

bao_tenant() {
	echo "[kms]"
	echo "ca-file=$bao/ca.pem"
	echo "auth=approle:$bao/$1.role-id"
	echo "credentials=file:$bao/$1.secret-id"
}
