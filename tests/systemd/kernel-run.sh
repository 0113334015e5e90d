#!/bin/bash
# kernel-run.sh DESTDIR: kernel-guest.sh on Debian 12's kernel, over a reboot and a power cut; DESTDIR is of a make install.
set -u
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d "${TMPDIR:-/tmp}/coffer-kernel.XXXXXX") || exit 1
[ -n "${RUNTESTS_KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/usr/sbin" "$work/root/root"
cp -a "$1/usr" "$work/root/"
for name in mount.coffer mount.fuse.coffer umount.coffer umount.fuse.coffer; do cp "$1/usr/local/bin/coffer" "$work/root/usr/sbin/$name"; done
cp "$here/functions.sh" "$here/peer.py" "$work/root/root/"
"$here/boot-kernel" disk "$work/disk" "$work/root" "$here/kernel-guest.sh" || { echo "not ok - the disk is made"; exit 1; }
status=0
boot() { # NUMBER [TEXT COUNT]: what it said; it came to its end without a failure
	local n=$1
	shift
	"$here/boot-kernel" run "$work/disk" "$work/said" 900 "$@" || echo "not ok - boot $n: status $?"
	grep -v "^acked" "$work/said"
	grep -qx "end 0" "$work/said" || { tail -n 30 "$work/said.console" && status=1; }
}
boot 1
boot 2 acked 40
acked=$(sed -n 's/^acked \([0-9]*\)$/\1/p' "$work/said" | tail -n 1)
boot 3
at=$(sed -n 's/^at //p' "$work/said")
if [ "${at:-0}" -ge "${acked:-999999}" ]; then echo "ok - what was synced before the cut is there: $at of $acked"; else echo "not ok - synced $acked, found ${at:-nothing}" && status=1; fi
exit $status
