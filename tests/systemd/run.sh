#!/bin/bash
# The units, under a real systemd: DESTDIR of a make install, then units.sh in a container, over a reboot.
# Usage: run.sh DESTDIR. The container's tree: COFFER_SYSTEMD_TREE.
set -u
here=$(dirname "$(readlink -f "$0")")
root=$1
journal=${OUT:-/tmp}/journal.txt
# mount(8) looks for its helpers in /sbin alone; packages install there.
store=$(mktemp -d "${TMPDIR:-/tmp}/coffer-units.XXXXXX")
trap 'rm -rf "$store"' EXIT
mkdir "$store/srv"
args=(-w "$store/srv:/srv" -c "$root/usr/local:/usr/local" -c "$root/usr/local/bin/coffer:/usr/sbin/mount.coffer" -c "$here/units.sh:/root/units.sh")
"$here/boot-systemd" -n || { echo "ok - units # SKIP no tree for the container: tests/systemd/boot-systemd makes it"; exit 0; }
status=0
"$here/boot-systemd" "${args[@]}" -r -T 200 -j "$journal" -- bash /root/units.sh || status=$?
[ "$status" = 0 ] || tail -n 60 "$journal"
exit "$status"
