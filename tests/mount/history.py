#!/usr/bin/python3
"""A history for git fast-import on standard output: history.py COMMITS; files of many sizes in many directories, changed, moved, removed, with
modes, symbolic links and names that are long or not ASCII."""
import random
import sys

rnd = random.Random(7)
out = sys.stdout.buffer
files = {}


def data(b):
    out.write(b"data %d\n" % len(b) + b + b"\n")


def text():
    return b"".join(b"line %d of %d\n" % (k, rnd.randrange(50)) for k in range(rnd.choice((1, 10, 300, 5000))))


for n in range(int(sys.argv[1])):
    out.write(b"commit refs/heads/main\ncommitter a <a@localhost> %d +0000\n" % (1700000000 + n))
    data(b"commit %d" % n)
    if n == 0:
        out.write(b"M 100644 inline README\n")
        data(b"read me\n")
    for _ in range(rnd.randrange(1, 12)):
        name = f"d{rnd.randrange(12)}/e{rnd.randrange(6)}/" + rnd.choice(("f", "ü", "n" * 200)) + str(rnd.randrange(30))
        kind = rnd.random()
        if kind < 0.1 and files:
            name = rnd.choice(sorted(files))
            del files[name]
            out.write(f"D {name}\n".encode())
        elif kind < 0.15 and files:
            old = rnd.choice(sorted(files))
            files[name] = files.pop(old)
            out.write(f"R {old} {name}\n".encode() if old != name else b"")
        else:
            mode = rnd.choice((b"100644", b"100644", b"100755", b"120000"))
            files[name] = mode
            out.write(b"M %s inline %s\n" % (mode, name.encode()))
            data(b"../x/" + b"y" * rnd.randrange(1, 500) if mode == b"120000" else text())
