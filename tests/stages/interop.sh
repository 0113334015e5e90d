# shellcheck shell=bash
# The independent reader and writer against real mounts, TAP lines. BUILD comes from runtests.
"$SRC/tests/interop/run.sh" "$BUILD"
