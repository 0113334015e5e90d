#!/usr/bin/python3
"""mv under load: movers.py DIR OUTSIDE SECONDS. Processes move files and directories about below DIR, by rename, by mv(1), and out of the
filesystem to OUTSIDE and back, while others walk, list and read. At the end every file is there once with its content; whoever opened a file
read all of it, whatever was done to its name meanwhile."""
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from multiprocessing import Process, Value

DIRS, FILES, MOVERS, READERS = 8, 400, 3, 3


def content(n):
    rnd = random.Random(n)
    return rnd.randbytes(rnd.choice((0, 100, 5000, 60000, 600000) if n % 20 == 0 else (0, 100, 5000)))


def mover(top, outside, me, until, moves):
    rnd = random.Random(me)
    mine = [n for n in range(FILES) if n % MOVERS == me]
    where = {n: f"{top}/{n % DIRS}/{n}" for n in mine}
    os.makedirs(f"{outside}/{me}", exist_ok=True)
    while time.monotonic() < until:
        n = rnd.choice(mine)
        to = f"{top}/{rnd.randrange(DIRS)}/" + ("L" * 200 if rnd.random() < 0.2 else "") + str(n)
        kind = rnd.random()
        if kind < 0.1:
            shutil.move(where[n], f"{outside}/{me}/{n}")
            shutil.move(f"{outside}/{me}/{n}", to)
        elif kind < 0.13:
            subprocess.run(["mv", where[n], to + ".t"], check=True)
            os.rename(to + ".t", to)
        elif kind < 0.2:
            d = f"{top}/{rnd.randrange(DIRS)}/dir{me}"
            os.mkdir(d)
            os.rename(where[n], f"{d}/{n}")
            os.rename(d, f"{top}/moved{me}")
            os.rename(f"{top}/moved{me}/{n}", to)
            os.rmdir(f"{top}/moved{me}")
        else:
            os.rename(where[n], to)
        where[n] = to
        with moves.get_lock():
            moves.value += 1


def reader(top, me, until, reads):
    rnd = random.Random(me)
    while time.monotonic() < until:
        for d, _, files in os.walk(top):
            for f in files:
                if rnd.random() > 0.2:
                    continue
                try:
                    with open(f"{d}/{f}", "rb") as g:
                        got = g.read()
                except FileNotFoundError:
                    continue
                n = int(f.strip("L").removesuffix(".t"))
                # One that comes in from outside is written under its last name.
                if got != content(n) and not content(n).startswith(got):
                    sys.exit(f"{d}/{f}: {len(got)} bytes that are not its own")
                with reads.get_lock():
                    reads.value += 1


def main(top, outside, seconds):
    for d in range(DIRS):
        os.makedirs(f"{top}/{d}")
    for n in range(FILES):
        with open(f"{top}/{n % DIRS}/{n}", "wb") as f:
            f.write(content(n))
    until = time.monotonic() + seconds
    moves, reads = Value("l", 0), Value("l", 0)
    all_of_them = [Process(target=mover, args=(top, outside, k, until, moves)) for k in range(MOVERS)]
    all_of_them += [Process(target=reader, args=(top, k, until, reads)) for k in range(READERS)]
    for p in all_of_them:
        p.start()
    while time.monotonic() < until:
        subprocess.run(f"find {top} -type f -size +1k >/dev/null; du -s {top} >/dev/null", shell=True, check=False, stderr=subprocess.DEVNULL)
    for p in all_of_them:
        p.join()
    found = {}
    for d, _, files in os.walk(top):
        for f in files:
            with open(f"{d}/{f}", "rb") as g:
                found.setdefault(int(f.strip("L")), []).append(hashlib.sha256(g.read()).digest())
    wrong = [n for n in range(FILES) if found.get(n) != [hashlib.sha256(content(n)).digest()]]
    print(f"{moves.value} moves and {reads.value} reads; {len(wrong)} of {FILES} files wrong; processes: {[p.exitcode for p in all_of_them]}")
    return not wrong and len(found) == FILES and moves.value > 100 and not any(p.exitcode for p in all_of_them)


sys.exit(0 if main(sys.argv[1], sys.argv[2], float(sys.argv[3])) else 1)
