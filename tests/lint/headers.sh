#!/bin/sh
# Every header compiles alone.
set -eu
cd "${top_srcdir:-.}"
flags=$(pkg-config --cflags fuse3 libxxhash)
status=0
for h in src/*/*.h tools/*.h tests/lib/*.h; do
	[ -e "$h" ] || continue
	# shellcheck disable=SC2086 # the flags are words
	printf '#include "%s"\n' "$h" | ${CC:-cc} -std=gnu11 -Wall -Wextra -Wundef -Werror -Wno-unused-function -Wno-unused-const-variable \
		-include "${top_builddir:-.}/config.h" $flags -I. -Isrc -Itools -fsyntax-only -x c - || {
		echo "$h does not compile alone"
		status=1
	}
done
exit $status
