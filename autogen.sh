#!/bin/sh
# Make ./configure in a clone. A tarball has it already. --no-configure prints nothing further.
set -e
cd "$(dirname "$0")"
autoreconf --install --force --warnings=all
[ "${1:-}" = --no-configure ] ||
	echo "Now: ./configure && make   (developers: mkdir build && cd build && ../configure --enable-developer)"
