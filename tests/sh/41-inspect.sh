#!/bin/sh
# Goals:
# 1. inspect prints every field of backing files, state, log and configuration, as text and JSON, without key or agent; no wrapped key is in it;
#    garbage is told as malformed (8), a FIFO is refused and does not hang.
# 2. path leads from clear to backing names and back: nested, long, linked twice, and says so outside of any volume (14).
# 3. bench runs in a directory and leaves nothing there.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

keyless() {
	"$bin/coffer" --agent "$tmp/no-such-socket" "$@"
}
is_json() {
	/usr/bin/python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' <"$tmp/out"
}
agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
long=$(printf 'n%.0s' $(seq 200))
mkdir -p "$mnt/a dir/b/$long"
dd if=/dev/urandom of="$mnt/a dir/b/$long/file" bs=4096 count=130 status=none
truncate -s 10M "$mnt/a dir/b/$long/file"
ln "$mnt/a dir/b/$long/file" "$mnt/link"
ln -s target "$mnt/symlink"
expect 0 coffer sync "$mnt"
expect 0 keyless path "$mnt/a dir/b/$long/file" && lower=$(cat "$tmp/out") && [ -f "$lower" ] && ok "path: clear to backing" || not_ok "path: $(cat "$tmp/err")"
expect 0 keyless path "$lower" && [ "$(cat "$tmp/out")" = "$mnt/a dir/b/$long/file" ] && ok "and back" || not_ok "back: $(cat "$tmp/out" "$tmp/err")"
expect 0 keyless path "$mnt/link" && cmp "$(cat "$tmp/out")" "$lower" && ok "a hard link in another directory" || not_ok "a hard link"
ln "$mnt/link" "$mnt/link2"
expect 0 keyless path "$mnt/link" && [ "$(wc -l <"$tmp/out")" = 2 ] && ok "two links in one directory: both" || not_ok "two links: $(cat "$tmp/out")"
expect 0 keyless --json path "$mnt/symlink" && is_json && grep -q '"backing_path"' "$tmp/out" && ok "a symbolic link is not followed; --json" || not_ok "a symbolic link"
expect 0 keyless path "$mnt" && [ "$(cat "$tmp/out")" = "$(readlink -f "$tmp/v")" ] && ok "the root" || not_ok "the root: $(cat "$tmp/out")"
expect 18 keyless path "$mnt/none" && expect 14 keyless path /etc/passwd && ok "no such file, no such volume" || not_ok "path: errors"
expect 0 coffer --json bench "$mnt" && is_json && [ "$(wc -l <"$tmp/out")" = 13 ] && [ "$(find "$mnt" -name '.coffer*')" = '' ] && ok "bench in a mount" || not_ok "bench"
expect 18 coffer bench "$tmp/none" && ok "bench nowhere" || not_ok "bench nowhere"
expect 0 coffer umount "$mnt"

expect 0 keyless inspect "$lower" && grep -q '^group=0 .*size=10485760 .*blocks=128 .*sums_differ=0' "$tmp/out" && grep -q '^group=1 .*blocks=2 ' "$tmp/out" && ok "inspect: groups" || not_ok "groups: $(cat "$tmp/out")"
expect 0 keyless --json inspect "$lower" --blocks && is_json && [ "$(grep -c '"content":"fits"' "$tmp/out")" = 130 ] && ok "inspect --blocks" || not_ok "--blocks"
for part in coffer.state coffer.log coffer.volume; do
	expect 0 keyless inspect "$tmp/v/$part" && [ -s "$tmp/out" ] && expect 0 keyless --json inspect "$tmp/v/$part" && is_json && ok "inspect $part" || not_ok "inspect $part: $(cat "$tmp/err")"
done
! grep -Eq 'wrapped|sealed|commitment' "$tmp/out" && ok "no wrapped key is told" || not_ok "wrapped keys: $(cat "$tmp/out")"
# Another byte than there is, whatever there is.
old=$(dd if="$lower" bs=1 skip=5000 count=1 status=none | od -An -tu1)
printf "%b" "\\0$(printf %o $(((old + 1) % 256)))" | dd of="$lower" bs=1 seek=5000 conv=notrunc status=none
expect 0 keyless inspect "$lower" && grep -q 'sums_differ=1' "$tmp/out" && ok "a block that differs" || not_ok "a block that differs"
head -c 600000 /dev/urandom >"$tmp/garbage"
expect 8 keyless inspect "$tmp/garbage" && grep -q 'malformed' "$tmp/out" && ok "garbage" || not_ok "garbage"
cp "$tmp/garbage" "$tmp/coffer.state" && expect 8 keyless inspect "$tmp/coffer.state" && ok "a state of garbage" || not_ok "a state of garbage"
mkfifo "$tmp/fifo"
expect 2 timeout 10 "$bin/coffer" inspect "$tmp/fifo" && expect 18 keyless inspect "$tmp/none" && ok "a FIFO, nothing" || not_ok "a FIFO"
