#!/bin/sh
# Goals: a mount of one user (user= of volumes.d), which does not answer root, dead or alive.
# 1. While its process lives and somebody has a file open, umount by root says that it is in use, and it goes on.
# 2. When the process was killed the same umount detaches it, whoever has files open, and the volume can be mounted again.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; what is quoted runs inside
. "${top_srcdir:?}/tests/sh/volume.sh"
requires unshare --mount true
requires setpriv --version
requires id -u daemon

user=$(id -u daemon)
chmod 711 "$tmp"
mkdir -p "$tmp/etc/tenants.d" "$tmp/etc/volumes.d"
printf '[tenant]\n[allow]\nuser=daemon\noperations=unlock\n[allow operators]\nuser=root\noperations=unlock,admin\n' >"$tmp/etc/tenants.d/acme.conf"
printf '[volume]\nsource=%s/acme\nmountpoint=%s\nuser=daemon\n' "$tmp" "$mnt" >"$tmp/etc/volumes.d/acme.conf"
getent passwd root daemon >"$tmp/passwd"
agent_start
volume acme
chown -R "$user" "$tmp/acme"
cat >"$tmp/inside" <<'EOS'
set -eu
tmp=$1 mnt=$2 user=$3 coffer=$4
mount -t tmpfs none /etc # so no alternatives, such as awk
cp "$tmp/passwd" /etc/passwd
mkdir /etc/coffer
mount --bind "$tmp/etc" /etc/coffer
coffer() { "$coffer" --agent "$tmp/agent.sock" "$@"; }
as_user() { setpriv --reuid="$user" --regid="$user" --clear-groups "$@"; }
until_ok() { tries=1200; while ! "$@" 2>/dev/null; do tries=$((tries - 1)); [ $tries -gt 0 ] || { echo "not ok - timed out: $*"; exit 1; }; sleep 0.05; done; }
mounted() { [ "$(grep -c " $mnt .* fuse.coffer " /proc/self/mountinfo)" = "$1" ]; }
serving() { sed -n 's/.*pid //p' "$tmp/acme/coffer.lock"; }

# Without udev nobody has opened the device to users, as it is on every other host.
as_user test -w /dev/fuse || { mknod -m 666 "$tmp/fuse" c 10 229 && mount --bind "$tmp/fuse" /dev/fuse; }
coffer mount acme
mounted 1 && grep -q "^Uid:[[:space:]]*$user[[:space:]]" "/proc/$(serving)/status" && echo "ok - it is served as its user"
! ls "$mnt" >/dev/null 2>&1 && echo "ok - root is not served"
mkfifo "$tmp/enough" && chmod 666 "$tmp/enough"
as_user sh -c 'exec 9>"$1/file" && echo text >&9 && sync "$1/file" && touch "$1/open" && read line' - "$mnt" <"$tmp/enough" &
holder=$!
exec 8>"$tmp/enough"
until_ok as_user test -e "$mnt/open"
status=0
coffer umount "$mnt" 2>"$tmp/why" || status=$?
[ $status = 19 ] && mounted 1 && as_user grep -q text "$mnt/file" && echo "ok - in use, it goes on: $(cat "$tmp/why")" || echo "not ok - in use: $status, $(cat "$tmp/why")"
pid=$(serving)
kill -KILL "$pid"
is_dead() { as_user cat "$mnt/file" 2>&1 | grep -q 'not connected'; } # its memory goes before its descriptors
until_ok is_dead
coffer umount acme && mounted 0 && echo "ok - dead, it is detached, by its name" || echo "not ok - dead: umount"
kill -0 $holder && echo "ok - while its user has a file open"
coffer mount acme && mounted 1 && as_user grep -q text "$mnt/file" && echo "ok - mounted again, with what was synced" || echo "not ok - mounted again"
echo >&8
wait $holder
coffer umount "$mnt" && mounted 0 && coffer fsck "$tmp/acme" >/dev/null && echo "ok - and whole" || echo "not ok - whole"
EOS
unshare --mount --propagation private sh "$tmp/inside" "$tmp" "$mnt" "$user" "$(readlink -f "$bin/coffer")" >"$tmp/said" 2>&1 || functions_failed=1
cat "$tmp/said"
[ "$(grep -c '^ok' "$tmp/said")" = 7 ] && ! grep -q '^not ok' "$tmp/said" || not_ok "not all of it came to its end"
