# volume.sh: for scripts that run whole programs on volumes: . "$top_srcdir/tests/sh/volume.sh"
# shellcheck shell=sh
#
# Everything happens in $tmp: an agent of this script alone, volumes, mount points. At the end, whatever the outcome, what is mounted
# below $tmp is detached and what runs on it is killed.
#
#   coffer ARG...       the command of this build, with this script's agent; COFFER_MOUNT_OPTIONS come before what a mount is given
#   agent_start         start the agent; agent_stop ends it
#   volume NAME [ARG...]  make $tmp/NAME for tenant NAME, and the mount point $tmp/mnt
#   key_of NAME         its key file
#   mount_pid NAME      the process that serves it
#   kill_mount NAME     SIGKILL that process and detach the dead mount
#   tree DIR            one line a file of DIR with type, size, mode, link target and content; coffer.lock counts by its presence (it
#                       names its last holder), coffer.reserve by its size (its content has no meaning)
#   reader NAME CMD...  the independent reader on $tmp/NAME with its local key
#   same_as_reader NAME DIR   verify $tmp/NAME with the reader, extract it, compare with DIR byte for byte (but for a file "fifo")
#   refuses CODE TEXT NAME CMD...   CMD ends with CODE and says TEXT, in one line; $tmp/NAME is as before
TMPDIR=${TMPDIR:-${top_builddir:?}}
export TMPDIR
# shellcheck source=tests/sh/functions.sh
. "${top_srcdir:?}/tests/sh/functions.sh"

mnt=$tmp/mnt
bin=${COFFER_BIN:-$top_builddir}
requires [ -w /dev/fuse ]
requires [ "$(id -u)" = 0 ]
requires /usr/bin/python3 -c 'import cryptography'

volume_processes() {
	volume_bin=$(readlink -f "$bin")
	for volume_proc in /proc/[0-9]*; do
		case $(readlink "$volume_proc/exe" 2>/dev/null) in "$volume_bin"/coffer*) ;; *) continue ;; esac
		tr '\0' ' ' <"$volume_proc/cmdline" 2>/dev/null | grep -qF "$tmp/" && echo "${volume_proc#/proc/}"
	done
	return 0
}

volume_cleanup() {
	awk -v t="$tmp/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r volume_at; do
		umount -l "$volume_at"
	done
	for volume_pid in $(volume_processes); do kill -KILL "$volume_pid" 2>/dev/null; done
	for volume_try in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "$(volume_processes)" ] || break
		sleep 0.1
	done
	: "$volume_try"
}
cleanup_fn volume_cleanup

coffer() {
	case ${COFFER_MOUNT_OPTIONS:+$1} in
	mount)
		shift
		set -- mount -o "$COFFER_MOUNT_OPTIONS" "$@"
		;;
	esac
	"$bin/coffer" --agent "$tmp/agent.sock" "$@"
}

agent_start() {
	mkdir -p "$tmp/etc" "$tmp/state"
	"$bin/coffer-agent" --config "$tmp/etc" --state "$tmp/state" --socket "$tmp/agent.sock" --foreground >>"$tmp/agent.log" 2>&1 &
	agent=$!
	wait_for 10 coffer status
}

agent_stop() {
	kill "$agent"
	wait "$agent" || :
}

volume() {
	volume_name=$1
	shift
	coffer --quiet init "$tmp/$volume_name" --tenant "$volume_name" --log-size 16 "$@"
	mkdir -p "$mnt"
}

key_of() {
	volume_uri=$(coffer info "$tmp/$1" | sed -n 's/^key *local:\([^ ]*\).*/\1/p')
	echo "$tmp/etc/keys/$volume_uri"
}

mount_pid() {
	sed -n 's/.*pid //p' "$tmp/$1/coffer.lock"
}

kill_mount() {
	volume_pid=$(mount_pid "$1")
	kill -KILL "$volume_pid"
	umount -l "$mnt"
	wait_for 10 [ ! -e "/proc/$volume_pid/exe" ]
}

tree() {
	(cd "$1" && find . -name coffer.lock -printf '%p %y\n' -o -printf '%p %y %s %m %l\n' | sed '/ d /s/ d [0-9]*/ d/' | LC_ALL=C sort &&
		find . -type f ! -name coffer.lock ! -name coffer.reserve -print0 | LC_ALL=C sort -z | xargs -0r sha256sum)
}

reader() {
	volume_name=$1
	shift
	/usr/bin/python3 "$top_srcdir/tests/interop/coffer_read.py" --local-key-file "$(key_of "$volume_name")" "$tmp/$volume_name" "$@"
}

same_as_reader() {
	rm -rf "$tmp/extracted"
	reader "$1" verify >"$tmp/verify" 2>&1 || { cat "$tmp/verify"; return 1; }
	reader "$1" extract "$tmp/extracted" && diff -r --no-dereference --exclude=fifo "$tmp/extracted" "$2"
}

refuses() {
	refuses_code=$1 refuses_text=$2 refuses_name=$3
	shift 3
	tree "$tmp/$refuses_name" >"$tmp/before"
	expect "$refuses_code" "$@" || return 0
	tree "$tmp/$refuses_name" >"$tmp/after"
	[ "$(grep -c '^coffer: ' "$tmp/err")" = 1 ] || { not_ok "$refuses_text: not one line: $(cat "$tmp/err")"; return 0; }
	grep -qF -- "$refuses_text" "$tmp/err" || { not_ok "$refuses_text: but it says: $(cat "$tmp/err")"; return 0; }
	cmp "$tmp/before" "$tmp/after" || { not_ok "$refuses_text: the volume has changed"; return 0; }
	ok "$(sed "s|$tmp/||g" "$tmp/err")"
}
