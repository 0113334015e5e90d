# aws-functions.sh: AWS servers for scripts: . "$top_srcdir/tests/kms/aws-functions.sh", after tests/sh/functions.sh or volume.sh
# shellcheck shell=sh
#
#   start_aws NAME [moto]     local-kms behind a proxy, or moto with authentication on, as tests/kms/aws.py has them; ends with the script. Its files are
#                             in $tmp/aws-NAME: arn, host, credentials, ca.pem; fault for the proxy
#   aws_tenant NAME           prints [kms] settings for tenants.d that reach it
#   stop_aws NAME
: "${tmp:?}" "${top_srcdir:?}"

aws_py() {
	/usr/bin/python3 "$top_srcdir/tests/kms/aws.py" "$@"
}

start_aws() {
	"$top_srcdir/tests/kms/aws-servers" -n >/dev/null || {
		[ "${CI:-}" != true ] || { not_ok "tests/kms/aws-servers has installed nothing"; exit 1; }
		echo "skipped: needs the servers of tests/kms/aws-servers"
		exit 77
	}
	mkdir -p "$tmp/aws-$1"
	cleanup_fn stop_aws "$1"
	if [ "${2:-}" = moto ]; then aws_py moto "$tmp/aws-$1"; else aws_py start "$tmp/aws-$1"; fi
}

stop_aws() {
	[ -s "$tmp/aws-$1/pids" ] || return 0
	for aws_pid in $(cat "$tmp/aws-$1/pids"); do
		kill "$aws_pid" 2>/dev/null || continue
		wait_for 20 [ ! -e "/proc/$aws_pid/exe" ]
	done
	rm -f "$tmp/aws-$1/pids"
}

aws_tenant() {
	echo "[kms]"
	echo "endpoint=https://$(cat "$tmp/aws-$1/host")"
	echo "ca-file=$tmp/aws-$1/ca.pem"
	echo "credentials=file:$tmp/aws-$1/credentials"
}
