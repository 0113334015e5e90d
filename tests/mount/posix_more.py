"""More sections of the POSIX table: utimensat, open, link, attributes, directories, locks, limits (posix_table.py)."""
import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import stat
import struct
import time

from posix_rows import (AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, EXCHANGE, G1, G2, KINDS, U1, U2, check, clear, get, libc, linkat, make_socket, names_here, put,
                        renameat2, st, user)

SECTIONS = []
UTIME_NOW, UTIME_OMIT = 0x3fffffff, 0x3ffffffe
O_TMPFILE = 0o20200000


def section(fn):
    SECTIONS.append((fn.__name__, fn))
    return fn


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


def utimensat(path, a, m, flags=0):
    ts = (Timespec * 2)(Timespec(*a), Timespec(*m)) if a else None
    return check(libc.utimensat(AT_FDCWD, os.fsencode(path), ts, flags))


def raises(fn, *args):
    try:
        fn(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"


def about(ns, now):
    """A time that the test set exactly, or "now"."""
    return "now" if abs(ns - now) < 100 * 10**9 else ns


@section
def utimensat_rows(t):
    who = {"root": (0, 0, ()), "owner": (U1, G1, ()), "writer": (U2, G1, ()), "reader": (U2, G2, ())}
    pairs = {"set": ((11, 1), (22, 999999999)), "now": ((0, UTIME_NOW), (0, UTIME_NOW)), "null": None, "omit": ((0, UTIME_OMIT), (0, UTIME_OMIT)), "atime": ((11, 5), (0, UTIME_OMIT)),
             "mtime": ((0, UTIME_OMIT), (22, 7)), "mixed": ((0, UTIME_NOW), (22, 7)), "now-omit": ((0, UTIME_NOW), (0, UTIME_OMIT)), "omit-now": ((0, UTIME_OMIT), (0, UTIME_NOW)),
             "bad": ((1, 1000000000), (1, 1)), "negative": ((-5, 5), (-1000, 7)), "far": ((4000000000, 1), (10000000000, 123456789)), "zero": ((0, 0), (0, 0)), "too-far": ((1 << 40, 0), (-(1 << 40), 0))}
    for kind in ("file", "dir", "fifo", "dangling"):
        for name, (u, g, groups) in who.items():
            for pair, v in pairs.items():
                KINDS[kind]("p")
                os.lchown("p", U1, G1)
                if kind != "dangling":
                    os.chmod("p", 0o664)
                os.utime("p", (100, 200), follow_symlinks=False)
                before = os.lstat("p").st_ctime_ns
                time.sleep(0.005 if pair == "omit" else 0)
                with user(u, g, *groups):
                    t.row(f"{kind} {name} {pair}", utimensat, "p", *(v or (None, None)), 0x100)
                s, now = os.lstat("p"), time.time_ns()
                t.row(f"{kind} {name} {pair} then", lambda: (about(s.st_atime_ns, now), about(s.st_mtime_ns, now), s.st_ctime_ns != before if pair == "omit" else ""))
                clear("p")
    put("f")
    fd = os.open("f", os.O_RDONLY)
    os.utime(fd, ns=(5, 7))
    t.row("by descriptor", lambda: (os.fstat(fd).st_atime_ns, os.fstat(fd).st_mtime_ns))
    os.close(fd)
    with open("f", "r+b", buffering=0) as f:
        f.write(b"dirty")
        os.utime("f", ns=(10**18 + 1, 10**18 + 2))
        os.fsync(f.fileno())
    t.row("behind a write", lambda: os.stat("f").st_mtime_ns)
    with open("f", "r+b", buffering=0) as f:
        f.write(b"dirty")
        os.utime("f", ns=(3, 4))
    t.row("closed with data", lambda: os.stat("f").st_mtime_ns)


@section
def open_flags(t):
    flags = {"excl": os.O_CREAT | os.O_EXCL, "creat": os.O_CREAT, "trunc": os.O_TRUNC, "append": os.O_APPEND, "nofollow": os.O_NOFOLLOW, "dir": os.O_DIRECTORY, "creat-dir": os.O_CREAT | os.O_DIRECTORY,
             "noatime": os.O_NOATIME, "direct": os.O_DIRECT, "sync": os.O_SYNC, "dsync": os.O_DSYNC, "path": os.O_PATH, "async": 0o20000, "creat-nofollow": os.O_CREAT | os.O_NOFOLLOW}
    for kind in KINDS:
        for acc in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, 3):
            if kind == "blk":
                continue
            for name, f in flags.items():
                KINDS[kind]("p")

                def go():
                    fd = os.open("p", acc | f | os.O_NONBLOCK, 0o640)
                    try:
                        return oct(fcntl.fcntl(fd, fcntl.F_GETFL)), oct(os.fstat(fd).st_mode)
                    finally:
                        os.close(fd)

                t.row(f"{kind} {acc} {name}", go)
                t.row(f"{kind} {acc} {name} then", names_here)
                clear("p", "nowhere")
    t.row("tmpfile", lambda: os.close(os.open(".", O_TMPFILE | os.O_RDWR, 0o600)))
    put("ro", mode=0o444)
    with user(U1, G1):
        t.row("read-only trunc", os.open, "ro", os.O_RDONLY | os.O_TRUNC)
        t.row("noatime by others", os.open, "ro", os.O_RDONLY | os.O_NOATIME)
        fd = os.open("mine", os.O_RDWR | os.O_CREAT, 0)
        t.row("mode 0 but open", os.write, fd, b"abc")
        t.row("mode 0 read back", os.pread, fd, 3, 0)
        os.close(fd)
        t.row("mode 0 again", os.open, "mine", os.O_RDONLY)
    fd = os.open("ro", os.O_RDONLY)
    t.row("write to a reader", os.write, fd, b"x")
    t.row("ftruncate of a reader", os.ftruncate, fd, 0)
    t.row("mmap of a reader", lambda: mmap.mmap(fd, 1, mmap.MAP_SHARED, mmap.PROT_WRITE))
    os.close(fd)
    fd = os.open("ro", os.O_WRONLY)
    t.row("read of a writer", os.read, fd, 1)
    os.close(fd)
    fd = os.open(".", os.O_RDONLY)
    for name, fn in {"read": lambda: os.read(fd, 1), "ftruncate": lambda: os.ftruncate(fd, 0), "fsync": lambda: os.fsync(fd), "fdatasync": lambda: os.fdatasync(fd), "write": lambda: os.write(fd, b""),
                     "lock": lambda: fcntl.flock(fd, fcntl.LOCK_SH), "fchmod": lambda: os.fchmod(fd, 0o777), "mmap": lambda: mmap.mmap(fd, 1, prot=mmap.PROT_READ)}.items():
        t.row(f"directory {name}", lambda: fn() and None)
    os.close(fd)


@section
def running_programs(t):
    put("prog", b"#!/bin/sh\nexit 7\n", 0o755)
    t.row("script", lambda: os.waitstatus_to_exitcode(os.spawnv(os.P_WAIT, "./prog", ["prog"]) << 8))
    with open("/bin/sleep", "rb") as f:
        put("sleep", b"", 0o755)
        with open("sleep", "wb") as g:
            g.write(f.read())
    pid = os.spawnv(os.P_NOWAIT, "./sleep", ["sleep", "30"])
    time.sleep(0.1)
    t.row("write to it", os.open, "sleep", os.O_WRONLY)
    t.row("truncate it", os.truncate, "sleep", 5)
    t.row("unlink it", os.unlink, "sleep")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.chmod("prog", 0o644)
    t.row("not executable", os.spawnv, os.P_WAIT, "./prog", ["prog"])


@section
def links(t):
    put("f")
    t.row("to a directory", os.link, ".", "x")
    os.symlink("f", "s")
    t.row("to a symbolic link", lambda: (linkat(AT_FDCWD, "s", "s2", 0), st("s2")))
    t.row("following it", lambda: (linkat(AT_FDCWD, "s", "s3", AT_SYMLINK_FOLLOW), st("s3")))
    fd = os.open("f", os.O_RDONLY)
    t.row("of a descriptor", lambda: (linkat(fd, "", "by-fd", AT_EMPTY_PATH), st("by-fd")))
    t.row("of a descriptor by /proc", lambda: (linkat(AT_FDCWD, f"/proc/self/fd/{fd}", "by-proc", AT_SYMLINK_FOLLOW), st("by-proc")))
    for n in ("f", "s3", "by-fd", "by-proc"):
        os.unlink(n)
    t.row("nlink", lambda: os.fstat(fd).st_nlink)
    t.row("of a removed file", linkat, fd, "", "again", AT_EMPTY_PATH)
    t.row("of a removed file by /proc", linkat, AT_FDCWD, f"/proc/self/fd/{fd}", "again", AT_SYMLINK_FOLLOW)
    os.close(fd)
    t.row("bad flags", linkat, AT_FDCWD, "s", "y", 0x8000)
    put("f")
    for k in range(200):
        os.link("f", f"l{k}" + "n" * k)
    t.row("many", st, "f")
    for k in range(0, 200, 2):
        os.unlink(f"l{k}" + "n" * k)
    t.row("half of them", st, "l7" + "n" * 7)
    with user(U1, G1):
        t.row("of another's file", os.link, "f", "theirs")
        put("own")
        t.row("of one's own", os.link, "own", "own2")
        t.row("of another's symbolic link", os.link, "s", "s9", follow_symlinks=False)
    t.row("across filesystems", os.link, "f", "/dev/shm/posix-row")
    t.row("rename across filesystems", os.rename, "f", "/dev/shm/posix-row")
    for kind in ("fifo", "sock", "chr", "blk"):
        KINDS[kind](kind)
        t.row(f"of a {kind}", lambda: (os.link(kind, kind + "2"), st(kind)))
    for n in (1, 31, 32, 33, 254, 255, 256, 1000, 2999, 3000):
        os.symlink("t" * n, f"t{n}")
        t.row(f"target of {n}", lambda: (len(os.readlink(f"t{n}")), os.lstat(f"t{n}").st_size))
    t.row("target of nothing", os.symlink, "", "e")
    t.row("target of 3001", os.symlink, "t" * 3001, "e1")
    t.row("target of 4095", os.symlink, "t" * 4095, "e2")
    t.row("target of 4096", os.symlink, "t" * 4096, "e3")
    buf = ctypes.create_string_buffer(10)
    t.row("readlink short", lambda: (libc.readlink(b"t255", buf, 5), buf.raw))
    t.row("readlink of nothing", lambda: check(libc.readlink(b"t255", buf, 0)))


@section
def attributes(t):
    """Extended attributes of users; the other kinds are differences that are meant."""
    for kind in ("file", "dir", "fifo", "sock", "chr", "dangling"):
        KINDS[kind]("p")
        for name, fn in {"set": lambda: os.setxattr("p", "user.a", b"12345", follow_symlinks=False), "create": lambda: os.setxattr("p", "user.a", b"x", os.XATTR_CREATE, follow_symlinks=False),
                         "replace": lambda: os.setxattr("p", "user.a", b"123456", os.XATTR_REPLACE, follow_symlinks=False),
                         "replace-none": lambda: os.setxattr("p", "user.b", b"x", os.XATTR_REPLACE, follow_symlinks=False),
                         "both-flags": lambda: os.setxattr("p", "user.c", b"x", 3, follow_symlinks=False), "bad-flags": lambda: os.setxattr("p", "user.c", b"x", 8, follow_symlinks=False),
                         "empty": lambda: os.setxattr("p", "user.e", b"", follow_symlinks=False), "get": lambda: os.getxattr("p", "user.a", follow_symlinks=False),
                         "get-empty": lambda: os.getxattr("p", "user.e", follow_symlinks=False),
                         "probe": lambda: check(libc.lgetxattr(b"p", b"user.a", None, 0)), "short": lambda: check(libc.lgetxattr(b"p", b"user.a", ctypes.create_string_buffer(5), 5)),
                         "list": lambda: sorted(os.listxattr("p", follow_symlinks=False)), "list-probe": lambda: check(libc.llistxattr(b"p", None, 0)),
                         "list-short": lambda: check(libc.llistxattr(b"p", ctypes.create_string_buffer(8), 8)), "remove": lambda: os.removexattr("p", "user.a", follow_symlinks=False),
                         "remove-again": lambda: os.removexattr("p", "user.a", follow_symlinks=False), "get-none": lambda: os.getxattr("p", "user.a", follow_symlinks=False)}.items():
            t.row(f"{kind} {name}", fn)
        clear("p")
    put("f")
    for n in (1, 100, 150, 151, 250, 251):
        t.row(f"name of {n}", os.setxattr, "f", "user." + "n" * n, b"v")
        t.row(f"name of {n} back", os.getxattr, "f", "user." + "n" * n)
        t.row(f"name of {n} removed", os.removexattr, "f", "user." + "n" * n)
    for name in ("user.", "user", "", "users.a", "a", "security.x", "trusted.x", "system.x", "security.capability", "system.posix_acl_access"):
        t.row(f"set {name}", os.setxattr, "f", name, b"v")
        t.row(f"get {name}", os.getxattr, "f", name)
        t.row(f"remove {name}", os.removexattr, "f", name)
    for n in (0, 1, 1000, 3000, 65536, 65537):
        t.row(f"value of {n}", os.setxattr, "f", "user.v", bytes(n))
        t.row(f"value of {n} back", lambda: len(os.getxattr("f", "user.v")))
    clear("f")
    put("f")
    for k in range(20):
        os.setxattr("f", f"user.number {k}", bytes([k]) * k)
    t.row("twenty", lambda: [len(os.getxattr("f", n)) for n in sorted(os.listxattr("f"))])
    os.link("f", "g")
    t.row("by another name", lambda: len(os.listxattr("g")))
    fd = os.open("f", os.O_RDWR)
    os.unlink("f")
    os.unlink("g")
    t.row("of a removed file", lambda: (os.setxattr(fd, "user.late", b"1"), os.getxattr(fd, "user.late"), len(os.listxattr(fd))))
    os.close(fd)


def entries(libdir):
    """(name, telldir behind it) of an open DIR *."""
    out = []
    while True:
        d = libc.readdir(libdir)
        if not d:
            return out
        out.append((ctypes.string_at(d + 19), libc.telldir(libdir)))


@section
def directories(t):
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.opendir.argtypes = [ctypes.c_char_p]
    libc.readdir.argtypes = libc.telldir.argtypes = libc.rewinddir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
    libc.telldir.restype = ctypes.c_long
    libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
    os.mkdir("big")
    for k in range(700):
        put(f"big/{k}" + "n" * (k % 240), b"")
    d = libc.opendir(b"big")
    seen = entries(d)
    t.row("entries", lambda: (len(seen), len({n for n, _ in seen}), len({o for _, o in seen})))
    back = []
    for k in range(0, len(seen) - 1, 13):
        libc.seekdir(d, seen[k][1])
        e = libc.readdir(d)
        back.append(bool(e) and ctypes.string_at(e + 19) == seen[k + 1][0])
    t.row("seekdir goes back", lambda: (len(back), all(back)))
    for k in range(0, 350):
        os.unlink(f"big/{k}" + "n" * (k % 240))
    libc.seekdir(d, seen[len(seen) // 2][1])
    rest = {n for n, _ in entries(d)}
    late = {n for n, _ in seen[len(seen) // 2 + 1:] if os.path.lexists(b"big/" + n)}
    t.row("seekdir behind removals", lambda: late <= rest)
    libc.rewinddir(d)
    t.row("rewinddir", lambda: len(entries(d)))
    libc.closedir(d)
    for kind in KINDS:
        KINDS[kind](f"k-{kind}")
    t.row("d_type", lambda: sorted((e.name, e.is_file(follow_symlinks=False), e.is_dir(follow_symlinks=False), e.is_symlink(), e.inode() == os.lstat(e.name).st_ino) for e in os.scandir(".")))
    for k in range(5):
        os.mkdir(f"big/sub{k}" + "d" * 200)
    t.row("nlink", lambda: os.stat("big").st_nlink)
    os.rmdir("big/sub3" + "d" * 200)
    t.row("nlink less one", lambda: os.stat("big").st_nlink)
    os.makedirs("gone/sub")
    fd = os.open("gone", os.O_RDONLY)
    here = os.getcwd()
    os.chdir("gone")
    os.rmdir("sub")
    os.rmdir("../gone")
    for name, fn in {"listdir": lambda: os.listdir("."), "create": lambda: put("x"), "mkdir": lambda: os.mkdir("x"), "link": lambda: os.link("/proc/self/exe", "x"), "symlink": lambda: os.symlink("a", "x"),
                     "stat": lambda: st("."), "stat-name": lambda: st("x"), "dotdot": lambda: st("..").split()[0], "getcwd": os.getcwd, "chmod": lambda: os.fchmod(fd, 0o700), "fsync": lambda: os.fsync(fd),
                     "rename-in": lambda: os.rename("../big", "x"), "rmdir-dot": lambda: os.rmdir("."), "utime": lambda: os.utime(fd, (1, 2))}.items():
        t.row(f"removed directory {name}", fn)
    os.chdir(here)
    os.close(fd)
    for n in (b".x", b"..x", b"...", b"a\nb", b"\x01", b"\xff\xfe", b" ", b"~", b"\\", b"coffer.dir", b"coffer.volume", b"coffer.long.x", b"-rf", "ä€".encode(), b"x" * 255, "ä".encode() * 127):
        put(n)
        t.row(f"name {n[:20]!r}", lambda: (n in os.listdir(b"."), st(n)))
    deep = "."
    for k in range(12):
        deep += "/" + chr(97 + k) * 255
        os.mkdir(deep)
    put(f"{deep}/f", b"deep")
    t.row("names of 255", lambda: get(f"{deep}/f"))
    t.row("removal of those", lambda: (clear("a" * 255), names_here().count("a*255")))
    t.row("statvfs", lambda: (os.statvfs(".").f_namemax, os.statvfs(".").f_bfree <= os.statvfs(".").f_blocks, os.statvfs(".").f_files > 0, os.statvfs(".").f_bsize))


@section
def locks(t):
    put("f", b"0" * 100)
    a, b = os.open("f", os.O_RDWR), os.open("f", os.O_RDWR)

    def flock(kind, cmd=fcntl.F_SETLK, start=0, length=0, fd=a):
        return fcntl.fcntl(fd, cmd, struct.pack("hhqqi4x", kind, 0, start, length, 0)) and None

    def elsewhere(fn):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(w, raises(fn).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        out = os.read(r, 100)
        os.close(r)
        os.close(w)
        return out.decode()

    t.row("flock", fcntl.flock, a, fcntl.LOCK_EX | fcntl.LOCK_NB)
    t.row("flock again", fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    t.row("flock shared", fcntl.flock, b, fcntl.LOCK_SH | fcntl.LOCK_NB)
    t.row("flock down", lambda: (fcntl.flock(a, fcntl.LOCK_SH), fcntl.flock(b, fcntl.LOCK_SH | fcntl.LOCK_NB)))
    t.row("fcntl", flock, fcntl.F_WRLCK, start=10, length=10)
    t.row("fcntl elsewhere", elsewhere, lambda: flock(fcntl.F_WRLCK, start=15, length=1))
    t.row("fcntl elsewhere beside", elsewhere, lambda: flock(fcntl.F_WRLCK, start=20, length=1))
    t.row("fcntl read elsewhere", elsewhere, lambda: flock(fcntl.F_RDLCK, start=5, length=6))
    os.close(os.open("f", os.O_RDONLY))  # closing any descriptor drops the locks of the process
    t.row("fcntl behind a close", elsewhere, lambda: flock(fcntl.F_WRLCK, start=15, length=1))
    ofd = 37
    t.row("ofd", flock, fcntl.F_WRLCK, ofd)
    t.row("ofd other", flock, fcntl.F_WRLCK, ofd, fd=b)
    t.row("ofd unlock", lambda: (flock(fcntl.F_UNLCK, ofd), flock(fcntl.F_WRLCK, ofd, fd=b)))
    t.row("ofd elsewhere", elsewhere, lambda: flock(fcntl.F_RDLCK, ofd))
    t.row("lease", lambda: fcntl.fcntl(a, fcntl.F_SETLEASE, fcntl.F_WRLCK) and None)
    os.close(a)
    os.close(b)


@section
def limits(t):
    put("f", b"x" * 100)
    fd = os.open("f", os.O_RDWR)
    t.row("truncate below 0", lambda: check(libc.truncate64(b"f", ctypes.c_long(-1))))
    t.row("truncate far", os.truncate, "f", (1 << 63) - 1)
    t.row("read behind the end", os.pread, fd, 10, 1 << 40)
    t.row("read at a negative offset", lambda: check(libc.pread64(fd, ctypes.create_string_buffer(4), 4, ctypes.c_long(-1))))
    t.row("seek", lambda: [os.lseek(fd, 0, w) for w in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)])
    t.row("seek below 0", lambda: os.lseek(fd, -1, os.SEEK_SET))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    t.row("rlimit write", lambda: os.pwrite(fd, b"y" * 1000, 4500))
    t.row("rlimit write behind", lambda: os.pwrite(fd, b"y", 5000))
    t.row("rlimit truncate", os.ftruncate, fd, 5001)
    t.row("rlimit truncate in it", os.ftruncate, fd, 5000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    t.row("size", lambda: os.fstat(fd).st_size)
    os.ftruncate(fd, 0)
    for n in (1, 4095, 4096, 4097, 524288, 524289, 1 << 33):
        os.ftruncate(fd, n)
        t.row(f"size {n}", lambda: (os.fstat(fd).st_size, os.stat("f").st_size, os.pread(fd, 4, n - 1)))
    t.row("append ignores offsets", lambda: (os.ftruncate(fd, 3), [os.pwrite(f, b"z", 0) for f in [os.open("f", os.O_WRONLY | os.O_APPEND)]], os.fstat(fd).st_size)[2])
    t.row("blocks of nothing", lambda: (os.ftruncate(fd, 0), os.fsync(fd), os.fstat(fd).st_blocks)[2])
    t.row("blksize", lambda: os.fstat(fd).st_blksize)
    os.close(fd)
    for kind in ("fifo", "sock", "chr", "dir"):
        KINDS[kind]("p")
        t.row(f"truncate {kind}", os.truncate, "p", 0)
        t.row(f"ioctl {kind}", lambda: fcntl.ioctl(os.open("p", os.O_RDONLY | os.O_NONBLOCK), 0x5401, bytes(64)))
        clear("p")
    make_socket("s")
    t.row("open a socket", os.open, "s", os.O_RDWR)
    os.mkfifo("p")
    t.row("open a fifo for writing", os.open, "p", os.O_WRONLY | os.O_NONBLOCK)
    r = os.open("p", os.O_RDONLY | os.O_NONBLOCK)
    w = os.open("p", os.O_WRONLY)
    t.row("through a fifo", lambda: (os.write(w, b"hello"), os.read(r, 10)))
    t.row("fsync of a fifo", os.fsync, w)
    t.row("fifo then", st, "p")
    os.mknod("null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    t.row("device", lambda: (put("null", b"away"), get("null")))
    fd = os.open("far", os.O_RDWR | os.O_CREAT)
    t.row("write at the end of all offsets", lambda: os.pwrite(fd, b"x", (1 << 63) - 2))
    t.row("and fsync", os.fsync, fd)
    os.close(fd)
    with user(U2, G2):
        t.row("mknod by a user", os.mknod, "n", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        t.row("mkfifo by a user", lambda: (os.mkfifo("n"), st("n")))
    with user(U1, G1, G2):
        os.mkdir("own")
        put("own/f")
        t.row("exchange by a user", lambda: (put("own/g"), renameat2("own/f", "own/g", EXCHANGE), names_here()))
