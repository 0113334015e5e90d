#!/bin/sh
# Goals: a volume put back whole as it was is refused (23) until somebody says that it is right; so is one of which the state alone, or
# the files alone with the state, were put back; what was changed on the way is told in the agent's audit log.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
write() {
	expect 0 coffer mount "$tmp/v" "$mnt"
	echo "$1" >"$mnt/file"
	dd if=/dev/urandom of="$mnt/bulk" bs=1M count=8 status=none
	expect 0 coffer umount "$mnt"
}
put_back() { # NAME...: into the same directory, so that it stays the same instance
	find "$tmp/v" -mindepth 1 -delete
	cp -a "$1/." "$tmp/v"
}
write one
cp -a "$tmp/v" "$tmp/old"
write two
cp -a "$tmp/v" "$tmp/new"

put_back "$tmp/old"
refuses 23 'trust --older' v coffer mount "$tmp/v" "$mnt"
refuses 23 'trust --older' v coffer fsck "$tmp/v"
expect 0 coffer trust "$tmp/v"
refuses 23 'trust --older' v coffer mount "$tmp/v" "$mnt"
put_back "$tmp/new"
cp "$tmp/old/coffer.state" "$tmp/v/"
refuses 23 'trust --older' v coffer mount "$tmp/v" "$mnt"
cp "$tmp/old/coffer.log" "$tmp/v/"
refuses 23 'trust --older' v coffer mount "$tmp/v" "$mnt"
put_back "$tmp/new"
expect 0 coffer mount "$tmp/v" "$mnt" && [ "$(cat "$mnt/file")" = two ] && ok "the newest is taken without a word" || not_ok "the newest is taken without a word"
expect 0 coffer umount "$mnt"

put_back "$tmp/old"
expect 0 coffer trust "$tmp/v" --older && grep -q 'older' "$tmp/out" && ok "trust --older" || not_ok "trust --older"
expect 0 coffer mount "$tmp/v" "$mnt" && [ "$(cat "$mnt/file")" = one ] && ok "then the older one mounts" || not_ok "then the older one mounts"
expect 0 coffer umount "$mnt"
put_back "$tmp/old"
refuses 23 'trust --older' v coffer mount "$tmp/v" "$mnt"

# A clone that lived as long as the original: as new, but another history.
put_back "$tmp/new"
expect 0 coffer trust "$tmp/v" --older
cp -a "$tmp/new" "$tmp/clone"
expect 0 coffer trust "$tmp/clone"
expect 0 coffer mount "$tmp/clone" "$mnt" && expect 0 coffer umount "$mnt"
expect 0 coffer mount "$tmp/v" "$mnt" && expect 0 coffer umount "$mnt"
put_back "$tmp/clone"
refuses 23 'trust --older' v coffer mount "$tmp/v" "$mnt"
grep -q '"event":"volume.older"' "$tmp/state/audit.log" && grep -q '"event":"volume.trust_older"' "$tmp/state/audit.log" && ok "all in the audit log" || not_ok "all in the audit log"
