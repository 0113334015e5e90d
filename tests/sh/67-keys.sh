#!/bin/sh
# Goals: keys list says what a volume has and what this host knows of it; a lost or damaged coffer.volume comes back from the agent's copy by keys export and
# import, and nothing that does not verify, or is older, is put there.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

same() { # TEXT
	cmp -s "$tmp/v/coffer.volume" "$tmp/good" && ok "$1" || not_ok "$1: coffer.volume is another: $(ls -l "$tmp/v")"
}

agent_start
volume v
key=$(key_of v)
uuid=$(coffer --json info "$tmp/v" | sed -n 's/.*"uuid": *"\([0-9a-f]*\)".*/\1/p')
cp "$tmp/v/coffer.volume" "$tmp/good"
coffer mount "$tmp/v" "$mnt"
echo content >"$mnt/file"
coffer umount "$mnt"

expect 0 coffer keys list "$tmp/v" && grep -q "^local:${key##*/}\$" "$tmp/out" && grep -q 'active .*pinned on this host, opened last' "$tmp/out" && ok "keys list" ||
	not_ok "keys list: $(cat "$tmp/out")"
expect 0 coffer keys list --json "$tmp/v" && /usr/bin/python3 - "$tmp/out" "local:${key##*/}" <<'END' && ok "keys list --json" || not_ok "keys list --json: $(cat "$tmp/out")"
import json, sys
o = json.load(open(sys.argv[1]))
s, = o["slots"]
assert o["pinned"] and s["pinned"] and s["opened_last"] and s["state"] == "active" and s["kms"] == sys.argv[2] and s["created"], o
assert set(s) == {"kms", "key_version", "state", "created", "pinned", "opened_last"}, s
END
expect 0 "$bin/coffer" --agent "$tmp/none.sock" keys list "$tmp/v" && grep -q "local:${key##*/}" "$tmp/out" && ! grep -q pinned "$tmp/out" &&
	grep -q 'not known: no agent' "$tmp/err" && ok "without an agent" || not_ok "without an agent: $(cat "$tmp/out" "$tmp/err")"
cp -a "$tmp/v" "$tmp/copy"
expect 0 coffer keys list "$tmp/copy" && grep -q 'not pinned' "$tmp/out" && ok "of a copy" || not_ok "of a copy: $(cat "$tmp/out")"

rm "$tmp/v/coffer.volume"
expect 4 coffer mount "$tmp/v" "$mnt" && ok "without coffer.volume it is no volume"
expect 0 coffer keys export "$tmp/v" && cmp "$tmp/out" "$tmp/good" && ok "export to standard output" || not_ok "export"
expect 0 coffer keys export "$tmp/v" "$tmp/exported" && cmp "$tmp/exported" "$tmp/good" && [ "$(stat -c %a "$tmp/exported")" = 600 ] && ok "export to a file" || not_ok "export to a file"
expect 17 coffer keys export "$tmp/v" "$tmp/exported" && ok "which must not be there"
expect 11 coffer keys export "$tmp/copy" && ok "not of a copy"
mv "$tmp/v/coffer.state" "$tmp/state.away"
expect 4 coffer keys export "$tmp/v" && grep -q 'uuid UUID' "$tmp/err" && ok "without coffer.state somebody must say which it is"
expect 0 coffer keys export "$tmp/v" --uuid "$uuid" && cmp "$tmp/out" "$tmp/good" && ok "and then it is found" || not_ok "export --uuid"
expect 11 coffer keys export "$tmp/v" --uuid 00112233445566778899aabbccddeeff && ok "but not a wrong one"
expect 2 coffer keys export "$tmp/v" --uuid 0011 && ok "nor half of one"
mv "$tmp/state.away" "$tmp/v/coffer.state"

sed 's/"config_version": *1/"config_version":9/' "$tmp/good" >"$tmp/changed"
cmp -s "$tmp/changed" "$tmp/good" && not_ok "nothing was changed"
expect 7 coffer keys import "$tmp/v" "$tmp/changed" && [ ! -e "$tmp/v/coffer.volume" ] && ok "what was changed is not put there" || not_ok "import of what was changed: $(cat "$tmp/err")"
echo garbage >"$tmp/garbage"
expect 4 coffer keys import "$tmp/v" "$tmp/garbage" && [ ! -e "$tmp/v/coffer.volume" ] && ok "nor garbage"
head -c 300000 /dev/zero >"$tmp/large"
expect 4 coffer keys import "$tmp/v" "$tmp/large" && [ ! -e "$tmp/v/coffer.volume" ] && ok "nor what is too large"
mv "$key" "$tmp/key"
expect 12 coffer keys import "$tmp/v" "$tmp/exported" && [ ! -e "$tmp/v/coffer.volume" ] && ok "nor while the key is withdrawn"
mv "$tmp/key" "$key"
coffer keys import "$tmp/v" <"$tmp/exported" >"$tmp/out" && grep -q 'put there' "$tmp/out" && same "import from standard input" || not_ok "import"
[ "$(stat -c '%a %u' "$tmp/v/coffer.volume")" = "600 $(stat -c %u "$tmp/v")" ] && [ ! -e "$tmp/v/coffer.volume.tmp" ] && ok "mode and owner" || not_ok "mode and owner: $(ls -l "$tmp/v")"
coffer mount "$tmp/v" "$mnt"
[ "$(cat "$mnt/file")" = content ] && ok "the content is there" || not_ok "the content: $(cat "$mnt/file" 2>&1)"
coffer umount "$mnt"
expect 0 coffer keys import "$tmp/v" "$tmp/exported" && grep -q 'there already' "$tmp/out" && ok "once more: it is there already"
for damage in changed garbage large; do
	cp "$tmp/$damage" "$tmp/v/coffer.volume"
	expect 0 coffer keys import "$tmp/v" "$tmp/exported" && same "over one that is $damage"
done
rm "$tmp/v/coffer.volume"
mkdir "$tmp/v/coffer.volume"
expect 8 coffer keys import "$tmp/v" "$tmp/exported" && [ -d "$tmp/v/coffer.volume" ] && ok "not over what is no file"
rmdir "$tmp/v/coffer.volume"
expect 0 coffer --quiet keys import "$tmp/v" "$tmp/exported" && same "and then it is put there"
expect 11 coffer keys import "$tmp/copy" "$tmp/exported" && ok "not into a directory that nobody trusts"
chown daemon "$tmp/v"
rm "$tmp/v/coffer.volume"
expect 0 coffer keys import "$tmp/v" "$tmp/exported" && [ "$(stat -c %U "$tmp/v/coffer.volume")" = daemon ] && ok "it is the directory's owner's" || not_ok "owner: $(ls -ld "$tmp/v" "$tmp/v/coffer.volume")"
for op in rewrap rotate prove-unused; do
	expect 5 coffer keys $op "$tmp/v" && ok "$op: not in this version"
done
expect 2 coffer keys && expect 2 coffer keys open && expect 2 coffer keys list && expect 2 coffer keys import && ok "usage"
expect 0 coffer fsck "$tmp/v" && ok "fsck"
