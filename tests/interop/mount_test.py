#!/usr/bin/python3
"""The reader and the writer of this directory against real mounts, in TAP: mount_test.py BINDIR [SEED].

BINDIR holds coffer and coffer-agent. Volumes made through a mount are read by cofferread, after a clean end and after
the mount was killed; volumes made by make_volume.py are mounted. Needs root and /dev/fuse; else all is skipped.
"""

import ctypes
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True

import make_volume  # noqa: E402
from cofferbuild import BLOCK  # noqa: E402
from cofferread.volume import Volume  # noqa: E402
from test_interop import FULL, difference, read_tree, verify  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
KEEP_SIZE, PUNCH = 1, 3
NOTED = []
BIG = 1 << 40       # files above are not read through a mount


def fallocate(fd, mode, offset, length):
    if LIBC.fallocate(fd, mode, offset, length) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


class Host:
    """An agent with its own configuration, and the volumes and mounts of one run."""

    def __init__(self, bindir, tmp):
        self.bin, self.tmp = bindir, tmp
        self.conf, self.sock = os.path.join(tmp, "conf"), os.path.join(tmp, "run", "agent.sock")
        for d in ("conf", "conf/keys", "state", "run"):
            os.mkdir(os.path.join(tmp, d), 0o700)
        self.mounts, self.log = [], open(os.path.join(tmp, "agent.log"), "wb")
        self.agent = subprocess.Popen(
            [os.path.join(bindir, "coffer-agent"), "--foreground", "--config", self.conf, "--state",
             os.path.join(tmp, "state"), "--socket", self.sock], stdout=self.log, stderr=self.log)
        self.wait(lambda: os.path.exists(self.sock), "the agent's socket")

    @staticmethod
    def wait(what, name, seconds=20):
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise AssertionError("waited %d s for %s" % (seconds, name))
            time.sleep(0.02)

    def run(self, *args, status=0):
        r = subprocess.run([os.path.join(self.bin, "coffer"), "--agent", self.sock, *args], capture_output=True,
                           text=True, errors="replace", timeout=120, check=False)
        if status is not None and r.returncode != status:
            raise AssertionError("coffer %s: exit %d: %s%s" % (" ".join(args), r.returncode, r.stdout, r.stderr))
        return r

    def mount(self, volume, *options, status=0):
        """Mount point, or the result if status is None and mounting failed."""
        point = os.path.join(self.tmp, "mnt%d" % len(self.mounts))
        os.makedirs(point, exist_ok=True)
        r = self.run("mount", volume, point, *options, status=status)
        if r.returncode != 0:
            return r
        self.mounts.append(point)
        return point

    def umount(self, point):
        self.run("umount", point)
        self.mounts[self.mounts.index(point)] = ""

    @staticmethod
    def has_ended(pid):
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):  # the latter when it goes between open and read
            return True

    def kill(self, point):
        """SIGKILL for the process behind a mount, then take the dead mount away."""
        r = json.loads(self.run("status", "--json").stdout)
        pid = [m["pid"] for m in r["mounts"] if m["mountpoint"] == point][0]
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: self.has_ended(pid), "the mount's end")
        subprocess.run(["umount", "-l", point], check=True)
        self.mounts[self.mounts.index(point)] = ""

    def close(self):
        for point in self.mounts:
            if point and os.path.ismount(point):
                subprocess.run(["umount", "-l", point], check=False)
        self.agent.terminate()
        try:
            self.agent.wait(20)
        except subprocess.TimeoutExpired:
            self.agent.kill()
        self.log.close()

    def init(self, name):
        volume = os.path.join(self.tmp, name)
        self.run("init", volume, "--tenant", "interop", "--log-size", "16")
        return volume

    def root_key(self, volume):
        """The root key, through the local: key file the agent made; opened by the reader."""
        from cofferread.config import Config
        with open(os.path.join(volume, "coffer.volume"), "rb") as f:
            c = Config(f.read())
        name = [s["kms"] for s in c.slots if s["kms"].startswith("local:")][0][len("local:"):]
        with open(os.path.join(self.conf, "keys", name), "rb") as f:
            return c.open_local(f.read())


# What is there, in the terms of coffervol.Builder.snapshot().

def data_hash(fd, size):
    """As coffervol.PlainFile.sha256(): holes are skipped where the filesystem says so."""
    h, at = hashlib.sha256(b"%d\n" % size), 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA) // BLOCK * BLOCK
            end = os.lseek(fd, at, os.SEEK_HOLE)
        except OSError as e:
            if e.errno == errno.ENXIO:
                break
            raise
        while at < end:
            data = os.pread(fd, BLOCK, at)
            if any(data):
                h.update(b"%d\n" % (at // BLOCK) + data)
            at += BLOCK
    return h.hexdigest()


def file_hash(path, size):
    fd = os.open(path, os.O_RDONLY)
    try:
        return data_hash(fd, size)
    finally:
        os.close(fd)


def snapshot(top):
    out = {}
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            full = os.path.join(where, name)
            st = os.lstat(full)
            kind = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}[stat.S_IFMT(st.st_mode)]
            e = out[os.path.relpath(full, top)] = {"kind": kind}
            if kind == "l":
                e["target"] = os.fsencode(os.readlink(full)).hex()
                continue
            e["mode"] = stat.S_IMODE(st.st_mode)
            if kind == "f":
                e["size"] = st.st_size
                if st.st_size < BIG:
                    e["sha256"] = file_hash(full, st.st_size)
            x = {n: os.getxattr(full, n).hex() for n in attributes(full)}
            if x:
                e["xattrs"] = x
    return out


def attributes(path):
    try:
        return [n for n in os.listxattr(path) if n.startswith("user.")]
    except OSError as e:
        if e.errno == errno.ENOTSUP:
            return []
        raise


def seen_through(point, tree):
    """A manifest's tree without what a mount does not show."""
    drop = set() if supports_xattrs(point) else {"xattrs"}
    return {n: {k: v for k, v in e.items() if k not in drop and (k != "sha256" or e["size"] < BIG)}
            for n, e in tree.items()}


def supports_xattrs(top):
    """False if a mount, or what is below it, knows no extended attributes (then a line says so)."""
    path = os.path.join(top, "xattr probe")
    with open(path, "xb"):
        pass
    try:
        os.setxattr(path, "user.probe", b"x")
        return True
    except OSError as e:
        if e.errno != errno.ENOTSUP:
            raise
        if not NOTED:
            print("# no extended attributes on the mount: not tested")
            NOTED.append(True)
        return False
    finally:
        os.unlink(path)


class Workload:
    """The same random operations on several trees."""

    def __init__(self, seed, *tops):
        self.rng, self.tops = random.Random(seed), tops
        self.files, self.dirs, self.n = [], [""], 0
        self.xattrs = supports_xattrs(tops[-1])

    def each(self, function, *paths):
        for top in self.tops:
            function(*(os.path.join(top, p) for p in paths))

    def name(self):
        self.n += 1
        length = self.rng.choice((1, 5, 20, 90, 97, 130, 200, 240))
        return os.path.join(self.rng.choice(self.dirs), ("%d-" % self.n) + "n" * length)

    def change(self, path, offset, data, cut, ranges):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        if cut is not None:
            os.ftruncate(fd, cut)
        os.pwrite(fd, data, offset)
        for mode, at, length in ranges:
            fallocate(fd, mode, at, length)
        os.close(fd)

    def step(self):
        r, k = self.rng, self.rng.random()
        new = self.name() if k < 0.15 or not self.files else None
        if k < 0.70 or new:
            if new:
                self.files.append(new)
            path = new or r.choice(self.files)
            offset = r.choice((0, 1, 4095, 4096, 524287, 524288, r.randrange(1 << 16), r.randrange(3 << 20)))
            data = r.randbytes(r.choice((1, 100, 4096, 8192, r.randrange(1, 70000), r.randrange(1, 700000))))
            cut = r.choice((None, None, None, 0, r.randrange(1 << 21)))
            ranges = [(r.choice((0, KEEP_SIZE, PUNCH, PUNCH)), r.choice((0, 524288, r.randrange(1 << 21))), r.choice((5000, 524288, r.randrange(1, 1 << 21))))
                      for _ in range(r.choice((0, 0, 1, 2)))]
            self.each(lambda p: self.change(p, offset, data, cut, ranges), path)
        elif k < 0.76:
            old, new = r.choice(self.files), self.name()
            self.each(os.rename, old, new)
            self.files[self.files.index(old)] = new
        elif k < 0.80 and len(self.files) > 3:
            self.each(os.unlink, self.files.pop(r.randrange(len(self.files))))
        elif k < 0.85:
            self.dirs.append(self.name())
            self.each(os.mkdir, self.dirs[-1])
        elif k < 0.90:
            target = "t" * r.choice((1, 31, 32, 33, 500, 3000))
            new = self.name()
            self.each(lambda p: os.symlink(target, p), new)
        elif k < 0.92:
            old, new = r.choice(self.files), self.name()
            self.each(os.link, old, new)
            self.files.append(new)
        elif k < 0.94:
            self.each(os.mkfifo, self.name())
        elif k < 0.97 or not self.xattrs:
            mode = r.choice((0o600, 0o644, 0o755))
            self.each(lambda p: os.chmod(p, mode), r.choice(self.files))
        else:
            path, value = r.choice(self.files), r.randbytes(r.choice((0, 1, 200)))
            self.each(lambda p: os.setxattr(p, "user.interop", value), path)

    def run(self, steps):
        for _ in range(steps):
            self.step()


def equal(a, b, what):
    assert a == b, "%s: %s" % (what, difference(a, b))


def check_volume(volume, root, want):
    seen, problems = read_tree(volume, root)
    assert not problems, problems
    equal(seen, want, "reader (left) and plain copy")
    status, out = verify(volume, root, sums=True)
    assert status == 0, out


def mounted_volumes_are_read(host, seed):
    volume, plain = host.init("a"), os.path.join(host.tmp, "plain-a")
    os.mkdir(plain)
    root = host.root_key(volume)
    check_volume(volume, root, {})
    for turn in range(3):
        point = host.mount(volume)
        work = Workload(seed + turn, plain, point)
        work.n = 1000 * turn
        work.run(150)
        equal(snapshot(point), snapshot(plain), "mount (left) and plain copy")
        host.umount(point)
        check_volume(volume, root, snapshot(plain))


def killed_mounts_are_read(host, seed):
    volume, plain = host.init("b"), os.path.join(host.tmp, "plain-b")
    os.mkdir(plain)
    root = host.root_key(volume)
    transactions = 0
    for turn in range(4):
        point = host.mount(volume)
        equal(snapshot(point), snapshot(plain), "mount after replay (left) and plain copy")
        work = Workload(seed + 10 + turn, plain, point)
        work.n = 1000 * turn
        work.run(80)
        host.run("sync", point)
        host.kill(point)
        check_volume(volume, root, snapshot(plain))
        v = Volume(volume, root)
        transactions += len(v.log.transactions)
        v.close()
    assert transactions > 0, "no killed mount left anything in the log: this tests nothing"


def mounts_killed_in_the_middle_verify(host, seed):
    volume, root = host.init("c"), None
    root = host.root_key(volume)
    for turn in range(4):
        point = host.mount(volume)
        work = Workload(seed + 20 + turn, point)
        work.n = 1000 * turn
        work.run(40 + 17 * turn)
        host.kill(point)
        status, out = verify(volume, root, sums=True)
        assert status == 0, out
        seen, _ = read_tree(volume, root)
        point = host.mount(volume)
        equal(snapshot(point), seen, "mount after replay (left) and reader before")
        host.umount(point)
        check_volume(volume, root, seen)


def write_until_killed(point, seed, pipe):
    """In a child: say a file's name, overwrite and cut it, say what it was when its fsync returned."""
    rng, top = random.Random(seed), os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            name = "f%d" % rng.randrange(12)
            os.write(pipe, b"%s\n" % name.encode())
            fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600, dir_fd=top)
            for _ in range(rng.randrange(1, 6)):
                os.pwrite(fd, rng.randbytes(rng.randrange(1, 200000)), rng.choice((0, 5000, 600000, 1500000)))
            if rng.random() < 0.2:
                os.ftruncate(fd, rng.randrange(1 << 20))
            if rng.random() < 0.3:
                fallocate(fd, rng.choice((0, KEEP_SIZE, PUNCH)), rng.choice((0, 3000, 524288)), rng.randrange(1, 1 << 20))
            os.fsync(fd)
            e = data_hash(fd, os.fstat(fd).st_size)
            os.close(fd)
            os.write(pipe, b"%s %s\n" % (name.encode(), e.encode()))
    except OSError:
        os._exit(0)


def what_was_synced_is_read(host, seed):
    """A child writes and syncs, the mount is killed at any moment; files not touched since their fsync are as it was."""
    volume, checked = host.init("e"), 0
    root, rng = host.root_key(volume), random.Random(seed)
    for turn in range(20 if FULL else 5):
        point = host.mount(volume)
        r, w = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(r)
            write_until_killed(point, seed * 100 + turn, w)
        os.close(w)
        time.sleep(rng.uniform(0.1, 1))
        host.kill(point)
        with os.fdopen(r, "rb") as f:
            lines = f.read().decode().splitlines()
        os.waitpid(child, 0)
        synced = {}
        for line in lines:
            name, _, sha = line.partition(" ")
            synced[name] = sha      # empty: at work, may be anything that verifies
        synced = {name: sha for name, sha in synced.items() if sha}
        seen, problems = read_tree(volume, root)
        assert not problems, problems
        for name, sha in synced.items():
            assert seen[name]["sha256"] == sha, "turn %d: %s is not what its fsync promised" % (turn, name)
        checked += len(synced)
        status, out = verify(volume, root)
        assert status == 0, out
    assert checked > 0


def fsck_and_reader_agree(host, seed):
    """Bytes of backing files are changed; coffer fsck and the reader say the same of each."""
    volume, plain = host.init("d"), os.path.join(host.tmp, "plain-d")
    os.mkdir(plain)
    root, rng = host.root_key(volume), random.Random(seed)
    point = host.mount(volume)
    Workload(seed + 30, plain, point).run(60)
    host.umount(point)
    host.run("fsck", volume)
    files = [os.path.join(w, n) for w, _, names in os.walk(volume) for n in names
             if not n.startswith("coffer.") and os.path.isfile(os.path.join(w, n)) and
             not os.path.islink(os.path.join(w, n)) and os.path.getsize(os.path.join(w, n)) > 0]
    found = 0
    for _ in range(60 if FULL else 12):
        path = rng.choice(sorted(files))
        with open(path, "r+b") as f:
            at = rng.randrange(min(os.path.getsize(path), rng.choice((512, 4096, 1 << 30))))
            old = os.pread(f.fileno(), 1, at)
            os.pwrite(f.fileno(), bytes([old[0] ^ 1 << rng.randrange(8)]), at)
            reader, out = verify(volume, root)
            r = host.run("fsck", volume, status=None)
            assert (r.returncode != 0) == (reader != 0), "byte %d of %s: fsck exit %d (%s%s), reader %d (%s)" % (
                at, path, r.returncode, r.stdout, r.stderr, reader, out)
            assert r.returncode in (0, 8), r
            found += reader
            os.pwrite(f.fileno(), old, at)
    assert found > 0
    host.run("fsck", volume)


def made_volume(host, variant):
    volume = os.path.join(host.tmp, variant)
    m = make_volume.make(variant, volume)
    key = os.path.join(host.conf, "keys", "test")
    if not os.path.exists(key):
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(bytes.fromhex(m["local_key"]))
    return volume, m


def mount_variant(variant):
    def run(host, _seed):
        volume, m = made_volume(host, variant)
        tree = m["tree"]
        host.run("trust", volume)
        point = host.mount(volume, status=None)
        if m["refuse"]:
            assert not isinstance(point, str), "was mounted"
            assert point.returncode in (7, 8), point
            return
        assert isinstance(point, str), point
        bad = set(m["bad"])
        for name in bad:
            try:
                with open(os.path.join(point, name), "rb") as f:
                    f.read()
            except OSError as e:
                assert e.errno == errno.EIO, e
            else:
                raise AssertionError("%s was read" % name)
        if not bad:
            equal(snapshot(point), seen_through(point, tree), "mount (left) and made volume")
            host.umount(point)
            check_volume(volume, bytes.fromhex(m["root_key"]), m["tree"])
            return
        for name in set(tree) - bad:
            assert file_hash(os.path.join(point, name), tree[name]["size"]) == tree[name]["sha256"], name
        host.umount(point)
        _, out = verify(volume, bytes.fromhex(m["root_key"]))
        assert all("%s: marked DAMAGED" % name in out for name in bad) and "quarantine" not in out, out
        assert os.listdir(os.path.join(volume, "coffer.quarantine"))
    run.__name__ = "mounts_" + variant.replace("-", "_")
    return run


TESTS = [mounted_volumes_are_read, killed_mounts_are_read, mounts_killed_in_the_middle_verify, fsck_and_reader_agree,
         what_was_synced_is_read]
TESTS += [mount_variant(v) for v in [*make_volume.VARIANTS, *("random-%d" % n for n in range(200 if FULL else 12))]]


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    bindir, seed = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 1
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("1..0 # SKIP needs root and /dev/fuse")
        return 0
    print("1..%d" % len(TESTS))
    failed = 0
    for n, f in enumerate(TESTS, 1):
        name, tmp = f.__name__.replace("_", " "), tempfile.mkdtemp(prefix="coffer-interop-")
        host = None
        try:
            host = Host(bindir, tmp)
            f(host, seed)
            print("ok %d - %s" % (n, name), flush=True)
        except Exception:       # pylint: disable=broad-except
            failed += 1
            print("not ok %d - %s" % (n, name), flush=True)
            for line in traceback.format_exc().splitlines()[-12:]:
                print("# " + line[:2000])
        finally:
            if host is not None:
                host.close()
            if not os.environ.get("KEEP"):
                shutil.rmtree(tmp, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
