#!/usr/bin/python3
"""Many entries in one directory: many.py STEP MOUNT PID ENTRIES.

  linear   ENTRIES / 10 and ENTRIES are made, listed, looked at from cold and removed; the daemon's CPU time an entry is about the same
  long     ENTRIES / 20 names, each of 255 bytes, are made
  removed  those are there (after another mount), and are removed"""
import os
import sys

step, top, pid, entries = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
TICK = os.sysconf("SC_CLK_TCK")
MORE = 2.0          # how much dearer an entry may be among ten times as many; and half of it in ticks of a clock that is coarse


def cpu_s():
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("2")


def costs(n):
    """Of n entries: seconds of CPU for each phase."""
    d = f"{top}/many{n}"
    os.mkdir(d)
    at = [cpu_s()]

    def phase():
        at.append(cpu_s())

    for k in range(n):
        os.close(os.open(f"{d}/entry {k}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    phase()
    assert len(set(os.listdir(d))) == n
    phase()
    drop_caches()
    assert sum(e.stat().st_size == 0 for e in os.scandir(d)) == n
    phase()
    for k in range(n):
        os.unlink(f"{d}/entry {k}")
    phase()
    assert os.listdir(d) == []
    os.rmdir(d)
    return [b - a for a, b in zip(at, at[1:])]


def linear():
    few, many = costs(entries // 10), costs(entries)
    said = []
    for name, a, b in zip(("create", "list", "look", "remove"), few, many):
        said.append(f"{name} {a * 1e7 / entries:.0f} and {b * 1e6 / entries:.0f} us")
        assert b <= 10 * MORE * (a + 5 / TICK), said[-1]
    return f"CPU of the daemon an entry among {entries // 10} and among {entries}: " + ", ".join(said)


def long_name(k):
    return f"{k}-".ljust(255, "n")


def long_names():
    os.mkdir(f"{top}/long")
    for k in range(entries // 20):
        os.close(os.open(f"{top}/long/" + long_name(k), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    return f"{entries // 20} names of 255 bytes"


def removed():
    n = entries // 20
    assert set(os.listdir(f"{top}/long")) == {long_name(k) for k in range(n)}
    for k in range(0, n, 2):
        os.rename(f"{top}/long/" + long_name(k), f"{top}/long/" + long_name(k + n))
    assert sum(e.is_file() for e in os.scandir(f"{top}/long")) == n
    for e in os.listdir(f"{top}/long"):
        os.unlink(f"{top}/long/{e}")
    os.rmdir(f"{top}/long")
    return "there, renamed, removed"


print({"linear": linear, "long": long_names, "removed": removed}[step]())
