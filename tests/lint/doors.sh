#!/bin/sh
# One door per library: only the files on the right may include the header, or call the function, on the left.
set -eu
cd "${top_srcdir:-.}"
status=0
while read -r what where; do
	case $what in
	*'(') pattern="(^|[^A-Za-z0-9_])(secure_)?${what%?}[[:space:]]*\\(" ;;
	*) pattern="^#[[:space:]]*include <$what" ;;
	esac
	files=$(grep -rlE --include='*.[ch]' "$pattern" src tools 2>/dev/null | sort | grep -Ev "^($where)\$" || true)
	for f in $files; do
		grep -nE "$pattern" "$f" | sed "s|^|$f:|; s|\$|: only in $where|"
		status=1
	done
done <<'DOORS'
openssl/ src/crypt/[a-z_]*\.[ch]
liburing src/io/ioq_uring\.c|src/fs/ops_uring\.c
fuse src/fs/ops(_[a-z]*)?\.[ch]|tools/cmd_mount\.c
linux/fuse src/fs/ops(_[a-z]*)?\.[ch]|src/fs/fuse_uring\.h
jansson src/base/json\.c
ini.h src/base/ini\.c
xxhash src/base/hash\.h
systemd/ src/base/notify\.c
curl/ src/net/http(_fault|_probe)?\.c
expat src/net/xml\.c
getenv( src/base/env\.[ch]
getrandom( src/base/secret\.[ch]
DOORS
exit $status
