#!/bin/sh
# The exit codes of err.h and those of coffer(1) are the same numbers; each errno that err.h gives a meaning is in it, too.
set -eu
cd "${top_srcdir:-.}"
page=man/coffer.1
[ -f $page ] || { echo "no man page yet"; exit 77; }
sed -n 's/^\tEXIT_CODE_[A-Z_]* = \([0-9]*\),$/\1/p; s/^ \*   \(E[A-Z]*\) .*/\1/p' src/base/err.h | {
	status=0 seen=0
	while read -r what; do
		seen=$((seen + 1))
		case $what in
		E*) pattern="(^|[^A-Z])$what([^A-Z]|\$)" ;;
		*) pattern="^(\.(It|IP|B|TP) )?[ \"\\a-zA-Z]*$what([^0-9]|\$)" ;;
		esac
		grep -Eq "$pattern" $page || {
			echo "$page: $what is missing"
			status=1
		}
	done
	[ $seen -gt 30 ] || status=99
	exit $status
}
