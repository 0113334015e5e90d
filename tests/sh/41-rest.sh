#!/bin/sh
# Goals: `coffer umount` does not say that all is well when the mount could not bring everything to rest: its log cannot be written, or it
# is killed between the unmount and its end. A read-only mount, one that was dead before, and one whose volume another takes at once are no failures.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires mkfs.ext4 -V

gone() {
	! grep -qF " $mnt " /proc/self/mountinfo
}

says() { # TEXT
	grep -qF "coffer: $mnt: not everything could be brought to rest: $1" "$tmp/err" && ok "$(sed -n "s|$tmp/||g; /^coffer: /p" "$tmp/err")" || not_ok "$1: $(cat "$tmp/err")"
}

agent_start
mkdir "$tmp/fs" "$mnt"
truncate -s 512M "$tmp/image"
mkfs.ext4 -q "$tmp/image"
mount -o loop "$tmp/image" "$tmp/fs"
mkdir "$tmp/fs/v"
coffer --quiet init "$tmp/fs/v" --tenant v --log-size 16
coffer mount "$tmp/fs/v" "$mnt"
echo one >"$mnt/file"
expect 0 coffer umount "$mnt" && [ "$(sed 1d "$tmp/fs/v/coffer.lock")" = "at rest" ] && ok "at rest" || not_ok "at rest: $(cat "$tmp/fs/v/coffer.lock")"

coffer mount "$tmp/fs/v" "$mnt"
chattr +i "$tmp/fs/v/coffer.log"
echo two >"$mnt/file"
expect 1 coffer umount "$mnt" && says ""
chattr -i "$tmp/fs/v/coffer.log"

expect 0 coffer mount "$tmp/fs/v" "$mnt" -o ro && [ "$(cat "$mnt/file")" = one ] || not_ok "the last commit: $(cat "$mnt/file")"
expect 0 coffer umount "$mnt" && ok "a read-only mount leaves nothing to say"

coffer mount "$tmp/fs/v" "$mnt"
pid=$(mount_pid fs/v)
kill -STOP "$pid"
coffer umount "$mnt" 2>"$tmp/err" &
waiting=$!
wait_for 10 gone
kill -KILL "$pid"
got=0
wait "$waiting" || got=$?
[ "$got" = 1 ] && says "the mount process died" || not_ok "killed before rest: exit code $got: $(cat "$tmp/err")"

coffer mount "$tmp/fs/v" "$mnt"
pid=$(mount_pid fs/v)
kill -KILL "$pid"
dead() { ! stat "$mnt" >/dev/null 2>&1; } # its memory goes before its descriptors: until then it is one that dies while it is waited for
wait_for 10 dead
expect 0 coffer umount "$mnt" && ok "a dead mount is taken away"

coffer mount "$tmp/fs/v" "$mnt"
echo three >"$mnt/file"
coffer umount "$mnt" 2>"$tmp/err" &
waiting=$!
wait_for 10 gone
expect 0 coffer mount "$tmp/fs/v" "$mnt"
wait "$waiting" && ok "and so is one whose volume somebody waits for" || not_ok "taken over: $(cat "$tmp/err")"
expect 0 coffer umount "$mnt"
