#!/bin/sh
# Files of at most 500 lines, functions of at most 60, in src/ and tools/.
# Exceptions: length.allow, "FILE reason" or "FILE:FUNCTION reason".
set -eu
cd "${top_srcdir:-.}"
allow=tests/lint/length.allow
[ -d tools ] && dirs='src tools' || dirs=src
# shellcheck disable=SC2086 # two words
find $dirs -name '*.[ch]' -exec awk -v allow="$allow" '
	BEGIN { while ((getline line < allow) > 0) { split(line, w, " "); ok[w[1]] = 1 } }
	FNR == 1 { start = 0 }
	FNR == 501 && !(FILENAME in ok) { print FILENAME ": more than 500 lines"; bad = 1 }
	/^[A-Za-z_].*[(]/ { name = $0; sub(/[(].*/, "", name); sub(/.*[ *]/, "", name) }
	/^[{]/ { start = FNR }
	/^[}]/ {
		if (start && FNR - start - 1 > 60 && !((FILENAME ":" name) in ok)) {
			print FILENAME ":" start ": " name " has " FNR - start - 1 " lines"; bad = 1
		}
		start = 0
	}
	END { exit bad }' {} +
