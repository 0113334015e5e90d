#!/bin/sh
# Goals: the mount is killed under load, several rounds: whoever uses it gets an error within a second; it mounts again; what was fsynced
# is there and whole; the independent reader agrees about the unclean volume before, fsck finds nothing after.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

cat >"$tmp/load.py" <<'END'
"""Append records to files and fsync; after each fsync say on standard output which record of which file is durable."""
import os, sys, time
top, name = sys.argv[1], sys.argv[2]
files = [os.open(f"{top}/{name}.{k}", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600) for k in range(4)]
sizes = [os.fstat(f).st_size for f in files]
n = 0
try:
    while True:
        k, n = n % 4, n + 1
        record = (b"%s %d %d;" % (name.encode(), k, sizes[k])).ljust(200 + 997 * (n % 50), b".") + b"\n"
        os.write(files[k], record)
        sizes[k] += len(record)
        if n % 3 == 0:
            os.fsync(files[k])
            os.write(1, b"%s.%d %d\n" % (name.encode(), k, sizes[k]))
except OSError as e:
    os.write(2, b"%.3f %d\n" % (time.monotonic(), e.errno))
END
cat >"$tmp/look.py" <<'END'
"""Each file holds whole records, at least as far as was acknowledged."""
import re, sys
top, acked = sys.argv[1], {}
for line in open(sys.argv[2]):
    if len(line.split()) == 2 and line.endswith("\n"):
        name, size = line.split()
        acked[name] = int(size)
assert acked, "nothing was acknowledged"
for name, size in acked.items():
    data = open(f"{top}/{name}", "rb").read()
    assert len(data) >= size, f"{name}: {len(data)} bytes, {size} were acknowledged"
    at = 0
    while at < size:
        end = data.index(b"\n", at)
        assert re.fullmatch(rb"%s %d;\.*" % (name.replace(".", " ").encode(), at), data[at:end]), f"{name}: record at {at}"
        at = end + 1
print(sum(acked.values()), "bytes in", len(acked), "files")
END
agent_start
volume v
for round in 1 2 3; do
	expect 0 coffer mount "$tmp/v" "$mnt" -o dirty=16M
	for load in a b; do
		/usr/bin/python3 "$tmp/load.py" "$mnt" "$load" >>"$tmp/acked.$load" 2>"$tmp/error.$load" &
	done
	tar -C "$top_srcdir" -cf - src docs 2>/dev/null | tar -C "$mnt" -xf - 2>/dev/null &
	sleep $((round % 2 + 1))
	killed=$(/usr/bin/python3 -c 'import time; print(time.monotonic())')
	kill_mount v
	wait_for 5 [ -s "$tmp/error.a" -a -s "$tmp/error.b" ]
	awk -v k="$killed" '$1 - k > 1 { exit 1 }' "$tmp/error.a" "$tmp/error.b" && ok "round $round: callers got an error within a second" ||
		not_ok "round $round: callers waited: killed at $killed, $(cat "$tmp"/error.?)"
	reader v verify >"$tmp/out" 2>&1 && ok "round $round: the reader verifies the unclean volume" || not_ok "reader: $(tail -n 5 "$tmp/out")"
	cat "$tmp"/acked.? >"$tmp/acked"
	expect 0 coffer mount "$tmp/v" "$mnt"
	/usr/bin/python3 "$tmp/look.py" "$mnt" "$tmp/acked" >"$tmp/out" 2>&1 && ok "round $round: fsynced bytes are there: $(cat "$tmp/out")" ||
		not_ok "round $round: $(tail -n 1 "$tmp/out")"
	expect 0 coffer umount "$mnt"
	expect 0 coffer fsck "$tmp/v" && ok "round $round: fsck: $(sed 's/.*: //' "$tmp/out")" || not_ok "round $round: fsck"
done
