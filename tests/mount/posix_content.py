"""Sections of the POSIX table about content: ranges, mappings, direct, asynchronous and vectored I/O, splices, advice, offsets (posix_table.py)."""
import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import socket
import time

from posix_rows import G1, KINDS, U1, check, clear, get, libc, put, st, user

SECTIONS = []
PAGE = 4096
KEEP, PUNCH, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 3, 8, 16, 32, 64
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.copy_file_range.restype = libc.splice.restype = libc.tee.restype = ctypes.c_ssize_t
SYS = {"preadv2": 327, "pwritev2": 328, "sync_file_range": 277, "statx": 332, "openat2": 437, "name_to_handle_at": 303, "open_by_handle_at": 304,
       "io_setup": 206, "io_destroy": 207, "io_getevents": 208, "io_submit": 209, "readahead": 187, "faccessat2": 439, "cachestat": 451}


def section(fn):
    SECTIONS.append((fn.__name__, fn))
    return fn


def syscall(name, *args):
    n = libc.syscall(ctypes.c_long(SYS[name]), *(a if not isinstance(a, int) else ctypes.c_long(a) for a in args))
    if n < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return n


class Mapped:
    """A shared mapping, also behind the end of a file, where mmap.mmap makes none."""

    def __init__(self, fd, n, offset=0):
        self.n = n
        self.at = libc.mmap(None, n, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, offset)
        if self.at in (None, ctypes.c_void_p(-1).value):
            check(-1)
        self.bytes = (ctypes.c_char * n).from_address(self.at)

    def __getitem__(self, k):
        return self.bytes.raw[k] if isinstance(k, slice) else self.bytes[k][0]

    def put(self, at, data):
        ctypes.memmove(self.at + at, data, len(data))

    def flush(self):
        check(libc.msync(ctypes.c_void_p(self.at), self.n, 4))

    def close(self):
        check(libc.munmap(ctypes.c_void_p(self.at), self.n))


def opened(path, flags=os.O_RDWR | os.O_CREAT, mode=0o644):
    return os.open(path, flags, mode)


def aligned(n, fill=b"x"):
    m = mmap.mmap(-1, max(n, PAGE))
    m[:n] = fill * n
    return memoryview(m)[:n]


def content(path):
    """What is there, short: runs of equal bytes."""
    with open(path, "rb") as f:
        data = f.read()
    runs = []
    at = 0
    while at < len(data) and len(runs) < 40:
        end = at + len(data[at:]) - len(data[at:].lstrip(data[at:at + 1]))
        runs.append(f"{data[at]:#x}*{end - at}")
        at = end
    return f"{len(data)}: " + " ".join(runs)


def fallocate(fd, mode, off, length):
    return check(libc.fallocate64(fd, mode, ctypes.c_long(off), ctypes.c_long(length)))


@section
def ranges(t):
    """fallocate's modes against places and sizes; what the mount refuses as a whole stands in ALLOWED."""
    spots = [(0, 1), (0, PAGE), (1, PAGE), (100, 50), (PAGE - 1, 2), (PAGE, PAGE), (0, 3 * PAGE), (5000, 20000), (3 * PAGE + 5, 10), (16 * PAGE, PAGE), (1 << 20, 1 << 16),
             (0, 0), (5, -1), (-1, 5), ((1 << 63) - 5, 10), (1 << 44, 1)]
    for mode in (0, KEEP, PUNCH, ZERO, ZERO | KEEP, 2, PUNCH | ZERO, COLLAPSE, INSERT, 128, COLLAPSE | KEEP):
        for size in (0, 3, 3 * PAGE + 7):
            for off, length in spots:
                put("p", b"d" * size)
                fd = opened("p")
                name = f"{mode} of {size} at {off} for {length}"
                t.row(name, fallocate, fd, mode, off, length)
                t.row(f"{name} then", lambda: content("p") if os.fstat(fd).st_size < 1 << 23 else os.fstat(fd).st_size)
                os.close(fd)
                os.unlink("p")
    for kind in ("dir", "fifo", "sock", "chr"):
        KINDS[kind]("p")
        fd = opened("p", os.O_RDONLY | os.O_NONBLOCK if kind in ("dir",) else os.O_PATH if kind == "sock" else os.O_RDWR | os.O_NONBLOCK)
        t.row(f"of a {kind}", fallocate, fd, 0, 0, 10)
        os.close(fd)
        clear("p")
    put("p", b"d" * 10000)
    fd = opened("p", os.O_RDONLY)
    t.row("by a reader", fallocate, fd, 0, 0, 10)
    os.close(fd)
    fd = opened("p", os.O_WRONLY | os.O_APPEND)
    t.row("by an appender", fallocate, fd, PUNCH, 0, PAGE)
    t.row("by an appender then", content, "p")
    os.close(fd)
    t.row("posix_fallocate", lambda: (os.posix_fallocate(opened("p"), 9000, 5000), os.stat("p").st_size)[1])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, hard))
    t.row("behind the limit of a process", lambda: fallocate(opened("p"), 0, 0, 20001))
    t.row("behind it, keeping the size", lambda: fallocate(opened("p"), KEEP, 0, 20001))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with user(U1, G1):
        t.row("mtime and ctime", lambda: range_times(0))
        t.row("of a punch", lambda: range_times(PUNCH))


def range_times(mode):
    put("q", b"d" * 10000)
    os.utime("q", (1, 1))
    fd = opened("q")
    a = os.fstat(fd)
    time.sleep(0.012)
    fallocate(fd, mode, 0, 20000)
    b = os.fstat(fd)
    os.close(fd)
    os.unlink("q")
    return a.st_mtime_ns != b.st_mtime_ns, a.st_ctime_ns != b.st_ctime_ns


@section
def mappings(t):
    """What a mapping shows and keeps behind the end, over truncation, and from other descriptors."""
    for size in (1, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 9):
        put("p", b"m" * size)
        fd = opened("p")
        room = -(-size // PAGE) * PAGE
        m = Mapped(fd, room)
        t.row(f"{size} behind the end", lambda: not any(m[size:room]))
        if room > size:
            m.put(size, b"!" * (room - size))
        m.put(0, b"A")
        m.flush()
        t.row(f"{size} size", lambda: os.fstat(fd).st_size)
        os.ftruncate(fd, room + 5)
        t.row(f"{size} grown", content, "p")
        os.ftruncate(fd, size // 2)
        os.ftruncate(fd, room)
        t.row(f"{size} cut and grown", content, "p")
        t.row(f"{size} in the mapping", lambda: m[:] == get("p")[:room])
        os.pwrite(fd, b"w" * 5, 0)
        t.row(f"{size} write seen", lambda: m[:5])
        m.put(2, b"B")
        t.row(f"{size} store seen", os.pread, fd, 5, 0)
        d = opened("p", os.O_RDWR | os.O_DIRECT)
        m.flush()
        t.row(f"{size} by a direct read", lambda: bytes(read_direct(d, PAGE, 0)[:5]))
        os.pwrite(d, aligned(PAGE, b"D"), 0)
        t.row(f"{size} direct write seen", lambda: (m[:5], os.pread(fd, 5, 0)))
        os.unlink("p")
        t.row(f"{size} of a removed file", lambda: (m.flush(), m[:5])[1])
        m.close()
        os.close(fd)
        os.close(d)
    put("p", b"m" * PAGE * 2)
    fd = opened("p")
    private = mmap.mmap(fd, PAGE * 2, mmap.MAP_PRIVATE)
    private[0] = 0x50
    t.row("a private mapping", lambda: (get("p")[:2], bytes(private[:2])))
    t.row("SIGBUS behind the end", lambda: dies_of(lambda: (os.ftruncate(fd, 10), private[PAGE + 1])))
    t.row("zeros of the last page", lambda: not any(Mapped(fd, PAGE)[10:]))
    for off in (0, 1, PAGE, 1 << 40):
        t.row(f"map at {off}", lambda: Mapped(fd, PAGE, off).close())
    w = opened("p", os.O_WRONLY)
    t.row("map of a writer", lambda: Mapped(w, PAGE).close())
    t.row("times of a store", store_times, fd)
    os.close(w)
    os.close(fd)


def store_times(fd):
    os.ftruncate(fd, PAGE)
    os.utime(fd, (1, 1))
    m = mmap.mmap(fd, PAGE)
    m[0] = 1
    m.flush()
    s = os.fstat(fd)
    return s.st_mtime_ns != 10**9


def dies_of(fn):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            fn()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else "lives"


def read_direct(fd, n, off):
    b = aligned(n, b"\0")
    got = os.preadv(fd, [b], off)
    return bytes(b[:got])


@section
def direct_io(t):
    """O_DIRECT at ends of files, and mixed with buffered I/O. (Unaligned requests ext4 refuses and a mount serves: ALLOWED.)"""
    for size in (0, 1, 511, 512, PAGE - 1, PAGE, PAGE + 1, 10000):
        put("p", b"d" * size)
        fd = opened("p", os.O_RDWR | os.O_DIRECT)
        for off in (0, PAGE, 2 * PAGE, 8 * PAGE):
            for n in (PAGE, 4 * PAGE):
                t.row(f"read {n} at {off} of {size}", lambda: (lambda d: f"{len(d)} {d[:1]} {d[-1:]}")(read_direct(fd, n, off)))
        t.row(f"write at the end of {size}", lambda: os.pwrite(fd, aligned(PAGE, b"W"), -(-size // PAGE) * PAGE))
        t.row(f"write at the end of {size} then", content, "p")
        t.row(f"write far behind {size}", lambda: (os.pwrite(fd, aligned(2 * PAGE, b"F"), 20 * PAGE), content("p")))
        b = opened("p")
        os.pwrite(b, b"buffered", 3)
        t.row(f"buffered then direct of {size}", lambda: read_direct(fd, PAGE, 0)[:12])
        os.pwrite(fd, aligned(PAGE, b"N"), 0)
        t.row(f"direct then buffered of {size}", os.pread, b, 12, 0)
        os.close(b)
        os.close(fd)
        os.unlink("p")
    put("p", b"d" * 10000)
    fd = opened("p", os.O_RDWR | os.O_DIRECT)
    for name, fn in {"unaligned offset": lambda: len(os.pread(fd, PAGE, 1)), "unaligned length": lambda: os.preadv(fd, [aligned(PAGE)[:100]], 0), "unaligned memory": lambda: os.preadv(fd, [aligned(2 * PAGE)[1:PAGE + 1]], 0),
                     "unaligned write": lambda: os.pwrite(fd, aligned(PAGE)[:100], 0)}.items():
        t.row(name, fn)
    os.close(fd)
    fd = opened("a", os.O_WRONLY | os.O_CREAT | os.O_DIRECT | os.O_APPEND)
    for _ in range(3):
        os.write(fd, aligned(PAGE, b"A"))
    t.row("direct append", content, "a")
    os.close(fd)
    fd = opened("p", os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT)
    t.row("made direct later", lambda: (oct(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT), len(read_direct(fd, PAGE, 0))))
    os.close(fd)


class Iocb(ctypes.Structure):
    _fields_ = [("data", ctypes.c_uint64), ("key", ctypes.c_uint32), ("rw_flags", ctypes.c_int), ("opcode", ctypes.c_uint16), ("reqprio", ctypes.c_int16), ("fd", ctypes.c_uint32),
                ("buf", ctypes.c_uint64), ("nbytes", ctypes.c_uint64), ("offset", ctypes.c_int64), ("reserved", ctypes.c_uint64), ("flags", ctypes.c_uint32), ("resfd", ctypes.c_uint32)]


def aio(requests):
    """(opcode, fd, buffer, offset)...: their results in order."""
    ctx = ctypes.c_ulong(0)
    syscall("io_setup", 32, ctypes.byref(ctx))
    cbs = []
    for k, (op, fd, buf, off) in enumerate(requests):
        at = ctypes.addressof(ctypes.c_char.from_buffer(buf)) if buf is not None else 0
        cbs.append(Iocb(data=k, opcode=op, fd=fd, buf=at, nbytes=len(buf) if buf is not None else 0, offset=off))
    results = {}
    for k, cb in enumerate(cbs):
        try:
            syscall("io_submit", ctypes.c_long(ctx.value), 1, (ctypes.c_void_p * 1)(ctypes.addressof(cb)))
        except OSError as e:
            results[k] = errno.errorcode[e.errno]
    events = (ctypes.c_int64 * (4 * 32))()
    want = len(cbs) - len(results)
    while want > 0:
        n = syscall("io_getevents", ctypes.c_long(ctx.value), 1, 32, events, ctypes.c_void_p(None))
        for j in range(n):
            res = events[4 * j + 2]
            results[events[4 * j]] = res if res >= 0 else errno.errorcode[-res]
        want -= n
    syscall("io_destroy", ctypes.c_long(ctx.value))
    return [results[k] for k in sorted(results)]


@section
def asynchronous(t):
    fd = opened("p")
    d = opened("p", os.O_RDWR | os.O_DIRECT)
    page = lambda c: aligned(PAGE, c)  # noqa: E731
    t.row("writes", lambda: aio([(1, d, page(bytes([65 + k])), k * PAGE) for k in range(8)]))
    t.row("writes then", content, "p")
    t.row("reads over the end", lambda: aio([(0, d, page(b"-"), k * PAGE) for k in range(6, 10)]))
    t.row("fsync and fdsync", lambda: aio([(2, fd, None, 0), (3, fd, None, 0)]))
    t.row("behind the end", lambda: (aio([(1, d, page(b"z"), 40 * PAGE)]), os.fstat(fd).st_size))
    t.row("of a bad offset", lambda: aio([(0, d, page(b"-"), -PAGE)]))
    t.row("of a bad descriptor", lambda: aio([(0, 999, page(b"-"), 0)]))
    r = opened("p", os.O_RDONLY)
    t.row("by a reader", lambda: aio([(1, r, page(b"-"), 0)]))
    for x in (fd, d, r):
        os.close(x)


@section
def vectors(t):
    put("p", b"0123456789")
    fd = opened("p")

    def v2(name, data, off, flags):
        buf = ctypes.create_string_buffer(data, len(data))
        iov = (ctypes.c_uint64 * 2)(ctypes.addressof(buf), len(data))
        n = syscall(name, fd, iov, 1, off, 0, flags)
        return n, buf.raw

    t.row("readv", lambda: (lambda b: (os.preadv(fd, b, 2), [bytes(x) for x in b]))([bytearray(3), bytearray(0), bytearray(9)]))
    t.row("writev", lambda: (os.pwritev(fd, [b"ab", b"", b"cde"], 8), get("p")))
    t.row("of none", lambda: (os.preadv(fd, [], 0), os.pwritev(fd, [], 0)))
    t.row("of too many", lambda: os.preadv(fd, [bytearray(1)] * 1025, 0))
    for name, flag in {"DSYNC": 2, "SYNC": 4, "APPEND": 16, "HIPRI": 1, "unknown": 1 << 20}.items():
        t.row(f"write {name}", lambda: v2("pwritev2", b"FLAG", 1, flag)[0])
        t.row(f"write {name} then", get, "p")
    t.row("read without waiting", lambda: v2("preadv2", b"....", 0, 8)[1] in (b"....", get("p")[:4]))
    t.row("at the own offset", lambda: (os.lseek(fd, 3, 0), v2("pwritev2", b"!", -1, 0)[0], os.lseek(fd, 0, 1), get("p")))
    os.close(fd)
    for flags in ("O_SYNC", "O_DSYNC"):
        fd = opened("s", os.O_RDWR | os.O_CREAT | getattr(os, flags))
        t.row(flags, lambda: (os.write(fd, b"x" * 5000), os.pwrite(fd, b"y", 20000), os.fstat(fd).st_size))
        os.close(fd)
        os.unlink("s")
    fd = opened("a", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    fd2 = opened("a", os.O_RDWR | os.O_APPEND)
    for k in range(6):
        os.write((fd, fd2)[k % 2], bytes([97 + k]) * 1000)
    t.row("two appenders", content, "a")
    t.row("offset behind an append", lambda: (os.lseek(fd, 0, 1), os.lseek(fd2, 0, 1)))
    os.close(fd)
    os.close(fd2)


@section
def between_descriptors(t):
    """sendfile, splice, tee, copy_file_range: also onto itself and over the end."""
    put("p", bytes(range(256)) * 40)
    src, dst = opened("p"), opened("q")
    t.row("sendfile", lambda: (os.sendfile(dst, src, 5, 9000), os.fstat(dst).st_size, get("q") == get("p")[5:9005]))
    t.row("sendfile over the end", lambda: os.sendfile(dst, src, 10000, 9000))
    t.row("sendfile behind the end", lambda: os.sendfile(dst, src, 20000, 10))
    a, b = socket.socketpair()
    t.row("sendfile to a socket", lambda: (os.sendfile(a.fileno(), src, 100, 50), b.recv(100) == get("p")[100:150]))
    r, w = os.pipe()

    def splice(i, io, o, oo, n, flags=0):
        x, y = ctypes.c_long(io or 0), ctypes.c_long(oo or 0)
        return check(libc.splice(i, None if io is None else ctypes.byref(x), o, None if oo is None else ctypes.byref(y), ctypes.c_size_t(n), flags))

    t.row("splice from a file", lambda: (splice(src, 10, w, None, 3000), os.read(r, 5000) == get("p")[10:3010]))
    t.row("splice to a file", lambda: (os.write(w, b"piped" * 100), splice(r, None, dst, 100, 500), get("q")[100:110]))
    t.row("splice to an appender", lambda: (os.write(w, b"x"), splice(r, None, opened("q", os.O_WRONLY | os.O_APPEND), None, 1)))
    os.set_blocking(r, False)
    t.row("what is left in the pipe", lambda: os.read(r, 10))
    t.row("splice behind the end", lambda: splice(src, 1 << 30, w, None, 10))
    t.row("splice between files", lambda: splice(src, 0, dst, 0, 10))

    def copy(i, io, o, oo, n, flags=0):
        x, y = ctypes.c_long(io), ctypes.c_long(oo)
        return check(libc.copy_file_range(i, ctypes.byref(x), o, ctypes.byref(y), ctypes.c_size_t(n), flags))

    os.ftruncate(dst, 0)
    t.row("copy all", lambda: (copy(src, 0, dst, 0, 10240), get("q") == get("p")))
    t.row("copy over the end", lambda: copy(src, 10000, dst, 0, 9000))
    t.row("copy behind the end", lambda: copy(src, 10240, dst, 0, 9000))
    t.row("copy to far", lambda: (copy(src, 0, dst, 100000, 10), os.fstat(dst).st_size, content("q")[-30:]))
    t.row("copy of nothing", lambda: copy(src, 0, dst, 0, 0))
    t.row("copy overlapping", lambda: copy(src, 0, src, 100, 200))
    t.row("copy within", lambda: (copy(src, 0, src, 5000, 200), get("p")[5000:5010]))
    t.row("copy with flags", lambda: copy(src, 0, dst, 0, 10, 1))
    t.row("copy to a reader", lambda: copy(src, 0, opened("q", os.O_RDONLY), 0, 10))
    t.row("copy from a writer", lambda: copy(opened("p", os.O_WRONLY), 0, dst, 0, 10))
    t.row("copy to an appender", lambda: copy(src, 0, opened("q", os.O_WRONLY | os.O_APPEND), 0, 10))
    os.mkdir("d")
    t.row("copy from a directory", lambda: copy(opened("d", os.O_RDONLY), 0, dst, 0, 10))
    t.row("copy from a pipe", lambda: copy(r, 0, dst, 0, 10))
    t.row("copy at an overflowing place", lambda: copy(src, 0, dst, (1 << 63) - 5, 10))
    t.row("copy of setuid", lambda: (os.chmod("q", 0o6777), copy(src, 0, dst, 0, 10), st("q"))[2])
    with user(U1, G1):
        put("u", b"u" * 100)
        t.row("copy by a user", lambda: (os.chmod("u", 0o6777), copy(src, 0, opened("u"), 0, 10), st("u"))[2])
    for x in (src, dst, r, w):
        os.close(x)
    a.close()
    b.close()


@section
def advice(t):
    put("p", b"a" * 20000)
    fd = opened("p")
    for k in range(7):
        t.row(f"fadvise {k}", lambda: check(libc.posix_fadvise(fd, ctypes.c_long(0), ctypes.c_long(0), k)))
    t.row("readahead", lambda: syscall("readahead", fd, 0, 20000))
    for flags in (0, 1, 2, 4, 7, 8):
        t.row(f"sync_file_range {flags}", lambda: syscall("sync_file_range", fd, 0, 20000, flags))
    libc.syncfs(fd)  # may tell what a file of another section could not write
    t.row("syncfs", lambda: check(libc.syncfs(fd)))
    t.row("fsync of a reader", lambda: os.fsync(opened("p", os.O_RDONLY)))
    t.row("fdatasync", os.fdatasync, fd)
    m = mmap.mmap(fd, 20000)
    for k in (0, 1, 2, 3, 4, 8, 9, 14, 15, 16):
        t.row(f"madvise {k}", lambda: m.madvise(k))
    t.row("after DONTNEED", lambda: bytes(m[:4]))
    t.row("mlock", lambda: check(libc.mlock(ctypes.byref(ctypes.c_char.from_buffer(m)), ctypes.c_size_t(8192))))
    os.close(fd)


@section
def whence(t):
    """lseek at and behind ends; holes themselves are the mount's own business with older kernels (39-ranges.sh)."""
    for size in (0, 1, PAGE, 10000):
        put("p", b"s" * size)
        fd = opened("p")
        for w in range(6):
            for off in (-1, 0, 1, size - 1, size, size + 1, 1 << 40, (1 << 63) - 1):
                t.row(f"{size} whence {w} by {off}", lambda: (os.lseek(fd, 0, 0), os.lseek(fd, off, w))[1])
        os.close(fd)
    for kind in ("dir", "fifo", "chr"):
        KINDS[kind]("k")
        fd = opened("k", os.O_RDONLY | os.O_NONBLOCK)
        for w in (0, 1, 3, 4):
            t.row(f"{kind} whence {w}", os.lseek, fd, 0, w)
        os.close(fd)
        clear("k")
