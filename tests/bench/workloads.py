"""workloads.py - the filesystem workloads of bench.py. Each takes a target and returns (units, seconds); t.cold() unmounts, drops caches and mounts again."""
import io
import os
import random
import shutil
import sqlite3
import subprocess
import tarfile
import time

SECONDS = 2.0
UNTAR_DIRS = 250


def load(t, *args):
    out = subprocess.run([t.a.load, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(out[1]), float(out[0])


def timed(units, *cmd):
    t0 = time.monotonic()
    subprocess.run(cmd, check=True)
    return units, time.monotonic() - t0


def big(t):
    return f"{t.mnt}/big"


def seqwrite(t):
    return load(t, "seqwrite", big(t), t.a.mib)


def cold_load(what, *args):
    def fn(t):
        t.cold()
        return load(t, what, big(t), *args)
    return fn


def reread_warm(t):
    return load(t, "seqread", big(t), 131072)


def randread_dio32(t):
    t.cold()
    return load(t, "direct", "r", big(t), SECONDS)


def randwrite_dio32(t):
    return load(t, "direct", "w", big(t), SECONDS)


def randwrite_buf(t):
    return load(t, "randwrite", big(t), 16384)


def mixed_2job(t):
    files = [f"{t.mnt}/mixed{k}" for k in range(2)]
    for f in files:
        load(t, "seqwrite", f, 128)
    t.mark()
    jobs = [subprocess.Popen([t.a.load, "mixed", f, str(SECONDS)], stdout=subprocess.PIPE, text=True) for f in files]
    outs = [j.communicate()[0].split() for j in jobs]
    if any(j.returncode for j in jobs):
        raise RuntimeError("mixed failed")
    return sum(float(o[1]) for o in outs), max(float(o[0]) for o in outs)


def append_fsync(t):
    return load(t, "appendsync", f"{t.mnt}/log1", SECONDS)


def append(t):
    return load(t, "append", f"{t.mnt}/log2", SECONDS, 200000)


def small(t):
    return f"{t.mnt}/small"


def create(t):
    return load(t, "create", small(t), t.a.files)


def stat_cold(t):
    t.cold()
    return load(t, "stat", small(t), t.a.files)


def read_cold(t):
    t.cold()
    return load(t, "read", small(t), t.a.files)


def delete(t):
    return load(t, "delete", small(t), t.a.files)


def make_tar(path, files):
    """A tree like one of sources: sizes from a few hundred bytes to some hundred KiB, 12 KiB on average, in nested directories."""
    rnd = random.Random(4)
    with tarfile.open(path, "w") as tar:
        for k in range(files):
            d = k * UNTAR_DIRS // files
            info = tarfile.TarInfo(f"tree/s{d % 12:02}/d{d:03}/source_file_{k:05}.c")
            if k == 0 or (k - 1) * UNTAR_DIRS // files != d:
                for dirname in (f"tree/s{d % 12:02}", f"tree/s{d % 12:02}/d{d:03}"):
                    di = tarfile.TarInfo(dirname)
                    di.type, di.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(di)
            info.size, info.mode, info.mtime = min(400_000, int(rnd.lognormvariate(8.8, 1.1))), 0o644, 1_700_000_000
            tar.addfile(info, io.BytesIO(rnd.randbytes(info.size)))


def untar(t):
    if not os.path.exists(t.a.tar):
        make_tar(t.a.tar, t.a.files)
    with open(t.a.tar, "rb") as f:
        shutil.copyfileobj(f, open(os.devnull, "wb"))
    os.mkdir(f"{t.mnt}/u")
    t.mark()
    return timed(t.a.files, "tar", "-xf", t.a.tar, "-C", f"{t.mnt}/u")


def du_cold(t):
    t.cold()
    return timed(t.a.files, "sh", "-c", f"du -s {t.mnt}/u >/dev/null")


def rmrf(t):
    return timed(t.a.files, "rm", "-rf", f"{t.mnt}/u")


def sqlite_full(t):
    db = sqlite3.connect(f"{t.mnt}/db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v BLOB)")
    n, t0 = 0, time.monotonic()
    while time.monotonic() - t0 < SECONDS:
        db.execute("INSERT INTO t(k, v) VALUES (?, ?)", (f"key{n}", os.urandom(200)))
        n += 1
    s = time.monotonic() - t0
    db.close()
    return n, s


# name: (function, unit, bar as (base, ratio, most CPU s/GiB or None))
WORKLOADS = {
    "seqwrite": (seqwrite, "MiB/s", ("gocryptfs", 2.5, 0.9)),
    "seqread_cold": (cold_load("seqread", 131072), "MiB/s", ("gocryptfs", 2.0, 0.8)),
    "reread_warm": (reread_warm, "MiB/s", None),
    "mmap_cold": (cold_load("mmapread"), "MiB/s", None),
    "randread_cold": (cold_load("randread", SECONDS), "IOPS", None),
    "randread_dio32": (randread_dio32, "IOPS", ("gocryptfs", 4.5, None)),
    "randwrite_buf": (randwrite_buf, "IOPS", ("gocryptfs", 5.0, None)),
    "randwrite_dio32": (randwrite_dio32, "IOPS", None),
    "mixed_2job": (mixed_2job, "IOPS", None),
    "append_fsync": (append_fsync, "rec/s", ("gocryptfs", 1.1, None)),
    "append": (append, "rec/s", ("gocryptfs", 40.0, None)),
    "create": (create, "files/s", ("gocryptfs", 1.4, None)),
    "stat_cold": (stat_cold, "files/s", ("gocryptfs", 0.35, None)),
    "read_cold": (read_cold, "files/s", None),
    "delete": (delete, "files/s", ("gocryptfs", 1.6, None)),
    "untar": (untar, "files/s", ("gocryptfs", 1.4, None)),
    "du_cold": (du_cold, "files/s", ("gocryptfs", 0.35, None)),
    "rmrf": (rmrf, "files/s", ("gocryptfs", 1.6, None)),
    "sqlite_full": (sqlite_full, "txn/s", ("gocryptfs", 1.4, None)),
}
