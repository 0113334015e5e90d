#!/bin/sh
# Goals: what a mount tells systemd (tests/mount/notify.py): readiness, status, an answer of the mount behind each WATCHDOG=1, more time while replay goes on.
# shellcheck source=tests/sh/volume.sh
. "${top_srcdir:?}/tests/sh/volume.sh"
requires grep -q 'HAVE_LIBSYSTEMD 1' "$top_builddir/config.h"

agent_start
volume v
${CC:-cc} -shared -fPIC -O1 -Wall -o "$tmp/slow.so" "$top_srcdir/tests/mount/slow_sync.c"
/usr/bin/python3 "$top_srcdir/tests/mount/notify.py" "$bin/coffer" "$tmp/v" "$mnt" "agent=$tmp/agent.sock" "$tmp/slow.so" || functions_failed=1
