#!/bin/sh
# Who may include whom (HACKING.md, "Floors"): the volume tower (format io fs) and the key tower (net kms agent) stand on
# crypt and base, and meet only in tools/. One edge beside the floors: the agent reads a coffer.volume it is handed.
set -eu
cd "${top_srcdir:-.}"
bad=$(grep -Hn '^#[[:space:]]*include "' src/*/*.[ch] | sed 's/"\([^"]*\)".*/\1/' | awk -F'[:/ ]' '
	BEGIN {
		see["base"] = "base"
		see["crypt"] = "base crypt"
		see["format"] = see["crypt"] " format"
		see["io"] = see["format"] " io"
		see["fs"] = see["io"] " fs"
		see["net"] = see["crypt"] " net"
		see["kms"] = see["net"] " kms"
		see["agent"] = see["kms"] " agent format/volume_config.h"
		see["backup"] = see["net"] " format backup"
	}
	{
		from = $2; target = $0; sub(/.*include /, "", target)
		to = target; sub(/\/.*/, "", to)
		if (!(from in see))
			print $0 ": src/" from " is no floor"
		else if (index(" " see[from] " ", " " to " ") == 0 && index(" " see[from] " ", " " target " ") == 0)
			print $0 ": " from " may not include " to
	}')
[ -z "$bad" ] || { echo "$bad"; exit 1; }
