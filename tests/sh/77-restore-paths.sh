#!/bin/sh
# Goals:
# 1. restore --path brings single files and directories back out of a snapshot, with the agent's key: byte for byte, with attributes, modes, owners and times; other names, links, long names
#    and names that are no UTF-8; a mount shows these alone, fsck finds nothing, and no clear name is written anywhere.
# 2. Of the store little more than what was asked for is fetched.
# 3. What is not there, leads out or through a link, or is not allowed, is refused with its reason, and nothing is left.
# 4. Killed at any point it goes on; for other paths it does not. A part says that it is one, and is not backed up as the volume.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
store=file://$tmp/store
mkdir "$tmp/store"
long=$(printf 'n%.0s' $(seq 200))
bytes=$(printf 'b\351\377d')
part() { # the plain tree below $1, of the paths that are given
	part_at=$1
	shift
	(cd "$part_at" && find "$@" -printf "%P %y %m %U %G %s %l %T@\\n" | sed '/ d /s/ [0-9]* \([^ ]*\) \([^ ]*\)$/ \2/' | LC_ALL=C sort && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum &&
		find "$@" \( -type f -o -type d \) -print0 | LC_ALL=C sort -z | xargs -0r getfattr -d 2>&1)
}
same() { # TEXT PATH...: the restore in $tmp/r has these as the volume has, and nothing else
	same_text=$1
	shift
	part "$tmp/plain" "$@" >"$tmp/a"
	expect 0 coffer trust "$tmp/r" || return 0
	expect 0 coffer fsck "$tmp/r" && grep -q ' 0 problems' "$tmp/out" || { not_ok "$same_text: fsck: $(cat "$tmp/out" "$tmp/err")"; return 0; }
	expect 0 coffer mount "$tmp/r" "$mnt" || { not_ok "$same_text: mount: $(cat "$tmp/err")"; return 0; }
	part "$mnt" "$@" >"$tmp/b"
	find "$mnt" ! -type d | wc -l >"$tmp/count"
	(cd "$mnt" && find "$@" ! -type d) | sort -u | wc -l >"$tmp/want"
	expect 0 coffer umount "$mnt" || return 0
	cmp "$tmp/a" "$tmp/b" && cmp "$tmp/count" "$tmp/want" && ok "$same_text" || not_ok "$same_text: $(diff "$tmp/a" "$tmp/b" | head -5) $(cat "$tmp/count" "$tmp/want")"
}
restore() { # CODE ARG...: into a new $tmp/r
	restore_code=$1
	shift
	rm -rf "$tmp/r"
	expect "$restore_code" coffer restore "$store" latest "$tmp/r" "$@"
}
refused() { # CODE TEXT ARG...
	refused_code=$1 refused_text=$2
	shift 2
	restore "$refused_code" "$@" && grep -qF -- "$refused_text" "$tmp/err" && [ "$(grep -c '^coffer: ' "$tmp/err")" = 1 ] && [ ! -e "$tmp/r" ] && ok "$(sed "s|$tmp/||g;1q" "$tmp/err")" || not_ok "$refused_text: $(cat "$tmp/out" "$tmp/err"; ls -A "$tmp/r" 2>&1)"
}
read_by() { # CMD...: how many bytes it has read, whatever from
	sh -c '"$@" >/dev/null && sed -n "s/^rchar: //p" /proc/$$/io' sh "$@"
}

agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir -p "$mnt/dir/sub/deep" "$mnt/dir/empty" "$mnt/many" "$mnt/$long" "$mnt/other"
for n in $(seq 1 1000); do echo "planted-text $n" >"$mnt/many/f$n"; done
dd if=/dev/urandom of="$mnt/big" bs=1M count=40 status=none
dd if=/dev/urandom of="$mnt/dir/sub/file" bs=1000 count=777 status=none
truncate -s 50M "$mnt/dir/sparse" && printf x >>"$mnt/dir/sparse"
setfattr -n user.note -v planted-attribute "$mnt/dir/sub/file"
setfattr -n user.note -v on-the-way "$mnt/dir/sub"
: >"$mnt/dir/sub/deep/$bytes"
echo in-long >"$mnt/$long/$long"
ln -s ../big "$mnt/dir/link"
ln -s dir "$mnt/through"
mkfifo "$mnt/dir/fifo"
ln "$mnt/big" "$mnt/other/zz-second"   # by the lower names either may be the first
ln "$mnt/big" "$mnt/dir/third"
ln "$mnt/dir/fifo" "$mnt/other/fifo2"
chown 1234:2345 "$mnt/many/f8"
chmod 4751 "$mnt/many/f9"
chmod 2750 "$mnt/dir/sub"
touch -d '2001-02-03 04:05:06.789' "$mnt/dir/sub/deep" "$mnt/dir/sub" "$mnt/many/f9" "$mnt/dir/empty"
cp -a "$mnt" "$tmp/plain"
expect 0 coffer umount "$mnt"
expect 0 coffer backup run "$tmp/v" "$store"

restore 0 --path many/f8 --suid && same "one file" many/f8 || not_ok "one file: $(cat "$tmp/err")"
restore 0 --path many/f8 && grep -q 'a part of snapshot' "$tmp/out" && [ "$(cat "$tmp/r/coffer.partial")" = "coffer-partial 1 $(ls "$tmp/store/volumes") $(ls "$tmp"/store/*/snapshots)" ] &&
	ok "$(sed "s|$tmp/||g;s/20[0-9TZ]*-[0-9a-f]*/X/;s/by [0-9a-f]\{64\}/by X/" "$tmp/out" | tr '\n' ' ')" || not_ok "report: $(cat "$tmp/out")"
restore 0 --path /dir//./sub/ --path "$long/$long" --path many/f9 --path dir/sub/deep/. --suid && same "directories and long names, given twice" dir/sub "$long/$long" many/f9 || not_ok "directories: $(cat "$tmp/err")"
reader r verify >"$tmp/out" 2>&1 && ok "the independent reader verifies it" || not_ok "reader: $(cat "$tmp/out")"
[ "$(stat -c '%a %U' "$tmp/plain/dir/sub")" = "$(find "$tmp/r" -type d -perm 2750 -printf '%m %u\n')" ] && ok "modes" || not_ok "modes"
restore 0 --path "dir/sub/deep/$bytes" --suid && same "a name that is no UTF-8" "dir/sub/deep/$bytes" || not_ok "bytes: $(cat "$tmp/err")"
restore 0 --path dir/sparse --path dir/empty --path through --path dir/link --suid && [ "$(du -sk --exclude=coffer.log "$tmp/r" | cut -f1)" -lt 2000 ] && same "holes, an empty directory, links as links" dir/sparse dir/empty through dir/link || not_ok "holes: $(cat "$tmp/err")"
for name in big other/zz-second dir/third other/fifo2 dir/fifo; do # of each row some is another name of what is not asked for
	restore 0 --path "$name" --suid && same "a file with more names: $name" "$name" || not_ok "$name: $(cat "$tmp/err")"
	[ -z "$(find "$tmp/r" ! -type d -links +1)" ] || not_ok "$name: other names are left: $(find "$tmp/r" -links +1)"
done
restore 0 --path dir --path other --suid && same "with other names" dir other && [ "$(find "$tmp/r" ! -type d -links 2 | wc -l)" = 4 ] && ok "which are the same file then" || not_ok "names: $(find "$tmp/r" ! -type d -links 2)"

expect 5 coffer backup run "$tmp/r" "$store" && grep -q 'a part of snapshot' "$tmp/err" && [ "$(find "$tmp"/store/*/snapshots -type f | wc -l)" = 1 ] && ok "not backed up as the volume" || not_ok "backed up: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer info "$tmp/r" && grep -q '^part *of snapshot 20' "$tmp/out" && expect 0 coffer --json info "$tmp/r" && grep -q '"part_of":"20' "$tmp/out" && expect 0 coffer fsck "$tmp/r" && grep -q 'a part of snapshot 20' "$tmp/out" && ok "info and fsck say that it is a part" || not_ok "info: $(cat "$tmp/out")"

# How much is read: the file, not the pack it is in, not the rest.
whole=$(read_by "$bin/coffer" restore "$store" latest "$tmp/whole")
one=$(rm -rf "$tmp/r" && read_by "$bin/coffer" --agent "$tmp/agent.sock" restore "$store" latest "$tmp/r" --path many/f500)
few=$(rm -rf "$tmp/r" && read_by "$bin/coffer" --agent "$tmp/agent.sock" restore "$store" latest "$tmp/r" --path many)
[ "$whole" -gt 40000000 ] && [ "$one" -lt 2500000 ] && [ "$few" -lt 20000000 ] && ok "read: one file $one bytes, its directory $few, all $whole" || not_ok "read: one file $one bytes, its directory $few, all $whole"
rm -rf "$tmp/whole"

# Refused.
refused 18 "many/none: not in snapshot" --path many/f8 --path many/none
refused 18 "nowhere/at/all: not in snapshot" --path nowhere/at/all
refused 18 'dir/empty/\x1b[x: not in snapshot' --path "dir/empty/$(printf '\033')[x"
refused 18 "links are not followed" --path through/sub
refused 18 "no directory there" --path many/f8/x
refused 18 "no directory there" --path many/f8/
refused 18 "coffer.log: not in snapshot" --path coffer.log
refused 2 "has \`..\` in it" --path dir/../big
refused 2 "is the whole volume" --path /
refused 2 "no name is so long" --path "$long$long"
refused 7 "not by --signer" --path big --signer "$(printf '%064d' 7)"
mkdir "$tmp/r" && expect 18 coffer restore "$store" latest "$tmp/r" --path none && [ -d "$tmp/r" ] && [ -z "$(ls -A "$tmp/r")" ] && ok "a directory that was there is left empty" || not_ok "left: $(ls -A "$tmp/r")"
: >"$tmp/r/mine"
expect 17 coffer restore "$store" latest "$tmp/r" --path big && [ "$(ls -A "$tmp/r")" = mine ] && ok "never overwrites" || not_ok "overwrote: $(cat "$tmp/err")"
rm -rf "$tmp/r"
expect 0 coffer restore "$store" latest "$tmp/r" --path dir/fifo && expect 0 coffer trust "$tmp/r" && find "$tmp/r" -mindepth 1 -delete && expect 0 coffer restore "$store" latest "$tmp/r" --path many/f8 --suid && same "into a directory that is trusted already" many/f8 || not_ok "trusted already: $(cat "$tmp/err")"
mkdir "$tmp/theirs" && chown 1234 "$tmp/theirs" && chmod -R a+rX "$tmp/store" && chmod a+x "$tmp"
expect 11 setpriv --reuid 1234 --clear-groups "$bin/coffer" --agent "$tmp/agent.sock" restore "$store" latest "$tmp/theirs/r" --path big && [ -z "$(ls -A "$tmp/theirs")" ] && ok "$(sed "s|$tmp/||g" "$tmp/err")" || not_ok "somebody else: $(cat "$tmp/err")"
expect 0 coffer lock "$tmp/v" --reason why
refused 12 "locked" --path big
expect 0 coffer unlock "$tmp/v"
mv "$(key_of v)" "$tmp/key"
refused 12 "" --path big
mv "$tmp/key" "$(key_of v)"
agent_stop
refused 10 "agent" --path big
agent_start
[ "$(find "$tmp/state/volumes" -name '*.json' | wc -l)" -le 20 ] || not_ok "pins"

# Killed at any point.
for ms in 05 10 20 40 80; do
	"$bin/coffer" --agent "$tmp/agent.sock" --quiet restore "$store" latest "$tmp/r" --path dir/third --path many --suid --limit-download 30M &
	pid=$!
	sleep "0.$ms" # a moment to be cut in, not a condition
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	[ -e "$tmp/r/coffer.restore" ] && [ -e "$tmp/r/coffer.volume" ] && not_ok "half a restore looks like a volume"
	[ ! -e "$tmp/r/coffer.restore" ] || { expect 17 coffer restore "$store" latest "$tmp/r" --path many || not_ok "goes on with other paths"; expect 17 coffer restore "$store" latest "$tmp/r" || not_ok "goes on with all"; }
done
[ -e "$tmp/r/coffer.volume" ] || expect 0 coffer restore "$store" latest "$tmp/r" --path dir/third --path many --suid || not_ok "does not go on: $(cat "$tmp/err")"
[ -z "$(find "$tmp/r" -name 'coffer.restore*')" ] && same "a killed one goes on" dir/third many || not_ok "left: $(find "$tmp/r" -name 'coffer.restore*')"
# In the bytes nothing short: four letters in a row are in 40 MiB of anything, once in a hundred times.
! grep -rqaE 'planted-|third' "$tmp/r" && ! find "$tmp/r" | grep -qE 'many|third' && ok "nothing in clear is written" || not_ok "something in clear was written"

# Committed, and in the log alone.
expect 0 coffer mount "$tmp/v" "$mnt"
echo newer >"$mnt/many/f8"
printf q | dd of="$mnt/big" bs=1 seek=30000000 conv=notrunc status=none
mkdir "$mnt/new" && echo fresh >"$mnt/new/file"
sync "$mnt/many/f8" "$mnt/big" "$mnt/new/file"
cp -a "$mnt/." "$tmp/plain/"
kill_mount v
expect 0 coffer backup run "$tmp/v" "$store" && expect 0 coffer backup show "$store" && grep -q 'with its log' "$tmp/out" || not_ok "unclean: $(cat "$tmp/out" "$tmp/err")"
restore 0 --path many/f8 --path new/file --path dir/third --suid && expect 0 coffer trust "$tmp/r" && expect 0 coffer mount "$tmp/r" "$mnt" &&
	cmp "$mnt/many/f8" "$tmp/plain/many/f8" && cmp "$mnt/new/file" "$tmp/plain/new/file" && cmp "$mnt/dir/third" "$tmp/plain/big" && ok "what the log alone has is replayed, what is not there is no matter" || not_ok "unclean: $(cat "$tmp/err")"
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/r" && ok "fsck: $(sed 's/.*: //;1q' "$tmp/out")" || not_ok "fsck: $(cat "$tmp/out" "$tmp/err")"
