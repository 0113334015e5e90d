#!/usr/bin/python3
"""lseek to data and holes by many threads at once, in files whose data the kernel has not handed over: seeks.py DIR THREADS ROUNDS. Prints a line.
Goals: each answer is that of the bytes just written, whatever else waits for an answer."""
import os
import sys
import threading

DIR, THREADS, ROUNDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
BLOCK = 4096
wrong = []
together = threading.Barrier(THREADS)


def one(k):
    fd = os.open(f"{DIR}/seek{k}", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for n in range(ROUNDS):
            at = (3 + 7 * n) * BLOCK
            os.pwrite(fd, b"x" * BLOCK, at)
            os.ftruncate(fd, at + 3 * BLOCK)
            together.wait(60)
            got = os.lseek(fd, at - BLOCK, os.SEEK_DATA), os.lseek(fd, at, os.SEEK_HOLE)
            if got != (at, at + BLOCK):
                wrong.append(f"thread {k} round {n}: {got}, not {(at, at + BLOCK)}")
    except (OSError, threading.BrokenBarrierError) as e:
        wrong.append(f"thread {k}: {e!r}")
        together.abort()
    finally:
        os.close(fd)


threads = [threading.Thread(target=one, args=(k,)) for k in range(THREADS)]
for t in threads:
    t.start()
for t in threads:
    t.join(120)
if wrong:
    sys.exit("\n".join(wrong[:5]))
print(f"{THREADS * ROUNDS * 2} lookups by {THREADS} threads")
