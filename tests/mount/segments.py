#!/usr/bin/python3
"""Many small segments, as a search engine keeps its index: segments.py DIR LEDGER SECONDS, segments.py audit DIR LEDGER.

A writer makes segments of several files each (written under a temporary name, fsynced, renamed), and every so often a commit point that names
those in use (pending_N, fsynced, renamed to segments_N, directory fsynced): only then is it said to LEDGER. Ten segments of a size are merged
into one; what no commit names is deleted. Readers open the files of a commit, some mapped, and go on reading them after they were deleted.
audit: the last commit of LEDGER, or a later one, opens, and every file it names has its content."""
import hashlib
import json
import mmap
import os
import random
import sys
import threading
import time

PARTS = (("si", 400), ("cfe", 900), ("cfs", 20000), ("liv", 60))


class Writer(threading.Thread):
    def __init__(self, top, ledger, until):
        super().__init__()
        self.top, self.ledger, self.until = top, ledger, until
        self.rnd = random.Random(os.getpid())
        self.segments, self.generation, self.next, self.merges, self.error = [], 0, 0, 0, None
        for name in os.listdir(top):
            if name.startswith("segments_"):
                self.generation = max(self.generation, int(name[9:]))
        if self.generation:
            with open(f"{top}/segments_{self.generation}", encoding="ascii") as f:
                self.segments = json.load(f)["segments"]
            self.next = 1 + max((s["n"] for s in self.segments), default=0)

    def put(self, name, data):
        fd = os.open(f"{self.top}/{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for at in range(0, len(data), 8192):
            os.write(fd, data[at:at + 8192])
        os.fsync(fd)
        os.close(fd)
        os.rename(f"{self.top}/{name}.tmp", f"{self.top}/{name}")

    def segment(self, level, sources):
        n, files = self.next, {}
        self.next += 1
        for ext, size in PARTS:
            data = b"".join(read(self.top, f"_{s['n']}.{ext}") for s in sources) if sources else self.rnd.randbytes(self.rnd.randrange(1, size))
            self.put(f"_{n}.{ext}", data)
            files[ext] = hashlib.sha256(data).hexdigest()
        return {"n": n, "level": level, "files": files}

    def commit(self):
        self.generation += 1
        self.put(f"pending_{self.generation}", json.dumps({"segments": self.segments}).encode())
        os.rename(f"{self.top}/pending_{self.generation}", f"{self.top}/segments_{self.generation}")
        fd = os.open(self.top, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        with open(self.ledger, "a", encoding="ascii") as f:
            f.write(f"{self.generation}\n")
        keep = {f"segments_{self.generation}"} | {f"_{s['n']}.{ext}" for s in self.segments for ext in s["files"]}
        for name in os.listdir(self.top):
            if name not in keep:
                os.unlink(f"{self.top}/{name}")

    def work(self):
        while time.monotonic() < self.until:
            for _ in range(4):
                self.segments.append(self.segment(0, []))
            for level in (0, 1, 2):
                some = [s for s in self.segments if s["level"] == level]
                if len(some) >= 10:
                    merged = self.segment(level + 1, some[:10])
                    self.segments = [s for s in self.segments if s not in some[:10]] + [merged]
                    self.merges += 1
            self.commit()

    def run(self):
        try:
            self.work()
        except Exception as e:  # the mount may die: the caller judges
            self.error = e


def read(top, name):
    with open(f"{top}/{name}", "rb") as f:
        return f.read()


def newest(top):
    return max((int(n[9:]) for n in os.listdir(top) if n.startswith("segments_")), default=0)


class Reader(threading.Thread):
    def __init__(self, top, until):
        super().__init__()
        self.top, self.until, self.deleted, self.rounds, self.error = top, until, 0, 0, None

    def hold(self):
        held = []
        n = newest(self.top)
        try:
            for s in json.loads(read(self.top, f"segments_{n}"))["segments"] if n else []:
                for ext, digest in s["files"].items():
                    held.append((os.open(f"{self.top}/_{s['n']}.{ext}", os.O_RDONLY), digest))
        except FileNotFoundError:
            pass  # deleted between the commit and our opening it
        return held

    def work(self):
        while time.monotonic() < self.until:
            held = self.hold()
            try:
                time.sleep(0.3)
                for k, (fd, digest) in enumerate(held):
                    st = os.fstat(fd)
                    self.deleted += st.st_nlink == 0
                    if k % 2 and st.st_size:
                        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
                            got = hashlib.sha256(m).hexdigest()
                    else:
                        got = hashlib.sha256(os.pread(fd, st.st_size + 1, 0)).hexdigest()
                    if got != digest:
                        raise ValueError(f"a file of {st.st_size} bytes, nlink {st.st_nlink}, reads as something else")
                    self.rounds += 1
            finally:
                for fd, _ in held:
                    os.close(fd)

    def run(self):
        try:
            self.work()
        except Exception as e:
            self.error = e


def main(top, ledger, seconds):
    until = time.monotonic() + seconds
    threads = [Writer(top, ledger, until)] + [Reader(top, until) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    w, readers = threads[0], threads[1:]
    print(f"{w.generation} commits, {w.merges} merges; {sum(r.rounds for r in readers)} files read, {sum(r.deleted for r in readers)} of them deleted")
    wrong = [t.error for t in threads if t.error and not isinstance(t.error, OSError)]
    for t in threads:
        if t.error:
            print("ended by", repr(t.error))
    if wrong or sum(r.deleted for r in readers) == 0 or not w.merges:
        return 1
    return 2 if any(t.error for t in threads) else 0


def audit(top, ledger):
    with open(ledger, encoding="ascii") as f:
        said = max(map(int, f.read().split()))
    found, bad = newest(top), 0
    segments = json.loads(read(top, f"segments_{found}"))["segments"]
    for s in segments:
        for ext, digest in s["files"].items():
            bad += hashlib.sha256(read(top, f"_{s['n']}.{ext}")).hexdigest() != digest
    print(f"commit {said} acknowledged, {found} found, {len(segments)} segments, {bad} files wrong")
    return 0 if said <= found <= said + 1 and not bad else 1


sys.exit(audit(sys.argv[2], sys.argv[3]) if sys.argv[1] == "audit" else main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
