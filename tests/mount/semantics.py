#!/usr/bin/python3
"""What a program may expect of a directory: run below a mount, or below a plain directory to test the test.

Usage: semantics.py DIR [--remount COMMAND]. Each test gets its own empty directory. With COMMAND (which unmounts and mounts again) what must
outlive a mount is looked at afterwards. Exit 0: all passed."""
import ctypes
import errno
import mmap
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
TESTS, AFTER = [], []


def test(fn):
    TESTS.append(fn)
    return fn


def after_remount(fn):
    AFTER.append(fn)
    return fn


def raises(number, fn, *args, **kw):
    try:
        fn(*args, **kw)
    except OSError as e:
        assert e.errno == number, f"{errno.errorcode[e.errno]} instead of {errno.errorcode[number]}"
        return
    raise AssertionError(f"no {errno.errorcode[number]}")


def renameat2(a, b, flags):
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), flags) != 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def put(path, data=b"x", mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    assert os.write(fd, data) == len(data)
    os.close(fd)


def get(path):
    with open(path, "rb") as f:
        return f.read()


@test
def files_read_as_written(d):
    for n in (0, 1, 511, 4095, 4096, 4097, 524287, 524288, 524289, 3 * 1024 * 1024 + 17):
        data = os.urandom(n)
        put(f"{d}/f{n}", data)
        assert get(f"{d}/f{n}") == data
        assert os.stat(f"{d}/f{n}").st_size == n


@test
def truncate_cuts_and_extends_with_zeros(d):
    p = f"{d}/f"
    put(p, b"a" * 10000)
    os.truncate(p, 5000)
    os.truncate(p, 9000)
    assert get(p) == b"a" * 5000 + b"\0" * 4000
    os.truncate(p, 0)
    os.truncate(p, 700000)
    assert get(p) == b"\0" * 700000
    raises(errno.EFBIG, os.truncate, p, 1 << 62)


@test
def holes_read_as_zeros(d):
    p = f"{d}/f"
    fd = os.open(p, os.O_RDWR | os.O_CREAT, 0o600)
    for off in (3 << 20, 40 << 20, 1 << 30):
        os.pwrite(fd, b"end", off)
    os.fsync(fd)
    assert os.fstat(fd).st_size == (1 << 30) + 3
    assert os.pread(fd, 3, 40 << 20) == b"end"
    assert os.pread(fd, 100, 20 << 20) == b"\0" * 100
    assert os.pread(fd, 10, 1 << 30) == b"end"
    os.close(fd)
    assert os.stat(p).st_blocks * 512 < 8 << 20


@test
def append_goes_to_the_end_from_two_descriptors(d):
    p = f"{d}/log"
    a = os.open(p, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    b = os.open(p, os.O_WRONLY | os.O_APPEND)
    for k in range(300):
        os.write(a if k % 2 else b, b"%04d\n" % k)
        if k % 50 == 0:
            os.fsync(a)
    os.close(a)
    os.close(b)
    assert get(p) == b"".join(b"%04d\n" % k for k in range(300))


@test
def append_from_threads_loses_nothing(d):
    p = f"{d}/log"

    def run(n):
        fd = os.open(p, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for k in range(200):
            os.write(fd, b"%d-%04d\n" % (n, k))
        os.close(fd)

    ts = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    assert sorted(get(p).split()) == sorted(b"%d-%04d" % (n, k) for n in range(4) for k in range(200))


@test
def direct_io_and_buffered_io_agree(d):
    p = f"{d}/f"
    buf = mmap.mmap(-1, 1 << 20)
    data = os.urandom(1 << 20)
    buf.write(data)
    fd = os.open(p, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
    assert os.pwrite(fd, memoryview(buf), 0) == 1 << 20
    assert os.pwrite(fd, memoryview(buf)[:8192], 4 << 20) == 8192
    assert get(p)[:1 << 20] == data and get(p)[4 << 20:] == data[:8192]
    with open(p, "r+b") as f:
        f.seek(4096)
        f.write(b"B" * 4096)
    assert os.preadv(fd, [buf], 0) == 1 << 20
    assert buf[4096:8192] == b"B" * 4096 and buf[:4096] == data[:4096]
    os.close(fd)


@test
def shared_and_private_mappings(d):
    p = f"{d}/f"
    put(p, b"a" * 20000)
    fd = os.open(p, os.O_RDWR)
    with mmap.mmap(fd, 20000) as m, mmap.mmap(fd, 20000, flags=mmap.MAP_PRIVATE) as q:
        m[5000:5005] = b"SHARE"
        q[6000:6007] = b"PRIVATE"
        assert os.pread(fd, 5, 5000) == b"SHARE"
        assert os.pread(fd, 7, 6000) == b"a" * 7
        m.flush()
        os.pwrite(fd, b"WRITE", 9000)
        assert m[9000:9005] == b"WRITE"
    os.fsync(fd)
    os.close(fd)
    assert get(p)[5000:5005] == b"SHARE"


@test
def the_last_page_of_a_mapping_ends_in_zeros(d):
    p = f"{d}/f"
    put(p, b"a" * 100)
    fd = os.open(p, os.O_RDWR)
    with mmap.mmap(fd, 4096 if os.fstat(fd).st_size >= 4096 else 0) as m:
        assert m[:100] == b"a" * 100
    os.truncate(p, 50)
    os.truncate(p, 100)
    assert get(p) == b"a" * 50 + b"\0" * 50
    os.close(fd)


@test
def unlinked_files_live_until_closed(d):
    p = f"{d}/f"
    fd = os.open(p, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"before")
    os.unlink(p)
    raises(errno.ENOENT, os.stat, p)
    os.write(fd, b" after" * 100000)
    os.fsync(fd)
    os.ftruncate(fd, 300000)
    assert os.pread(fd, 12, 0) == b"before after"
    assert os.fstat(fd).st_nlink == 0 and os.fstat(fd).st_size == 300000
    os.fchmod(fd, 0o640)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o640
    os.close(fd)
    put(p, b"new")
    fd = os.open(p, os.O_RDONLY)
    os.unlink(p)
    assert os.read(fd, 10) == b"new"
    os.close(fd)


@test
def replaced_files_live_until_closed(d):
    put(f"{d}/a", b"old")
    put(f"{d}/b", b"new")
    fd = os.open(f"{d}/a", os.O_RDWR)
    os.rename(f"{d}/b", f"{d}/a")
    assert os.read(fd, 10) == b"old" and get(f"{d}/a") == b"new"
    os.pwrite(fd, b"OLDER", 0)
    os.fsync(fd)
    assert os.pread(fd, 10, 0) == b"OLDER" and get(f"{d}/a") == b"new"
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)
    raises(errno.ENOENT, os.stat, f"{d}/b")


@test
def hard_links_share_one_inode(d):
    put(f"{d}/a", b"one")
    os.mkdir(f"{d}/sub")
    os.link(f"{d}/a", f"{d}/sub/b")
    assert os.stat(f"{d}/a").st_ino == os.stat(f"{d}/sub/b").st_ino and os.stat(f"{d}/a").st_nlink == 2
    with open(f"{d}/sub/b", "ab") as f:
        f.write(b" two")
    assert get(f"{d}/a") == b"one two"
    os.unlink(f"{d}/a")
    assert get(f"{d}/sub/b") == b"one two" and os.stat(f"{d}/sub/b").st_nlink == 1
    os.link(f"{d}/sub/b", f"{d}/c")
    os.rename(f"{d}/sub/b", f"{d}/c")  # two names of one inode: nothing happens
    assert os.path.exists(f"{d}/sub/b") and os.path.exists(f"{d}/c")
    fd = os.open(f"{d}/c", os.O_RDWR)
    os.unlink(f"{d}/c")
    os.write(fd, b"ONE")
    os.fsync(fd)
    assert get(f"{d}/sub/b") == b"ONE two"
    os.close(fd)
    raises(errno.EEXIST, os.link, f"{d}/sub/b", f"{d}/sub/b")
    raises(errno.EPERM, os.link, f"{d}/sub", f"{d}/subdir")


@test
def symbolic_links(d):
    for n in (1, 31, 32, 33, 255, 1000, 3000):
        os.symlink("t" * n, f"{d}/l{n}")
        assert os.readlink(f"{d}/l{n}") == "t" * n and os.lstat(f"{d}/l{n}").st_size == n
    raises(errno.ENAMETOOLONG, os.symlink, "t" * 3001, f"{d}/long")
    raises(errno.ENOENT, os.lstat, f"{d}/long")
    put(f"{d}/f", b"target")
    os.symlink("f", f"{d}/s")
    assert get(f"{d}/s") == b"target"
    raises(errno.EEXIST, os.symlink, "f", f"{d}/s")
    os.utime(f"{d}/s", ns=(10**18, 10**18 + 5), follow_symlinks=False)
    assert os.lstat(f"{d}/s").st_mtime_ns == 10**18 + 5
    os.chown(f"{d}/s", 1234, 1235, follow_symlinks=False)
    assert os.lstat(f"{d}/s").st_uid == 1234


@test
def fifos_and_sockets(d):
    os.mkfifo(f"{d}/p", 0o604)
    assert stat.S_ISFIFO(os.stat(f"{d}/p").st_mode) and stat.S_IMODE(os.stat(f"{d}/p").st_mode) == 0o604
    r = os.open(f"{d}/p", os.O_RDONLY | os.O_NONBLOCK)
    w = os.open(f"{d}/p", os.O_WRONLY)
    os.write(w, b"hello")
    assert os.read(r, 10) == b"hello"
    os.close(r)
    os.close(w)
    os.chmod(f"{d}/p", 0o600)
    os.utime(f"{d}/p", ns=(5, 7))
    assert stat.S_IMODE(os.stat(f"{d}/p").st_mode) == 0o600 and os.stat(f"{d}/p").st_mtime_ns == 7
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(d)
        s.bind("sock")
        os.chdir(here)
    assert stat.S_ISSOCK(os.stat(f"{d}/sock").st_mode)
    os.chmod(f"{d}/sock", 0o600)
    os.unlink(f"{d}/sock")
    os.unlink(f"{d}/p")


@test
def names_of_every_length(d):
    for n in range(1, 256):
        put(f"{d}/" + chr(97 + n % 26) * n, b"%d" % n)
    assert sorted(os.listdir(d)) == sorted(chr(97 + n % 26) * n for n in range(1, 256))
    for n in range(1, 256):
        assert get(f"{d}/" + chr(97 + n % 26) * n) == b"%d" % n
    raises(errno.ENAMETOOLONG, put, f"{d}/" + "n" * 256)
    raises(errno.ENAMETOOLONG, os.stat, f"{d}/" + "n" * 256)
    raises(errno.EEXIST, os.mkdir, f"{d}/" + chr(97 + 255 % 26) * 255)
    raises(errno.ENOENT, os.unlink, f"{d}/" + "?" * 255)
    for n in range(1, 256):
        os.unlink(f"{d}/" + chr(97 + n % 26) * n)
    assert os.listdir(d) == []


@test
def names_of_any_bytes(d):
    db = os.fsencode(d)
    names = [b"coffer.volume", b"coffer.dir", b"coffer.long.x", b"...", b".hidden", b"\xff\xfe", b"a\nb", b" ", "ä€".encode(), b"x" * 255]
    for n in names:
        put(os.path.join(db, n), n)
    assert sorted(os.listdir(db)) == sorted(names)
    for n in names:
        assert get(os.path.join(db, n)) == n


@test
def rename_between_short_and_long_names(d):
    long1, long2 = "l" * 255, "m" * 200
    os.mkdir(f"{d}/x")
    put(f"{d}/a", b"data")
    for src, dst in (("a", long1), (long1, f"x/{long1}"), (f"x/{long1}", long2), (long2, f"x/{long2}"), (f"x/{long2}", "b")):
        os.rename(f"{d}/{src}", f"{d}/{dst}")
        assert get(f"{d}/{dst}") == b"data"
        raises(errno.ENOENT, os.stat, f"{d}/{src}")
    put(f"{d}/{long1}", b"one")
    put(f"{d}/{long2}", b"two")
    os.rename(f"{d}/{long1}", f"{d}/{long2}")
    assert get(f"{d}/{long2}") == b"one" and sorted(os.listdir(d)) == sorted(["x", "b", long2])
    os.rmdir(f"{d}/x")


@test
def rename_flags(d):
    put(f"{d}/a", b"A")
    put(f"{d}/b", b"B")
    raises(errno.EEXIST, renameat2, f"{d}/a", f"{d}/b", RENAME_NOREPLACE)
    renameat2(f"{d}/a", f"{d}/c", RENAME_NOREPLACE)
    renameat2(f"{d}/c", f"{d}/b", RENAME_EXCHANGE)
    assert get(f"{d}/b") == b"A" and get(f"{d}/c") == b"B"
    raises(errno.ENOENT, renameat2, f"{d}/b", f"{d}/none", RENAME_EXCHANGE)
    os.mkdir(f"{d}/dir")
    put(f"{d}/dir/in", b"in")
    long = "L" * 255
    os.rename(f"{d}/c", f"{d}/{long}")
    renameat2(f"{d}/dir", f"{d}/{long}", RENAME_EXCHANGE)
    assert get(f"{d}/dir") == b"B" and get(f"{d}/{long}/in") == b"in"
    fd = os.open(f"{d}/b", os.O_RDWR)
    renameat2(f"{d}/b", f"{d}/{long}/in", RENAME_EXCHANGE)
    os.write(fd, b"still A")
    os.close(fd)
    assert get(f"{d}/{long}/in") == b"still A" and get(f"{d}/b") == b"in"


@test
def rename_of_directories(d):
    os.makedirs(f"{d}/a/b/c")
    put(f"{d}/a/b/c/f", b"deep")
    os.mkdir(f"{d}/empty")
    os.mkdir(f"{d}/full")
    put(f"{d}/full/f")
    raises(errno.ENOTEMPTY, os.rename, f"{d}/a", f"{d}/full")
    os.unlink(f"{d}/full/f")
    os.rename(f"{d}/a", f"{d}/full")  # it has had an entry: below it is not empty
    assert get(f"{d}/full/b/c/f") == b"deep"
    os.rename(f"{d}/full/b", f"{d}/empty")
    assert get(f"{d}/empty/c/f") == b"deep"
    raises(errno.EINVAL, os.rename, f"{d}/empty", f"{d}/empty/c/x")
    put(f"{d}/file")
    raises(errno.ENOTDIR, os.rename, f"{d}/empty", f"{d}/file")
    raises(errno.EISDIR, os.rename, f"{d}/file", f"{d}/empty")
    os.mkdir(f"{d}/kept")
    put(f"{d}/kept/f", b"kept")
    raises(errno.ENOTEMPTY, os.rename, f"{d}/empty", f"{d}/kept")
    assert get(f"{d}/kept/f") == b"kept" and os.listdir(f"{d}/kept") == ["f"]


@test
def mkdir_and_rmdir(d):
    os.mkdir(f"{d}/a", 0o750)
    assert stat.S_IMODE(os.stat(f"{d}/a").st_mode) == 0o750 and os.stat(f"{d}").st_nlink >= 3
    raises(errno.EEXIST, os.mkdir, f"{d}/a")
    put(f"{d}/a/f")
    raises(errno.ENOTEMPTY, os.rmdir, f"{d}/a")
    raises(errno.EISDIR, os.unlink, f"{d}/a")
    raises(errno.ENOTDIR, os.rmdir, f"{d}/a/f")
    os.unlink(f"{d}/a/f")
    put(f"{d}/a/g")
    assert os.listdir(f"{d}/a") == ["g"]
    os.unlink(f"{d}/a/g")
    os.rmdir(f"{d}/a")
    raises(errno.ENOENT, os.rmdir, f"{d}/a")
    os.mkdir(f"{d}/w")
    fd = os.open(f"{d}/w", os.O_RDONLY)
    put(f"{d}/w/f")
    os.unlink(f"{d}/w/f")
    os.rmdir(f"{d}/w")
    assert os.listdir(fd) == [] and os.fstat(fd).st_nlink == 0
    os.close(fd)


@test
def listings_have_stable_offsets(d):
    names = {f"file{k}" for k in range(3000)}
    for n in names:
        put(f"{d}/{n}", b"")
    seen = []
    with os.scandir(d) as it:
        for k, e in enumerate(it):
            seen.append(e.name)
            if k % 7 == 0:
                os.unlink(f"{d}/{e.name}")
            if k == 1000:
                for j in range(200):
                    put(f"{d}/new{j}", b"")
    assert len(seen) == len(set(seen)) and names <= set(seen)
    for e in os.scandir(d):
        assert e.is_file(follow_symlinks=False) and e.inode() == os.stat(e.path).st_ino


@test
def modes_owners_and_times(d):
    p = f"{d}/f"
    os.umask(0o027)
    fd = os.open(p, os.O_RDWR | os.O_CREAT, 0o666)
    os.umask(0o022)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o640
    os.fchmod(fd, 0o4711)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o4711
    os.write(fd, b"x")
    os.utime(p, ns=(123456789123456789, 987654321987654321))
    s = os.stat(p)
    assert (s.st_atime_ns, s.st_mtime_ns) == (123456789123456789, 987654321987654321)
    os.write(fd, b"y")
    os.fsync(fd)
    assert os.stat(p).st_mtime_ns > 1600000000 * 10**9
    os.utime(p, ns=(1, 2))
    os.close(fd)
    assert os.stat(p).st_mtime_ns == 2
    os.chown(p, 1001, 1002)
    s = os.stat(p)
    assert (s.st_uid, s.st_gid) == (1001, 1002) and stat.S_IMODE(s.st_mode) == 0o711
    os.mkdir(f"{d}/dir")
    os.utime(f"{d}/dir", ns=(5, 6))
    assert os.stat(f"{d}/dir").st_mtime_ns == 6
    os.chmod(f"{d}/dir", 0o700)
    os.chown(f"{d}/dir", 7, 8)
    s = os.stat(f"{d}/dir")
    assert (stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid) == (0o700, 7, 8)


@test
def new_entries_belong_to_the_caller(d):
    if os.geteuid() != 0:
        return
    os.chmod(d, 0o777)
    os.mkdir(f"{d}/sg")
    os.chown(f"{d}/sg", 0, 4321)
    os.chmod(f"{d}/sg", 0o2777)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.chdir(d)  # what lies above need not be open to others
            os.setgroups([])
            os.setgid(2000)
            os.setuid(1000)
            for sub, gid in (("", 2000), ("sg/", 4321)):
                put(f"{sub}f")
                os.mkdir(f"{sub}d")
                os.symlink("x", f"{sub}l")
                os.mkfifo(f"{sub}p")
                for n in "fdlp":
                    s = os.lstat(f"{sub}{n}")
                    assert (s.st_uid, s.st_gid) == (1000, gid), (sub, n, s.st_uid, s.st_gid)
            assert os.stat("sg/d").st_mode & stat.S_ISGID
            os.mkdir("private", 0o700)
            put("ro", b"x", 0o400)
            raises(errno.EACCES, os.open, "ro", os.O_RDWR)
            raises(errno.EPERM, os.chown, "f", 0, 0)
            code = 0
        except BaseException as e:  # the parent tells
            print(repr(e))
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@test
def fsync_of_files_and_directories(d):
    os.makedirs(f"{d}/a/b")
    fd = os.open(f"{d}/a/b/f", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"z" * 100)
    os.fdatasync(fd)
    os.fsync(fd)
    os.close(fd)
    for p in (d, f"{d}/a", f"{d}/a/b"):
        fd = os.open(p, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    s = os.statvfs(d)
    assert s.f_namemax == 255 and s.f_blocks > 0


@test
def what_is_not_supported_says_so(d):
    put(f"{d}/f")
    for fn in (lambda: os.getxattr(f"{d}/f", "user.x"),):
        try:
            fn()
        except OSError as e:
            assert e.errno in (errno.ENOTSUP, errno.ENODATA), e
    if os.geteuid() == 0 and os.stat(d).st_dev != os.stat("/").st_dev:
        raises(errno.EPERM, os.mknod, f"{d}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        raises(errno.ENOENT, os.stat, f"{d}/null")


@test
def many_open_files(d):
    fds = [os.open(f"{d}/f{k}", os.O_RDWR | os.O_CREAT, 0o600) for k in range(1500)]
    for k, fd in enumerate(fds):
        os.pwrite(fd, b"%d" % k, 0)
    for k, fd in enumerate(fds):
        os.unlink(f"{d}/f{k}")
    for k, fd in enumerate(fds):
        os.fsync(fd)
        assert os.pread(fd, 10, 0) == b"%d" % k
        os.close(fd)


@after_remount
def contents_names_and_times_outlive_a_mount(d, second):
    long = "n" * 255
    if not second:
        os.makedirs(f"{d}/a/{long}")
        put(f"{d}/a/{long}/f", b"content" * 100000)
        put(f"{d}/{long}", b"long")
        os.utime(f"{d}/{long}", ns=(11, 12))
        fd = os.open(f"{d}/t", os.O_RDWR | os.O_CREAT, 0o600)
        os.write(fd, b"a" * 5000)
        os.utime(fd, ns=(10**18, 10**18 + 1))
        os.fsync(fd)
        os.close(fd)
        put(f"{d}/w", b"w" * 5000)
        with open(f"{d}/w.stat", "w") as f:
            f.write(str(os.stat(f"{d}/w").st_mtime_ns))
        os.symlink("a/b/c", f"{d}/s")
        os.link(f"{d}/t", f"{d}/a/t2")
        os.chmod(f"{d}/t", 0o604)
        return
    assert get(f"{d}/a/{long}/f") == b"content" * 100000
    assert get(f"{d}/{long}") == b"long"
    s = os.stat(f"{d}/{long}")
    assert (s.st_atime_ns, s.st_mtime_ns) == (11, 12), s
    s = os.stat(f"{d}/t")
    assert (s.st_mtime_ns, s.st_size, stat.S_IMODE(s.st_mode), s.st_nlink) == (10**18 + 1, 5000, 0o604, 2), s
    assert os.stat(f"{d}/w").st_mtime_ns == int(get(f"{d}/w.stat"))
    assert os.readlink(f"{d}/s") == "a/b/c" and os.stat(f"{d}/a/t2").st_ino == s.st_ino


def run(fn, top, *args):
    d = f"{top}/{fn.__name__}"
    if not os.path.isdir(d):
        os.mkdir(d)
    try:
        signal.alarm(60)
        fn(d, *args)
        signal.alarm(0)
        print(f"ok {fn.__name__}{args or ''}", flush=True)
        return True
    except BaseException as e:
        tb = e.__traceback__
        while tb.tb_next:
            tb = tb.tb_next
        print(f"FAILED {fn.__name__}{args or ''}: line {tb.tb_lineno}: {e!r}", flush=True)
        return False


def main():
    top = os.path.abspath(sys.argv[1]) + "/semantics"
    os.mkdir(top)
    os.umask(0o022)
    good = all([run(t, top) for t in TESTS])
    subprocess.run(["rm", "-r", top], check=True)
    if len(sys.argv) > 3 and sys.argv[2] == "--remount":
        os.mkdir(top)
        good &= all([run(t, top, False) for t in AFTER])
        subprocess.run(sys.argv[3], shell=True, check=True)
        good &= all([run(t, top, True) for t in AFTER])
        subprocess.run(["rm", "-r", top], check=True)
    sys.exit(0 if good else 1)


main()
