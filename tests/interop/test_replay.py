#!/usr/bin/python3
"""Replay against the independent writer and reader, in TAP: volumes of make_volume.py, brought home by replay_volume, must read as their
manifests say, and their log must be empty then. Also when replay is done twice, and when it is cut and done again.
COFFER_TEST_FULL=1: more random histories, more cuts."""

import hashlib
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

try:
    import make_volume
    import test_interop as reader
    from cofferread import quarantine
except ImportError as e:
    print("1..0 # SKIP %s" % e)
    sys.exit(77)

PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "tests/interop/replay_volume")
FULL = os.environ.get("COFFER_TEST_FULL") == "1"


def replay(path, mode="", status=0):
    r = subprocess.run([PROGRAM, path + ".root", path] + [mode] * bool(mode), capture_output=True, text=True, check=False)
    assert r.returncode == status, "%s: status %d, %s%s" % (path, r.returncode, r.stdout, r.stderr)
    return dict(zip(r.stdout.split()[::2], map(int, r.stdout.split()[1::2])))


def make(tmp, variant):
    path, m, _ = reader.make(tmp, variant)
    with open(path + ".root", "wb") as f:
        f.write(bytes.fromhex(m["root_key"]))
    return path, m


def files_hash(path):
    """Contents and times of the lower files, without coffer's own; the quarantine counts."""
    h = {}
    for root, _, names in os.walk(path):
        for name in names:
            full = os.path.join(root, name)
            st = os.lstat(full)
            if name.startswith("coffer.") and not name.startswith("coffer.long.") or not stat.S_ISREG(st.st_mode):
                continue
            with open(full, "rb") as f:
                h[os.path.relpath(full, path)] = (st.st_mtime_ns, hashlib.sha256(f.read()).hexdigest())
    return h


def must_read(path, m):
    seen, problems = reader.read_tree(path, bytes.fromhex(m["root_key"]))
    assert sorted({p for p, _ in problems}) == sorted(m["bad"]), problems
    tree = {k: v for k, v in m["tree"].items() if k not in m["bad"]}
    assert seen == tree, reader.difference(seen, tree)


def must_be_kept(path, m):
    """The quarantine is as section 8 says, and holds both files of each bad one."""
    v = reader.Volume(path, bytes.fromhex(m["root_key"]))
    try:
        wrong = list(quarantine.problems(v))
        assert not wrong, wrong
    finally:
        os.close(v.log_fd)
    names = os.listdir(os.path.join(path, "coffer.quarantine"))
    assert len(names) == 2 * len(m["bad"]) and all(os.stat(os.path.join(path, "coffer.quarantine", n)).st_size for n in names), names


def one(tmp, variant):
    path, m = make(tmp, variant)
    before = reader.lower_hash(path)
    if m["refuse"]:
        replay(path, "check", 8)
        replay(path, "", 8)
        assert reader.lower_hash(path) == before, "a refused volume was changed"
        return
    checked = replay(path, "check")
    assert reader.lower_hash(path) == before, "a check changed something"
    times = {k: v[0] for k, v in files_hash(path).items()}
    kept = replay(path, "keep")
    assert kept == checked, (kept, checked)
    first = files_hash(path)
    assert {k: v[0] for k, v in first.items() if k in times} == times, "times of lower files changed"
    kept = replay(path, "keep")
    assert files_hash(path) == first, "the second replay did something else"
    res = replay(path)
    assert res["transactions"] == checked["transactions"]
    assert files_hash(path) == first
    assert replay(path)["transactions"] == 0
    must_read(path, m)
    if m["bad"]:
        must_be_kept(path, m)
    assert res["quarantined"] == 0 and (checked["quarantined"] > 0) == (bool(m["bad"]) and variant != "quarantined")


def cut(tmp, variant, rng):
    """Blocks that replay wrote are put back, or half of them, at random, as a power cut leaves them; the next replay must not mind."""
    path, m = make(tmp, variant)
    if m["refuse"] or m["bad"]:
        return
    old = path + ".old"
    shutil.copytree(path, old, symlinks=True)
    replay(path, "keep")
    for name in files_hash(old):
        with open(os.path.join(old, name), "rb") as a, open(os.path.join(path, name), "r+b") as b:
            before, after = a.read(), b.read()
            for off in range(0, len(after), 512):
                if before[off:off + 512] != after[off:off + 512] and rng.random() < 0.5:
                    b.seek(off)
                    b.write(before[off:off + 512].ljust(min(512, len(after) - off), b"\0"))
    replay(path)
    must_read(path, m)


def random_histories(tmp):
    for seed in range(300 if FULL else 20):
        one(tmp, "random-%d" % seed)
        shutil.rmtree(os.path.join(tmp, "random-%d" % seed))


def cuts(tmp):
    rng = random.Random(1)
    names = list(make_volume.VARIANTS) + ["random-%d" % n for n in range(100 if FULL else 10)]
    for k in range(5 if FULL else 1):
        for name in names:
            if name.startswith(("log", "random", "slot")):
                cut(tmp, name, rng)
                for p in (name, name + ".old"):
                    shutil.rmtree(os.path.join(tmp, p), ignore_errors=True)


def main():
    tests = [("replays " + v, lambda tmp, v=v: one(tmp, v)) for v in make_volume.VARIANTS]
    tests += [("replays random histories", random_histories), ("is cut at random and done again", cuts)]
    if len(sys.argv) > 1:
        tests = [t for t in tests if any(a in t[0] for a in sys.argv[1:])]
    print("1..%d" % len(tests))
    bad = 0
    for n, (name, run) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", ".")) as tmp:
            try:
                run(tmp)
                print("ok %d - %s" % (n, name))
            except reader.Skip as e:
                print("ok %d - %s # SKIP %s" % (n, name, e))
            except Exception:
                bad += 1
                print("not ok %d - %s" % (n, name))
                print("".join("# " + line for line in traceback.format_exc().splitlines(True)))
        sys.stdout.flush()
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
