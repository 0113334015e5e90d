#!/bin/sh
# Goals: read-only mounts: also on a read-only backing, several at once, never beside a writer; nothing on disk changes; a volume that was not
# unmounted is refused, and says what to do.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
mkdir "$tmp/other" "$tmp/ro"
expect 0 coffer mount "$tmp/v" "$mnt"
echo text >"$mnt/file"
expect 0 coffer umount "$mnt"
tree "$tmp/v" >"$tmp/first"
mount --bind "$tmp/v" "$tmp/ro"
mount -o remount,bind,ro "$tmp/ro"
expect 0 coffer mount "$tmp/ro" "$mnt" -o ro && [ "$(cat "$mnt/file")" = text ] && ok "on a read-only backing" || not_ok "on a read-only backing"
expect 0 coffer mount "$tmp/v" "$tmp/other" -o ro && [ "$(cat "$tmp/other/file")" = text ] && ok "two at once" || not_ok "two at once"
for change in "touch $mnt/new" "rm $mnt/file" "chmod 600 $mnt/file" "truncate -s 1 $mnt/file" "mkdir $mnt/dir" "mv $mnt/file $mnt/f"; do
	! $change 2>"$tmp/said" && grep -q 'Read-only file system' "$tmp/said" || not_ok "$change: $(cat "$tmp/said")"
done
ok "and nothing can be changed"
expect 0 coffer umount "$mnt"
expect 1 coffer mount "$tmp/ro" "$mnt" && grep -q 'Read-only file system' "$tmp/err" && ok "a read-write mount is refused there" || not_ok "rw on ro"
umount "$tmp/ro"
expect 6 coffer mount "$tmp/v" "$mnt" && ok "a writer is refused beside it" || not_ok "a writer beside a reader"
expect 0 coffer umount "$tmp/other"
tree "$tmp/v" | cmp - "$tmp/first" && ok "nothing on disk has changed" || not_ok "a read-only mount changed the volume"

expect 0 coffer mount "$tmp/v" "$mnt"
echo more >"$mnt/more"
sync "$mnt/more"
kill_mount v
refuses 1 'mount it read-write once' v coffer mount "$tmp/v" "$mnt" -o ro
expect 0 coffer mount "$tmp/v" "$mnt" && expect 0 coffer umount "$mnt" && expect 0 coffer mount "$tmp/v" "$mnt" -o ro && [ "$(cat "$mnt/more")" = more ] &&
	ok "and after that it mounts" || not_ok "after that"
expect 0 coffer umount "$mnt"
