#!/bin/sh
# An external symbol begins with the first word of its module: request_key.c exports request_*. No symbol is defined twice,
# which the linker would not see in archives. Exceptions: prefixes.allow, "FILE SYMBOL reason".
set -eu
cd "${top_builddir:-.}"
allow=${top_srcdir:-.}/tests/lint/prefixes.allow
# shellcheck disable=SC2086 # one word a library
nm -A -g --defined-only ${LIBRARIES:?} 2>/dev/null | awk -v allow="$allow" '
	BEGIN { while ((getline line < allow) > 0) { split(line, w, " "); ok[w[1] " " w[2]] = 1 } }
	{
		split($1, at, ":"); symbol = $NF; module = at[2]
		if (NF < 3 || $(NF - 1) !~ /^[A-Z]$/ || symbol ~ /^__(asan|odr_asan|gcov|llvm|sanitizer|start|stop)/)
			next
		sub(/^lib[a-z]*_a-/, "", module); sub(/\.o$/, "", module)
		word = module; sub(/_.*/, "", word)
		if (symbol != word && index(symbol, word "_") != 1 && !((module ".c " symbol) in ok)) {
			print at[1] ": " module ".c exports " symbol; bad = 1
		}
		if (symbol in seen) {
			print at[1] ": " module ".c: " symbol " is defined in " seen[symbol] ", too"; bad = 1
		}
		seen[symbol] = at[1] ": " module ".c"; n++
	}
	END { if (n == 0) print "no symbols found"; exit bad || n == 0 }'
