#!/bin/sh
# Goals:
# 1. What is not understood is told with exit code 2, never guessed; an unknown mount option among it.
# 2. Commands of later versions say that they are; names and paths that are not there are told apart.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
for line in '' 'frobnicate' '--frob status' 'init' "init $tmp/x" "init $tmp/x --tenant a/b" "init $tmp/x --tenant a --log-size 7" "init $tmp/x --tenant a --recovery-key" \
	'keys' 'keys list' 'keys frob x' "unlock --tenant v --recovery-key f" "lock $tmp/v --recovery-key f" \
	'mount' "mount $tmp/v" 'umount' 'sync a b' 'status x' 'info' 'fsck' "fsck $tmp/v --accept-log-loss" "fsck $tmp/v --mend" 'trust' "trust $tmp/v --younger" \
	"mount $tmp/v $mnt -o frob" "mount $tmp/v $mnt -o commit=0" "mount $tmp/v $mnt -o cache=4X" "mount $tmp/v $mnt -o key=secret"; do
	# shellcheck disable=SC2086
	expect 2 coffer $line && [ -s "$tmp/err" ] && ok "usage: coffer $line" || not_ok "usage: coffer $line"
done
coffer mount "$tmp/v" "$mnt" -o passphrase=tell 2>&1 | grep -q tell && not_ok "a secret in an option is repeated"
[ ! -e "$tmp/x" ] && ok "a refused init makes no directory" || not_ok "a refused init makes no directory"
for line in 'keys rotate x' 'rekey x' 'shred' 'adopt'; do
	# shellcheck disable=SC2086
	expect 5 coffer $line && grep -q 'not in this version' "$tmp/err" && ok "later: coffer $line" || not_ok "later: coffer $line"
done
expect 0 coffer --version && [ "$(wc -l <"$tmp/out")" = 1 ] && ok "version, one line" || not_ok "version, one line"
expect 0 coffer --help && grep -q 'coffer mount' "$tmp/out" && ok "help" || not_ok "help"
expect 18 coffer info "$tmp/nowhere" && ok "no such directory" || not_ok "no such directory"
expect 18 coffer info no-such-name && grep -q 'volumes.d' "$tmp/err" && ok "no such name" || not_ok "no such name"
expect 17 coffer init "$tmp/v" --tenant v && ok "init of what is a volume" || not_ok "init of what is a volume"
mkdir "$tmp/full"
touch "$tmp/full/file"
expect 17 coffer init "$tmp/full" --tenant v && [ "$(ls "$tmp/full")" = file ] && ok "init of a directory with files" || not_ok "init of a directory with files"

expect 0 coffer mount "$tmp/v" "$mnt" -o defaults,_netdev,nofail,x-systemd.requires=a.service,noatime,ro -o rw,threads=2,cache=16M,dirty=16M,commit=1 &&
	touch "$mnt/f" && ok "options that are ignored, and ours" || not_ok "options that are ignored, and ours"
coffer umount "$mnt"
expect 0 coffer mount "$tmp/v" "$mnt" -o ro && ! touch "$mnt/g" 2>/dev/null && ls "$mnt/f" >/dev/null && ok "read-only" || not_ok "read-only"
expect 0 coffer umount "$mnt"
