#!/bin/sh
# Goals: names, types and keys changed behind a volume's back: an entry moved to another directory is not shown, a flipped name is not, links with a wrong
# hash are not, a directory's id put elsewhere shows nothing under a wrong name, what is not a regular file in place of one is an error and
# blocks nothing, and a key slot of another tenant opens nothing.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
long=$(printf 'l%.0s' $(seq 200))
lower_of() { # the lower entry with the inode number of a plain one
	find "$tmp/v" -mindepth 1 -inum "$(stat -c %i "$mnt/$1")"
}
is() { # TEXT CMD...
	is_text=$1
	shift
	"$@" && ok "$is_text" || not_ok "$is_text: $*"
}
eio() {
	! timeout 10 cat "$1" >"$tmp/read" 2>"$tmp/said" && grep -q 'Input/output error' "$tmp/said" && [ ! -s "$tmp/read" ]
}
names() {
	(cd "$mnt" && timeout 10 find . -mindepth 1 | LC_ALL=C sort | tr '\n' ' ')
}

expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/d" "$mnt/e"
echo from-d >"$mnt/d/one"
echo from-e >"$mnt/e/two"
echo long >"$mnt/$long"
for name in fifo device link dir; do echo "$name" >"$mnt/$name"; done
for name in d e d/one e/two "$long" fifo device link dir; do
	lower_of "$name" >"$tmp/lower.$(basename "$name" | cut -c 1-10)"
done
expect 0 coffer umount "$mnt"
rm -rf "$tmp/whole" && cp -a "$tmp/v" "$tmp/whole"
at() { cat "$tmp/lower.$1"; }
is 'inode numbers are those below' [ -s "$tmp/lower.one" ]
restore() {
	find "$tmp/v" -mindepth 1 -delete
	cp -a "$tmp/whole/." "$tmp/v"
	expect 0 coffer trust "$tmp/v" --older
}

one=$(at one) two=$(at two)
mv "$one" "$tmp/one"
mv "$two" "$(dirname "$one")/"
mv "$tmp/one" "$(dirname "$two")/$(basename "$one")"
expect 0 coffer mount "$tmp/v" "$mnt"
is 'entries that changed directories are shown in neither' [ "$(names)" = "./d ./device ./dir ./e ./fifo ./link ./$long " ]
is 'nor found there' sh -c "! cat '$mnt/d/one' '$mnt/d/two' '$mnt/e/one' '$mnt/e/two' 2>/dev/null | grep -q from"
rm -r "$mnt/d" 2>"$tmp/said" && ok 'such a directory can be removed' || not_ok "such a directory can be removed: $(cat "$tmp/said")"
expect 0 coffer umount "$mnt"

restore
mv "$(at d)/coffer.dir" "$tmp/id" && cp -P "$(at e)/coffer.dir" "$(at d)/coffer.dir"
expect 0 coffer mount "$tmp/v" "$mnt"
is "a directory with another's id shows none of its names" sh -c "! timeout 10 ls '$mnt/d' 2>/dev/null | grep ."
is 'the other one is whole' [ "$(cat "$mnt/e/two")" = from-e ]
expect 0 coffer umount "$mnt"

restore
link=$(find "$tmp/v" -name 'coffer.name.*')
target=$(readlink "$link")
rm "$link" && ln -s -- "$(printf %s "$target" | tr 'A-M' 'B-N')" "$link"
expect 0 coffer mount "$tmp/v" "$mnt"
is 'a long name whose link does not have its hash is not shown' sh -c "! ls '$mnt' | grep -q lll"
expect 0 coffer umount "$mnt"
rm "$link" && ln -s -- "$target" "$link"

rm "$(at fifo)" && mkfifo -m 644 "$(at fifo)"
rm "$(at device)" && mknod -m 644 "$(at device)" c 1 5
rm "$(at link)" && ln -s /etc/passwd "$(at link)"
rm "$(at dir)" && mkdir "$(at dir)"
expect 0 coffer mount "$tmp/v" "$mnt"
is 'the volume is listed' sh -c "timeout 10 ls '$mnt' >/dev/null 2>&1; [ \$? -ne 124 ]"
is 'a FIFO in place of a file is a FIFO' sh -c "[ -p '$mnt/fifo' ] || ! timeout 10 cat '$mnt/fifo' 2>/dev/null"
is 'a device is never opened' sh -c "! timeout 10 head -c 1 '$mnt/device' 2>/dev/null | grep -qa ."
is 'a symbolic link of the host is not followed' sh -c "! timeout 10 cat '$mnt/link' 2>/dev/null | grep ."
is 'a directory in place of a file is an empty one' sh -c "! timeout 10 ls '$mnt/dir' 2>/dev/null | grep ."
is 'a file beside them reads' [ "$(cat "$mnt/$long")" = long ]
expect 0 coffer umount "$mnt"

restore
volume w
cp "$tmp/v/coffer.volume" "$tmp/config"
foreign_slot() { # FIELD...: these fields of the slot are those of w
	/usr/bin/python3 - "$tmp/config" "$tmp/w/coffer.volume" "$tmp/v/coffer.volume" "$@" <<'PY'
import json, sys
line, text = open(sys.argv[1], 'rb').read().split(b'\n', 1)
config = json.loads(text)
other = json.loads(open(sys.argv[2], 'rb').read().split(b'\n', 1)[1])['slots'][0]
for field in sys.argv[4:] or other:
    config['slots'][0][field] = other[field]
open(sys.argv[3], 'wb').write(line + b'\n' + json.dumps(config, separators=(',', ':')).encode())
PY
}
foreign_slot
refuses 4 'malformed' v coffer mount "$tmp/v" "$mnt"
foreign_slot kms wrapped_kek sealed_root commitment
refuses 11 'pinned on this host' v coffer mount "$tmp/v" "$mnt"
foreign_slot sealed_root commitment
refuses 7 'does not open' v coffer mount "$tmp/v" "$mnt"
foreign_slot kms
refuses 11 'pinned on this host' v coffer mount "$tmp/v" "$mnt"
cp "$tmp/config" "$tmp/v/coffer.volume"
expect 0 coffer mount "$tmp/v" "$mnt" && is 'with its own config all is there' [ "$(cat "$mnt/d/one")" = from-d ]
expect 0 coffer umount "$mnt"
