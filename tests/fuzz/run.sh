#!/bin/sh
# Usage: run.sh SECONDS [NAME...]: build with clang and libFuzzer below ./fuzz-build, and fuzz each target (or fuzz_NAME)
# that long, from the corpus of the tree and what former runs found. A crash leaves its input there and fails the run.
set -eu
seconds=$1
shift
src=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p fuzz-build
cd fuzz-build
[ -f Makefile ] ||
	"$src/configure" -q CC=clang CFLAGS='-O1 -g' --enable-developer --enable-fuzz --enable-sanitizers=address,undefined
names=$*
[ -n "$names" ] || names=$(find "$src/tests/fuzz" -name 'fuzz_*.c' | sed 's/.*fuzz_//; s/\.c$//; /^main$/d' | sort)
for name in $names; do
	make -s "tests/fuzz/fuzz_$name"
	mkdir -p "found/$name" "crashes/$name"
	echo "== fuzz_$name, $seconds s"
	"tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=70000 -timeout=10 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="crashes/$name/" "found/$name" "$src/tests/fuzz/corpus/$name"
done
