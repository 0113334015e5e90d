#!/usr/bin/python3
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
