"""Sections of the POSIX table: paths, types, rename, permissions, owners, times (posix_table.py)."""
import contextlib
import ctypes
import errno
import os
import socket
import stat
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x1000, 0x400
NOREPLACE, EXCHANGE = 1, 2
U1, U2, G1, G2, G3 = 12001, 12002, 13001, 13002, 13003
SECTIONS = []


def section(fn):
    SECTIONS.append((fn.__name__, fn))
    return fn


def check(r):
    if r < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return None if r == 0 else r


def renameat2(a, b, flags):
    return check(libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), flags))


def linkat(fd, a, b, flags):
    return check(libc.linkat(fd, os.fsencode(a), AT_FDCWD, os.fsencode(b), flags))


@contextlib.contextmanager
def user(uid, gid, *groups):
    """Be somebody else: the effective ids, and with them what the filesystem sees, and no capabilities."""
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])


def st(path, follow=False):
    s = os.stat(path, follow_symlinks=follow)
    size = "-" if stat.S_ISDIR(s.st_mode) else s.st_size
    rdev = f" rdev {s.st_rdev}" if stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode) else ""
    return f"{oct(s.st_mode)} nlink {s.st_nlink} size {size} {s.st_uid}:{s.st_gid}{rdev}"


def put(path, data=b"x", mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.write(fd, data)
    os.close(fd)


def get(path):
    fd = os.open(path, os.O_RDONLY)
    data = os.read(fd, 1 << 16)
    os.close(fd)
    return data


def make_socket(path):
    if len(path) > 100:
        os.mknod(path, stat.S_IFSOCK | 0o755)
        return
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)


KINDS = {
    "none": lambda p: None,
    "file": put,
    "dir": lambda p: os.mkdir(p),
    "full": lambda p: (os.mkdir(p), put(f"{p}/in")),
    "fifo": lambda p: os.mkfifo(p),
    "sock": make_socket,
    "chr": lambda p: os.mknod(p, 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
    "blk": lambda p: os.mknod(p, 0o600 | stat.S_IFBLK, os.makedev(250, 3)),
    "dangling": lambda p: os.symlink("nowhere", p),
    "link": lambda p: (put(p + ".target"), os.symlink(os.path.basename(p) + ".target", p)),
    "dirlink": lambda p: (os.mkdir(p + ".target"), os.symlink(os.path.basename(p) + ".target", p)),
}


def clear(*paths):
    for p in paths:
        for q in (p, p + ".target"):
            try:
                if stat.S_ISDIR(os.lstat(q).st_mode):
                    for n in os.listdir(q):
                        clear(f"{q}/{n}")
                    os.rmdir(q)
                else:
                    os.unlink(q)
            except OSError as e:
                if e.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
                    raise


def fresh(name):
    os.mkdir(name)
    os.chdir(name)


def opened(path, flags, mode=0o644):
    fd = os.open(path, flags, mode)
    s = os.fstat(fd)
    os.close(fd)
    return oct(s.st_mode)


def statfs_type(path):
    return os.statvfs(path).f_namemax


ONE_PATH = {
    "open-r": lambda p: opened(p, os.O_RDONLY | os.O_NONBLOCK),
    "open-w": lambda p: opened(p, os.O_WRONLY | os.O_NONBLOCK),
    "open-rw-trunc": lambda p: opened(p, os.O_RDWR | os.O_TRUNC | os.O_NONBLOCK),
    "open-creat": lambda p: opened(p, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK),
    "open-excl": lambda p: opened(p, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK),
    "open-dir": lambda p: opened(p, os.O_RDONLY | os.O_DIRECTORY),
    "open-dir-creat": lambda p: opened(p, os.O_RDONLY | os.O_DIRECTORY | os.O_CREAT),
    "open-nofollow": lambda p: opened(p, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK),
    "open-path": lambda p: opened(p, os.O_PATH),
    "open-path-nofollow": lambda p: opened(p, os.O_PATH | os.O_NOFOLLOW),
    "mkdir": lambda p: os.mkdir(p),
    "mkfifo": lambda p: os.mkfifo(p),
    "mksock": lambda p: os.mknod(p, stat.S_IFSOCK | 0o644),
    "mkreg": lambda p: os.mknod(p, stat.S_IFREG | 0o644),
    "mkchr": lambda p: os.mknod(p, stat.S_IFCHR | 0o644, os.makedev(1, 3)),
    "symlink": lambda p: os.symlink("target", p),
    "unlink": lambda p: os.unlink(p),
    "rmdir": lambda p: os.rmdir(p),
    "link-from": lambda p: os.link(p, "linked"),
    "link-to": lambda p: os.link("f", p),
    "link-follow": lambda p: linkat(AT_FDCWD, p, "followed", AT_SYMLINK_FOLLOW),
    "rename-from": lambda p: os.rename(p, "renamed"),
    "rename-to": lambda p: (put("source"), os.rename("source", p))[1],
    "exchange": lambda p: (put("source"), renameat2("source", p, EXCHANGE))[1],
    "noreplace": lambda p: (put("source"), renameat2("source", p, NOREPLACE))[1],
    "chmod": lambda p: os.chmod(p, 0o751),
    "chown": lambda p: os.chown(p, U1, G1),
    "lchown": lambda p: os.lchown(p, U1, G1),
    "truncate": lambda p: os.truncate(p, 3),
    "utime": lambda p: os.utime(p, (1, 2)),
    "lutime": lambda p: os.utime(p, (1, 2), follow_symlinks=False),
    "stat": lambda p: st(p, True),
    "lstat": lambda p: st(p),
    "readlink": lambda p: os.readlink(p),
    "access": lambda p: os.access(p, os.R_OK | os.W_OK, effective_ids=True),
    "listdir": lambda p: len(os.listdir(p)),
    "chdir": lambda p: (os.chdir(p), os.getcwd()[-3:])[1],
    "statvfs": statfs_type,
    "getxattr": lambda p: os.getxattr(p, "user.a"),
    "setxattr": lambda p: os.setxattr(p, "user.a", b"v"),
    "lsetxattr": lambda p: os.setxattr(p, "user.a", b"v", follow_symlinks=False),
    "listxattr": lambda p: os.listxattr(p, follow_symlinks=False),
    "removexattr": lambda p: os.removexattr(p, "user.a"),
}
LONG = "n" * 255
BAD_PATHS = ["f/x", "none/x", LONG + "n", "d/" + LONG + "n", LONG + "n/x", "d/" + LONG, "loop", "loop/x", "self/self/x", "closed/x", "ro/new", "ro/old", "",
             "d/../" * 900 + "d", "d/../" * 818 + "d", "f/", "f/.", "d/", "d/.", "d/..", "new/", "new", "dangling", "dangling/", "todir", "todir/", "tofile", "tofile/", ".", "..", "d//f"]


def path_world():
    put("f")
    os.mkdir("d")
    put("d/f")
    os.symlink("loop2", "loop")
    os.symlink("loop", "loop2")
    os.symlink(".", "self")
    os.mkdir("closed", 0)
    os.mkdir("ro", 0o755)
    put("ro/old")
    os.symlink("nowhere", "dangling")
    os.symlink("d", "todir")
    os.symlink("f", "tofile")


def paths_for(t, who):
    top = os.getcwd()
    for call, fn in ONE_PATH.items():
        fresh(f"{who}-{call}")
        path_world()
        here = os.getcwd()
        os.chmod(".", 0o777)
        for p in BAD_PATHS:
            shown = p if len(p) < 30 else f"{p[:8]}...{len(p)}"
            with user(U1, G1) if who == "user" else contextlib.nullcontext():
                t.row(f"{who} {call}({shown})", fn, p)
            os.chdir(here)
        os.chdir(top)


@section
def paths_as_root(t):
    paths_for(t, "root")


@section
def paths_as_user(t):
    paths_for(t, "user")


@section
def types(t):
    """Each call on each type of thing, and what is there then."""
    for kind, make in KINDS.items():
        fresh(kind)
        put("f")
        for call, fn in ONE_PATH.items():
            if (kind, call) in (("blk", "open-r"), ("blk", "open-w")) or call == "chdir":
                continue
            make("p")
            t.row(f"{call}({kind})", fn, "p")
            t.row(f"{call}({kind}) then", st, "p")
            clear("p", "linked", "followed", "renamed", "source")
        os.chdir("..")


def names_here():
    return " ".join(sorted(n if len(n) < 20 else f"{n[0]}*{len(n)}" for n in os.listdir(".")))


@section
def rename_matrix(t):
    os.mkdir("other")
    for src in KINDS:
        for dst in KINDS:
            for flags in (0, NOREPLACE, EXCHANGE):
                for a, b in (("a", "b"), ("a" * 248, "other/" + "b" * 200)):
                    KINDS[src](a)
                    KINDS[dst](b)
                    kind = "long" if len(a) > 1 else "short"
                    t.row(f"{src}->{dst} {flags} {kind}", renameat2, a, b, flags)
                    t.row(f"{src}->{dst} {flags} {kind} from", st, a)
                    t.row(f"{src}->{dst} {flags} {kind} to", st, b)
                    t.row(f"{src}->{dst} {flags} {kind} parents", lambda: (os.stat(".").st_nlink, os.stat("other").st_nlink))
                    clear(a, b)
    t.row("left", names_here)


@section
def rename_directories(t):
    os.makedirs("a/b/c")
    put("a/b/c/f")
    os.mkdir("x")
    for a, b in (("a", "a/b"), ("a", "a/b/c/d"), ("a/b", "a"), ("a/.", "x"), ("a/..", "x"), ("a", "x/."), ("a", "a"), ("x", "a/b"), ("a/b/c", "x"), ("x/", "y/"),
                 ("y", "f/"), ("a/", "z")):
        t.row(f"rename {a} {b}", os.rename, a, b)
    for a, b in (("a", "a/b"), ("z", "y"), ("y/f", "z"), ("z", "z/b")):
        t.row(f"exchange {a} {b}", renameat2, a, b, EXCHANGE)
    for flags in (3, 4, 5, 6, 8, 0x80000000):
        t.row(f"flags {flags}", renameat2, "y", "w", flags & 0xffffffff if flags < 1 << 31 else flags - (1 << 32))
    t.row("left", names_here)
    os.makedirs("p/q")
    os.makedirs("r/s/t")
    os.rename("p/q", "r/s/q")
    t.row("nlink", lambda: [os.stat(p).st_nlink for p in ("p", "r", "r/s", "r/s/q")])
    t.row("dotdot", lambda: os.stat("r/s/q/..").st_ino == os.stat("r/s").st_ino)
    renameat2("r/s", "p", EXCHANGE)
    t.row("dotdot after exchange", lambda: (os.stat("p/..").st_ino == os.stat(".").st_ino, os.stat("r/s/..").st_ino == os.stat("r").st_ino))
    t.row("nlink after exchange", lambda: [os.stat(p).st_nlink for p in (".", "p", "r", "r/s")])
    t.row("walk", lambda: sorted(d for d, _, _ in os.walk("."))[:20])
    put("one")
    os.link("one", "two")
    t.row("same inode", os.rename, "one", "two")
    t.row("same inode exchange", renameat2, "one", "two", EXCHANGE)
    t.row("same inode noreplace", renameat2, "one", "two", NOREPLACE)
    t.row("both stay", st, "one")


@section
def permissions(t):
    """Each class of each mode against each call."""
    who = {"owner": (U1, G3, ()), "group": (U2, G1, ()), "supplementary": (U2, G2, (G1,)), "other": (U2, G2, ())}
    calls = ["open-r", "open-w", "open-rw-trunc", "open-excl", "chmod", "chown", "lchown", "truncate", "utime", "access", "getxattr", "setxattr", "listxattr", "removexattr",
             "unlink", "link-from", "rename-from", "stat"]
    for mode in (0, 0o400, 0o200, 0o100, 0o040, 0o020, 0o060, 0o004, 0o002, 0o006, 0o604, 0o666, 0o777):
        for name, (u, g, groups) in who.items():
            for call in calls:
                put("p")
                os.chown("p", U1, G1)
                os.chmod("p", mode)
                with user(u, g, *groups):
                    t.row(f"{oct(mode)} {name} {call}", ONE_PATH[call], "p")
                    clear("linked")
                clear("p", "linked", "renamed")


@section
def directory_permissions(t):
    who = {"owner": (U1, G3), "group": (U2, G1), "other": (U2, G2)}
    calls = {"listdir": lambda: len(os.listdir("p")), "lookup": lambda: st("p/in"), "create": lambda: put("p/new"), "unlink": lambda: os.unlink("p/in"), "mkdir": lambda: os.mkdir("p/sub"),
             "rename-in": lambda: os.rename("p/in", "p/out"), "rename-away": lambda: os.rename("p/in", "away"), "link": lambda: os.link("mine", "p/linked"),
             "rmdir": lambda: os.rmdir("p/empty"), "chdir": lambda: (os.chdir("p"), os.chdir(".."))[1]}
    for shift in (6, 3, 0):
        for bits in range(8):
            for name, (u, g) in who.items():
                for call, fn in calls.items():
                    os.mkdir("p")
                    put("p/in", mode=0o666)
                    os.mkdir("p/empty")
                    put("mine")
                    os.chown("mine", u, g)
                    os.chown("p", U1, G1)
                    os.chmod("p", bits << shift)
                    here = os.getcwd()
                    with user(u, g):
                        t.row(f"{bits << shift:03o} {name} {call}", fn)
                    os.chdir(here)
                    clear("p", "mine", "away")


@section
def sticky(t):
    """Who may remove and rename what in a sticky directory."""
    for what in ("file", "dir", "fifo", "dangling"):
        for dir_owner in (0, U1, U2):
            for owner in (0, U1, U2):
                for call in ("unlink", "rmdir", "rename-from", "rename-over", "exchange"):
                    os.mkdir("s")
                    KINDS[what]("s/p")
                    os.lchown("s/p", owner, 0)
                    os.chown("s", dir_owner, 0)
                    os.chmod("s", 0o1777)
                    with user(U1, G1):
                        if call == "rename-from":
                            fn, args = os.rename, ("s/p", "s/q")
                        elif call == "rename-over":
                            KINDS[what]("s/q")
                            fn, args = os.rename, ("s/q", "s/p")
                        elif call == "exchange":
                            put("s/q")
                            fn, args = renameat2, ("s/q", "s/p", EXCHANGE)
                        else:
                            fn, args = ONE_PATH[call], ("s/p",)
                        t.row(f"{what} of {owner} in {dir_owner} {call}", fn, *args)
                        t.row(f"{what} of {owner} in {dir_owner} xattr", lambda: os.setxattr("s", "user.a", b"v"))
                    clear("s")


@section
def chmod_and_chown(t):
    """What becomes of all mode bits, for whom."""
    who = {"root": (0, 0, ()), "owner": (U1, G1, (G2,)), "outside": (U1, G3, ()), "other": (U2, G2, ())}
    for kind in ("file", "dir", "fifo", "sock"):
        for name, (u, g, groups) in who.items():
            for mode in (0o777, 0o1777, 0o2755, 0o2745, 0o4755, 0o6711, 0o6744, 0o7777):
                KINDS[kind]("p")
                os.chown("p", U1, G1)
                with user(u, g, *groups):
                    t.row(f"chmod {kind} {name} {oct(mode)}", os.chmod, "p", mode)
                t.row(f"chmod {kind} {name} {oct(mode)} then", st, "p")
                for uid, gid in ((-1, -1), (-1, G1), (-1, G2), (-1, G3), (U1, -1), (U1, G2), (U2, -1), (U2, G2)):
                    os.chown("p", U1, G1)
                    os.chmod("p", mode)
                    with user(u, g, *groups):
                        t.row(f"chown {kind} {name} {oct(mode)} {uid}:{gid}", os.chown, "p", uid, gid)
                    t.row(f"chown {kind} {name} {oct(mode)} {uid}:{gid} then", st, "p")
                clear("p")


@section
def setuid_on_change(t):
    """Set-user-ID and set-group-ID against every way to change content."""
    who = {"root": (0, 0, ()), "owner": (U1, G1, ()), "outside": (U1, G3, ()), "other": (U2, G2, ())}

    def with_fd(flags, do):
        fd = os.open("p", flags)
        try:
            do(fd)
        finally:
            os.close(fd)

    block = memoryview(__import__("mmap").mmap(-1, 4096))
    ways = {"write": lambda: with_fd(os.O_WRONLY, lambda fd: os.write(fd, b"y")), "write-nothing": lambda: with_fd(os.O_WRONLY, lambda fd: os.write(fd, b"")),
            "append": lambda: with_fd(os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"y")), "direct": lambda: with_fd(os.O_WRONLY | os.O_DIRECT, lambda fd: os.pwrite(fd, block, 0)),
            "sync": lambda: with_fd(os.O_WRONLY | os.O_SYNC, lambda fd: os.write(fd, b"y")), "truncate": lambda: os.truncate("p", 0), "same-size": lambda: os.truncate("p", 1),
            "extend": lambda: os.truncate("p", 10000), "ftruncate": lambda: with_fd(os.O_RDWR, lambda fd: os.ftruncate(fd, 0)), "o_trunc": lambda: with_fd(os.O_WRONLY | os.O_TRUNC, lambda fd: None),
            "twice": lambda: with_fd(os.O_WRONLY, lambda fd: (os.write(fd, b"y"), os.fsync(fd), os.write(fd, b"z"))), "open": lambda: with_fd(os.O_RDWR, lambda fd: None)}
    for mode in (0o4777, 0o2777, 0o6777, 0o2767, 0o6767, 0o1777, 0o4666):
        for name, (u, g, groups) in who.items():
            for way, fn in ways.items():
                put("p")
                os.chown("p", U1, G1)
                os.chmod("p", mode)
                with user(u, g, *groups):
                    t.row(f"{oct(mode)} {name} {way}", fn)
                t.row(f"{oct(mode)} {name} {way} then", st, "p")
                clear("p")


@section
def creation(t):
    """Mode, owner and group of what is made, over umask, mode, set-group-ID of the directory and who makes it."""
    makers = {"open": lambda m: os.close(os.open("d/p", os.O_RDWR | os.O_CREAT, m)), "mkdir": lambda m: os.mkdir("d/p", m), "mkfifo": lambda m: os.mkfifo("d/p", m),
              "mksock": lambda m: os.mknod("d/p", stat.S_IFSOCK | m), "mkreg": lambda m: os.mknod("d/p", stat.S_IFREG | m), "mkchr": lambda m: os.mknod("d/p", stat.S_IFCHR | m, os.makedev(1, 5)),
              "symlink": lambda m: os.symlink("t", "d/p")}
    who = {"root": (0, 0, ()), "member": (U1, G2, (G1,)), "outside": (U1, G2, ())}
    for dmode in (0o777, 0o2777, 0o3777):
        for umask in (0, 0o022, 0o077, 0o777):
            for mode in (0, 0o644, 0o777, 0o1777, 0o2755, 0o2744, 0o4755, 0o7777):
                for name, (u, g, groups) in who.items():
                    for maker, fn in makers.items():
                        os.mkdir("d")
                        os.chown("d", 0, G1)
                        os.chmod("d", dmode)
                        os.umask(umask)
                        with user(u, g, *groups):
                            t.row(f"{oct(dmode)} umask {umask:03o} {maker} {oct(mode)} {name}", fn, mode)
                        os.umask(0o022)
                        t.row(f"{oct(dmode)} umask {umask:03o} {maker} {oct(mode)} {name} then", st, "d/p")
                        clear("d")


@section
def time_rules(t):
    """Which of a thing's and its directory's times a call changes."""
    def open_do(flags, do):
        fd = os.open("d/p", flags)
        try:
            do(fd)
        finally:
            os.close(fd)

    ways = {
        "nothing": lambda: None, "stat": lambda: os.stat("d/p"), "read": lambda: open_do(os.O_RDONLY, lambda fd: os.read(fd, 10)), "read-nothing": lambda: open_do(os.O_RDONLY, lambda fd: os.read(fd, 0)),
        "write": lambda: open_do(os.O_WRONLY, lambda fd: os.write(fd, b"z")), "write-nothing": lambda: open_do(os.O_WRONLY, lambda fd: os.write(fd, b"")),
        "truncate": lambda: os.truncate("d/p", 0), "truncate-same": lambda: os.truncate("d/p", 1), "ftruncate-same": lambda: open_do(os.O_WRONLY, lambda fd: os.ftruncate(fd, 1)),
        "o_trunc": lambda: open_do(os.O_WRONLY | os.O_TRUNC, lambda fd: None), "chmod": lambda: os.chmod("d/p", 0o600), "chmod-same": lambda: os.chmod("d/p", 0o644),
        "chown": lambda: os.chown("d/p", 1, 1), "chown-same": lambda: os.chown("d/p", 0, 0), "chown-none": lambda: os.chown("d/p", -1, -1),
        "link": lambda: os.link("d/p", "e/l"), "link-here": lambda: os.link("d/p", "d/l"), "unlink-other": lambda: os.unlink("e/other"), "rename-here": lambda: os.rename("d/p", "d/q"),
        "rename-away": lambda: os.rename("d/p", "e/q"), "rename-over": lambda: os.rename("d/p", "e/victim"), "exchange": lambda: renameat2("d/p", "e/victim", EXCHANGE), "unlink": lambda: os.unlink("d/p"),
        "create": lambda: put("d/n"), "mkdir": lambda: os.mkdir("d/n"), "rmdir": lambda: os.rmdir("d/empty"), "symlink": lambda: os.symlink("t", "d/n"), "mkfifo": lambda: os.mkfifo("d/n"),
        "rename-dir": lambda: os.rename("d/empty", "e/empty"), "open-creat-there": lambda: open_do(os.O_RDWR | os.O_CREAT, lambda fd: None), "listdir": lambda: os.listdir("d"),
        "fsync": lambda: open_do(os.O_WRONLY, lambda fd: os.fsync(fd)), "setxattr": lambda: os.setxattr("d/p", "user.b", b"1"), "removexattr": lambda: os.removexattr("d/p", "user.a"),
        "getxattr": lambda: os.getxattr("d/p", "user.a"), "setxattr-dir": lambda: os.setxattr("d", "user.b", b"1"), "chmod-dir": lambda: os.chmod("d", 0o700), "chown-dir": lambda: os.chown("d", 3, 3),
        "utime": lambda: os.utime("d/p", (5, 6)), "utime-now": lambda: os.utime("d/p"), "utime-dir": lambda: os.utime("d", (5, 6)), "failing-mkdir": lambda: os.mkdir("d/p"),
        "failing-rename": lambda: os.rename("d", "d/empty"), "readlink": lambda: os.readlink("d/s"), "lchown": lambda: os.lchown("d/s", 1, 1), "mmap": lambda: open_do(os.O_RDWR, touch),
    }

    def touch(fd):
        with __import__("mmap").mmap(fd, 4096) as m:
            m[0] = 65
            m.flush()

    for way, fn in ways.items():
        os.mkdir("d")
        os.mkdir("e")
        os.mkdir("d/empty")
        os.symlink("t", "d/s")
        put("d/p", b"y" * (4096 if way == "mmap" else 1))
        put("e/victim")
        os.setxattr("d/p", "user.a", b"v")
        os.link("d/p", "e/other")
        fds = {n: os.open(p, os.O_RDONLY | os.O_NOFOLLOW) if n != "s" else os.open(p, os.O_PATH | os.O_NOFOLLOW)
               for n, p in (("d", "d"), ("e", "e"), ("p", "d/p"), ("victim", "e/victim"), ("empty", "d/empty"), ("s", "d/s"))}
        for n in ("p", "victim"):
            os.fsync(fds[n])
        before = {n: os.fstat(fd) for n, fd in fds.items()}
        time.sleep(0.012)
        t.row(f"{way}", lambda: fn() and None)
        for n, fd in fds.items():
            a, b = before[n], os.fstat(fd)
            changed = [w for w in ("atime", "mtime", "ctime") if getattr(a, f"st_{w}_ns") != getattr(b, f"st_{w}_ns")]
            back = [w for w in ("mtime", "ctime") if getattr(a, f"st_{w}_ns") > getattr(b, f"st_{w}_ns")]
            t.row(f"{way} {n}", lambda: " ".join(changed + [f"back {w}" for w in back]) + f" nlink {b.st_nlink}")
            os.close(fd)
        clear("d", "e")
