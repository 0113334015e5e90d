#!/bin/sh
# Goals: damage in one backing file, by cutting, zeroing or flipping, is EIO on that file alone; the mount goes on; fsck tells the clear and
# the backing path; a name that does not decrypt hides one entry; names too long are ENAMETOOLONG.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
lower_of() { # the backing file of the file just made
	find "$tmp/v" -mindepth 1 -maxdepth 1 ! -name 'coffer.*' -newer "$tmp/mark"
}
for name in cut zeroed flipped good renamed; do
	touch "$tmp/mark"
	sleep 0.02
	dd if=/dev/urandom of="$mnt/$name" bs=64K count=20 status=none
	lower_of >"$tmp/$name.lower"
	cp "$mnt/$name" "$tmp/$name.clear"
done
expect 0 coffer umount "$mnt"
truncate -s 700000 "$(cat "$tmp/cut.lower")"
dd if=/dev/zero of="$(cat "$tmp/zeroed.lower")" bs=4096 count=1 conv=notrunc status=none
printf x | dd of="$(cat "$tmp/flipped.lower")" bs=1 seek=9000 conv=notrunc status=none
mv "$(cat "$tmp/renamed.lower")" "$(dirname "$(cat "$tmp/renamed.lower")")/AAAA$(basename "$(cat "$tmp/renamed.lower")" | cut -c 5-)"

expect 0 coffer mount "$tmp/v" "$mnt" && ok "a volume with damaged files mounts" || not_ok "a volume with damaged files mounts"
for name in cut zeroed flipped; do
	! cat "$mnt/$name" >/dev/null 2>"$tmp/said" && grep -q 'Input/output error' "$tmp/said" && ok "$name: EIO" || not_ok "$name: $(cat "$tmp/said")"
done
cat "$mnt/flipped" >"$tmp/part" 2>/dev/null || cmp -n "$(wc -c <"$tmp/part")" "$tmp/part" "$tmp/flipped.clear" && ok "flipped: nothing wrong was read" ||
	not_ok "flipped: wrong bytes"
cmp "$mnt/good" "$tmp/good.clear" && ok "the others are whole" || not_ok "the others are whole"
[ ! -e "$mnt/renamed" ] && [ "$(find "$mnt" -mindepth 1 | wc -l)" = 4 ] && ok "a name that does not decrypt is skipped" || not_ok "a name that does not decrypt is skipped"
echo new >"$mnt/new" && sync "$mnt/new" && [ "$(cat "$mnt/new")" = new ] && ok "and the mount goes on" || not_ok "and the mount goes on"
long=$(printf 'n%.0s' $(seq 255))
touch "$mnt/$long" && ok "a name of 255 bytes" || not_ok "a name of 255 bytes"
! touch "$mnt/${long}n" 2>"$tmp/said" && grep -q 'File name too long' "$tmp/said" && ok "256: ENAMETOOLONG" || not_ok "256: $(cat "$tmp/said")"
coffer --json status | grep -q '"integrity_failures":[1-9]' && ok "status counts them" || not_ok "status counts them"
expect 0 coffer umount "$mnt"
expect 8 coffer fsck "$tmp/v" && ok "fsck ends with 8" || not_ok "fsck ends with 8"
for name in cut zeroed flipped; do
	grep "^coffer: /$name: .*($(basename "$(cat "$tmp/$name.lower")")," "$tmp/err" >/dev/null && ok "fsck names $name" || not_ok "fsck: $name: $(head -n 3 "$tmp/err")"
done
grep -q 'name does not decrypt' "$tmp/err" && ! grep -q '/good' "$tmp/err" && ok "fsck names the entry, and no other" || not_ok "fsck names the entry, and no other"
expect 8 coffer --json fsck "$tmp/v" && /usr/bin/python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' <"$tmp/out" && ok "fsck --json" || not_ok "fsck --json"
grep -q '"event":"mount.integrity"' "$tmp/state/audit.log" && ok "the agent's audit log has it" || not_ok "the agent's audit log has it"
