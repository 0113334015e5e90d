#!/usr/bin/python3
"""Large numbers on a mount; each says what it found and ends with 1 if it was not as it must be.

limits.py descriptors DIR N    N files by 16 threads, each fsynced; thousands held open at once; read back, walked, unlinked while open
limits.py sparse FILE          a file of 4 TiB: written in places, holes read, cut, grown; limits.py sparse-look FILE: the same, read again
limits.py islands FILE N GIB   a file of GIB GiB with a block in each of N places; limits.py islands-look FILE N GIB reads them in another order
limits.py make DIR N           N files, one in ten with content, a thousand a directory
limits.py costs DIR DIR2       what creating, looking at, reading, renaming and removing 1000 files costs in each, in turn: microseconds of the fastest of
                               nine rounds, and of the second to the first; one line each; wrong if the second is more than 30 % dearer
limits.py clients DIR N SECONDS   N threads with a mixed load on files of their own and one shared, each checked
"""
import hashlib
import os
import random
import sys
import threading
import time

TIB = 1 << 40
GIB = 1 << 30


def content(n):
    return hashlib.sha256(str(n).encode()).digest() * (1 + n % 3 * 70)


def in_threads(k, fn, n):
    wrong = []

    def run(me):
        try:
            for m in range(me, n, k):
                fn(m)
        except Exception as e:
            wrong.append(e)

    threads = [threading.Thread(target=run, args=(me,)) for me in range(k)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        raise wrong[0]


def descriptors(top, n):
    held = {}

    def make(m):
        d = f"{top}/{m % 40}"
        os.makedirs(d, exist_ok=True)
        fd = os.open(f"{d}/{m}", os.O_RDWR | os.O_CREAT, 0o600)
        os.write(fd, content(m))
        os.fsync(fd)
        if m % 4:
            os.close(fd)
        else:
            held[m] = fd

    def again(m):
        with open(f"{top}/{m % 40}/{m}", "rb") as f:
            assert f.read() == content(m), m

    in_threads(16, make, n)
    in_threads(16, again, n)
    for m, fd in held.items():
        assert os.pread(fd, 9999, 0) == content(m), m
    gone = [m for m in held if m % 80 == 0][:60]  # each of these keeps a descriptor of the mount
    for m in gone:
        os.unlink(f"{top}/{m % 40}/{m}")
        os.pwrite(held[m], b"gone", 5)
    for m in gone:
        assert os.pread(held[m], 4, 5) == b"gone" and os.fstat(held[m]).st_nlink == 0
        os.fsync(held[m])
    found = sum(len(files) for _, _, files in os.walk(top))
    most = len(held)
    for fd in held.values():
        os.close(fd)
    print(f"{n} files fsynced, {most} of them open at once, {len(gone)} unlinked while open; {found} found")
    return found == n - len(gone)


SPOTS = [0, 5000, 1 << 19, (1 << 31) - 1, 1 << 32, TIB - 3, 2 * TIB + 12345, 3 * TIB, 4 * TIB - 10000]


def sparse(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 4 * TIB)
    for k, at in enumerate(SPOTS):
        os.pwrite(fd, content(k), at)
    os.fsync(fd)
    os.close(fd)
    return sparse_look(path)


def holes(fd, size):
    rnd = random.Random(1)
    for _ in range(300):
        at = rnd.randrange(size)
        if all(abs(at - s) > 1 << 18 for s in SPOTS):
            got = os.pread(fd, 65536, at)
            assert len(got) == min(65536, size - at) and not any(got), at
    assert os.pread(fd, 100, size) == b""


def sparse_look(path):
    fd = os.open(path, os.O_RDWR)
    st = os.fstat(fd)
    assert st.st_size == 4 * TIB, st.st_size
    for k, at in enumerate(SPOTS):
        assert os.pread(fd, len(content(k)), at) == content(k), at
    holes(fd, st.st_size)
    kib = st.st_blocks // 2
    assert kib < 64 << 10, kib
    if os.path.basename(path).startswith("cut"):
        os.ftruncate(fd, 2 * TIB)
        os.fsync(fd)
        os.ftruncate(fd, 4 * TIB)
        assert os.pread(fd, 100, 3 * TIB) == bytes(100)
        os.pwrite(fd, b"end", 4 * TIB - 3)
        os.fsync(fd)
        assert os.pread(fd, 10, 4 * TIB - 3) == b"end" and os.pread(fd, 32, TIB - 3) == content(5)[:32]
        os.ftruncate(fd, 0)
        os.fsync(fd)
    print(f"4 TiB in {kib} KiB, {len(SPOTS)} places written, holes are zeros")
    os.close(fd)
    return True


def spot(k, n, gib):
    return (gib * GIB // n * k) & ~4095


def islands(path, n, gib):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, gib * GIB)
    for k in range(n):
        os.pwrite(fd, content(k)[:32], spot(k, n, gib))
    os.fsync(fd)
    os.close(fd)
    print(f"{n} blocks in {gib} GiB")
    return True


def islands_look(path, n, gib):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    order = list(range(n))
    random.Random(3).shuffle(order)
    for k in order:
        got = os.pread(fd, 32, spot(k, n, gib))
        assert got == content(k)[:32], k
    os.close(fd)
    print(f"{n} blocks of {gib} GiB read in another order")
    return True


def make(top, n):
    for m in range(n):
        if m % 1000 == 0:
            os.mkdir(f"{top}/{m // 1000}")
        fd = os.open(f"{top}/{m // 1000}/file-{m}.txt", os.O_WRONLY | os.O_CREAT, 0o644)
        if m % 10 == 0:
            os.write(fd, content(m))
        os.close(fd)
    print(f"{n} files made")
    return True


ROUNDS = 9
DEARER = 1.3


def cost_of(d, best):
    """One round; best has the fastest so far of each operation, in seconds."""
    data = os.urandom(2000)

    def create(m):
        fd = os.open(f"{d}/{m}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, data)
        os.close(fd)

    def read(m):
        with open(f"{d}/{m}", "rb", buffering=0) as f:
            f.read()

    def look(m):
        try:
            os.stat(f"{d}/none{m}")
        except FileNotFoundError:
            pass

    os.mkdir(d)
    for name, fn in (("create", create), ("look", look), ("read", read), ("rename", lambda m: os.rename(f"{d}/{m}", f"{d}/r{m}")),
                     ("remove", lambda m: os.unlink(f"{d}/r{m}"))):
        for part in range(0, 1000, 100):  # short, so that some are not interrupted
            start = time.monotonic()
            for m in range(part, part + 100):
                fn(m)
            best[name] = min(best.get(name, 1e9), time.monotonic() - start)
    os.rmdir(d)


def costs(few, many):
    best = {few: {}, many: {}}
    for _ in range(ROUNDS):
        for top in best:
            cost_of(f"{top}/costs", best[top])
    fine = True
    for name, s in best[few].items():
        ratio = best[many][name] / s
        fine = fine and ratio <= DEARER
        print(f"{name}: {s * 1e4:.1f} and {best[many][name] * 1e4:.1f} us, {ratio:.2f} of it")
    return fine


def clients(top, n, seconds):
    until = time.monotonic() + seconds
    shared = os.open(f"{top}/shared", os.O_RDWR | os.O_CREAT, 0o600)
    done, wrong = [0] * n, []

    def one(me):
        rnd = random.Random(me)
        d = f"{top}/{me}"
        os.mkdir(d)
        model = {}
        while time.monotonic() < until and not wrong:
            k, kind = rnd.randrange(20), rnd.random()
            path = f"{d}/{k}"
            if kind < 0.4:
                data, at = rnd.randbytes(rnd.choice((10, 4096, 30000))), rnd.randrange(100000)
                fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                os.pwrite(fd, data, at)
                old = model.get(k, b"").ljust(at, b"\0")
                model[k] = old[:at] + data + old[at + len(data):]
                if kind < 0.1:
                    os.fsync(fd)
                os.close(fd)
            elif kind < 0.7 and k in model:
                with open(path, "rb") as f:
                    assert f.read() == model[k], path
            elif kind < 0.75 and k in model:
                size = rnd.randrange(len(model[k]) + 1)
                os.truncate(path, size)
                model[k] = model[k][:size]
            elif kind < 0.8 and k in model:
                to = rnd.randrange(20)
                os.rename(path, f"{d}/{to}")
                model[to] = model.pop(k)
            elif kind < 0.85 and k in model:
                os.unlink(path)
                del model[k]
            elif kind < 0.9:
                assert sorted(map(int, os.listdir(d))) == sorted(model), d
            else:
                mine = b"%08d" % done[me] * 8
                os.pwrite(shared, mine, me * 64)
                assert os.pread(shared, 64, me * 64) == mine, "shared"
            done[me] += 1
        for k, data in model.items():
            with open(f"{d}/{k}", "rb") as f:
                assert f.read() == data, f"{d}/{k}"

    def guarded(me):
        try:
            one(me)
        except BaseException as e:
            wrong.append(repr(e))

    threads = [threading.Thread(target=guarded, args=(me,)) for me in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(f"{n} threads, {sum(done)} operations, the slowest thread {min(done)}; wrong: {wrong[:3]}")
    return not wrong and min(done) > 0


WHAT = {"descriptors": descriptors, "sparse": sparse, "sparse-look": sparse_look, "islands": islands, "islands-look": islands_look,
        "make": make, "costs": costs, "clients": clients}
sys.exit(0 if WHAT[sys.argv[1]](sys.argv[2], *(int(a) if a.isdigit() else a for a in sys.argv[3:])) else 1)
