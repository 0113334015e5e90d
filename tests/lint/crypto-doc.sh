#!/bin/sh
# docs/crypto.md keeps its word: its key labels are those of docs/format.md section 2 and of src/crypt/hkdf.h, and every
# test it names as evidence is there and run.
set -eu
top=${top_srcdir:-.}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

labels() { # the first `text` of column $2 of the table under heading $1 in file $3, one a line
	awk -F'|' -v head="$1" -v col="$2" '/^## /{on = ($0 == head)}
		on && /^\|/ && match($col, /`[a-z ]+`/) { print substr($col, RSTART + 1, RLENGTH - 2) }
		on && /^###/{on = 0}' "$3" | sort
}
labels '## 2. Keys' 3 "$top/docs/format.md" >"$tmp/format"
labels '## Keys' 5 "$top/docs/crypto.md" >"$tmp/crypto"
sed -n 's/^#define HKDF_[A-Z]*_[A-Z_]* "\(.*\)"$/\1/p' "$top/src/crypt/hkdf.h" | sort >"$tmp/code"
test -s "$tmp/format"
diff "$tmp/format" "$tmp/code"
diff "$tmp/format" "$tmp/crypto"

# shellcheck disable=SC2016 # the backquotes are text
grep -o '`test_[a-z_]*: [a-z0-9_]*`' "$top/docs/crypto.md" | tr -d '`' | sort -u >"$tmp/evidence"
test -s "$tmp/evidence"
while IFS=': ' read -r file name; do
	grep -Eq "(cmocka_unit_test|TEST)\($name\)" "$top/tests/unit/$file.c" || {
		echo "docs/crypto.md names $name, which is no test of $file" >&2
		exit 1
	}
done <"$tmp/evidence"
