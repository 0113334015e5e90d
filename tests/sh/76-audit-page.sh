#!/bin/sh
# Goals: the page that an auditor gets.
# 1. Out of a real log: keys, who had them, refusals, locks, a drill, damage; the chain's verdict, whole and broken; every text of others is text.
# 2. It needs nothing from outside and is readable in a browser (Chromium).
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

page() {
	/usr/bin/python3 "$top_srcdir/tests/seen/page.py" "$@" >"$tmp/judged" 2>&1
}

hostile="</td></tr><script>document.title='owned'</script><img src=x onerror=alert(1)> & \"q\" 'a'"
agent_start
volume acme
mnt="$tmp/<b onclick=x>mnt"
mkdir "$mnt"
coffer mount "$tmp/acme" "$mnt"
dd if=/dev/urandom of="$mnt/f" bs=64k count=16 conv=fsync status=none
coffer --quiet lock --reason "$hostile" "$tmp/acme"
expect 12 coffer fsck "$tmp/acme" || expect 6 coffer fsck "$tmp/acme" || :
coffer --quiet unlock "$tmp/acme"
wait_for 20 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' status | grep -q 'ready  *ACTIVE'"
back=$(find "$tmp/acme" -type f -size +900k ! -name 'coffer.*')
coffer umount "$mnt"
setpriv --reuid 12345 --clear-groups "$bin/coffer" --agent "$tmp/agent.sock" status >/dev/null 2>&1 || :
printf zz | dd of="$back" bs=1 seek=70000 conv=notrunc status=none
coffer mount "$tmp/acme" "$mnt"
! cat "$mnt/f" >/dev/null 2>&1 || not_ok "damage was read"
wait_for 20 grep -q mount.integrity "$tmp/state/audit.log"
coffer umount "$mnt"
mv "$(key_of acme)" "$tmp/key"
expect 12 coffer fsck "$tmp/acme"
mv "$tmp/key" "$tmp/etc/keys/"
agent_stop

expect 0 coffer audit report --tenant acme --html "$tmp/page.html" "$tmp/state" && [ ! -s "$tmp/out" ] && [ "$(stat -c %a "$tmp/page.html")" = 600 ] && ok "a page, and nothing else"
page "$tmp/page.html" 'Keys of tenant acme' 'The log is whole' 'local:acme-' 'key.generate' 'operator.lock' "reason: $hostile" '<b onclick=x>mnt' 'mount.integrity' \
	'REVOKED' 'volume.pin' 'No drill was held' && ok "$(cat "$tmp/judged")" || not_ok "the page: $(cat "$tmp/judged")"
expect 0 coffer audit report --tenant nobody --html "$tmp/none.html" "$tmp/state" && page "$tmp/none.html" 'There is no row of this tenant' 'No key was used' && ok "an empty one" ||
	not_ok "an empty page: $(cat "$tmp/judged")"
log=$(readlink -f "$tmp/state/audit.log")
cp "$log" "$tmp/kept"
sed -i '5s/"outcome":"/"outcome":"n/' "$log"
expect 21 coffer audit report --tenant acme --html "$tmp/broken.html" "$tmp/state" && page "$tmp/broken.html" 'The log is BROKEN' 'at row 5' && ok "a broken log is told on top" ||
	not_ok "broken: $(cat "$tmp/judged")"
cp "$tmp/kept" "$log"
expect 2 coffer audit verify --html "$tmp/x" "$tmp/state" && [ ! -e "$tmp/x" ] && ok "of report alone"
coffer audit report --tenant acme --html /dev/full "$tmp/state" 2>"$tmp/err" && not_ok "a full disk is not told" || grep -q 'cannot be written: No space' "$tmp/err" && ok "a full disk is told"
if command -v chromium >/dev/null; then
	timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$tmp/chromium" --dump-dom "file://$tmp/page.html" >"$tmp/dom" 2>"$tmp/chromium.err"
	! grep -q '<script\|<img' "$tmp/dom" && grep -q '<title>Keys of tenant acme</title>' "$tmp/dom" && grep -q 'operator.lock' "$tmp/dom" && ok "Chromium reads it, and nothing runs" ||
		not_ok "Chromium: $(tail -3 "$tmp/chromium.err")"
else
	echo "ok - in a browser # SKIP no chromium here"
fi
