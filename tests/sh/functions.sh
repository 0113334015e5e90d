# functions.sh: for test scripts: . "$top_srcdir/tests/sh/functions.sh"
# shellcheck shell=sh
#
#   tmp           a directory of this script alone, removed at the end
#   requires CMD  skip the script (77) unless CMD succeeds; so requires [ -e /dev/fuse ]
#   cleanup_fn CMD ARG...   run at the end, last registered first, whatever the outcome; arguments without blanks
#   ok TEXT / not_ok TEXT   report one finding; not_ok lets the script end with 1
#   expect CODE CMD ARG...  run CMD; its exit code must be CODE; its output is in $tmp/out and $tmp/err
#   wait_for SECONDS CMD    until CMD succeeds; fails the script when it does not
set -eu
: "${top_srcdir:?run this through make check or tests/sh/run}" "${top_builddir:?}"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/coffer-test.XXXXXX")
functions_cleanups=
functions_failed=0

functions_end() {
	functions_status=$?
	trap - EXIT
	set +e
	eval "$functions_cleanups"
	rm -rf "$tmp"
	[ "$functions_status" -ne 0 ] || functions_status=$functions_failed
	exit "$functions_status"
}
trap functions_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cleanup_fn() {
	functions_cleanups="$*; $functions_cleanups"
}

requires() {
	"$@" >/dev/null 2>&1 || {
		echo "skipped: needs $*"
		exit 77
	}
}

ok() {
	echo "ok - $*"
}

not_ok() {
	echo "not ok - $*"
	functions_failed=1
}

expect() {
	functions_want=$1
	shift
	functions_got=0
	"$@" >"$tmp/out" 2>"$tmp/err" || functions_got=$?
	[ "$functions_got" -eq "$functions_want" ] && return 0
	echo "not ok - $*: exit code $functions_got, not $functions_want"
	sed 's/^/# /' "$tmp/out" "$tmp/err"
	functions_failed=1
	return 1
}

wait_for() {
	functions_tries=$(($1 * 20))
	shift
	while ! "$@" >/dev/null 2>&1; do
		functions_tries=$((functions_tries - 1))
		[ "$functions_tries" -gt 0 ] || {
			echo "not ok - timed out waiting for: $*"
			exit 1
		}
		sleep 0.05
	done
}
