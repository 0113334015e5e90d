#!/bin/sh
# Goals: quickstart, in a mount and PID namespace with a /var/lib of its own, leaves a tenant's volume mounted with real files in it; run
# twice it says so and does no harm; a mount point with files is refused; --down takes everything away.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires unshare --mount --pid --fork --mount-proc true
requires [ -x "$top_srcdir/quickstart" ]
requires command -v sqlite3

cat >"$tmp/inside" <<'END'
set -eu
tmp=$1 quickstart=$2
mkdir "$tmp/lib" "$tmp/lib/dpkg" "$tmp/lib/apt"
mount --bind /var/lib/dpkg "$tmp/lib/dpkg"
mount --bind /var/lib/apt "$tmp/lib/apt"
mount --rbind "$tmp/lib" /var/lib
run() { # CODE NAME ARG...: its output is in $tmp/NAME
	code=0 want=$1 name=$2
	shift 2
	"$quickstart" "$@" >"$tmp/$name" 2>&1 || code=$?
	[ "$code" = "$want" ] || { echo "not ok - quickstart $*: exit $code"; sed 's/^/# /' "$tmp/$name" | tail -n 30; exit 1; }
}
run 0 down0 --down
echo "ok - --down of nothing"
mkdir "$tmp/full"
touch "$tmp/full/file"
run 1 refused "$tmp/full"
grep -q 'not empty' "$tmp/refused" && [ "$(ls "$tmp/full")" = file ] && echo "ok - a mount point with files is refused" ||
	echo "not ok - $(cat "$tmp/refused")"
run 0 first "$tmp/demo"
[ "$(sqlite3 "$tmp/demo/shop.db" 'PRAGMA integrity_check; SELECT count(*) FROM orders' | xargs)" = 'ok 20000' ] && [ -s "$tmp/demo/app.log" ] &&
	cmp "$tmp/demo/sources/src/fs/ops.h" "$(dirname "$quickstart")/src/fs/ops.h" && echo "ok - up: a database, a log, the sources" ||
	echo "not ok - files: $(ls "$tmp/demo")"
! grep -rqF 'CREATE TABLE orders' /var/lib/coffer-quickstart/volume && echo "ok - no clear text below" || echo "not ok - clear text below"
grep -q 'ciphertext' "$tmp/first" && echo "ok - it shows the ciphertext" || echo "not ok - it does not show the ciphertext"
before=$(cd "$tmp/demo" && find . -type f -exec sha256sum {} + | sort | sha256sum)
run 0 second "$tmp/demo"
grep -q 'already up' "$tmp/second" && [ "$before" = "$(cd "$tmp/demo" && find . -type f -exec sha256sum {} + | sort | sha256sum)" ] &&
	echo "ok - run twice: it says so and does no harm" || echo "not ok - run twice: $(cat "$tmp/second")"
run 0 third "$tmp/elsewhere"
grep -q "already up.* $tmp/demo" "$tmp/third" && [ ! -e "$tmp/elsewhere" ] && echo "ok - also when asked for another place" || echo "not ok - $(cat "$tmp/third")"
run 0 down --down
! grep -q "$tmp/demo" /proc/self/mountinfo && [ ! -e /var/lib/coffer-quickstart ] && [ ! -e "$tmp/demo" ] && echo "ok - --down" ||
	echo "not ok - --down leaves $(ls -d /var/lib/coffer-quickstart "$tmp/demo" 2>/dev/null)"
END
unshare --mount --pid --fork --mount-proc --kill-child --propagation private sh "$tmp/inside" "$tmp" "$(readlink -f "$top_srcdir/quickstart")" >"$tmp/out" 2>&1 || functions_failed=1
cat "$tmp/out"
! grep -q '^not ok' "$tmp/out" || functions_failed=1
