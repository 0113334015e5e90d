#!/bin/sh
# Goals: each of a volume's own files missing, cut short, filled with rubbish, or in place of it a FIFO or a link: told in one line, without
# hanging, nothing changed; the ballast is made again; the log gets another size when asked.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
echo text >"$mnt/file"
expect 0 coffer umount "$mnt"
cp -a "$tmp/v" "$tmp/saved"
put_back() {
	rm -rf "$tmp/v/$1"
	cp -a "$tmp/saved/$1" "$tmp/v/$1"
}
mount_it() {
	timeout 30 "$bin/coffer" --agent "$tmp/agent.sock" mount "$tmp/v" "$mnt"
}
for part in coffer.log coffer.state; do
	rm "$tmp/v/$part"
	refuses 8 "$part" v mount_it
	: >"$tmp/v/$part"
	refuses 8 "$part" v mount_it
	head -c 4096 /dev/urandom >"$tmp/v/$part"
	refuses 8 "$part" v mount_it
	rm "$tmp/v/$part"
	mkfifo "$tmp/v/$part"
	refuses 8 "$part" v mount_it
	rm "$tmp/v/$part"
	ln -s "../saved/$part" "$tmp/v/$part"
	refuses 8 "$part" v mount_it
	put_back "$part"
done
rm "$tmp/v/coffer.lock"
mkfifo "$tmp/v/coffer.lock"
refuses 8 'coffer.lock' v mount_it
rm "$tmp/v/coffer.lock"
ln -s /etc/passwd "$tmp/v/coffer.lock"
refuses 8 'coffer.lock' v mount_it
rm "$tmp/v/coffer.lock" "$tmp/v/coffer.reserve"
expect 0 mount_it && [ "$(cat "$mnt/file")" = text ] && ok "ballast and lock are made again" || not_ok "without ballast and lock"
expect 0 coffer umount "$mnt"
[ "$(stat -c %s "$tmp/v/coffer.reserve")" = "$(stat -c %s "$tmp/saved/coffer.reserve")" ] && ok "the ballast is whole" || not_ok "the ballast"
for size in 32 16; do
	expect 0 coffer mount "$tmp/v" "$mnt" -o log-size=$size && echo $size >"$mnt/file" && expect 0 coffer umount "$mnt"
	[ "$(stat -c %s "$tmp/v/coffer.log")" = $((size << 20)) ] && ok "a log of $size MiB" || not_ok "the log: $(stat -c %s "$tmp/v/coffer.log")"
done
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
