#!/bin/sh
# Calls we do not use: unbounded copies, weak randomness, parsers without errors; memcmp and memset on what is named like a
# secret (secret_equal and secret_wipe instead). A line that ends in the comment "lint: public" is about public bytes.
set -eu
cd "${top_srcdir:-.}"
calls='strcpy|stpcpy|strcat|strncat|sprintf|vsprintf|gets|rand|random|srand|atoi|atol|atoll|strtok|alloca|tmpnam|mktemp|bcmp|bzero'
secret='[a-z0-9_>.]*(key|secret|tag|mac|kek|master)s?(->[a-z]+|\.k|\.bytes)?'
bad=$(find src tools -name '*.[ch]' 2>/dev/null | sort | while read -r f; do
	# Comments and strings go.
	sed 's|/\*.*lint: public \*/|PUBLIC|; s|/\*[^*]*\*/||g; s|^[[:space:]]*/\?\*.*||; s|"[^"]*"|""|g' "$f" |
		grep -nE "(^|[^A-Za-z0-9_])(($calls)[[:space:]]*\(|mem(cmp|set)\((&?${secret},|[^,]*, *&?${secret}[,)]))" |
		grep -v PUBLIC | sed "s|^|$f:|" || true
done)
[ -z "$bad" ] || { echo "$bad"; exit 1; }
