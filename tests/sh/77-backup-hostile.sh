#!/bin/sh
# Goals:
# 1. A store whose manifests, lists and objects are forged is refused, with the reason, and nothing is written outside the directory to restore into; what is written there is no volume.
# 2. verify finds objects that are lost, cut or exchanged. The format is as docs/backup.md says: another program reads the same files.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
forge=$top_srcdir/tests/mount/backup_forge.py
mkdir "$tmp/store" "$tmp/out.d"
keyless() {
	"$bin/coffer" --agent "$tmp/no-such-socket" "$@"
}
agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/d"
dd if=/dev/urandom of="$mnt/big" bs=1M count=11 status=none
for n in 1 2 3 4 5; do echo "file $n" >"$mnt/d/f$n"; done
expect 0 coffer umount "$mnt"
expect 0 keyless backup run "$tmp/v" "$store"
uuid=$(ls "$tmp/store/volumes")

/usr/bin/python3 "$forge" --read "$tmp/store" "$uuid" "$tmp/read" && (cd "$tmp/read" && find . -type f ! -name coffer.reserve ! -name coffer.log -print0 | LC_ALL=C sort -z | xargs -0r sha256sum) >"$tmp/a" || not_ok "not read"
(cd "$tmp/v" && find . -type f ! -name coffer.reserve ! -name coffer.log ! -name coffer.lock -print0 | LC_ALL=C sort -z | xargs -0r sha256sum) >"$tmp/b"
cmp "$tmp/a" "$tmp/b" && ok "another program reads the same" || not_ok "another program reads: $(diff "$tmp/a" "$tmp/b" | head -3)"

around() {
	find "$tmp" -mindepth 1 -path "$tmp/store" -prune -o -path "$tmp/out.d/r*" -prune -o -path "$tmp/cache" -prune -o ! -name out ! -name out.d ! -name err ! -name around ! -name after ! -name cases -printf '%p %s %T@\n' | LC_ALL=C sort
}
cp -r "$tmp/store" "$tmp/good"
/usr/bin/python3 "$forge" --cases >"$tmp/cases"
around >"$tmp/around"
n=0
while read -r case word; do
	snapshot=$(/usr/bin/python3 "$forge" "$tmp/store" "$uuid" "$case")
	code=0
	keyless restore "$store" "$snapshot" "$tmp/out.d/r$case" >"$tmp/out" 2>"$tmp/err" </dev/null || code=$?
	[ "$code" -ge 5 ] && [ "$code" -le 22 ] && grep -qF "$word" "$tmp/err" && [ "$(wc -l <"$tmp/err")" = 1 ] || not_ok "$case: exit code $code: $(cat "$tmp/err")"
	[ ! -e "$tmp/out.d/r$case/coffer.volume" ] || not_ok "$case: left a volume"
	[ -z "$(find "$tmp/out.d/r$case" -size +2M 2>/dev/null)" ] || not_ok "$case: wrote a lot"
	code=0
	keyless restore "$store" "$snapshot" "$tmp/out.d/p$case" --path abc >"$tmp/out" 2>"$tmp/err" </dev/null || code=$?
	[ "$code" -ge 5 ] && [ "$code" -le 22 ] && [ "$(wc -l <"$tmp/err")" = 1 ] && [ ! -e "$tmp/out.d/p$case" ] || not_ok "$case, a path of it: exit code $code: $(cat "$tmp/err")"
	n=$((n + 1))
	rm -rf "$tmp/store" "$tmp/out.d/r$case"
	cp -r "$tmp/good" "$tmp/store"
done <"$tmp/cases"
around >"$tmp/after"
cmp "$tmp/around" "$tmp/after" && [ "$n" -ge 30 ] && ok "$n forged snapshots are refused, nothing outside" || not_ok "something outside has changed: $(diff "$tmp/around" "$tmp/after")"

# Old ones in the place of new ones: a store that shows the first snapshot as the latest, and one that has lost the latest manifest.
honest=$(ls "$tmp/store/$uuid/snapshots")
cp "$tmp/store/$uuid/snapshots/$honest" "$tmp/store/$uuid/snapshots/20990102T030405Z-${honest#*-}"
expect 8 keyless restore "$store" latest "$tmp/out.d/old" && grep -q 'of another time than its name says' "$tmp/err" && [ ! -e "$tmp/out.d/old/coffer.volume" ] && ok "an old snapshot is not taken for a new one" || not_ok "a new date: $(cat "$tmp/err")"
expect 0 keyless restore "$store" "${honest%-*}" "$tmp/out.d/old" && [ -e "$tmp/out.d/old/coffer.volume" ] && ok "(by its own name it is restored)" || not_ok "by its own name: $(cat "$tmp/err")"
rm -rf "$tmp/store/$uuid/snapshots/20990102T030405Z-${honest#*-}" "$tmp/out.d/old"

expect 0 keyless backup verify "$store" && ok "(the honest one verifies)" || not_ok "verify"
segment=$(find "$tmp/store/$uuid/segments" -type f | head -1)
mv "$segment" "$tmp/out.d/segment"
expect 8 keyless backup verify "$store" && grep -q 'is not in the store' "$tmp/err" && ok "a lost object" || not_ok "a lost object: $(cat "$tmp/err")"
head -c 100000 "$tmp/out.d/segment" >"$segment"
expect 8 keyless backup verify "$store" && grep -q 'is not what its name says' "$tmp/err" && ok "a cut object" || not_ok "a cut object: $(cat "$tmp/err")"
rm "$segment"
expect 0 keyless backup run "$tmp/v" "$store" && expect 0 keyless backup verify "$store" && ok "a run puts back what the store has lost" || not_ok "not mended: $(cat "$tmp/err")"
printf q | dd of="$(find "$tmp/v" -maxdepth 1 -type f -size +10M ! -name 'coffer.*')" bs=1 seek=6000000 conv=notrunc status=none
expect 8 keyless backup run "$tmp/v" "$store" --force && grep -q '1 blocks or groups do not fit' "$tmp/err" && ok "rot is found while it is read" || not_ok "rot: $(cat "$tmp/err")"
expect 0 keyless backup show "$store" && grep -q '^damage *1$' "$tmp/out" && ok "and said by the snapshot" || not_ok "show: $(cat "$tmp/out")"
