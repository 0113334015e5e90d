#!/bin/sh
# Goals, through the commands and a mount:
# 1. fsck --repair of files with a cut, a zeroed header and a flipped bit, a name that does not decrypt and a foreign file: exit 9, then fsck 0.
# 2. Every good byte is there afterwards, none is wrong; the damaged names answer EIO until they are removed; the lists name the bad bytes.
# 3. A lost state, a gap in the log and a lost log are refused with what to do, and mended with --accept-log-loss; --json says so.
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
printf xx | dd of="$(cat "$tmp/flipped.lower")" bs=1 seek=9000 conv=notrunc status=none
mv "$(cat "$tmp/renamed.lower")" "$(dirname "$(cat "$tmp/renamed.lower")")/AAAA$(basename "$(cat "$tmp/renamed.lower")" | cut -c 5-)"
echo foreign >"$tmp/v/README"

expect 9 coffer --json fsck "$tmp/v" --repair && /usr/bin/python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' <"$tmp/out" && ok "repair --json" || not_ok "repair --json"
for what in '"repair":"salvaged".*"path":"/flipped".*"lost_bytes":4096' '"repair":"salvaged".*"path":"/cut"' '"repair":"salvaged".*"path":"/zeroed"' \
	'"repair":"found"' '"repair":"quarantined"' '"left":0'; do
	grep -q "$what" "$tmp/out" && ok "it says $what" || not_ok "it does not say $what: $(cat "$tmp/out")"
done
expect 0 coffer fsck "$tmp/v" && ok "afterwards fsck finds no damage" || not_ok "fsck afterwards"
expect 0 coffer fsck "$tmp/v" --repair && grep -q '0 repaired, 0 left' "$tmp/out" && ok "a second repair has nothing to do" || not_ok "a second repair"
expect 0 coffer mount "$tmp/v" "$mnt"
cmp "$mnt/good" "$tmp/good.clear" && cmp "$mnt"/lost+found/* "$tmp/renamed.clear" && ok "the good file, and the one without a name" || not_ok "good files"
for name in cut zeroed flipped; do
	! cat "$mnt/$name" >/dev/null 2>"$tmp/said" && grep -q 'Input/output error' "$tmp/said" && ok "$name: EIO" || not_ok "$name: $(cat "$tmp/said")"
	/usr/bin/python3 "$top_srcdir/tests/mount/salvaged.py" "$tmp/$name.clear" "$mnt/$name.salvaged" "$mnt/$name.salvaged.ranges" >"$tmp/said" && ok "$name: $(cat "$tmp/said")" || not_ok "$name: $(cat "$tmp/said")"
	rm "$mnt/$name" && cp "$tmp/$name.clear" "$mnt/$name" && cmp "$mnt/$name" "$tmp/$name.clear" && ok "$name: put back" || not_ok "$name: put back"
done
sync "$mnt/good"
printf more >>"$mnt/good"
sync "$mnt/good"
kill_mount v

dd if=/dev/urandom of="$tmp/v/coffer.state" bs=8192 count=1 conv=notrunc status=none
refuses 8 'accept-log-loss' v coffer mount "$tmp/v" "$mnt"
expect 9 coffer --json fsck "$tmp/v" --repair --accept-log-loss && grep -q '{"repair":"state-remade","backing_path":"coffer.state"}' "$tmp/out" && grep -q '"repaired":1,' "$tmp/out" &&
	ok "a lost state is made anew, and that is told" || not_ok "a lost state: $(cat "$tmp/out")"
expect 0 coffer fsck "$tmp/v" && expect 0 coffer mount "$tmp/v" "$mnt" && [ "$(tail -c 4 "$mnt/good")" = more ] && ok "and nothing that was fsynced is lost" || not_ok "lost"
for form in --quiet --json; do
	for n in 1 2 3 4; do
		echo "$n" >>"$mnt/good"
		sync "$mnt/good"
	done
	kill_mount v
	/usr/bin/python3 "$top_srcdir/tests/mount/break_log.py" "$tmp/v/coffer.log" 2
	refuses 8 'accept-log-loss' v coffer mount "$tmp/v" "$mnt"
	expect 9 coffer $form fsck "$tmp/v" --repair --accept-log-loss && cat "$tmp/err" "$tmp/out" >"$tmp/said"
	grep -q -e 'transactions .* are missing: dropped' -e '{"repair":"log-cut","backing_path":"coffer.log","to":"coffer.quarantine/[0-9]*.ring","lost_first":[0-9]*,"lost_last":[0-9]*}' "$tmp/said" &&
		ok "$form: a gap in the log is given up" || not_ok "$form: a gap: $(cat "$tmp/said")"
	expect 0 coffer fsck "$tmp/v" && expect 0 coffer mount "$tmp/v" "$mnt" && ok "fsck" || not_ok "fsck"
done
expect 0 coffer umount "$mnt"
rm "$tmp/v/coffer.log"
refuses 8 'coffer.log' v coffer mount "$tmp/v" "$mnt"
expect 9 coffer --json fsck "$tmp/v" --repair --accept-log-loss && grep -q '{"repair":"log-remade","backing_path":"coffer.log"}' "$tmp/out" && grep -q '"repaired":1,' "$tmp/out" &&
	ok "a log that is gone is made anew" || not_ok "a log that is gone: $(cat "$tmp/out")"
expect 0 coffer fsck "$tmp/v" && expect 0 coffer mount "$tmp/v" "$mnt" && cat "$mnt/good" >/dev/null && ok "and the rest is there" || not_ok "after a log that is gone"
