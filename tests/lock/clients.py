#!/usr/bin/python3
"""Processes that work on a mount while it is being locked: clients.py ROLE ARG... . Each says "ready" when it is at work, obeys lines on its standard input, and
answers each with one. What it was acknowledged it writes to a ledger outside the mount, before it goes on."""
import ctypes
import errno
import mmap
import os
import random
import sys
import threading
import time

PAGE = 4096


def say(*words):
    print(*words, flush=True)


def name(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def record(n):
    return b"%015d\n" % n * (PAGE // 16)


def writer(path, ledger):
    """Records, each fsynced and then acknowledged in the ledger, until an error; the descriptor stays open and works again afterwards."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    out = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    n = 0
    try:
        while True:
            os.pwrite(fd, record(n), n * PAGE)
            os.fsync(fd)
            n += 1
            os.pwrite(out, b"%d" % n, 0)
            if n == 5:
                say("ready")
    except OSError as e:
        say("stopped", name(e), n)
    sys.stdin.readline()
    try:
        bad = [k for k in range(n) if os.pread(fd, PAGE, k * PAGE) != record(k)]
        os.pwrite(fd, record(n), n * PAGE)
        os.fsync(fd)
        say("again", len(bad), os.pread(fd, PAGE, n * PAGE) == record(n))
    except OSError as e:
        say("again", name(e))


def bulk(path):
    """Whole pages without end, no fsync: 4 MiB of them are dirty all the time."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    n = 0
    try:
        while True:
            os.pwrite(fd, record(n) * 16, n % 64 * 16 * PAGE)
            n += 1
            if n == 64:
                say("ready")
    except OSError as e:
        say("stopped", name(e), n)


def direct(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buf = mmap.mmap(-1, 65536)
    n = 0
    try:
        while True:
            os.preadv(fd, [buf], n % 16 * 65536)
            n += 1
            if n == 16:
                say("ready")
    except OSError as e:
        say("stopped", name(e))


def mapped(path, ledger):
    """Dirty pages through a mapping; each round is msynced and acknowledged. Ends by SIGBUS."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, 64 * PAGE)
    out = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    m = mmap.mmap(fd, 64 * PAGE)
    n = 0
    while True:
        n += 1
        for page in range(64):
            m[page * PAGE:page * PAGE + 8] = n.to_bytes(8, "little")
        if n % 4 == 0:
            try:
                m.flush()
                os.fsync(fd)
            except OSError:
                continue
            os.pwrite(out, b"%d" % n, 0)
        if n == 8:
            say("ready")


def looker(path):
    """A mapping that was read: how many of its pages are resident, and what a touch does."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    fd = os.open(path, os.O_RDONLY)
    size = os.fstat(fd).st_size
    at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    vec = ctypes.create_string_buffer(size // PAGE)

    def touch():
        return sum(ctypes.string_at(at + k * PAGE, 1)[0] for k in range(size // PAGE))

    touch()
    say("ready")
    for line in sys.stdin:
        if line == "resident\n":
            libc.mincore(at, size, vec)
            say(sum(b & 1 for b in vec.raw), "of", size // PAGE)
        else:
            say("touched", touch())


def inside(directory):
    """With the directory as its own and a file of it open."""
    os.chdir(directory)
    fd = os.open("open", os.O_RDWR | os.O_CREAT, 0o644)
    gone = os.open("unlinked", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"of the open file")
    os.write(gone, b"of the unlinked file")
    os.fsync(fd)
    os.fsync(gone)
    os.unlink("unlinked")
    say("ready")
    steps = [
        lambda: sorted(os.listdir(".")), lambda: os.pread(fd, 99, 0), lambda: os.pread(gone, 99, 0), lambda: os.stat("open").st_size,
        lambda: os.fstat(fd).st_size, lambda: os.open("open", os.O_RDONLY), lambda: os.mkdir("new"), lambda: os.readlink("link"),
        lambda: os.getxattr("open", "user.some"), lambda: os.statvfs(".").f_bsize, lambda: os.rename("open", "other"), lambda: os.ftruncate(fd, 1),
    ]
    for line in sys.stdin:
        out = []
        for step in steps[:8] if line == "use\n" else steps:
            try:
                out.append(repr(step()))
            except OSError as e:
                out.append(name(e))
        say(";".join(out))


def deep(path):
    """Many small reads under way, large ones and a writer of its own file between them, until a line comes. What is refused is tried again: nothing else may ever be answered
    than what is there, and what was acknowledged is there in the end."""
    right = os.pread(os.open(path, os.O_RDONLY), 64, 0) * (PAGE // 64)
    counts, wrong, stop = {"read": 0, "refused": 0, "written": 0}, [], threading.Event()
    own = os.open(path + ".deep", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)

    def tries(fn, what):
        try:
            fn()
            counts[what] += 1
            return True
        except OSError as e:
            counts["refused"] += 1
            if e.errno != errno.ENOKEY:
                wrong.append(name(e))
            time.sleep(0.001)
            return False

    def read(pages):
        fd, buf = os.open(path, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, pages * PAGE)
        while not stop.is_set() and not wrong:
            if tries(lambda: os.preadv(fd, [buf], random.randrange(65 - pages) * PAGE), "read") and buf[:] != right * pages:
                wrong.append("content")
            buf[:] = bytes(pages * PAGE)

    def write():
        buf, n = mmap.mmap(-1, PAGE), 0
        while not wrong and (not stop.is_set() or n % 16):
            buf[:] = record(n)
            n += tries(lambda: os.pwritev(own, [buf], n % 16 * PAGE), "written")
        for k in range(min(n, 16)):
            os.preadv(own, [buf], k * PAGE)
            if buf[:] != record(n - 16 + k):
                wrong.append("what was written")

    threads = [threading.Thread(target=read, args=(pages,)) for pages in (1,) * 16 + (32,) * 2] + [threading.Thread(target=write)]
    for t in threads:
        t.start()
    while min(counts["read"], counts["written"]) < 100 and not wrong:
        time.sleep(0.01)
    say("ready")
    sys.stdin.readline()
    stop.set()
    for t in threads:
        t.join()
    say("wrong" if wrong or not counts["refused"] else "right", *wrong, *(f"{k} {v}" for k, v in counts.items()))


{"deep": deep, "writer": writer, "bulk": bulk, "direct": direct, "mapped": mapped, "looker": looker, "inside": inside}[sys.argv[1]](*sys.argv[2:])
