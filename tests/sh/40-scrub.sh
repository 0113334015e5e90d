#!/bin/sh
# Goals:
# 1. scrub needs neither key nor agent for a volume that is not mounted; a sound one has no problems, clean or unclean.
# 2. A flipped bit in a block, cut files and headers are found, exit 8, and named by backing file and block; --json is JSON.
# 3. On a mounted volume under load a sound one has no problems; a flipped bit is found; a mount is kept out while an unmounted one is read.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

keyless() {
	"$bin/coffer" --agent "$tmp/no-such-socket" "$@"
}
agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/d"
for n in 1 2 3 4 5 6 7 8 9; do
	dd if=/dev/urandom of="$mnt/d/f$n" bs=100K count="$n" status=none
done
dd if=/dev/urandom of="$mnt/big" bs=1M count=40 status=none
truncate -s 100M "$mnt/sparse"
printf x >>"$mnt/sparse"
big=$(find "$tmp/v" -maxdepth 1 -type f ! -name 'coffer.*' -size +20M)
expect 0 coffer umount "$mnt"
expect 0 keyless scrub "$tmp/v" && grep -q '11 files, .* 0 problems' "$tmp/out" && ok "clean: $(sed 's/.*: //' "$tmp/out")" || not_ok "clean: $(cat "$tmp/out")"
printf yyyy | dd of="$big" bs=1 seek=9000000 conv=notrunc status=none
expect 8 keyless --json scrub "$tmp/v" && /usr/bin/python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' <"$tmp/out" && ok "--json" || not_ok "--json"
block=$((9000000 / 4096 - 1 - 9000000 / 528384))
grep -q "\"problem\":\"the block's checksum.*\"backing_path\":\"$(basename "$big")\",\"number\":$block,\"count\":1" "$tmp/out" && ok "a flipped bit is block $block" || not_ok "$block: $(cat "$tmp/out")"
cp "$big" "$tmp/big.saved"
truncate -s 20000000 "$big"
expect 8 keyless scrub "$tmp/v" && grep -q 'ends before the block' "$tmp/err" && ok "a cut file" || not_ok "a cut file: $(cat "$tmp/err")"
printf z | dd of="$big" bs=1 seek=50 conv=notrunc status=none
dd if=/dev/zero of="$big" bs=4096 count=1 conv=notrunc status=none
expect 8 keyless scrub "$tmp/v" && grep -q 'header is malformed or missing' "$tmp/err" && ok "no header" || not_ok "no header: $(cat "$tmp/err")"
cat "$tmp/big.saved" >"$big"
expect 0 coffer mount "$tmp/v" "$mnt"
printf y | dd of="$mnt/big" bs=4096 seek="$block" count=1 conv=notrunc,sync status=none # written anew: sound again

/usr/bin/python3 "$top_srcdir/tests/mount/overwrite_load.py" "$mnt/load" 8 &
load=$!
wait_for 10 test -s "$mnt/load"
for n in 1 2 3 4; do
	expect 0 coffer scrub "$mnt" && grep -q ' 0 problems' "$tmp/out" && ok "mounted, under load: $(sed 's/.*: //' "$tmp/out")" || not_ok "under load: $(cat "$tmp/out" "$tmp/err")"
done
expect 0 coffer scrub "$tmp/v" && ok "the volume's path finds the mount" || not_ok "by path"
printf qqqq | dd of="$big" bs=1 seek=7000000 conv=notrunc status=none
expect 8 coffer scrub "$mnt" && grep -q "coffer: $(basename "$big"): the block's checksum" "$tmp/err" && ok "mounted: a flipped bit" || not_ok "mounted: a flipped bit: $(cat "$tmp/err")"
kill "$load"
wait "$load" || :
sync "$mnt/load"
kill_mount v
expect 8 keyless scrub "$tmp/v" && [ "$(grep -c "^coffer: " "$tmp/err")" = 1 ] && ok "unclean: the log is laid over" || not_ok "unclean: $(cat "$tmp/err")"
expect 10 "$bin/coffer" --agent "$tmp/no-such-socket" fsck "$tmp/v" && ok "(fsck needs the key)" || not_ok "fsck without an agent"
