#!/usr/bin/env python3
"""simfs against its specification: random scripts of writes, truncates and flushes give the same crash states, and the same number of
choices, in tests/lib/simfs and in tests/model/lower.py."""
import os
import random
import subprocess
import sys

top = os.environ.get("top_srcdir", ".")
sys.path.insert(0, os.path.join(top, "tests", "model"))
from lower import LowerFile, crash_states  # noqa: E402

CELLS = 12
PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "tests", "unit", "simfs_script")


def script(rng):
    """lines for the program, and what the model says at its end"""
    f, lines = LowerFile(), []
    for _ in range(rng.randrange(1, 12)):
        kind = rng.choice("wwwwwttf")
        if kind == "w":
            cell, value = rng.randrange(CELLS), rng.randrange(1, 4)
            lines.append("w %d %d" % (cell, value))
            f.write(cell, value)
        elif kind == "t":
            a = rng.randrange(CELLS)
            b = rng.choice((a + 1, CELLS))
            lines.append("t %d %d" % (a, b))
            f.trunc(a, b)
        else:
            lines.append("f")
            f.flush()
    states = list(crash_states({"f": f}, "ordered", 1 << 20, rng))
    return lines + ["?"], [tuple(s["f"].get(c) or 0 for c in range(CELLS)) for s in states]


def main():
    rng = random.Random(1)
    total = 0
    for n in range(300):
        lines, want = script(rng)
        out = subprocess.run([PROGRAM], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True).stdout.split()
        got = [tuple(map(int, line.split(","))) for line in out[1:]]
        if sorted(got) != sorted(want) or int(out[0]) != len(want):
            sys.exit("script %d differs: %s\nonly simfs: %s\nonly the model: %s" % (n, " ".join(lines), set(got) - set(want), set(want) - set(got)))
        total += len(want)
    print("300 scripts, %d states agree" % total)


main()
