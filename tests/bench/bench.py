#!/usr/bin/env python3
"""bench.py - coffer, gocryptfs and the plain backing directory, interleaved, as a table with the bars that are asked of it.

  bench.py [-r ROUNDS] [-d DIR] [--build DIR] [--json FILE] [WORKLOAD...]        fs (the default), db, all, or names

Each round makes each target anew in turn and runs each workload on it; the table has medians (min-max), ratios to gocryptfs and to raw, the CPU of the
target's own process (seconds per GiB, or microseconds per operation), and whether the bar is met. "Cold": unmounted, caches dropped, mounted again. A
workload that lacks a package, or fails, is named and left out. Needs root, /dev/fuse and Debian's gocryptfs. Rates of a shared or bursting disk move by a
factor: compare only within one run, and read the CPU column too. --report FILE prints the table of an earlier --json again."""
import argparse
import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from databases import DATABASES, missing  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

ALL = {**WORKLOADS, **DATABASES}
NAMES = ["raw", "gocryptfs", "coffer"]


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

    def __init__(self, a):
        self.a, self.build = a, a.build
        self.dir = f"{a.base}/{self.name}"
        self.src, self.mnt = f"{self.dir}/src", f"{self.dir}/mnt"
        self.used = 0.0
        self.agent = None

    def setup(self):
        os.makedirs(self.src)
        os.makedirs(self.mnt)
        self.init()
        self.mount()

    def init(self):
        pass

    def mount(self):
        pass

    def umount(self):
        pass

    def mark(self):
        """What is measured begins here."""
        self.used = cpu_of(self.pid)

    def cold(self):
        self.umount()
        drop()
        self.mount()
        self.mark()

    def close(self):
        if os.path.ismount(self.mnt):
            subprocess.run(["umount", "-l", self.mnt], check=False)
        if self.agent:
            self.agent.terminate()
            self.agent.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Gocryptfs(Raw):
    name = "gocryptfs"

    def init(self):
        self.secret = f"{self.dir}/pass"
        with open(self.secret, "w", encoding="ascii") as f:
            f.write("bench\n")
        run("gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", self.secret, self.src)

    def mount(self):
        self.p = subprocess.Popen(["gocryptfs", "-q", "-fg", "-allow_other", "-passfile", self.secret, self.src, self.mnt])
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
        self.coffer("mount", self.src, self.mnt, *(["-o", self.a.options] if self.a.options else []))
        status = json.loads(run(f"{self.build}/coffer", "--json", "--agent", self.sock, "status").stdout)
        self.pid = status["mounts"][0]["pid"]

    def umount(self):
        self.coffer("umount", self.mnt)


def one(t, w, res):
    fn, unit, _ = ALL[w]
    drop()
    t.mark()
    try:
        units, seconds = fn(t)
    except (subprocess.CalledProcessError, OSError, RuntimeError) as e:
        print(f"{t.name}: {w}: failed: {e} {getattr(e, 'stderr', '') or ''}", file=sys.stderr, flush=True)
        return
    used = cpu_of(t.pid) - t.used
    per = used / (units / 1024) if unit == "MiB/s" else used / units * 1e6
    res.setdefault(w, {}).setdefault(t.name, []).append((units / seconds, per))
    print(f"{t.name:10} {w:16} {units / seconds:10.0f} {unit:8} CPU {per:8.2f}", file=sys.stderr, flush=True)


def measure(a, names):
    res = {}
    for _ in range(a.rounds):
        for kind in (Raw, Gocryptfs, Coffer):
            if kind.name not in a.targets.split(","):
                continue
            t = kind(a)
            with open(a.lock, "w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    t.setup()
                    for w in names:
                        one(t, w, res)
                    t.umount()
                finally:
                    t.close()
    return res


def verdict(w, med, cpu):
    _, _, bar = ALL[w]
    if not bar:
        return "-"
    base, ratio, most = bar
    if not med.get(base) or not med.get("coffer"):
        return "not measured"
    got = med["coffer"] / med[base]
    text = f"{'met' if got >= ratio else 'MISSED'}: {got:.2f} of {ratio:g} x {base}"
    if most:
        text += f", CPU {'met' if cpu['coffer'] <= most else 'MISSED'}: {cpu['coffer']:.2f} of {most:g} s/GiB"
    return text


def number(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.2f}"


def table(res):
    out = ["| workload | " + " | ".join(NAMES) + " | coffer / gocryptfs | coffer / raw | CPU gocryptfs, coffer | bar |",
           "|---|" + "---|" * (len(NAMES) + 4)]
    for w, (_, unit, _) in ALL.items():
        if w not in res:
            continue
        r = res[w]
        med = {n: statistics.median(x[0] for x in r[n]) for n in NAMES if r.get(n)}
        cpu = {n: statistics.median(x[1] for x in r[n]) for n in NAMES if r.get(n)}
        cells = [f"{number(med[n])} ({number(min(x[0] for x in r[n]))}-{number(max(x[0] for x in r[n]))})" if n in med else "-" for n in NAMES]
        ratios = [f"{med['coffer'] / med[n]:.2f}" if n in med and "coffer" in med else "-" for n in ("gocryptfs", "raw")]
        cpus = ", ".join(number(cpu[n]) if n in cpu else "-" for n in ("gocryptfs", "coffer"))
        out.append(f"| {w} {unit} | " + " | ".join(cells + ratios) + f" | {cpus} {'s/GiB' if unit == 'MiB/s' else 'us/op'} | {verdict(w, med, cpu)} |")
    return "\n".join(out)


def wanted(words):
    names = []
    for w in words or ["fs"]:
        group = {"fs": list(WORKLOADS), "db": list(DATABASES), "all": list(ALL)}.get(w, [w])
        if any(n not in ALL for n in group):
            sys.exit(f"bench.py: {w}: no such workload; there are fs, db, all, {' '.join(ALL)}")
        names += group
    return names


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-r", "--rounds", type=int, default=3)
    p.add_argument("-t", "--targets", default=",".join(NAMES))
    p.add_argument("-o", "--options", help="options of coffer's mount, as fuse-uring")
    p.add_argument("-d", "--dir", default=".", help="where the backing directories are made")
    p.add_argument("--build", default=".", help="where coffer, coffer-agent and tests/bench/load are")
    p.add_argument("--mib", type=int, default=512, help="size of the one big file")
    p.add_argument("--files", type=int, default=4000, help="how many small ones")
    p.add_argument("--python", default="python3", help="one that has duckdb")
    p.add_argument("--tpch", help="TPC-H at scale 1 as Parquet")
    p.add_argument("--lock", default="/dev/null", help="a file to hold locked while a target is measured")
    p.add_argument("--json")
    p.add_argument("--report")
    p.add_argument("workloads", nargs="*")
    return p.parse_args()


def main():
    a = arguments()
    if a.report:
        with open(a.report, encoding="ascii") as f:
            print(table(json.load(f)))
        return
    names = wanted(a.workloads)
    if os.geteuid() != 0 or not shutil.which("gocryptfs"):
        sys.exit("bench.py: needs root and Debian's gocryptfs")
    a.build = os.path.abspath(a.build)
    a.load = f"{a.build}/tests/bench/load"
    a.base = tempfile.mkdtemp(prefix="coffer-bench-", dir=os.path.abspath(a.dir))
    a.tar = f"{a.base}/tree.tar"
    try:
        lack = missing(a, names)
        for w, what in lack.items():
            print(f"bench.py: {w} is left out: it needs {what}", file=sys.stderr)
        res = measure(a, [w for w in names if w not in lack])
    finally:
        shutil.rmtree(a.base, ignore_errors=True)
    print(table(res))
    if a.json:
        with open(a.json, "w", encoding="ascii") as f:
            json.dump(res, f)


if __name__ == "__main__":
    main()
