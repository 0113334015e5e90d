#!/bin/sh
# Goals: what is wrong with a volume is told in one line with its own exit code, and nothing in the directory changes.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
echo text >"$mnt/file"
coffer umount "$mnt"
key=$(key_of v)

try() { # CODE TEXT: mount and fsck both
	refuses "$1" "$2" v coffer mount "$tmp/v" "$mnt"
	refuses "$1" "$2" v coffer fsck "$tmp/v"
}

cp "$key" "$tmp/key"
head -c 32 /dev/urandom >"$key"
try 7 'v: '
rm "$key"
try 12 'v: '
cp "$tmp/key" "$key"
chmod 644 "$key"
try 3 'v: '
chmod 600 "$key"

cp "$tmp/v/coffer.volume" "$tmp/config"
sed -i '2s/"tenant":"v"/"tenant":"w"/g' "$tmp/v/coffer.volume"
try 11 'tenant'
sed '2s/"created":"20/"created":"19/' "$tmp/config" >"$tmp/v/coffer.volume"
try 7 'v: '
sed '2s/}$/} /' "$tmp/config" >"$tmp/v/coffer.volume"
try 7 'v: '
sed '2s/"incompat":\[\]/"incompat":["tomorrow"]/' "$tmp/config" >"$tmp/v/coffer.volume"
try 5 'tomorrow'
sed '2s/"xts-stamp"/"rot13"/' "$tmp/config" >"$tmp/v/coffer.volume"
try 5 'rot13'
head -c 100 "$tmp/config" >"$tmp/v/coffer.volume"
try 4 'malformed'
: >"$tmp/v/coffer.volume"
try 4 'not a volume'
rm "$tmp/v/coffer.volume"
try 4 'not a volume'
mkfifo "$tmp/v/coffer.volume"
try 4 'not a volume'
rm "$tmp/v/coffer.volume"
cp "$tmp/config" "$tmp/v/coffer.volume"

cp -a "$tmp/v" "$tmp/copy"
refuses 11 'copy or restore' copy coffer mount "$tmp/copy" "$mnt"
expect 0 coffer trust "$tmp/copy" && grep -q 'copy or a restore' "$tmp/out" && expect 0 coffer fsck "$tmp/copy" && ok "a copy, once trusted" || not_ok "a copy, once trusted"
rm "$tmp"/state/volumes/*
try 11 'coffer trust'
expect 0 coffer trust "$tmp/v"
expect 0 coffer mount "$tmp/v" "$mnt" && [ "$(cat "$mnt/file")" = text ] && ok "and nothing was lost" || not_ok "and nothing was lost"
expect 0 coffer umount "$mnt"
