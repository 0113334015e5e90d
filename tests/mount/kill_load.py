#!/usr/bin/python3
"""A load that knows what was promised, for a mount that is killed under it.

kill_load.py write DIR LEDGER SEED   three threads create, overwrite, append, rename over and unlink below DIR, with fsync, until the mount dies; then
                                     LEDGER says what each file must be, and the exit code is 1 if an error took longer than a second to arrive
kill_load.py verify DIR LEDGER       each file is what was last fsynced, or a later state that was on its way

States: exactly one content, or one of several (what was fsynced before, or what was being made when it died), None: no file."""
import os
import pickle
import random
import sys
import threading
import time

SIZES = (0, 10, 500, 4096, 5000, 70000, 600000)


class Load:
    def __init__(self, top, seed):
        self.top, self.seed, self.may = top, seed, {}  # path below top -> set of states; each thread has paths of its own
        self.ends = []

    def step(self, rnd, d):
        name = f"{d}/" + ("L" * 200 if rnd.random() < 0.2 else "f") + str(rnd.randrange(6))
        before = self.may.get(name, {None})
        data = rnd.randbytes(rnd.choice(SIZES))
        kind = rnd.random()
        if kind < 0.5:
            # Cut to zero and written: until the fsync returns anything on the way there is allowed, so a new file is used.
            self.replace(name, before, data, sync=True)
        elif kind < 0.7:
            self.replace(name, before, data, sync=False)
        elif kind < 0.85 and len(before) == 1 and None not in before:
            old = next(iter(before))
            self.may[name] = before | {old + data}
            fd = os.open(name, os.O_WRONLY | os.O_APPEND)
            os.write(fd, data)
            os.fsync(fd)
            os.close(fd)
            self.may[name] = {old + data}
        else:
            self.may[name] = before | {None}
            try:
                os.unlink(name)
            except FileNotFoundError:
                pass
            fd = os.open(d, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
            self.may[name] = {None}

    def replace(self, name, before, data, sync):
        fd = os.open(name + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(fd, data)
        if sync:
            os.fsync(fd)
        os.close(fd)
        # Not fsynced: a rename over a file commits the source as far as it was handed over, so an empty file may come back, or a part.
        self.may[name] = before | {data} if sync else {"any"}
        os.rename(name + ".new", name)
        for path in (name, os.path.dirname(name)):
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
        self.may[name] = {data}

    def run(self, n):
        rnd = random.Random(self.seed * 100 + n)
        start = 0.0
        try:
            while True:
                d = f"{n}/{rnd.randrange(4)}"
                start = time.monotonic()
                os.makedirs(d, exist_ok=True)
                self.step(rnd, d)
        except OSError as e:
            self.ends.append((e.errno, time.monotonic() - start, time.monotonic()))

    def main(self, ledger):
        os.chdir(self.top)  # whoever looks by a name from outside may find the bare mount point once the dead mount has been taken away
        threads = [threading.Thread(target=self.run, args=(n,)) for n in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        with open(ledger, "wb") as f:
            pickle.dump(self.may, f)
        last = max(e[2] for e in self.ends)
        print(f"{len(self.may)} names; the threads ended within {last - min(e[2] for e in self.ends):.3f} s of each other")
        return 0 if last - min(e[2] for e in self.ends) < 1 else 1


def verify(top, ledger):
    with open(ledger, "rb") as f:
        may = pickle.load(f)
    bad = 0
    for name, states in may.items():
        name = os.path.join(top, name)
        got = None
        if os.path.exists(name):
            with open(name, "rb") as f:
                got = f.read()
        if "any" not in states and got not in states:
            bad += 1
            print(f"WRONG {name}: {None if got is None else len(got)} bytes; allowed {[s if s is None else len(s) for s in states]}")
    for d, _, files in os.walk(top):
        for f in files:
            with open(os.path.join(d, f), "rb") as g:
                g.read()
    print(f"{len(may)} names, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1] == "write":
        sys.exit(Load(sys.argv[2], int(sys.argv[4])).main(sys.argv[3]))
    sys.exit(verify(sys.argv[2], sys.argv[3]))
