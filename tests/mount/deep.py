#!/usr/bin/env python3
"""deep.py - many small reads under way with O_DIRECT while others write, cut and ask: deep.py FILE SECONDS

Each block of FILE says its number and a version, all over. Readers must find one version, whole, that is not older than what was written when the read
began, nor newer than what was begun when it ended. Beside them run buffered readers, large O_DIRECT reads, lseek and stat (requests that are not small reads), and
a writer. The last quarter of the file is punched and written again in turn: there zeros are right, too."""
import ctypes
import mmap
import os
import random
import struct
import sys
import threading
import time

BLOCK = 4096
BLOCKS = 2048
READERS = 24
LATE = BLOCKS * 3 // 4
LIBC = ctypes.CDLL(None, use_errno=True)

path, seconds = sys.argv[1], float(sys.argv[2])
begun = [0] * BLOCKS
done = [0] * BLOCKS
errors = []
counts = {"direct": 0, "other": 0, "written": 0}
stop = time.monotonic() + seconds


def content(block, version):
    return struct.pack("<QQ", block, version) * (BLOCK // 16)


def check(data, block, low):
    """data is what a read that began when `low` was done found."""
    if block >= LATE and data == bytes(BLOCK):
        return
    number, version = struct.unpack_from("<QQ", data)
    if number != block or not low <= version <= begun[block] or data != content(block, version):
        raise RuntimeError(f"block {block}: version {version} of {number}, not {low} to {begun[block]} or torn")


def direct(seed):
    rnd = random.Random(seed)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buf = mmap.mmap(-1, 4 * BLOCK)
    while time.monotonic() < stop:
        n = rnd.choice((1, 1, 1, 2, 4))
        block = rnd.randrange(BLOCKS - n)
        low = done[block:block + n]
        got = os.preadv(fd, [memoryview(buf)[:n * BLOCK]], block * BLOCK)
        if got != n * BLOCK:
            raise RuntimeError(f"short: {got}")
        for k in range(n):
            check(buf[k * BLOCK:(k + 1) * BLOCK], block + k, low[k])
        counts["direct"] += 1


def other(seed):
    rnd = random.Random(seed)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    plain = os.open(path, os.O_RDONLY)
    buf = mmap.mmap(-1, 256 * BLOCK)
    while time.monotonic() < stop:
        block = rnd.randrange(BLOCKS - 256)
        low = done[block:block + 256]
        os.preadv(fd, [buf], block * BLOCK)
        for k in range(256):
            check(buf[k * BLOCK:(k + 1) * BLOCK], block + k, low[k])
        check(os.pread(plain, BLOCK, block * BLOCK), block, 0)
        if os.stat(f"{path}.{rnd.randrange(4)}" if rnd.randrange(2) else path).st_size not in (0, BLOCKS * BLOCK):
            raise RuntimeError("size")
        if os.lseek(fd, block * BLOCK, os.SEEK_DATA) < block * BLOCK:
            raise RuntimeError("lseek")
        counts["other"] += 1


def write(seed):
    rnd = random.Random(seed)
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    buf = mmap.mmap(-1, BLOCK)
    while time.monotonic() < stop:
        block = rnd.randrange(BLOCKS)
        if block >= LATE and rnd.randrange(2):
            if LIBC.fallocate(fd, 3, ctypes.c_int64(block * BLOCK), ctypes.c_int64(BLOCK)) != 0:
                raise OSError(ctypes.get_errno(), "fallocate")
            continue
        begun[block] += 1
        buf[:] = content(block, begun[block])
        os.pwritev(fd, [buf], block * BLOCK)
        done[block] = begun[block]
        counts["written"] += 1
        if rnd.randrange(40) == 0:
            os.fsync(fd)


def guard(fn, seed):
    try:
        fn(seed)
    except (OSError, RuntimeError) as e:
        errors.append(f"{fn.__name__}: {e}")


with open(path, "wb") as f:
    for b in range(BLOCKS):
        f.write(content(b, 0))
    os.fsync(f.fileno())
for n in range(4):
    with open(f"{path}.{n}", "wb"):
        pass
threads = [threading.Thread(target=guard, args=(fn, n)) for n, fn in enumerate([direct] * READERS + [other] * 2 + [write])]
for t in threads:
    t.start()
for t in threads:
    t.join()
if errors or not all(counts.values()):
    sys.exit("\n".join(errors[:5]) or f"nothing was done: {counts}")
print(", ".join(f"{v} {k}" for k, v in counts.items()))
