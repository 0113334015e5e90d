"""Sections of the POSIX table about rarer calls: what a filesystem may refuse, statx and its kin, handles, names that go meanwhile, lengths (posix_table.py)."""
import ctypes
import fcntl
import mmap
import os
import select
import struct
import subprocess

from posix_content import PUNCH, fallocate, opened, syscall
from posix_rows import AT_EMPTY_PATH, AT_FDCWD, G1, G2, U1, U2, check, clear, get, libc, put, renameat2, st, user

SECTIONS = []


def section(fn):
    SECTIONS.append((fn.__name__, fn))
    return fn


@section
def ioctls(t):
    """What is refused must be refused as by a filesystem that cannot, never by success."""
    put("p", b"i" * 8192)
    put("q", b"i" * 8192)
    fd, other = opened("p"), opened("q")
    flags = struct.pack("l", 0)
    t.row("FIONREAD", lambda: struct.unpack("i", fcntl.ioctl(fd, 0x541B, struct.pack("i", 0))))
    t.row("FIONREAD in the middle", lambda: (os.lseek(fd, 100, 0), struct.unpack("i", fcntl.ioctl(fd, 0x541B, struct.pack("i", 0)))))
    t.row("FIGETBSZ", lambda: struct.unpack("i", fcntl.ioctl(fd, 2, struct.pack("i", 0))))
    t.row("FIONBIO", lambda: fcntl.ioctl(fd, 0x5421, struct.pack("i", 1)) and None)
    t.row("FIOCLEX", lambda: fcntl.ioctl(fd, 0x5451))
    t.row("an unknown one", lambda: fcntl.ioctl(fd, 0x1234, bytes(64)))
    t.row("TCGETS", lambda: fcntl.ioctl(fd, 0x5401, bytes(64)))
    t.row("FS_IOC_GETFLAGS", lambda: fcntl.ioctl(fd, 0x80086601, flags) and None)
    t.row("FS_IOC_SETFLAGS immutable", lambda: fcntl.ioctl(fd, 0x40086602, struct.pack("l", 0x10)) and None)
    t.row("still writable", lambda: (fcntl.ioctl(fd, 0x40086602, struct.pack("l", 0)), os.pwrite(fd, b"x", 0)))
    t.row("FICLONE", lambda: fcntl.ioctl(fd, 0x40049409, other))
    t.row("FICLONERANGE", lambda: fcntl.ioctl(fd, 0x4020940D, struct.pack("qQQQ", other, 0, 4096, 0)) and None)
    t.row("FIDEDUPERANGE", lambda: fcntl.ioctl(fd, 0xC0189436, struct.pack("QQHHI qQQiI", 0, 4096, 1, 0, 0, other, 0, 0, 0, 0)) and None)
    t.row("FIEMAP", lambda: fcntl.ioctl(fd, 0xC020660B, struct.pack("QQIIII", 0, 1 << 30, 0, 0, 0, 0)) and None)
    t.row("FIBMAP", lambda: fcntl.ioctl(fd, 1, struct.pack("i", 0)) and None)
    t.row("swapon", lambda: check(libc.swapon(b"p", 0)))
    t.row("quotactl", lambda: check(libc.quotactl(0x80000700, b"p", 0, None)))
    for cmd, arg, name in ((fcntl.F_SETLEASE, fcntl.F_RDLCK, "read lease of a writer"), (fcntl.F_GETLEASE, 0, "get lease"), (1031, 8192, "F_SETPIPE_SZ"), (1033, 1, "F_ADD_SEALS"), (1034, 0, "F_GET_SEALS"),
                           (1036, bytearray(8), "F_GET_RW_HINT"), (fcntl.F_NOTIFY, 0, "F_NOTIFY on a file")):
        t.row(name, lambda: fcntl.fcntl(fd, cmd, bytes(arg) if isinstance(arg, bytearray) else arg) and None)
    t.row("poll", lambda: [e for _, e in polled(fd)])
    t.row("epoll", lambda: select.epoll().register(fd))
    os.close(fd)
    os.close(other)
    for flag in (4, 5, 6):
        t.row(f"whiteout {flag}", renameat2, "p", "w", flag)
        t.row(f"whiteout {flag} left", lambda: sorted(os.listdir(".")))


def polled(fd):
    p = select.poll()
    p.register(fd)
    return p.poll(0)


@section
def newer_calls(t):
    """statx, openat2, faccessat2, file handles."""
    put("p", b"n" * 5000)
    os.mkdir("d")
    put("d/f")
    os.symlink("p", "s")
    os.symlink("/", "root")
    os.symlink("../p", "d/up")
    buf = ctypes.create_string_buffer(256)

    def statx(path, flags=0, mask=0x7ff):
        syscall("statx", AT_FDCWD, path, flags, mask, buf)
        m, blksize, attributes, nlink, uid, gid, mode = struct.unpack_from("IIQIIIH", buf.raw)
        return hex(m & 0x7ff & ~0x800 & ~1024 & ~256), nlink, uid, gid, oct(mode)

    for path in (b"p", b"d", b"s", b"none", b""):
        for flags in (0, 0x100, 0x1000, 0x2000, 0x4000, 0x6000, 0x8000):
            t.row(f"statx {path} {flags:#x}", statx, path, flags)
    t.row("statx of no bits", lambda: statx(b"p", 0, 0)[1:])
    t.row("statx of bad bits", statx, b"p", 0, 1 << 31)
    for path in (b"p", b"s", b"d/up", b"root/etc", b"d/../p", b"/etc", b"d/f", b"new"):
        for resolve in (0, 1, 2, 4, 8, 16, 8 | 4, 32):
            for flags in (os.O_RDONLY, os.O_PATH, os.O_RDONLY | os.O_DIRECTORY):
                how = struct.pack("QQQ", flags, 0, resolve)
                t.row(f"openat2 {path} {resolve} {flags:#o}", lambda: os.close(syscall("openat2", AT_FDCWD, path, how, 24)))
    os.chmod("p", 0o640)
    os.chown("p", U1, G1)
    for who in ((0, 0), (U1, G2), (U2, G1), (U2, G2)):
        with user(*who):
            for mode in range(8):
                t.row(f"faccessat2 {who} {mode}", lambda: syscall("faccessat2", AT_FDCWD, b"p", mode, 0x200))
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136)
    mnt = ctypes.c_int()
    t.row("name_to_handle_at", lambda: syscall("name_to_handle_at", AT_FDCWD, b"p", handle, ctypes.byref(mnt), 0))
    top = opened(".", os.O_RDONLY)

    def by_handle():
        fd = syscall("open_by_handle_at", top, handle, os.O_RDWR)
        s = os.fstat(fd)
        data = os.read(fd, 5)
        os.close(fd)
        return s.st_size, data, s.st_ino == os.stat("p").st_ino

    t.row("open_by_handle_at", by_handle)
    os.rename("p", "d/elsewhere")
    t.row("behind a rename", lambda: os.close(syscall("open_by_handle_at", top, handle, os.O_RDWR)))
    os.unlink("d/elsewhere")
    t.row("behind an unlink", lambda: os.close(syscall("open_by_handle_at", top, handle, os.O_RDWR)))
    os.close(top)
    fd = opened("d", os.O_RDONLY)
    t.row("reopened by /proc", lambda: sorted(os.listdir(f"/proc/self/fd/{fd}")))
    p = opened("d/f", os.O_PATH)
    t.row("read through O_PATH", lambda: os.read(opened(f"/proc/self/fd/{p}", os.O_RDONLY), 5))
    t.row("fchmod of O_PATH", os.fchmod, p, 0o600)
    t.row("chown by empty path", lambda: check(libc.fchownat(p, b"", U1, G1, AT_EMPTY_PATH)))
    t.row("and then", st, "d/f")
    os.close(fd)
    os.close(p)


@section
def removed_under_way(t):
    """Directories that change while they are read, and files that go while they are open."""
    os.mkdir("d")
    for k in range(600):
        put(f"d/{k:03d}" + "n" * (k % 90), b"")
    seen = 0
    with os.scandir("d") as it:
        for e in it:
            os.unlink(e.path)
            seen += 1
    t.row("each unlinked when read", lambda: (seen, os.listdir("d"), os.rmdir("d")))
    os.mkdir("d")
    for k in range(300):
        put(f"d/{k}", b"")
    it = os.scandir("d")
    first = next(it).name
    for k in range(300):
        if str(k) != first:
            os.rename(f"d/{k}", f"d/moved{k}")
    rest = [e.name for e in it]
    t.row("renamed meanwhile: none comes twice by one name", lambda: len(rest) == len(set(rest)))
    t.row("rmdir of a full one", os.rmdir, "d")
    clear("d")
    put("v", b"victim" * 1000)
    put("w", b"winner")
    old = opened("v")
    held = mmap.mmap(old, 6000)
    os.rename("w", "v")
    t.row("rename over an open file", lambda: (os.fstat(old).st_nlink, os.pread(old, 6, 0), bytes(held[5994:]), get("v")))
    t.row("write to it", lambda: (os.pwrite(old, b"late", 7000), os.fstat(old).st_size, os.fsync(old), os.pread(old, 4, 7000)))
    t.row("truncate it", lambda: (os.ftruncate(old, 3), os.fstat(old).st_size))
    t.row("chmod it", lambda: (os.fchmod(old, 0o600), oct(os.fstat(old).st_mode)))
    t.row("punch it", lambda: fallocate(old, PUNCH, 0, 2))
    t.row("reopen it by /proc", lambda: os.pread(opened(f"/proc/self/fd/{old}", os.O_RDWR), 5, 0))
    t.row("truncate it by /proc", lambda: os.truncate(f"/proc/self/fd/{old}", 1))
    t.row("open with O_TRUNC by /proc", lambda: os.fstat(opened(f"/proc/self/fd/{old}", os.O_RDWR | os.O_TRUNC)).st_size)
    os.close(old)
    os.mkdir("a")
    os.mkdir("b")
    fd = opened("b", os.O_RDONLY)
    os.rename("a", "b")
    t.row("rename over an open directory", lambda: (os.fstat(fd).st_nlink, os.listdir(fd)))
    os.close(fd)


@section
def many_of_a_kind(t):
    """Limits of number and length that programs meet."""
    put("f")
    for k in range(40):
        os.setxattr("f", f"user.a{k}", b"")
    t.row("attributes with empty values", lambda: len(os.listxattr("f")))
    for k in range(40):
        os.removexattr("f", f"user.a{k}")
    t.row("and none", lambda: os.listxattr("f"))
    for n in (254, 255, 256):
        for how, fn in {"mkdir": os.mkdir, "create": lambda p: put(p, b""), "symlink": lambda p: os.symlink("t", p), "mkfifo": os.mkfifo, "link": lambda p: os.link("f", p)}.items():
            t.row(f"{how} of {n}", fn, "z" * n)
            t.row(f"{how} of {n} found", lambda: "z" * n in os.listdir("."))
            t.row(f"{how} of {n} gone", clear, "z" * n)
    deep = opened(".", os.O_RDONLY | os.O_DIRECTORY)
    top = os.getcwd()
    for k in range(40):  # beyond PATH_MAX
        os.mkdir("d" * 200, dir_fd=deep)
        below = os.open("d" * 200, os.O_RDONLY | os.O_DIRECTORY, dir_fd=deep)
        os.close(deep)
        deep = below
    fd = os.open("f", os.O_RDWR | os.O_CREAT, dir_fd=deep)
    t.row("below PATH_MAX", lambda: (os.write(fd, b"deep"), os.fsync(fd), os.stat("f", dir_fd=deep).st_size))
    os.close(fd)
    os.fchdir(deep)
    t.row("getcwd there", lambda: os.getcwd()[len(top):] == ("/" + "d" * 200) * 40)
    t.row("a relative path", lambda: get("f"))
    os.chdir(top)
    os.close(deep)
    subprocess.run(["rm", "-r", "d" * 200], check=True)
    t.row("removed", lambda: sorted(os.listdir(".")))
    t.row("mode of a symbolic link", lambda: (os.symlink("t", "sl"), st("sl"), check(libc.fchmodat(AT_FDCWD, b"sl", 0o600, 0x100))))
    t.row("dates", lambda: [(os.utime("f", ns=(n, n)), os.stat("f").st_mtime_ns == n, os.stat("f").st_atime_ns == n)[1:] for n in (0, 1, (1 << 31) * 10**9, (1 << 32) * 10**9 + 5, -10**9, 15 * 10**18 // 10 + 7)])
