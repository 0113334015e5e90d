#!/bin/sh
# Goals: whatever stands in place of a volume's files, and however it is mounted over: no command hangs or crashes, a mount that is refused says so in one
# line, one that is not goes on and reads all else right, and rm -r removes what cannot be read.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

kinds='loop zero fifo char block socket dir empty sparse closed huge gone'
agent_start
volume v
long=$(printf 'l%.0s' $(seq 200))
within() { # CODES CMD...: in time, with one of the codes
	within_codes=$1
	shift
	within_got=0
	timeout -k 1 20 "$bin/coffer" --agent "$tmp/agent.sock" "$@" >"$tmp/out" 2>"$tmp/err" || within_got=$?
	case " $within_codes " in
	*" $within_got "*) [ "$within_got" = 0 ] || [ "$(grep -c '^coffer: ' "$tmp/err")" -ge 1 ] || not_ok "$what: coffer $1 says nothing" ;;
	*) not_ok "$what: coffer $1 ends with $within_got: $(cat "$tmp/err")" ;;
	esac
}
plant() { # KIND PATH
	rm -rf "$2"
	case $1 in
	loop) ln -s -- "$(basename "$2")" "$2" ;;
	zero) ln -s /dev/zero "$2" ;;
	fifo) mkfifo "$2" ;;
	char) mknod "$2" c 1 5 ;;
	block) mknod "$2" b 7 200 ;;
	socket) /usr/bin/python3 -c 'import os, socket, sys; os.chdir(os.path.dirname(sys.argv[1])); socket.socket(socket.AF_UNIX).bind(os.path.basename(sys.argv[1]))' "$2" ;;
	dir) mkdir "$2" ;;
	empty) : >"$2" ;;
	sparse) truncate -s 1T "$2" ;;
	closed) head -c 9000 /dev/urandom >"$2" && chmod 0 "$2" ;;
	huge) ln -s "$(head -c 4000 /dev/zero | tr '\0' A)" "$2" ;;
	gone) ;;
	esac
}

expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/dirs" "$mnt/dirs/good"
echo good >"$mnt/good"
echo good >"$mnt/dirs/good/good"
for kind in $kinds; do
	echo file >"$mnt/dirs/file-$kind" && echo long >"$mnt/dirs/$long-entry-$kind" && echo long >"$mnt/dirs/$long-name-$kind"
	ln -s target "$mnt/dirs/link-$kind"
	for dir in id entry; do mkdir "$mnt/dirs/$dir-$kind" && echo x >"$mnt/dirs/$dir-$kind/x"; done
done
find "$mnt/dirs" -printf '%i %P\n' | LC_ALL=C sort >"$tmp/plain"
expect 0 coffer umount "$mnt"
find "$tmp/v" -mindepth 1 -printf '%i %p\n' | LC_ALL=C sort >"$tmp/lower"
LC_ALL=C join "$tmp/plain" "$tmp/lower" | cut -d ' ' -f 2- >"$tmp/names"
lower_of() { sed -n "s|^$1 ||p" "$tmp/names"; }
cp -a "$tmp/v" "$tmp/whole"

# The volume's own files, by every command: the codes of info, fsck, a read-only and a read-write mount.
codes() {
	case $part:$kind in
	coffer.volume:*) echo '4 4 4 4' ;;
	coffer.state:* | coffer.log:[!s]* | coffer.log:socket) echo '0 8 8 8' ;;
	coffer.lock:gone) echo '0 8 8 0' ;;
	*:sparse | *:gone | *:empty | *:closed | coffer.quarantine:*) echo '0 0 0 0' ;;
	coffer.lock:*) echo '0 8 8 8' ;;
	coffer.reserve:*) echo '0 0 0 8' ;;
	esac
}
mounted() { # CODE ARG...
	within "$1" mount "$tmp/v" "$mnt" "$2" "$3"
	[ "$within_got" = 0 ] || return 0
	[ "$(timeout 10 cat "$mnt/good")" = good ] || not_ok "$what: a mount does not read"
	within 0 umount "$mnt"
}
for part in coffer.volume coffer.state coffer.log coffer.lock coffer.reserve coffer.quarantine; do
	for kind in $kinds; do
		what="$part: $kind"
		# Mounts that come about take time, and some parts are not looked at by these.
		case $what in coffer.quarantine:\ [!lf]* | coffer.reserve:\ [cbsdhz]*) continue ;; esac
		[ ! -e "$tmp/v/$part" ] || mv "$tmp/v/$part" "$tmp/part"
		plant "$kind" "$tmp/v/$part"
		# shellcheck disable=SC2046 # four words
		set -- $(codes)
		within "$1" info "$tmp/v"
		within "$2" fsck "$tmp/v"
		mounted "$3" -o ro
		mounted "$4" -o rw
		rm -rf "${tmp:?}/v/$part"
		[ ! -e "$tmp/part" ] || mv "$tmp/part" "$tmp/v/$part"
	done
	ok "each kind of thing as $part"
done
expect 0 coffer fsck "$tmp/v" && ok "put back, the volume is whole" || not_ok "put back"

# What is in directories: all kinds in one mount.
for kind in $kinds; do
	for name in "file-$kind" "$long-entry-$kind" "link-$kind" "entry-$kind"; do plant "$kind" "$(lower_of "$name")"; done
	at=$(lower_of "$long-name-$kind")
	plant "$kind" "$(dirname "$at")/coffer.name.$(basename "$at" | sed 's/^coffer\.long\.//')"
	plant "$kind" "$(lower_of "id-$kind")/coffer.dir"
done
what='things in directories'
mkdir "$tmp/deep" && (
	cd "$tmp/deep"
	for _ in $(seq 300); do mkdir d && cd d; done
	ln -s . loop
)
mv "$tmp/deep" "$(lower_of good)/deep"
ln -s .. "$(lower_of good)/parent"
within 8 fsck "$tmp/v"
for options in ro rw; do
	expect 0 coffer mount "$tmp/v" "$mnt" -o $options
	pid=$(volume_processes | sort -n | tail -n 1)
	(cd "$mnt" && timeout 60 find . -ls >"$tmp/listed" 2>&1) || [ $? = 1 ] || not_ok "$options: find does not end"
	find "$mnt/dirs" ! -type d 2>/dev/null | while read -r name; do timeout 10 dd if="$name" of=/dev/null bs=64k count=9 iflag=nonblock 2>/dev/null || [ $? != 124 ] || echo "$name"; done >"$tmp/hung"
	[ ! -s "$tmp/hung" ] && ok "$options: nothing hangs" || not_ok "$options: hangs: $(cat "$tmp/hung")"
	[ "$(cat "$mnt/good")" = good ] && [ "$(cat "$mnt/dirs/good/good")" = good ] && ok "$options: the others read right" || not_ok "$options: the others"
	[ -e "/proc/$pid" ] || not_ok "$options: the daemon is gone"
	[ "$options" = rw ] || expect 0 coffer umount "$mnt"
done
timeout 60 rm -rf "$mnt/dirs" 2>"$tmp/said" && [ "$(ls "$mnt")" = good ] && ok "rm -r removes all of it" || not_ok "rm -r: $(head -n 5 "$tmp/said")"
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "and fsck finds nothing" || not_ok "fsck"
[ "$(find "$tmp/v/coffer.quarantine" -mindepth 1 -maxdepth 1 | wc -l)" -ge 8 ] && reader v verify >"$tmp/verify" 2>&1 && ok "directories without id are kept, and no reader minds" || not_ok "quarantine: $(ls "$tmp/v/coffer.quarantine") $(cat "$tmp/verify")"

# Mounted over a directory inside: another device, the directory above it (a loop), and one of the same filesystem whose files must live.
mkdir "$tmp/foreign" && echo precious >"$tmp/foreign/file"
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir -p "$mnt/a/loop" "$mnt/a/device" "$mnt/a/same" && echo text >"$mnt/a/file"
inode_of() { stat -c %i "$mnt/$1"; }
for name in a a/loop a/device a/same; do find "$tmp/v" -inum "$(inode_of $name)" >"$tmp/lower.$(basename $name)"; done
expect 0 coffer umount "$mnt"
at() { cat "$tmp/lower.$1"; }
mkdir "$(at a)/garbage"
expect 0 coffer mount "$tmp/v" "$mnt"
echo gone >"$mnt/gone" && sync "$mnt/gone" && rm "$mnt/gone" # so that replay walks
kill_mount v
mount --bind "$(at a)" "$(at loop)"
mount -t tmpfs none "$(at device)"
mount --bind "$tmp/foreign" "$(at same)"
mount --bind "$tmp/foreign" "$(at a)/garbage"
what='mount points inside'
within 8 fsck "$tmp/v"
for options in ro rw; do
	within 0 mount "$tmp/v" "$mnt" -o $options
	(cd "$mnt" && timeout 60 find . -ls >"$tmp/listed" 2>&1) || [ $? = 1 ] || not_ok "$options: find does not end"
	[ "$(timeout 10 cat "$mnt/a/file")" = text ] && ok "$options: a loop of mounts ends" || not_ok "$options: beside mount points"
	[ $options = rw ] || within 0 umount "$mnt"
done
! timeout 60 rm -r "$mnt/a" 2>"$tmp/said" && [ "$(cat "$tmp/foreign/file")" = precious ] && ok "what is mounted inside is not removed" || not_ok "rm -r: $(cat "$tmp/said")"
for name in loop device same; do umount "$(at $name)"; done
umount "$(at a)/garbage"
timeout 60 rm -r "$mnt/a" 2>"$tmp/said" && [ "$(ls "$mnt")" = good ] && ok "and the rest is when it has gone" || not_ok "rm -r: $(cat "$tmp/said")"
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck again" || not_ok "fsck again"
