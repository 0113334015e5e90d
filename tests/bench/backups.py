#!/usr/bin/env python3
"""backups.py - coffer's backups against restic's (Debian's package), on the same data and the same store, interleaved, as a table with the bars that are asked.

  backups.py [-r ROUNDS] [-d DIR] [--build DIR] [--store file|versitygw|s3proxy] [--mib N] [--files N] [--json FILE]

restic reads the plain tree and encrypts; coffer copies the backing files of an unmounted volume with the same tree. Data is random. What is measured: the first run; a run after 1 % of the bytes
have changed in one place, and 1 % of the small files; one after 1 % has changed in pieces of 64 KiB everywhere; the restore of the last one. Caches are dropped before each, what was written is
synced within its time, restic with its defaults (compression too). CPU is that of the tool alone. Requests are those of its access log (versitygw). Needs root and /dev/fuse."""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "backup"))
from bench import Coffer, Raw, drop, run  # noqa: E402
import s3  # noqa: E402

STEPS = ("first", "one place", "scattered", "restore")
BARS = {"first": 1.5, "one place": 1, "scattered": 1, "restore": 1.5}
PIECE = 64 << 10
BIG = 8


def timed(cmd, env):
    """Seconds with a sync behind, and CPU seconds."""
    with tempfile.TemporaryFile() as out:
        drop()
        start = time.monotonic()
        p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(os.environ, **env))
        _, status, usage = os.wait4(p.pid, 0)
        os.sync()
        seconds = time.monotonic() - start
        out.seek(0)
        if status != 0:
            raise RuntimeError("%s: %s" % (" ".join(cmd), out.read().decode(errors="replace")))
    return seconds, usage.ru_utime + usage.ru_stime


class Tree:
    """The same bytes and changes in each directory."""

    def __init__(self, a):
        self.a = a
        self.each = (a.mib << 20) // BIG
        self.bytes = self.each * BIG + a.files * 16384

    def fill(self, d):
        rnd = random.Random(1)
        for i in range(BIG):
            with open("%s/big%d" % (d, i), "wb") as f:
                for _ in range(self.each >> 20):
                    f.write(rnd.randbytes(1 << 20))
        for i in range(self.a.files):
            os.makedirs("%s/d%d" % (d, i // 100), exist_ok=True)
            self.small(d, i, rnd)

    def small(self, d, i, rnd):
        with open("%s/d%d/f%d" % (d, i // 100, i), "wb") as f:
            f.write(rnd.randbytes(16384))

    def change(self, d, step):
        rnd = random.Random(step)
        part = self.a.mib * (1 << 20) // 100
        if step == "one place":
            self.write(d, 3, self.each // 2, rnd.randbytes(min(part, self.each // 2)))
            for i in rnd.sample(range(self.a.files), self.a.files // 100):
                self.small(d, i, rnd)
        else:
            for _ in range(part // PIECE):
                self.write(d, rnd.randrange(BIG), rnd.randrange(self.each // PIECE) * PIECE, rnd.randbytes(PIECE))

    @staticmethod
    def write(d, i, off, data):
        with open("%s/big%d" % (d, i), "r+b") as f:
            f.seek(off)
            f.write(data)


class Store:
    def __init__(self, a, name):
        self.dir = a.base + "/store"
        os.makedirs(self.dir)
        self.log = a.base + "/access.log"
        self.server = None
        self.coffer, self.restic, self.args, self.restic_args, self.env = "file://" + self.dir, self.dir + "/restic", [], [], {}
        if name == "file":
            return
        s3.bao_module.make_ca(self.dir)
        self.server = {"versitygw": s3.Versity, "s3proxy": s3.S3proxy}[name](self.dir)
        self.server.options = ["--access-log", self.log]
        self.server.start()
        where, ca = self.server.endpoint, self.dir + "/ca.pem"
        self.coffer, self.args = "s3://%s/coffer" % s3.BUCKET, ["--endpoint", where, "--region", s3.REGION, "--ca-file", ca, "--credentials", "env"]
        self.restic, self.restic_args = "s3:%s/%s/restic" % (where, s3.BUCKET), ["--cacert", ca]
        self.env = {"AWS_ACCESS_KEY_ID": s3.KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET, "AWS_DEFAULT_REGION": s3.REGION}

    def requests(self):
        """Lines of the log; None: there is none."""
        try:
            with open(self.log, "rb") as f:
                return sum(1 for _ in f)
        except OSError:
            return None

    def close(self):
        if self.server:
            self.server.stop()
        shutil.rmtree(self.dir)


class WithRestic(Raw):
    name = "restic"

    def init(self):
        with open(self.dir + "/pass", "w", encoding="ascii") as f:
            f.write("bench\n")
        self.tree, self.restored = self.src, self.dir + "/restored"

    def command(self, store, *args):
        return ["restic", "-q", "-r", store.restic, "--password-file", self.dir + "/pass", "--cache-dir", self.dir + "/cache", *store.restic_args, *args]

    def prepare(self, store):
        run(*self.command(store, "init"), env=dict(os.environ, **store.env))

    def edit(self, change):
        change(self.tree)

    def backup(self, store):
        return self.command(store, "backup", self.tree)

    def restore(self, store):
        return self.command(store, "restore", "latest", "--target", self.restored)

    def same(self, tree):
        run("diff", "-r", tree, self.restored + self.tree)


class WithCoffer(Coffer):
    def prepare(self, store):
        self.restored = self.dir + "/restored"

    def mount(self):
        pass

    def edit(self, change):
        super().mount()
        change(self.mnt)
        self.umount()

    def command(self, store, *args):
        return ["%s/coffer" % self.build, "--quiet", "--agent", self.dir + "/no-agent", *args, *store.args]

    def backup(self, store):
        return self.command(store, "backup", "run", self.src, store.coffer)

    def restore(self, store):
        return self.command(store, "restore", store.coffer, "latest", self.restored)

    def same(self, tree):
        self.coffer("trust", self.restored)
        self.coffer("mount", self.restored, self.mnt)
        run("diff", "-r", tree, self.mnt)
        self.umount()


def one_round(a, kind, tree, res):
    t, store = kind(a), Store(a, a.store)
    env = dict(store.env, XDG_CACHE_HOME=t.dir + "/cache")
    plain = a.base + "/plain"
    os.makedirs(plain)
    try:
        t.setup()
        t.prepare(store)
        for step in STEPS:
            change = tree.fill if step == "first" else (lambda d, s=step: tree.change(d, s))
            if step != "restore":
                t.edit(change)
                change(plain)
                time.sleep(3)  # coffer reads again what has changed within two seconds
            before = store.requests()
            seconds, cpu = timed(t.restore(store) if step == "restore" else t.backup(store), env)
            after = store.requests()
            res.setdefault(step, {}).setdefault(t.name, []).append((seconds, cpu, None if after is None else after - (before or 0)))
            print("%-7s %-10s %7.2f s  CPU %6.2f s" % (t.name, step, seconds, cpu), file=sys.stderr, flush=True)
        t.same(plain)
    finally:
        t.close()
        store.close()
        shutil.rmtree(plain)


def median(rows, k):
    values = [r[k] for r in rows if r[k] is not None]
    return statistics.median(values) if values else None


def table(res, mib):
    out = ["| %.0f MiB | coffer s (MiB/s) | restic s (MiB/s) | restic / coffer | CPU s coffer, restic | requests coffer, restic | bar |" % mib, "|---|---|---|---|---|---|---|"]
    for step in STEPS:
        c, r = res[step]["coffer"], res[step]["restic"]
        cs, rs = median(c, 0), median(r, 0)
        ratio = rs / cs
        out.append("| %s | %.2f (%.0f) | %.2f (%.0f) | %.2f | %.2f, %.2f | %s, %s | %s: %.2f of %g |" % (
            step, cs, mib / cs, rs, mib / rs, ratio, median(c, 1), median(r, 1), median(c, 2), median(r, 2), "met" if ratio >= BARS[step] else "MISSED", ratio, BARS[step]))
    return "\n".join(out)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-d", "--dir", default=".")
    p.add_argument("--build", default=".")
    p.add_argument("--store", choices=("file", "versitygw", "s3proxy"), default="file")
    p.add_argument("--mib", type=int, default=512, help="of the eight big files")
    p.add_argument("--files", type=int, default=4000, help="of 16 KiB")
    p.add_argument("--json")
    a = p.parse_args()
    if os.geteuid() != 0 or not shutil.which("restic"):
        sys.exit("backups.py: needs root and Debian's restic")
    a.build = os.path.abspath(a.build)
    a.base = tempfile.mkdtemp(prefix="coffer-bench-", dir=os.path.abspath(a.dir))
    tree, res = Tree(a), {}
    try:
        for _ in range(a.rounds):
            for kind in (WithRestic, WithCoffer):
                one_round(a, kind, tree, res)
    finally:
        shutil.rmtree(a.base, ignore_errors=True)
    print(table(res, tree.bytes / (1 << 20)))
    if a.json:
        with open(a.json, "w", encoding="ascii") as f:
            json.dump(res, f)


if __name__ == "__main__":
    main()
