#!/usr/bin/python3
"""Extended attributes, FIFOs, sockets and devices on a mount: attributes.py STEP MOUNT VOLUME PID. Steps in the order of 45-attributes.sh."""
import ctypes
import errno
import os
import socket
import stat
import sys

step, top, volume, pid = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
libc = ctypes.CDLL(None, use_errno=True)
IN_OPEN = 0x20
VALUES = {"user.empty": b"", "user.small": b"a visible value", "user." + "n" * 150: b"longest name", "user.ä €\n": bytes(range(256)) * 8}


def raises(number, fn, *args):
    try:
        fn(*args)
    except OSError as e:
        assert e.errno == number, f"{errno.errorcode[e.errno]} instead of {errno.errorcode[number]}"
        return
    raise AssertionError(f"no {errno.errorcode[number]}")


def attributes(path):
    return {n: os.getxattr(path, n) for n in os.listxattr(path) if n.startswith("user.")}


def lower_files():
    for d, dirs, files in os.walk(volume):
        for n in dirs + files:
            yield os.path.join(d, n)


def requests():
    """System calls that the daemon has read with: one for each request."""
    with open(f"/proc/{pid}/io") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("syscr"))


def make():
    os.mkdir(f"{top}/dir")
    for p in ("file", "empty", "dir/deep"):
        with open(f"{top}/{p}", "w") as f:
            f.write("content" if p != "empty" else "")
    for p in ("file", "empty", "dir/deep", "dir"):
        for n, v in VALUES.items():
            os.setxattr(f"{top}/{p}", n, v)
    fd = os.open(f"{top}/file", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    seen = 0
    for p in lower_files():
        if os.path.islink(p):
            continue
        for n in os.listxattr(p):
            seen += 1
            assert n.startswith("user.coffer.") and "small" not in n, n
            assert b"visible" not in os.getxattr(p, n)
    return f"{seen} attributes, none in clear"


def writes():
    fd = os.open(f"{top}/small", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"x")
    before = requests()
    for _ in range(20000):
        os.write(fd, b"y" * 50)
    n = requests() - before
    os.fsync(fd)
    before = requests()
    for _ in range(100):
        os.write(fd, b"y" * 50)
        os.fsync(fd)
    m = requests() - before
    os.close(fd)
    os.unlink(f"{top}/small")
    assert n < 2000, f"{n} requests for 20000 writes"
    assert m < 600, f"{m} reads for 100 appends with fsync"
    return f"20000 small writes: {n} reads of the daemon; 100 with fsync: {m}"


def check():
    for p in ("file", "empty", "dir/deep", "dir"):
        assert attributes(f"{top}/{p}") == VALUES, (p, attributes(f"{top}/{p}"))
    return "4 of them"


def nodes():
    os.mkfifo(f"{top}/fifo", 0o640)
    os.mkfifo(f"{top}/" + "f" * 255, 0o600)
    here = os.getcwd()
    os.chdir(top)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("sock")
    os.chdir(here)
    raises(errno.EPERM, os.mknod, f"{top}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    raises(errno.EPERM, os.mknod, f"{top}/blk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    raises(errno.ENOENT, os.lstat, f"{top}/null")
    return "made"


def nodes_there():
    assert stat.S_ISFIFO(os.stat(f"{top}/fifo").st_mode) and stat.S_IMODE(os.stat(f"{top}/fifo").st_mode) == 0o640
    assert stat.S_ISFIFO(os.stat(f"{top}/" + "f" * 255).st_mode) and stat.S_ISSOCK(os.stat(f"{top}/sock").st_mode)
    r = os.open(f"{top}/fifo", os.O_RDONLY | os.O_NONBLOCK)
    w = os.open(f"{top}/fifo", os.O_WRONLY)
    os.write(w, b"through")
    assert os.read(r, 10) == b"through"
    raises(errno.ENXIO, os.open, f"{top}/sock", os.O_RDONLY)
    return "FIFO and socket work"


def below_of(name):
    ino = os.lstat(f"{top}/{name}").st_ino
    return next(p for p in lower_files() if os.lstat(p).st_ino == ino)


def hostile():
    """What somebody does to the backing directory while nobody looks."""
    file, deep = below_of("file"), below_of("dir/deep")
    names = [n for n in os.listxattr(file)]
    a, b = (n for n in names[:2])
    os.setxattr(file, a, os.getxattr(file, b))                  # a value under another's name
    os.setxattr(file, "user.coffer.AAAA", b"planted")
    os.setxattr(file, "user.planted", b"planted")
    assert sorted(os.listxattr(f"{top}/file")) == sorted(VALUES)
    bad = 0
    for n in VALUES:
        try:
            os.getxattr(f"{top}/file", n)
        except OSError as e:
            assert e.errno == errno.EIO
            bad += 1
    assert bad == 1, f"{bad} values are bad"
    assert open(f"{top}/file").read() == "content"
    for p in ("fifo2", "chr2"):
        with open(f"{top}/{p}", "w") as f:
            f.write("was a file")
    os.sync()
    planted = [deep]
    for p, mode, dev in (("fifo2", stat.S_IFIFO, 0), ("chr2", stat.S_IFCHR, os.makedev(10, 200))):
        lower = below_of(p)
        planted.append(lower)
        os.unlink(lower)
        os.mknod(lower, mode | 0o666, dev)
    os.unlink(deep)
    os.mkfifo(deep)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    for lower in planted:
        assert libc.inotify_add_watch(watch, lower.encode(), IN_OPEN) > 0
    for p in ("fifo2", "chr2", "dir/deep"):
        for fn in (lambda q: os.stat(q), lambda q: open(q).read(), lambda q: os.getxattr(q, "user.small"), lambda q: os.setxattr(q, "user.x", b"y"), lambda q: os.truncate(q, 3)):
            try:
                fn(f"{top}/{p}")
            except OSError:
                pass
    os.listdir(f"{top}/dir")
    raises(errno.EAGAIN, os.read, watch, 4096)                  # nobody has opened one of them
    for p in ("fifo2", "chr2", "dir/deep", "fifo", "f" * 255, "sock"):
        os.unlink(f"{top}/{p}")
    return "left out, EIO, never opened"


def read_only():
    n = sum(attributes(f"{top}/{p}") == VALUES for p in ("empty", "dir"))
    assert n == 2
    raises(errno.EROFS, os.setxattr, f"{top}/empty", "user.a", b"x")
    raises(errno.EROFS, os.removexattr, f"{top}/empty", "user.small")
    return "read, not changed"


print({"make": make, "writes": writes, "check": check, "nodes": nodes, "nodes-there": nodes_there, "hostile": hostile, "read-only": read_only}[step]())
