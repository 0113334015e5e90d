#!/bin/sh
# Goals:
# 1. A snapshot of a mounted volume has a tag by the volume's key; verify --authentic says whose, by the volume's pin here and, of a store alone, by what the snapshot says of its keys; another program computes the same.
#    One of a volume that is not mounted, or locked, has none, which is told when it is made and when it is looked at.
# 2. A snapshot whose keys and tag fit each other, but are somebody else's, is refused where the volume is known or rules say whose keys there may be; elsewhere it is said whose they are.
# 3. Who has the store and the host's backup key, but not the volume's key, makes nothing that is authentic: changed, moved, made up, or with the tag taken away. drill says so too, and leaves nothing behind.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; another shell expands
. "${top_srcdir:?}/tests/sh/volume.sh"

XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
mkdir -p "$tmp/store" "$tmp/scratch" "$tmp/etc/volumes.d"
named() { # in a mount namespace where /etc/coffer is ours, and nothing of anybody else is in /var/tmp
	unshare --mount --propagation private sh -c 'mount -t tmpfs none /var/tmp && mount -t tmpfs none /etc && mkdir -p /etc/coffer && cp -r "$1" /etc/coffer/volumes.d || exit 99; shift
		code=0; "$@" || code=$?; [ -z "$(ls -A /var/tmp)" ] || exit 98; exit $code' sh "$tmp/etc/volumes.d" "$bin/coffer" --agent "$tmp/agent.sock" "$@"
}
json() { # KEY: of the output
	/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1]))' "$1" <"$tmp/out"
}
independent() {
	/usr/bin/python3 "$top_srcdir/tests/interop/backup_tag.py" "$(key_of v)" "$tmp/v" "$tmp/store/$uuid/snapshots/$1" | cut -d' ' -f2-
}
resign() { # CASE [OTHER]
	/usr/bin/python3 "$top_srcdir/tests/mount/backup_resign.py" "$tmp/store" "$uuid" "$tagged" "$tmp/state/backup.key" "$@"
}
pins() {
	find "$tmp/state/volumes" -name '*.json' | wc -l
}

agent_start
volume v
printf '[volume]\nsource = %s/v\n[backup]\nstore = %s\n' "$tmp" "$store" >"$tmp/etc/volumes.d/db.conf"
expect 0 coffer --json backup run "$tmp/v" "$store" && [ "$(json tagged)" = False ] && ! grep -q '^coffer: ' "$tmp/err" && bare=$(json snapshot) && ok "not mounted: no tag" || not_ok "not mounted: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer mount "$tmp/v" "$mnt"
echo hello >"$mnt/file"
sync "$mnt/file"
expect 0 coffer --json backup run "$tmp/v" "$store" && [ "$(json tagged)" = True ] && tagged=$(json snapshot) && ok "mounted: a tag" || not_ok "mounted: $(cat "$tmp/out" "$tmp/err")"
uuid=$(ls "$tmp/store/volumes")
grep -q "\"detail\":\"manifest [0-9a-f]\{64\}\",\"event\":\"backup.tag\"" "$tmp/state/audit.log" && ok "the audit log has it" || not_ok "audit: $(tail -2 "$tmp/state/audit.log")"
[ "$(independent "$tagged")" = fits ] && [ "$(independent "$bare")" = none ] && ok "another program computes the same tag" || not_ok "independent: $(independent "$tagged") $(independent "$bare")"

expect 0 named backup verify db --authentic && grep -q 'complete and unrotted, signed by [0-9a-f]*, authentic: tagged with the key of tenant v (as its mount has it)' "$tmp/out" && ! grep -q '"purpose":"backup-verify"' "$tmp/state/audit.log" && ok "$(sed 's/.*problems; //; s/by [0-9a-f]*/by .../' "$tmp/out")" || not_ok "by name: $(cat "$tmp/out" "$tmp/err")"
expect 0 named --json backup verify "$store" --authentic && [ "$(json authentic) $(json tag) $(json tenant) $(json key_uri)" = "True fits v local:$(basename "$(key_of v)")" ] && [ "$(pins)" = 1 ] && ok "of a store alone, and no pin is left" || not_ok "by store: $(cat "$tmp/out" "$tmp/err")"
grep -q '"purpose":"backup-verify"' "$tmp/state/audit.log" && ok "each look at the key is on record" || not_ok "no row of the unlock"
expect 0 coffer --json backup verify "$store" && [ "$(json authentic) $(json tag)" = "None not looked at" ] && ok "without the key nothing is said of it" || not_ok "plain: $(cat "$tmp/out")"
expect 10 "$bin/coffer" --agent "$tmp/none" backup verify "$store" --authentic && ok "without an agent there is no key" || not_ok "no agent: $(cat "$tmp/err")"
expect 7 named --json backup verify db "$bare" --authentic && [ "$(json authentic)" = False ] && grep -q 'no tag: it was not mounted' "$tmp/err" && ok "$(sed 's/.*not auth/not auth/' "$tmp/err")" || not_ok "no tag: $(cat "$tmp/out" "$tmp/err")"
expect 0 named backup drill db --scratch "$tmp/scratch" && grep -q 'authentic: tagged with the key that opens it' "$tmp/out" && ok "drill looks at it" || not_ok "drill: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer backup list "$store" && [ "$(grep -c ', tagged$' "$tmp/out")" = 1 ] && [ "$(grep -c ', no tag: it was not mounted$' "$tmp/out")" = 1 ] && ok "list" || not_ok "list: $(cat "$tmp/out")"
expect 0 coffer restore "$store" "$tagged" "$tmp/r" && grep -q ', tagged$' "$tmp/out" && ok "restore says it" || not_ok "restore: $(cat "$tmp/out")"

expect 0 coffer restore "$store" "$tagged" "$tmp/part" --path file && grep -q 'authentic: tagged with the key below$' "$tmp/out" && grep -q '^Its names are by the key of tenant v (local:v-' "$tmp/out" && ok "restore of a path looks at it" || not_ok "restore of a path: $(cat "$tmp/out" "$tmp/err")"
rm -rf "$tmp/part"

for case in changed "moved $bare" made-up; do
	# shellcheck disable=SC2086 # two words
	forged=$(resign $case)
	expect 0 coffer backup verify "$store" "$forged" || not_ok "$case: not even signed"
	expect 7 named --json backup verify db "$forged" --authentic && [ "$(json authentic) $(json tag)" = "False does not fit" ] && grep -q 'NOT authentic' "$tmp/err" && [ "$(independent "$forged")" = "does not fit" ] && ok "${case%% *}: not authentic" || not_ok "$case: $(cat "$tmp/out" "$tmp/err")"
	expect 7 named backup verify "$store" "$forged" --authentic || not_ok "$case: of a store alone: $(cat "$tmp/out" "$tmp/err")"
	expect 7 coffer restore "$store" "$forged" "$tmp/part" --path file && grep -q 'NOT authentic' "$tmp/err" && [ ! -e "$tmp/part" ] || not_ok "$case: a path of it: $(cat "$tmp/out" "$tmp/err")"
done
expect 7 named backup drill db "$forged" --scratch "$tmp/scratch" && grep -q 'NOT authentic' "$tmp/err" && [ -z "$(ls -A "$tmp/scratch")" ] && wait_for 20 [ "$(pins)" = 1 ] && ok "drill refuses it and leaves nothing" || not_ok "drill of a forged one: $(cat "$tmp/out" "$tmp/err") $(ls -A "$tmp/scratch")"
expect 7 named backup verify db "$(resign stripped)" --authentic && grep -q 'no tag, though it was mounted' "$tmp/err" && ok "a tag that was taken away is missed" || not_ok "stripped: $(cat "$tmp/err")"
rm -f "$tmp/store/$uuid/snapshots/2098"* # it was the newest

mallorys=$(resign own-keys "$tmp/etc/keys/test") # with a key that this host may use, as one at a KMS might be
expect 0 named backup verify "$store" "$mallorys" --authentic && grep -q 'tagged with the key of tenant mallory (local:test)' "$tmp/out" && ok "somebody else's own keys: it is said whose" || not_ok "own keys: $(cat "$tmp/out" "$tmp/err")"
expect 7 named backup verify db "$mallorys" --authentic && grep -q 'NOT authentic: its tag is not by the key of tenant v' "$tmp/err" && ok "where the volume is they are not its" || not_ok "own keys by name: $(cat "$tmp/out" "$tmp/err")"
mkdir -p "$tmp/etc/tenants.d"
printf '[tenant]\nkms=local:other\n' >"$tmp/etc/tenants.d/mallory.conf"
kill -HUP "$agent"
wait_for 20 sh -c "! '$bin/coffer' --agent '$tmp/agent.sock' backup verify '$store' '$mallorys' --authentic"
expect 11 named backup verify "$store" "$mallorys" --authentic && grep -q 'no kms= of tenant mallory allows local:test' "$tmp/err" && ok "where rules say whose keys there may be, they are refused" || not_ok "own keys and rules: $(cat "$tmp/out" "$tmp/err")"
rm "$tmp/store/$uuid/snapshots/$mallorys"

expect 0 coffer lock "$tmp/v" --reason x
wait_for 20 sh -c "! cat '$mnt/file'"
expect 0 coffer --json backup run "$tmp/v" "$store" && [ "$(json tagged)" = False ] && grep -q 'no tag of the volume.s key: backup-tag: the mount is locked' "$tmp/err" && ok "locked: a backup without a tag, which is told" || not_ok "locked: $(cat "$tmp/out" "$tmp/err")"
expect 12 named backup verify db "$tagged" --authentic && expect 12 named backup verify "$store" "$tagged" --authentic && ok "(nor can anybody look)" || not_ok "verify while locked: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer unlock "$tmp/v"
expect 0 coffer restore "$store" latest "$tmp/r2" && coffer --quiet trust "$tmp/r2" && expect 0 coffer fsck "$tmp/r2" && ok "and it is whole" || not_ok "of a locked mount: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer --json backup run "$tmp/v" "$store" && [ "$(json tagged)" = True ] && expect 0 named backup verify db --authentic && ok "unlocked: a tag again" || not_ok "unlocked: $(cat "$tmp/out" "$tmp/err")"

# Of a tenant whose rules give root no key its mount can say it all the same, to who administers it.
printf '[allow]\nuser=0\nunit=none.service\noperations=unlock\n' >"$tmp/etc/tenants.d/v.conf"
kill -HUP "$agent"
wait_for 20 sh -c "! '$bin/coffer' --agent '$tmp/agent.sock' backup verify '$store' --authentic"
expect 11 named backup verify "$store" --authentic && expect 0 named backup verify db --authentic && ok "rules without a key for root: the mount says it" || not_ok "rules: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer umount "$mnt"
expect 11 named backup verify db --authentic && ok "(and not mounted nobody does)" || not_ok "rules, not mounted: $(cat "$tmp/out" "$tmp/err")"
rm "$tmp/etc/tenants.d/v.conf"
kill -HUP "$agent"
wait_for 20 named backup verify db --authentic
expect 0 named backup verify db --authentic && grep -q "tagged with the key of tenant v (local:" "$tmp/out" && ok "by the pin of the volume's directory" || not_ok "by its pin: $(cat "$tmp/out" "$tmp/err")"
