#!/bin/sh
# Each script of tests/sh and each program of tests/unit and tests/agent is named in Makefile.am: lists are merged by union, and what falls out of one is
# a test that never runs again without anybody noticing.
set -eu
cd "${top_srcdir:-.}"
bad=0
for f in tests/sh/[0-9]*.sh tests/unit/test_*.c tests/unit/test_*.py tests/agent/test_*.c tests/lint/*.sh tests/fuzz/fuzz_*.c; do
	grep -qE "(^|[[:space:]=])${f%.c}([.]c)?([[:space:]]|\$)" Makefile.am || {
		echo "$f: not named in Makefile.am"
		bad=1
	}
done
exit "$bad"
