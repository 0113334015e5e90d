#!/bin/sh
# What the installed programs are like, read from the programs: PIE, full RELRO, no executable stack, stack protector,
# FORTIFY, no text relocations, no search path of their own.
set -eu
cd "${top_builddir:-.}"
case ${PROGRAMS:-} in *[a-z]*) ;; *) echo "no programs yet"; exit 77 ;; esac
[ -z "${SANITIZE_FLAGS:-}" ] || { echo "a build with $SANITIZE_FLAGS"; exit 77; }
status=0
no() {
	echo "$1: $2"
	status=1
}
for p in $PROGRAMS; do
	all=$(LC_ALL=C readelf -W --file-header --program-headers --dynamic --symbols "$p")
	has() { printf '%s\n' "$all" | grep -Eq -- "$1"; }
	{ has '^ *Type: *DYN' && has 'INTERP'; } || no "$p" "not position independent"
	has 'GNU_RELRO' || no "$p" "no RELRO"
	has '\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*NOW' || no "$p" "lazy binding"
	has 'GNU_STACK.* RW +0x' || no "$p" "executable stack"
	has '__stack_chk_fail' || no "$p" "no stack protector"
	has '__(mem|str|sn|vsn|f|read|pread|fd)[a-z]*_chk' || no "$p" "no FORTIFY"
	! has '\(TEXTREL\)|\((RPATH|RUNPATH)\)' || no "$p" "text relocations, or a search path"
done
exit $status
