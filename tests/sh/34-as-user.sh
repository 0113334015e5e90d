#!/bin/sh
# Goals:
# 1. Without root: agent, init, mount through fusermount3, umount and fsck work for the user who runs them.
# 2. What that user has closed to himself (mode 0444, 0, a directory of mode 0300) keeps its content over unmounting, and its mode.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires fusermount3 --version
requires setpriv --version
requires id -u daemon

user=$(id -u daemon) # fusermount3 wants one that has a name
as_user() {
	setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"
}

work=$(mktemp -d "/tmp/coffer-test-user.XXXXXX")
cleanup_fn rm -rf "$work"
# Without udev nobody has opened the device to users, as it is on every other host.
if ! as_user test -w /dev/fuse; then
	mknod -m 666 "$work/fuse" c 10 229
	mount --bind "$work/fuse" /dev/fuse
	cleanup_fn umount /dev/fuse
fi
mkdir "$work/etc" "$work/state" "$work/v" "$work/mnt" "$work/bin"
cp "$(readlink -f "$bin/coffer")" "$(readlink -f "$bin/coffer-agent")" "$top_srcdir/tests/mount/as_user.py" "$work/bin"
chown -R "$user:$user" "$work"
setpriv --reuid="$user" --regid="$user" --clear-groups -- "$work/bin/coffer-agent" --config "$work/etc" --state "$work/state" --socket "$work/agent.sock" --foreground >"$tmp/agent.log" 2>&1 &
agent=$!
cleanup_fn kill $agent
cof() {
	as_user "$work/bin/coffer" --agent "$work/agent.sock" "$@"
}
wait_for 10 cof status
expect 0 cof --quiet init "$work/v" --tenant v --log-size 16 && ok "init" || not_ok "init"
for step in make check; do
	expect 0 cof mount "$work/v" "$work/mnt" && ok "mount" || not_ok "mount"
	as_user /usr/bin/python3 "$work/bin/as_user.py" $step "$work/mnt" && ok "$step" || not_ok "$step"
	expect 0 cof umount "$work/mnt" && ok "umount" || not_ok "umount"
done
# It writes nothing, so it cannot open what its user has closed; root can, and is served too.
expect 8 cof fsck "$work/v" && grep -q '/closed: .*Permission denied' "$tmp/err" && ok "fsck tells what is closed to it" || not_ok "fsck: $(cat "$tmp/err")"
expect 0 "$work/bin/coffer" --agent "$work/agent.sock" fsck "$work/v" && ok "fsck by root" || not_ok "fsck by root"
