#!/usr/bin/python3
"""Many small files for a backup, and what a command needs of memory.

backup_many.py make DIR N          N files of 1 to 4 KiB, each with a content of its own, 500 a directory
backup_many.py change DIR N        ten of them, far apart, get another one
backup_many.py check DIR N         all are there, with their content, and no others; check DIR N changed: behind a change
backup_many.py peak FILE CMD...    run CMD, write the largest size of its memory (resident, KiB) into FILE, end as it ends
"""
import hashlib
import os
import resource
import subprocess
import sys

DIR_FILES = 500
CHANGED = 10


def path(top, m):
    return f"{top}/{m // DIR_FILES}/file-{m}.txt"


def content(m, generation):
    return hashlib.sha256(f"{m} {generation}".encode()).digest() * (32 + m * 7 % 97)


def write(top, m, generation):
    with open(path(top, m), "wb", buffering=0) as f:
        f.write(content(m, generation))


def changed(n):
    return {k * n // CHANGED for k in range(CHANGED)}


def make(top, n):
    for m in range(n):
        if m % DIR_FILES == 0:
            os.mkdir(f"{top}/{m // DIR_FILES}")
        write(top, m, 0)


def check(top, n, behind):
    ones = changed(n) if behind else ()
    there = sum(len(files) for _, _, files in os.walk(top))
    assert there == n, f"{there} files, not {n}"
    for m in range(n):
        with open(path(top, m), "rb") as f:
            assert f.read() == content(m, int(m in ones)), path(top, m)


def main(argv):
    if argv[1] == "peak":
        status = subprocess.run(argv[3:], check=False).returncode
        with open(argv[2], "w", encoding="ascii") as f:
            f.write(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}\n")
        return status if status >= 0 else 128 - status
    top, n = argv[2], int(argv[3])
    if argv[1] == "make":
        make(top, n)
    elif argv[1] == "change":
        for m in changed(n):
            write(top, m, 1)
    else:
        check(top, n, len(argv) > 4)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
