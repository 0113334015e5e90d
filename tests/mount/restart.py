#!/usr/bin/python3
"""A mount that is restarted under those who use it: restart.py MOUNTPOINT ROUNDS RESTART-COMMAND...

Held over all restarts: open files, a shared mapping with dirty pages, files and a directory without a name, a directory stream that is read bit by bit, locks of all
three kinds, a name by which a linked file was opened and that is gone. Meanwhile threads append and fsync, make, rename and remove, look for holes, and read past the
page cache. Every byte is compared with what it should be, and no call may fail. At the end one line a finding that is wrong; exit 1 then."""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import struct
import subprocess
import sys
import threading
import time

mnt, rounds, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
rng = random.Random(1)
libc = ctypes.CDLL(None, use_errno=True)
MIB = 1 << 20
wrong = []
stop = threading.Event()
done = {}


def check(what, ok, *more):
    if not ok:
        wrong.append(f"{what}: {more}")


def path(name):
    return os.path.join(mnt, name)


class Content:
    """An open file and what it should hold."""

    def __init__(self, name, size):
        self.name = name
        self.fd = os.open(path(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        self.model = bytearray(rng.randbytes(size))
        os.pwrite(self.fd, self.model, 0)

    def change(self):
        at, n = rng.randrange(len(self.model)), rng.randrange(1, 70000)
        data = rng.randbytes(n)
        if at + n > len(self.model):
            self.model.extend(bytes(at + n - len(self.model)))
        self.model[at:at + n] = data
        os.pwrite(self.fd, data, at)

    def same(self):
        got = os.pread(self.fd, len(self.model) + 1, 0)
        check(f"content of {self.name}", got == self.model, len(got), len(self.model))
        check(f"size of {self.name}", os.fstat(self.fd).st_size == len(self.model))


def worker(fn):
    name = fn.__name__
    done[name] = 0

    def run():
        try:
            while not stop.is_set():
                fn(done[name])
                done[name] += 1
        except Exception as e:  # whatever it is, the test has failed
            wrong.append(f"{name}: {e!r}")
            stop.set()
    return threading.Thread(target=run, daemon=True)


journal = os.open(path("journal"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def appends_and_syncs(n):
    os.write(journal, struct.pack("<Q", n) * 100)
    os.fsync(journal)


def makes_and_removes(n):
    a, b = path(f"names/{n % 50}"), path(f"names/{n % 50}-a-name-that-is-long-enough-to-be-one-of-those-that-have-a-link-of-their-own" + "x" * 120)
    with open(a, "xb") as f:
        f.write(b"x" * (n % 5000))
    os.rename(a, b)
    check("size of what was renamed", os.stat(b).st_size == n % 5000)
    os.unlink(b)


sparse = os.open(path("sparse"), os.O_RDWR | os.O_CREAT, 0o600)


def looks_for_holes(n):
    at = (n % 64) * 4 * MIB
    os.pwrite(sparse, b"here", at)
    try:
        found = os.lseek(sparse, at, os.SEEK_DATA)
        check("data is where it was written", found == at, found, at)
        os.lseek(sparse, at, os.SEEK_HOLE)
    finally:
        if n % 64 == 63:
            os.ftruncate(sparse, 0)


static = rng.randbytes(4 * MIB)


def reads_directly(n):
    at = (n * 7919) % 1024 * 4096
    buf = mmap.mmap(-1, 4096)
    got = os.preadv(direct, [buf], at)
    check("a direct read", got == 4096 and buf[:] == static[at:at + 4096], got, at)
    buf.close()


class Stream:
    """getdents64 with a small buffer: a directory stream that never has much in hand."""

    def __init__(self, name, count):
        os.mkdir(path(name))
        self.want = {f"entry-{k}" for k in range(count)} | {".", ".."}
        for entry in self.want - {".", ".."}:
            os.close(os.open(path(f"{name}/{entry}"), os.O_CREAT | os.O_WRONLY, 0o600))
        self.fd = os.open(path(name), os.O_RDONLY | os.O_DIRECTORY)
        self.seen = []
        self.ended = False

    def more(self, calls):
        buf = ctypes.create_string_buffer(256)
        while calls and not self.ended:
            calls -= 1
            n = libc.syscall(217, self.fd, buf, 256)
            check("getdents64", n >= 0, ctypes.get_errno())
            self.ended = n <= 0
            at = 0
            while at < n:
                length, = struct.unpack_from("<H", buf, at + 16)
                self.seen.append(buf.raw[at + 19:at + length].split(b"\0")[0].decode())
                at += length


class Locks:
    """Each in a file of its own, so that each refuses on its own."""
    OFD_SETLK = 37

    def __init__(self):
        self.fds = {kind: os.open(path(f"lock-{kind}"), os.O_RDWR | os.O_CREAT, 0o600) for kind in ("flock", "fcntl", "ofd")}
        fcntl.flock(self.fds["flock"], fcntl.LOCK_EX)
        fcntl.lockf(self.fds["fcntl"], fcntl.LOCK_EX)
        fcntl.fcntl(self.fds["ofd"], self.OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))

    @staticmethod
    def refused(kind):
        fd = os.open(path(f"lock-{kind}"), os.O_RDWR)
        try:
            if kind == "flock":
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                fcntl.fcntl(fd, Locks.OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        except OSError as e:
            return e.errno in (errno.EAGAIN, errno.EACCES)
        finally:
            os.close(fd)
        return False

    def held(self):
        pid = os.fork()  # the lock of fcntl is the process's
        if pid == 0:
            os._exit(0 if all(self.refused(kind) for kind in self.fds) else 1)
        check("all locks are held", os.waitpid(pid, 0)[1] == 0)


def gone_directory():
    os.mkdir(path("gone-dir"))
    fd = os.open(path("gone-dir"), os.O_RDONLY | os.O_DIRECTORY)
    os.rmdir(path("gone-dir"))
    return fd


os.mkdir(path("names"))
with open(path("static"), "xb") as made:
    made.write(static)
direct = os.open(path("static"), os.O_RDONLY | os.O_DIRECT)
plain, gone, linked = Content("plain", 3 * MIB), Content("gone", MIB), Content("linked", 300000)
os.unlink(path("gone"))
os.link(path("linked"), path("other-link"))
os.unlink(path("linked"))
mapped = Content("mapped", MIB)
mapping = mmap.mmap(mapped.fd, MIB)
lost = gone_directory()
stream = Stream("stream", 400)
locks = Locks()
inode = os.stat(path("plain")).st_ino

threads = [worker(fn) for fn in (appends_and_syncs, makes_and_removes, looks_for_holes, reads_directly)]
for t in threads:
    t.start()
for turn in range(rounds):
    for content in (plain, gone, linked):
        content.change()
    at = rng.randrange(MIB - 9000)
    mapping[at:at + 9000] = mapped.model[at:at + 9000] = rng.randbytes(9000)  # dirty in the page cache when the restart comes
    stream.more(8)
    before = dict(done)
    r = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    check(f"restart {turn}", r.returncode == 0, r.returncode, r.stderr)
    end = time.monotonic() + 120
    while not stop.is_set() and any(done[k] <= before[k] for k in done):
        check("everybody goes on", time.monotonic() < end, before, done)
        if time.monotonic() >= end:
            break
        time.sleep(0.005)
    for content in (plain, gone, linked, mapped):
        content.same()
    check("the mapping", mapping[:] == mapped.model)
    check("the inode number", os.stat(path("plain")).st_ino == inode and os.fstat(plain.fd).st_ino == inode)
    check("the directory without a name", os.listdir(lost) == [] and os.fstat(lost).st_nlink == 0)
    locks.held()
    if wrong:
        break
stop.set()
for t in threads:
    t.join(60)
    check("a thread ends", not t.is_alive())
stream.more(-1)
check("the stream shows each once", sorted(stream.seen) == sorted(stream.want), len(stream.seen), len(stream.want))
check("the other link", open(path("other-link"), "rb").read() == linked.model)
mapping.flush()
size = os.fstat(journal).st_size
check("the journal", size == done["appends_and_syncs"] * 800, size, done)
check("its content", open(path("journal"), "rb").read() == b"".join(struct.pack("<Q", n) * 100 for n in range(done["appends_and_syncs"])))
print("#", rounds, "restarts;", done)
for line in wrong:
    print("wrong:", line)
sys.exit(bool(wrong))
