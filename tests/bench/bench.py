#!/usr/bin/env python3
"""bench.py - coffer, gocryptfs and the plain backing directory, interleaved, as a table.

  bench.py [-r ROUNDS] [-d DIR] [--build DIR] [--json FILE] [WORKLOAD...]

Each round mounts each target in turn and runs each workload on it; the table has medians (min-max), ratios to gocryptfs and to raw, and the CPU of the
target's own process (seconds per GiB, or microseconds per operation). "Cold": unmounted, caches dropped, mounted again. Needs root, /dev/fuse and
Debian's gocryptfs. Rates of a shared or bursting disk move by a factor: compare only within one run, and read the CPU column too."""
import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
SIZE = 512 * MIB
SECONDS = 2.0


def run(*cmd, **kw):
    return subprocess.run(cmd, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)


def drop():
    run("sync")
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
        f.write("3\n")


def cpu_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            t = f.read().rsplit(")", 1)[1].split()
        return (int(t[11]) + int(t[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, TypeError):
        return 0.0


class Raw:
    name = "raw"
    pid = None

    def __init__(self, base, build):
        self.base, self.build = base, build
        self.dir = f"{base}/{self.name}"
        self.src, self.mnt = f"{self.dir}/src", f"{self.dir}/mnt"
        os.makedirs(self.src)
        os.makedirs(self.mnt)
        self.init()

    def init(self):
        pass

    def mount(self):
        pass

    def umount(self):
        pass

    def close(self):
        pass


class Gocryptfs(Raw):
    name = "gocryptfs"

    def init(self):
        self.secret = f"{self.dir}/pass"
        with open(self.secret, "w", encoding="ascii") as f:
            f.write("bench\n")
        run("gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", self.secret, self.src)

    def mount(self):
        self.p = subprocess.Popen(["gocryptfs", "-q", "-fg", "-passfile", self.secret, self.src, self.mnt])
        self.pid = self.p.pid
        while not os.path.ismount(self.mnt):
            if self.p.poll() is not None:
                sys.exit("gocryptfs does not mount")
            time.sleep(0.02)

    def umount(self):
        run("fusermount3", "-u", self.mnt)
        self.p.wait()


class Coffer(Raw):
    name = "coffer"

    def init(self):
        conf, state = f"{self.dir}/conf", f"{self.dir}/state"
        for d in conf, state:
            os.mkdir(d, 0o700)
        self.sock = f"{self.dir}/sock"
        self.agent = subprocess.Popen([f"{self.build}/coffer-agent", "--foreground", "--config", conf, "--state", state, "--socket", self.sock],
                                      stderr=subprocess.DEVNULL)
        while not os.path.exists(self.sock):
            time.sleep(0.02)
        self.coffer("init", self.src, "--tenant", "bench")

    def coffer(self, *args):
        return run(f"{self.build}/coffer", "--quiet", "--agent", self.sock, *args)

    def mount(self):
        self.coffer("mount", self.src, self.mnt)
        status = json.loads(run(f"{self.build}/coffer", "--json", "--agent", self.sock, "status").stdout)
        self.pid = status["mounts"][0]["pid"]

    def umount(self):
        self.coffer("umount", self.mnt)

    def close(self):
        self.agent.terminate()
        self.agent.wait()


# ---- workloads: (amount, unit per amount of CPU); all on the mounted directory

def seqwrite(t):
    buf = os.urandom(MIB)
    fd = os.open(f"{t.mnt}/big", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    t0 = time.monotonic()
    for _ in range(SIZE // MIB):
        os.write(fd, buf)
    os.fsync(fd)
    s = time.monotonic() - t0
    os.close(fd)
    return SIZE / MIB, s


def seqread_cold(t):
    t.umount()
    drop()
    t.mount()
    buf = bytearray(MIB)
    t0 = time.monotonic()
    with open(f"{t.mnt}/big", "rb", buffering=0) as f:
        while f.readinto(buf):
            pass
    return SIZE / MIB, time.monotonic() - t0


def append_fsync(t):
    fd = os.open(f"{t.mnt}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o644)
    rec, n, t0 = b"x" * 200, 0, time.monotonic()
    while time.monotonic() - t0 < SECONDS:
        for _ in range(8):
            os.write(fd, rec)
            os.fsync(fd)
            n += 1
    s = time.monotonic() - t0
    os.close(fd)
    return n, s


def sqlite_full(t):
    db = sqlite3.connect(f"{t.mnt}/db{time.monotonic_ns()}", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    n, t0 = 0, time.monotonic()
    while time.monotonic() - t0 < SECONDS:
        for _ in range(8):
            db.execute("INSERT INTO t(v) VALUES (?)", ("v" * 100,))
            n += 1
    s = time.monotonic() - t0
    db.close()
    return n, s


WORKLOADS = {"seqwrite": (seqwrite, "MiB/s"), "seqread_cold": (seqread_cold, "MiB/s"),
             "append_fsync": (append_fsync, "rec/s"), "sqlite_full": (sqlite_full, "txn/s")}


def table(res, names):
    out = ["| workload | " + " | ".join(names) + " | coffer / gocryptfs | coffer / raw | CPU gocryptfs, coffer |",
           "|---|" + "---|" * (len(names) + 3)]
    for w, (_, unit) in WORKLOADS.items():
        if w not in res:
            continue
        r = res[w]
        med = {n: statistics.median(x[0] for x in r[n]) for n in names}
        cpu = {n: statistics.median(x[1] for x in r[n]) for n in names}
        cells = [f"{med[n]:.0f} ({min(x[0] for x in r[n]):.0f}-{max(x[0] for x in r[n]):.0f})" for n in names]
        out.append(f"| {w} {unit} | " + " | ".join(cells) + f" | {med['coffer'] / med['gocryptfs']:.2f} | {med['coffer'] / med['raw']:.2f} | "
                   f"{cpu['gocryptfs']:.2f}, {cpu['coffer']:.2f} {'s/GiB' if unit == 'MiB/s' else 'us/op'} |")
    return "\n".join(out)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("-r", "--rounds", type=int, default=3)
    a.add_argument("-d", "--dir", default=".", help="where the backing directories are made")
    a.add_argument("--build", default=".", help="where coffer and coffer-agent are")
    a.add_argument("--json")
    a.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    a = a.parse_args()
    if os.geteuid() != 0 or not shutil.which("gocryptfs"):
        sys.exit("bench.py: needs root and Debian's gocryptfs")
    a.build = os.path.abspath(a.build)
    base = tempfile.mkdtemp(prefix="coffer-bench-", dir=os.path.abspath(a.dir))
    res = {}
    targets = []
    try:
        targets = [T(base, a.build) for T in (Raw, Gocryptfs, Coffer)]
        for _ in range(a.rounds):
            for t in targets:
                t.mount()
                for w in a.workloads:
                    drop()
                    c0 = 0.0 if w == "seqread_cold" else cpu_of(t.pid)
                    amount, seconds = WORKLOADS[w][0](t)
                    used = cpu_of(t.pid) - c0
                    per = used / (amount / 1024) if WORKLOADS[w][1] == "MiB/s" else used / amount * 1e6
                    res.setdefault(w, {}).setdefault(t.name, []).append((amount / seconds, per))
                t.umount()
    finally:
        for t in targets:
            if t.mnt and os.path.ismount(t.mnt):
                subprocess.run(["umount", "-l", t.mnt], check=False)
            t.close()
        shutil.rmtree(base, ignore_errors=True)
    print(table(res, ["raw", "gocryptfs", "coffer"]))
    if a.json:
        with open(a.json, "w", encoding="ascii") as f:
            json.dump(res, f)


if __name__ == "__main__":
    main()
