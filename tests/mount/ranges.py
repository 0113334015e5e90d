#!/usr/bin/env python3
"""What calls on ranges of a file do: fallocate in its modes, lseek to data and holes, copy_file_range.
  ranges.py DIR [--remount CMD] [--ours]
One line a finding: "ok - ...", or "FAILED - ..." and exit status 1. --ours: also what is promised by coffer alone. --remount: a command that unmounts DIR's
filesystem and mounts it again; everything is then looked at once more."""
import ctypes
import errno
import hashlib
import mmap
import os
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
KEEP, PUNCH, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
B, G = 4096, 512 * 1024
DIR = sys.argv[1]
OURS = "--ours" in sys.argv
REMOUNT = sys.argv[sys.argv.index("--remount") + 1] if "--remount" in sys.argv else None
failed = 0
contents = {}
FILES, MAPS = [], []


def finding(good, text):
    global failed
    failed += not good
    print("%s - %s" % ("ok" if good else "FAILED", text))


def fallocate(fd, mode, off, length):
    """0 or an errno"""
    return 0 if libc.fallocate(fd, mode, off, length) == 0 else ctypes.get_errno()


def refused(call, *args):
    """the errno of a call, 0: none"""
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return 0


class File:
    """a file and what it must hold"""
    def __init__(self, name, data=b""):
        self.path = os.path.join(DIR, name)
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self.model = bytearray()
        FILES.append(self)
        self.write(0, data)

    def write(self, off, data):
        os.pwrite(self.fd, data, off)
        self.grow(off + len(data))
        self.model[off:off + len(data)] = data

    def grow(self, size):
        self.model.extend(bytes(max(0, size - len(self.model))))

    def zero(self, off, length):
        end = min(off + length, len(self.model))
        if off < end: self.model[off:end] = bytes(end - off)

    def same(self):
        return os.fstat(self.fd).st_size == len(self.model) and os.pread(self.fd, len(self.model) + 1, 0) == self.model

    def seek(self, off, whence):
        try:
            return os.lseek(self.fd, off, whence)
        except OSError as e:
            return -e.errno

    def map(self):
        """[(data, hole)]"""
        out, at = [], 0
        while True:
            data = self.seek(at, os.SEEK_DATA)
            if data < 0: return out
            at = self.seek(data, os.SEEK_HOLE)
            out.append((data, at))


def noise(n, seed=1):
    return hashlib.shake_128(str(seed).encode()).digest(n)


def punching():
    f = File("punch", noise(3 * G + 5000))
    os.fsync(f.fd)
    good = True
    for off, n in ((B, B), (5000, 100), (B - 1, 2 * B + 2), (G - 7, 20), (G, G), (3 * G + 100, 10 * B), (10, 2 * G), (4 * G, 5)):
        f.write(off // 2, noise(300, off))
        good &= fallocate(f.fd, PUNCH | KEEP, off, n) == 0
        f.zero(off, n)
        good &= f.same()
    finding(good, "punched ranges read as zeros and the size stays")
    f = File("zero", noise(2 * G + 77))
    good = fallocate(f.fd, ZERO | KEEP, G - 50, 9000) == 0
    f.zero(G - 50, 9000)
    good &= f.same() and fallocate(f.fd, ZERO | KEEP, 2 * G, 3 * G) == 0
    f.zero(2 * G, 77)
    good &= f.same() and fallocate(f.fd, ZERO, 2 * G - 10, G) == 0
    f.grow(3 * G - 10)
    f.zero(2 * G - 10, G)
    finding(good and f.same(), "zeroed ranges read as zeros; the size grows if it may")


def dirty_and_mapped():
    f = File("mapped", noise(8 * B))
    m = mmap.mmap(f.fd, 8 * B)
    MAPS.append(m)
    m[2 * B:2 * B + 10] = b"0123456789"
    m[B - 5:B] = b"abcde"
    f.model[B - 5:B] = b"abcde"
    good = fallocate(f.fd, PUNCH | KEEP, B, 3 * B) == 0
    f.zero(B, 3 * B)
    good &= bytes(m) == f.model and f.same()
    m[B:B + 3] = b"xyz"
    f.model[B:B + 3] = b"xyz"
    finding(good and f.same(), "a mapping sees a punch, and what is written behind it")
    f = File("append", noise(100))
    f.write(100, noise(3 * B))
    good = fallocate(f.fd, PUNCH | KEEP, 50, 10) == 0
    f.zero(50, 10)
    finding(good and f.same(), "a punch before data that was not written back yet leaves the size")


def allocating():
    f = File("alloc", noise(B))
    before = os.fstat(f.fd)
    good = fallocate(f.fd, 0, B, G) == 0
    f.grow(B + G)
    after = os.fstat(f.fd)
    finding(good and f.same() and after.st_blocks >= G // 512, "allocated: size grows, blocks are there")
    finding(after.st_mtime_ns >= before.st_mtime_ns and after.st_ctime_ns > before.st_ctime_ns, "its times go on")
    good = fallocate(f.fd, KEEP, 0, 3 * G) == 0
    finding(good and f.same() and os.fstat(f.fd).st_blocks >= 3 * G // 512, "allocated behind the end: the size stays")
    f.write(2 * B, noise(G))
    finding(f.same(), "what is written into it is there")
    posix = File("posix")
    os.posix_fallocate(posix.fd, 10, 1000)
    posix.grow(1010)
    finding(posix.same(), "posix_fallocate")


def refusals():
    f = File("refused", noise(3 * B))
    good = all(fallocate(f.fd, mode, 0, B) == errno.EOPNOTSUPP for mode in (PUNCH, PUNCH | ZERO | KEEP, KEEP | 0x1000))
    if OURS: good &= all(fallocate(f.fd, mode, 0, B) == errno.EOPNOTSUPP for mode in (COLLAPSE, INSERT, UNSHARE))
    good &= fallocate(f.fd, 0, -1, 5) == errno.EINVAL and fallocate(f.fd, 0, 0, 0) == errno.EINVAL
    good &= fallocate(f.fd, 0, 0, (1 << 63) - 1) in (errno.EFBIG, errno.ENOSPC) and fallocate(f.fd, 0, 1 << 60, 1 << 62) in (errno.EFBIG, errno.ENOSPC)
    ro = os.open(f.path, os.O_RDONLY)
    good &= fallocate(ro, 0, 0, B) == errno.EBADF
    os.close(ro)
    finding(good and f.same(), "other modes, bad ranges and descriptors are refused and change nothing")
    finding(fallocate(f.fd, PUNCH | KEEP, 0, 1 << 40) == 0 and not any(os.pread(f.fd, 9 * B, 0)), "a punch far behind the end")
    f.zero(0, 3 * B)


def seeking():
    f = File("seek")
    finding(f.seek(0, os.SEEK_DATA) == f.seek(0, os.SEEK_HOLE) == -errno.ENXIO, "an empty file has neither data nor a hole")
    os.ftruncate(f.fd, 4 * G + 10)
    f.grow(4 * G + 10)
    finding(f.map() == [] and f.seek(5, os.SEEK_HOLE) == 5, "a file of holes")
    f.write(G + 2 * B, noise(2 * B))
    finding(f.map() == [(G + 2 * B, G + 4 * B)], "data that is not written back yet is found: %s" % f.map())
    os.fsync(f.fd)
    finding(f.map() == [(G + 2 * B, G + 4 * B)], "data is found behind fsync")
    f.write(4 * G, b"0123456789")
    finding(f.map() == [(G + 2 * B, G + 4 * B), (4 * G, 4 * G + 10)] and f.seek(4 * G + 10, os.SEEK_HOLE) == -errno.ENXIO, "and at the end")
    fallocate(f.fd, PUNCH | KEEP, G + 3 * B, B)
    f.zero(G + 3 * B, B)
    finding(f.map() == [(G + 2 * B, G + 3 * B), (4 * G, 4 * G + 10)], "a punched block is a hole")
    m = mmap.mmap(f.fd, 0)
    MAPS.append(m)
    m[2 * G:2 * G + 3] = f.model[2 * G:2 * G + 3] = b"map"
    finding((2 * G, 2 * G + B) in f.map(), "data written through a mapping is found")
    size = len(f.model)
    f.write(size, noise(3 * B))
    finding(f.map()[-1][1] == size + 3 * B and f.same(), "data appended and not written back is found")


def copying():
    a, b = File("from", noise(2 * G + 999)), File("to", noise(G, 2))
    os.ftruncate(a.fd, 4 * G)
    a.grow(4 * G)
    good = True
    for off, to, n in ((0, 0, 100), (5, B + 1, 3 * B), (G - 9, 2 * G + 77, G), (100, 5000, 2 * G + 5), (2 * G, 4 * G, 2 * G), (4 * G - 5, 3, 100)):
        t0, left = os.fstat(b.fd).st_mtime_ns, n
        want = a.model[off:off + n]
        at = 0
        while left and at < len(want):
            k = os.copy_file_range(a.fd, b.fd, left, off + at, to + at)
            if k == 0: break
            at, left = at + k, left - k
        b.grow(to + at)
        b.model[to:to + at] = want
        good &= at == len(want) and b.same() and os.fstat(b.fd).st_mtime_ns >= t0
    finding(good and a.same(), "copied ranges, holes and edges")
    if OURS: finding((4 * G, 6 * G) not in b.map() and os.fstat(b.fd).st_size == 6 * G and b.map()[-1][1] == 4 * G + B, "holes stay holes")
    finding(os.copy_file_range(a.fd, b.fd, 10, 4 * G, 0) == 0, "behind the end there is nothing to copy")
    finding(refused(os.copy_file_range, a.fd, a.fd, 100, 0, 50) == errno.EINVAL, "overlapping ranges of one file are refused")
    n = os.copy_file_range(a.fd, a.fd, B, 0, 3 * G)
    a.model[3 * G:3 * G + n] = a.model[:n]
    finding(n == B and a.same(), "within one file")
    a.write(7, b"fresh")
    n = os.copy_file_range(a.fd, b.fd, 20, 0, 1)
    b.model[1:21] = a.model[:20]
    finding(n == 20 and b.same(), "data that was not written back yet is copied")


def space_comes_back():
    if not OURS: return
    f = File("space", noise(8 * G))
    os.fsync(f.fd)
    fallocate(f.fd, PUNCH | KEEP, G, 6 * G)
    f.zero(G, 6 * G)
    now = os.stat(f.path).st_blocks
    finding(0 < now <= 2 * G // 512 + 64, "st_blocks follows a punch: %d" % now)
    finding(f.same(), "and the content")


def look_again():
    for m in MAPS: m.close()
    for f in FILES:
        contents[f.path] = hashlib.sha256(f.model).digest()
        os.close(f.fd)
    if subprocess.call(REMOUNT, shell=True) != 0:
        finding(False, "remount")
        return
    good = True
    for path, digest in contents.items():
        with open(path, "rb") as f: good &= hashlib.sha256(f.read()).digest() == digest
    finding(good and len(contents) > 9, "the same behind a mount, %d files" % len(contents))
    if OURS:
        st = os.stat(os.path.join(DIR, "space"))
        finding(2 * G // 512 <= st.st_blocks <= 2 * G // 512 + 128, "and what was punched is free below: %d blocks" % st.st_blocks)


for test in (punching, dirty_and_mapped, allocating, refusals, seeking, copying, space_comes_back): test()
if REMOUNT: look_again()
sys.exit(failed > 0)
