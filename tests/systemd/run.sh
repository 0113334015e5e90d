#!/bin/bash
# The units, under a real systemd: DESTDIR of a make install in containers (boot-systemd). units.sh over a reboot, peers.sh, policy.sh, mounts.sh, credentials.sh, backup.sh, restart.sh and seen.sh, beside each other;
# with packages deb.sh and, over two reboots, database.sh.
# Usage: run.sh DESTDIR [SCRIPT...], or run.sh DIRECTORY-OF-PACKAGES [deb] [database]
set -u
here=$(dirname "$(readlink -f "$0")")
root=$1
shift
[ $# -gt 0 ] || set -- units peers policy mounts credentials backup restart seen
[ -z "${OUT:-}" ] || mkdir -p "$OUT"
out=${OUT:-$(mktemp -d "${TMPDIR:-/tmp}/coffer-units.XXXXXX")}
"$here/boot-systemd" -n || { echo "not ok - no tree for the container: tests/systemd/boot-systemd makes it, with mmdebstrap and a network"; exit 1; }

one() { # SCRIPT: its output and the container's journal in $out
	local store status=0
	# Volumes are not put into the container's overlay: that keeps no device for its files.
	store=$(mktemp -d "${TMPDIR:-/tmp}/coffer-units.XXXXXX") && mkdir "$store/srv" || return 1
	# mount(8) looks for its helpers in /sbin alone; packages install there.
	cc -shared -fPIC -O1 -Wall -o "$store/unreadable.so" "$here/unreadable.c" || return 1
	local copies=() name
	if [ -d "$root/usr/local" ]; then
		copies=(-c "$root/usr/local:/usr/local")
		for name in mount.coffer mount.fuse.coffer umount.coffer umount.fuse.coffer; do copies+=(-c "$root/usr/local/bin/coffer:/usr/sbin/$name"); done
	else
		copies=(-c "$root:/root/debs")
	fi
	local more=()
	if [ "$1" = database ]; then
		for name in functions setup isolation upgrade; do more+=(-c "$here/database-$name.sh:/root/database-$name.sh"); done
		more+=(-c "$here/../kms/bao.py:/root/bao.py" -b "$("$here/../kms/servers" -n):/opt/bao")
	fi
	"$here/boot-systemd" -w "$store/srv:/srv" "${copies[@]}" \
		"${more[@]}" -c "$here/peer.py:/root/peer.py" -c "$store/unreadable.so:/root/unreadable.so" -c "$here/functions.sh:/root/functions.sh" -c "$here/$1.sh:/root/$1.sh" \
		-r -T 600 -j "$out/$1.journal" -- bash "/root/$1.sh" >"$out/$1.out" 2>&1 || status=$?
	rm -rf "$store"
	return "$status"
}

pids=() status=0
for script; do
	one "$script" &
	pids+=($!)
done
for script; do
	wait "${pids[0]}" || { status=1 && tail -n 60 "$out/$script.journal"; }
	pids=("${pids[@]:1}")
	cat "$out/$script.out"
done
exit "$status"
