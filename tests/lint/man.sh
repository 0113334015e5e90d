#!/bin/sh
# Man pages have no warnings, and each command of coffer(1)'s table has one.
set -eu
cd "${top_srcdir:-.}"
command -v mandoc >/dev/null || { echo "mandoc is missing"; exit 77; }
status=0
for page in man/*.[1-8]; do
	mandoc -Tlint -W warning "$page" || status=1
	grep -q "$page" Makefile.am || { echo "$page: not in Makefile.am"; status=1; }
done
missing=$(sed -n 's/^\t{ "\([a-z]*\)", cmd_.*/\1/p' tools/coffer.c | while read -r command; do
	[ -f "man/coffer-$command.1" ] || echo "coffer $command has no man page"
done)
[ -z "$missing" ] || { echo "$missing"; status=1; }
exit $status
