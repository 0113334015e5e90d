#!/bin/sh
# Lines reached by the unit tests, file by file, in a build of its own below ./coverage-build. The pure floors and the codec
# and policy of the agent must reach the number of tests/coverage.min.
set -eu
src=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p coverage-build
cd coverage-build
[ -f Makefile ] || "$src/configure" -q CFLAGS='-O0 -g' --enable-developer --enable-test-hooks --enable-coverage
find . -name '*.gcda' -exec rm {} +
# shellcheck disable=SC2016 # for make to expand
tests=$(printf 'print:\n\t@echo $(UNIT_TESTS)\n' | make -s -f Makefile -f - print)
make -s -j"$(nproc)" check TESTS= >/dev/null
make -s check-TESTS TESTS="$tests" >/dev/null
find src -name '*.gcda' | sort | while read -r data; do
	LC_ALL=C gcov -n -o "$(dirname "$data")" "$data" 2>/dev/null
done | awk -v minimum="$src/tests/coverage.min" '
	BEGIN { while ((getline line < minimum) > 0) { split(line, w, " "); if (w[1] !~ /^#/) want[w[1]] = w[2] } }
	/^File / { file = $2; gsub(/\x27/, "", file); sub(/.*\/src\//, "src/", file); next }
	/^Lines executed:/ && file ~ /^src\/.*\.c$/ {
		sub(/Lines executed:/, ""); sub(/%/, "", $1)
		if (!(file in all) || $1 + 0 > percent[file]) { percent[file] = $1 + 0; all[file] = $3 }
		file = ""
	}
	END {
		for (f in all) {
			floor = f; sub(/\/[^\/]*$/, "", floor)
			lines[floor] += all[f]; hit[floor] += all[f] * percent[f] / 100
			printf "%6.1f %% of %4d  %s\n", percent[f], all[f], f | "sort -k5"
		}
		close("sort -k5")
		for (what in want) {
			got = (what in all) ? percent[what] : lines[what] ? 100 * hit[what] / lines[what] : 0
			printf "%s - %s: %.1f %% of the lines, %d wanted\n", (got >= want[what] + 0 ? "ok" : "not ok"), what, got, want[what]
			bad += got < want[what] + 0
		}
		exit bad > 0
	}'
