#!/usr/bin/env python3
"""salvaged.py CLEAR SALVAGED RANGES: the salvaged file differs from the clear one in no byte that its list does not call lost, and has no more."""
import sys

clear, salvaged = (open(name, "rb").read() for name in sys.argv[1:3])
lost = []
for line in open(sys.argv[3]):
    off, length, state = line.split()
    assert state in ("lost", "unproven"), line
    if state == "lost":
        lost.append((int(off), int(off) + int(length)))
assert len(salvaged) <= (len(clear) + 4095) // 4096 * 4096
good = at = 0
for first, end in lost + [(len(salvaged), len(salvaged))]:
    stop = min(first, len(clear), len(salvaged))
    assert salvaged[at:stop] == clear[at:stop], "bytes %d to %d differ" % (at, stop)
    good += max(0, stop - at)
    at = end
assert good > 0
print("%d of %d bytes, all of them right" % (good, len(clear)))
