#!/bin/sh
# Goals:
# 1. A volume goes into a file:// store without key or agent and comes back byte for byte: files, holes, links of both kinds, attributes, FIFOs; fsck finds it sound, a mount shows the same.
# 2. The second run sends only what changed, also when its cache is lost; --dry-run sends nothing; list, show, verify and diff tell of it.
# 3. An unclean volume is backed up with its log. A run and a restore that are killed go on; a directory with something in it is never written.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
mkdir "$tmp/store"
keyless() {
	"$bin/coffer" --agent "$tmp/no-such-socket" "$@"
}
sent() {
	/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes_sent"])' <"$tmp/out"
}
# The plain tree of a mount; with a second argument without its times, which a kill takes away.
plain() {
	(cd "$1" && find . -printf "%P %y %m %U %G %n %s %l ${2-%T@}\\n" | sed '/ d /s/ [0-9]* \([^ ]*\) \([^ ]*\)$/ \2/' | LC_ALL=C sort && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum &&
		find . \( -type f -o -type d \) -print0 | LC_ALL=C sort -z | xargs -0r getfattr -d 2>&1)
}

agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir -p "$mnt/d/e/empty" "$mnt/many-files"
for n in $(seq 1 300); do echo "file $n" >"$mnt/many-files/f$n"; done
dd if=/dev/urandom of="$mnt/big" bs=1M count=40 status=none
truncate -s 100M "$mnt/sparse"
printf x >>"$mnt/sparse"
: >"$mnt/empty-file"
ln "$mnt/big" "$mnt/d/second-name"
ln -s some/where "$mnt/d/link"
mkfifo "$mnt/d/fifo"
setfattr -n user.note -v hello-attribute "$mnt/d"
setfattr -n user.note -v world "$mnt/many-files/f7"
echo "a long name" >"$mnt/$(printf 'n%.0s' $(seq 200))"
chown 1234:2345 "$mnt/many-files/f8"
chmod 4711 "$mnt/many-files/f9"
plain "$mnt" >"$tmp/plain"
expect 10 keyless backup run "$tmp/v" "$store" && ok "(a mounted volume needs the agent)" || not_ok "mounted: $(cat "$tmp/err")"
expect 0 coffer umount "$mnt"
expect 0 keyless backup run "$tmp/v" "$store" --dry-run && [ -z "$(ls "$tmp/store")" ] && ok "dry run: $(sed 's/.*: //' "$tmp/out")" || not_ok "dry run: $(cat "$tmp/out")"
expect 0 keyless backup run "$tmp/v" "$store" && ok "$(sed 's/.*: //' "$tmp/out")" || not_ok "run"
expect 0 keyless backup list "$store" && [ "$(wc -l <"$tmp/out")" = 1 ] && grep -q 'not signed' "$tmp/out" && ok "list" || not_ok "list: $(cat "$tmp/out")"
expect 0 keyless backup show "$store" && grep -q '^way *unmounted, log empty$' "$tmp/out" && ok "show" || not_ok "show: $(cat "$tmp/out")"
expect 0 keyless backup verify "$store" && grep -q '0 problems; complete and unrotted' "$tmp/out" && ok "verify" || not_ok "verify: $(cat "$tmp/out" "$tmp/err")"
[ "$(find "$tmp/store" -path '*packs*' -type f | wc -l)" -le 3 ] && ok "300 small files are few packs" || not_ok "packs: $(find "$tmp/store" -type f)"
! grep -rqaE 'many-files|second-name|hello-attribute|a long name' "$tmp/store" && ! find "$tmp/store" | grep -qE 'many-files|second-name|/v$' && ok "no clear name or text in the store" || not_ok "something in clear is in the store"

expect 0 keyless restore "$store" latest "$tmp/r" --suid && ok "restore" || not_ok "restore: $(cat "$tmp/err")"
tree "$tmp/v" | grep -v 'coffer.reserve\|coffer.lock\|  ./coffer.log' >"$tmp/before"
tree "$tmp/r" | grep -v 'coffer.reserve\|coffer.lock\|  ./coffer.log' >"$tmp/after"
cmp "$tmp/before" "$tmp/after" && ok "byte for byte" || not_ok "not the same: $(diff "$tmp/before" "$tmp/after" | head -5)"
[ "$(du -k "$tmp/r" | tail -1 | cut -f1)" -le "$(($(du -k "$tmp/v" | tail -1 | cut -f1) + 1024))" ] && ok "holes are holes" || not_ok "larger: $(du -k "$tmp/r" "$tmp/v" | tail -2)"
expect 11 coffer mount "$tmp/r" "$mnt" && ok "a restore is not trusted yet" || not_ok "mounted without trust"
expect 0 coffer trust "$tmp/r"
expect 0 coffer fsck "$tmp/r" && ok "fsck" || not_ok "fsck: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer mount "$tmp/r" "$mnt"
plain "$mnt" >"$tmp/plain2"
cmp "$tmp/plain" "$tmp/plain2" && ok "a mount shows the same" || not_ok "a mount shows: $(diff "$tmp/plain" "$tmp/plain2" | head -5)"
expect 0 coffer umount "$mnt"
expect 17 keyless restore "$store" latest "$tmp/r" && ok "never overwrites" || not_ok "overwrote"
expect 0 keyless restore "$store" latest "$tmp/nosuid" && ! find "$tmp/nosuid" -perm /6000 | grep -q . && ok "no set-user-ID unless asked" || not_ok "set-user-ID came back"

# Incremental. ctime must be older than two seconds for a file not to be read again.
wait_for 20 sh -c "[ \$((\$(date +%s) - \$(stat -c %Z '$tmp/v/coffer.state'))) -gt 3 ]"
expect 0 keyless --json backup run "$tmp/v" "$store" && [ "$(sent)" = 0 ] && ok "nothing changed: nothing sent" || not_ok "sent: $(cat "$tmp/out")"
expect 0 keyless --json backup run "$tmp/v" "$store" && [ "$(sent)" = 0 ] && [ "$(sed 's/.*bytes_read":\([0-9]*\).*/\1/' "$tmp/out")" = 0 ] && ok "nor read" || not_ok "read: $(cat "$tmp/out")"
rm -r "$tmp/cache"
expect 0 keyless --json backup run "$tmp/v" "$store" && [ "$(sent)" = 0 ] && ok "a lost cache costs reading alone" || not_ok "without a cache: $(cat "$tmp/out")"
first=$(keyless backup list "$store" | head -1 | cut -d' ' -f2)
expect 0 coffer mount "$tmp/v" "$mnt"
printf y | dd of="$mnt/big" bs=1 seek=20000000 conv=notrunc status=none
echo new >"$mnt/new"
rm "$mnt/many-files/f3"
sync "$mnt/big" "$mnt/new"
plain "$mnt" - >"$tmp/plain"
kill_mount v
expect 0 keyless --json backup run "$tmp/v" "$store" && [ "$(sent)" -lt 30000000 ] && ok "one block changed: $(sent) bytes with the log" || not_ok "changed: $(cat "$tmp/out")"
expect 0 keyless backup show "$store" && grep -q 'with its log' "$tmp/out" && ok "unclean: the log is in it" || not_ok "show: $(cat "$tmp/out")"
expect 0 keyless backup diff "$store" "$first" && [ "$(grep -c '^+' "$tmp/out")" = 1 ] && [ "$(grep -c '^-' "$tmp/out")" = 1 ] && ok "diff: $(tr '\n' ' ' <"$tmp/out" | cut -c1-60)" || not_ok "diff: $(cat "$tmp/out")"
rm -rf "$tmp/r" "$tmp/nosuid"
expect 0 keyless restore "$store" latest "$tmp/r" --suid
expect 0 coffer trust "$tmp/r"
expect 0 coffer mount "$tmp/r" "$mnt"
plain "$mnt" - >"$tmp/plain2"
cmp "$tmp/plain" "$tmp/plain2" && ok "an unclean one is replayed where it was restored" || not_ok "after replay: $(diff "$tmp/plain" "$tmp/plain2" | head -5)"
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/r"

# Prune: dry runs, a lock, what is left is whole.
expect 0 coffer mount "$tmp/v" "$mnt"
dd if=/dev/urandom of="$mnt/big" bs=1M count=30 conv=notrunc status=none
plain "$mnt" - >"$tmp/plain"
expect 0 coffer umount "$mnt"
expect 0 keyless backup run "$tmp/v" "$store"
count=$(find "$tmp/store" -type f | wc -l)
expect 2 keyless backup prune "$store"
expect 0 keyless backup prune "$store" --keep-last 1 --grace 0 --dry-run && [ "$(find "$tmp/store" -type f | wc -l)" = "$count" ] && grep -q 'to remove: 5 snapshots' "$tmp/out" && ok "prune --dry-run: $(tail -1 "$tmp/out" | sed 's/.*: //')" || not_ok "dry run: $(cat "$tmp/out")"
uuid=$(ls "$tmp/store/volumes")
printf '{"id":"x","until":%s}' $(($(date +%s) + 1000)) >"$tmp/store/$uuid/lock"
expect 19 keyless backup prune "$store" --keep-last 1 --grace 0 && ok "one prunes at a time" || not_ok "lock: $(cat "$tmp/err")"
printf '{"id":"x","until":1000}' >"$tmp/store/$uuid/lock"
expect 0 keyless backup prune "$store" --keep-daily 1 && [ "$(keyless backup list "$store" | wc -l)" = 1 ] && [ "$(find "$tmp/store/$uuid/segments" -type f | wc -l)" -gt 8 ] && ok "an expired lock is nobody's; young objects stay" || not_ok "prune: $(cat "$tmp/out" "$tmp/err")"
expect 0 keyless backup prune "$store" --keep-last 1 --grace 0 && [ ! -e "$tmp/store/$uuid/lock" ] && ok "prune: $(tail -1 "$tmp/out" | sed 's/.*: //')" || not_ok "prune: $(cat "$tmp/err")"
expect 0 keyless backup verify "$store" && [ "$(find "$tmp/store/$uuid" -path '*/segments/*' -type f | wc -l)" -lt 8 ] && ok "what stays is whole, what nobody needs is gone" || not_ok "after prune: $(cat "$tmp/err")"
expect 0 keyless --json backup run "$tmp/v" "$store" && [ "$(sent)" = 0 ] && ok "and backups go on" || not_ok "after prune: $(cat "$tmp/out")"
printf '{"id":"x","until":%s}' $(($(date +%s) + 4)) >"$tmp/store/$uuid/lock"
expect 0 keyless backup run "$tmp/v" "$store" && [ "$(date +%s)" -ge "$(sed 's/.*until":\([0-9]*\)}/\1/' "$tmp/store/$uuid/lock")" ] && ok "a run waits for the prune beside it, and looks what is left" || not_ok "beside a prune: $(cat "$tmp/err")"
rm "$tmp/store/$uuid/lock"

unsigned=$(keyless backup list "$store" | tail -1 | cut -d' ' -f2)
# With the agent a backup is signed by this host, and told to the audit log.
expect 0 coffer backup run "$tmp/v" "$store" --force && [ ! -s "$tmp/err" ] || not_ok "signed run: $(cat "$tmp/err")"
expect 0 keyless backup verify "$store" && signer=$(sed -n 's/.*signed by \([0-9a-f]\{64\}\),.*/\1/p' "$tmp/out") && [ -n "$signer" ] && ok "signed" || not_ok "not signed: $(cat "$tmp/out")"
expect 0 keyless backup verify "$store" --signer "$signer" && ok "by whom it should be"
expect 7 keyless backup verify "$store" "$unsigned" --signer "$signer" && grep -q 'not signed, not by --signer' "$tmp/err" && ok "an unsigned one is refused by --signer" || not_ok "$(cat "$tmp/err")"
expect 7 keyless restore "$store" latest "$tmp/refused" --signer "$(printf '%064d' 7)" && [ ! -e "$tmp/refused/coffer.volume" ] && ok "restore takes no other host's" || not_ok "$(cat "$tmp/err")"
expect 2 keyless backup verify "$store" --signer 12 && ok "half a key is none"
grep -q '"event":"backup.sign"' "$tmp/state/audit.log" && grep -q '"event":"backup"' "$tmp/state/audit.log" && ok "signature and backup are in the audit log" || not_ok "$(grep -c backup "$tmp/state/audit.log") rows of backups"

# Ended by a signal: exit 20, the store can be used, and the next run goes on.
for signal in INT TERM; do
	rm -rf "$tmp/store" "$tmp/cache" "$tmp/r"
	mkdir "$tmp/store"
	"$bin/coffer" --quiet backup run "$tmp/v" "$store" --limit-upload 1M 2>"$tmp/err" &
	pid=$!
	wait_for 60 sh -c "[ \$(find '$tmp/store' -type f | wc -l) -gt 1 ]"
	kill -$signal $pid
	code=0
	wait $pid || code=$?
	[ "$code" = 20 ] && grep -q 'interrupted' "$tmp/err" && ok "backup, SIG$signal: $(cat "$tmp/err")" || not_ok "backup, SIG$signal: $code $(cat "$tmp/err")"
done
expect 0 keyless backup run "$tmp/v" "$store" && expect 0 keyless backup verify "$store" || not_ok "behind signals: $(cat "$tmp/err")"
"$bin/coffer" --quiet restore "$store" latest "$tmp/r" --suid --limit-download 1M 2>"$tmp/err" &
pid=$!
wait_for 60 [ -e "$tmp/r/coffer.restore" ]
kill -INT $pid
code=0
wait $pid || code=$?
[ "$code" = 20 ] && [ ! -e "$tmp/r/coffer.volume" ] && ok "restore, SIGINT: $(cat "$tmp/err")" || not_ok "restore, SIGINT: $code $(cat "$tmp/err")"
expect 0 keyless restore "$store" latest "$tmp/r" --suid && ok "and goes on" || not_ok "does not go on: $(cat "$tmp/err")"

# Cut at any point.
rm -rf "$tmp/store" "$tmp/cache" "$tmp/r"
mkdir "$tmp/store"
for ms in 02 06 12 25 40; do
	"$bin/coffer" --quiet backup run "$tmp/v" "$store" --limit-upload 100M &
	pid=$!
	sleep "0.$ms" # a moment to be cut in, not a condition
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
done
expect 0 keyless backup run "$tmp/v" "$store" && expect 0 keyless backup verify "$store" && ok "killed at any point: $(cat "$tmp/out")" || not_ok "after kills: $(cat "$tmp/err")"
mkdir "$tmp/r" && : >"$tmp/r/coffer.restore.tmp" # killed before its marker was in place
for ms in 02 06 12 25; do
	"$bin/coffer" --quiet restore "$store" latest "$tmp/r" --suid --limit-download 150M &
	pid=$!
	sleep "0.$ms"
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	[ -e "$tmp/r/coffer.restore" ] && [ -e "$tmp/r/coffer.volume" ] && not_ok "half a restore looks like a volume"
done
[ -e "$tmp/r/coffer.volume" ] || { expect 0 keyless restore "$store" latest "$tmp/r" --suid || not_ok "does not go on: $(cat "$tmp/err")"; }
expect 0 coffer trust "$tmp/r"
expect 0 coffer mount "$tmp/r" "$mnt"
plain "$mnt" - >"$tmp/plain2"
cmp "$tmp/plain" "$tmp/plain2" && ok "a killed restore goes on" || not_ok "killed restore: $(diff "$tmp/plain" "$tmp/plain2" | head -5)"
expect 0 coffer umount "$mnt"
