#!/bin/sh
# Fault points, rule switches and failing keys are in test builds only: none of their symbols in any other.
set -eu
cd "${top_builddir:-.}"
hooks='kms_failing|failing_(wrap|unwrap|check)|gather_log_file|fault_'
found=$(for f in ${LIBRARIES:?} ${PROGRAMS:-}; do
	nm "$f" 2>/dev/null | awk -v hooks="^($hooks)" 'NF > 1 && $NF ~ hooks' | sed "s|^|$f: |"
done)
for pair in "COFFER_TEST_HOOKS:${TEST_HOOKS:?}" "COFFER_DEVELOPER:${DEVELOPER:?}"; do
	[ "${pair#*:}" = yes ] && want=1 || want=0
	grep -qx "#define ${pair%:*} $want" config.h || { echo "config.h: ${pair%:*} is not $want"; exit 1; }
done
case $TEST_HOOKS in
yes) [ -n "$found" ] || { echo "a test build without hooks: is the list in this script still right?"; exit 1; } ;;
no) [ -z "$found" ] || { echo "$found"; exit 1; } ;;
esac
