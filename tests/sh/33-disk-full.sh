#!/bin/sh
# Goals: the backing filesystem is really full: writers get ENOSPC, what was fsynced stays, also over SIGKILL on the full disk; after
# deleting, it writes again and the ballast is whole; fsck finds nothing.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires mkfs.ext4 -V

agent_start
mkdir "$tmp/fs" "$mnt"
truncate -s 512M "$tmp/image"
mkfs.ext4 -q "$tmp/image"
mount -o loop "$tmp/image" "$tmp/fs"
mkdir "$tmp/fs/v"
expect 0 coffer init "$tmp/fs/v" --tenant v --log-size 16
check_sums() { # every acknowledged file has its bytes
	/usr/bin/python3 - "$mnt" "$tmp/acked" >"$tmp/out" 2>&1 <<-'END'
		import hashlib, sys
		want = dict(line.split() for line in open(sys.argv[2]))
		assert len(want) > 20, f"only {len(want)} files"
		for name, h in want.items():
		    assert hashlib.sha256(open(f"{sys.argv[1]}/{name}", "rb").read()).hexdigest() == h, name
		print(len(want), "files")
	END
}
ballast() {
	stat -c %b "$tmp/fs/v/coffer.reserve"
}
expect 0 coffer mount "$tmp/fs/v" "$mnt" -o dirty=16M
whole=$(ballast)
/usr/bin/python3 "$top_srcdir/tests/mount/fill.py" "$mnt" >"$tmp/acked" 2>"$tmp/said" && ok "the disk is full: ENOSPC after $(wc -l <"$tmp/acked") files" ||
	not_ok "$(tail -n 1 "$tmp/said")"
check_sums && ok "what was fsynced is there: $(cat "$tmp/out")" || not_ok "full: $(tail -n 1 "$tmp/out")"
dd if=/dev/urandom of="$mnt/f3" bs=4096 count=1 conv=notrunc,fsync status=none 2>"$tmp/said" && ok "old bytes can be written over" ||
	not_ok "overwriting: $(cat "$tmp/said")"
sed -i '/^f3 /d' "$tmp/acked"
kill_mount fs/v
expect 0 coffer mount "$tmp/fs/v" "$mnt" -o dirty=16M && ok "mounted again on the full disk" || not_ok "not mounted on the full disk"
check_sums && ok "after SIGKILL: $(cat "$tmp/out")" || not_ok "after SIGKILL: $(tail -n 1 "$tmp/out")"
for k in $(seq 100 199); do rm "$mnt/f$k"; done
sed -i -E '/^f1[0-9][0-9] /d' "$tmp/acked"
expect 0 coffer sync "$mnt"
wait_for 30 sh -c "dd if=/dev/zero of='$mnt/again' bs=1M count=4 conv=fsync status=none" && ok "after deleting it writes again"
expect 0 coffer umount "$mnt"
expect 0 coffer mount "$tmp/fs/v" "$mnt" -o dirty=16M
[ "$(ballast)" -ge "$whole" ] && ok "the ballast is whole: $(ballast) sectors" || not_ok "the ballast has $(ballast) sectors of $whole"
check_sums && ok "at last: $(cat "$tmp/out")" || not_ok "at last: $(tail -n 1 "$tmp/out")"
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/fs/v" && ok "fsck: $(sed 's/.*: //' "$tmp/out")" || not_ok "fsck"
