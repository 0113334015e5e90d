# store: stores in the S3 servers that tests/backup/servers installed. Bash; sourced by runtests.
# shellcheck shell=bash
for server in versitygw s3proxy; do
	"$SRC/tests/backup/servers" -n "$server" >/dev/null || {
		echo "ok - stores in S3 servers # SKIP the server $server of tests/backup/servers is not installed"
		return 0
	}
done
cd "$BUILD" && check_tests "$(make_variable STORE_TESTS)"
