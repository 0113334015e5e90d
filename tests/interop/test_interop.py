#!/usr/bin/python3
"""Self tests of the reader and the writer, in TAP. COFFER_TEST_FULL=1 flips every byte instead of a sample."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import make_vectors  # noqa: E402
import make_volume  # noqa: E402
import test_rules  # noqa: E402
from coffervol import BLOCK, PlainFile  # noqa: E402
from cofferread import cli, crypt, filedata, xxh3  # noqa: E402
from cofferread.layout import Bad  # noqa: E402
from cofferread.volume import Volume  # noqa: E402

FULL = os.environ.get("COFFER_TEST_FULL") == "1"
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class Skip(Exception):
    pass


def read_tree(path, root_key):
    """(what the reader sees, in the writer's terms; problems). Raises Bad for a refused volume."""
    v = Volume(path, root_key)
    try:
        problems, out = [], {}
        for node in v.walk(lambda p, m: problems.append((os.fsdecode(p), m))):
            if not node.path:
                continue
            name = os.fsdecode(node.path)
            try:
                out[name] = read_node(v, node)
            except Bad as e:
                problems.append((name, str(e)))
        return out, problems
    finally:
        v.close()


def read_node(v, node):
    e = {"kind": node.kind}
    if node.kind == "l":
        e["target"] = node.target.hex()
        return e
    e["mode"] = node.st.st_mode & 0o7777
    if node.kind == "f":
        f = v.open_file(node)
        try:
            p = PlainFile()
            p.size = f.size
            p.blocks = {offset // BLOCK: data for offset, data in f.extents()}
        finally:
            os.close(f.fd)
        e.update(size=p.size, sha256=p.sha256())
    x = v.xattrs(node)
    if x:
        e["xattrs"] = {n.decode(): value.hex() for n, value in x}
    return e


def lower_hash(path):
    """Everything of a directory but access times."""
    h = hashlib.sha256()
    for root, dirs, files in os.walk(path):
        dirs.sort()
        for name in sorted(dirs + files):
            full = os.path.join(root, name)
            st = os.lstat(full)
            h.update(repr((full, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino)).encode())
            if os.path.isfile(full) and not os.path.islink(full) and st.st_size < 1 << 22:
                with open(full, "rb") as f:
                    h.update(f.read())
    return h.hexdigest()


def make(tmp, variant):
    path = os.path.join(tmp, variant)
    try:
        m = make_volume.make(variant, path)
    except OSError as e:
        if "xattr" in variant:
            raise Skip("no extended attributes here: %s" % e) from None
        raise
    return path, m, bytes.fromhex(m["root_key"])


# The parts.

@test
def siv_agrees_with_hazmat(_tmp):
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ImportError:
        raise Skip("no AESSIV") from None
    for n in list(range(1, 70)) + [255, 3000]:
        for strings in ([], [b"x" * 16], [b"y" * 40, b"z"]):
            key = hashlib.sha512(b"%d" % n).digest()
            plain = hashlib.shake_128(b"%d" % n).digest(n)
            c = crypt.siv_encrypt(key, plain, strings)
            assert c == AESSIV(key).encrypt(plain, strings or None)
            assert crypt.siv_decrypt(key, c, strings) == plain


@test
def hkdf_and_gmac_agree_with_hazmat(_tmp):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    for length in (32, 64, 100):
        info = b"info %d" % length
        assert crypt.hkdf(b"k" * 32, info, length) == HKDF(hashes.SHA512(), length, crypt.SALT, info).derive(b"k" * 32)
    for v in make_vectors.make()["egmac"]:
        message = bytes.fromhex(v["message_head"]) + make_vectors.pattern(v["payload_seed"], v["payload_length"])
        keys = bytes.fromhex(v["keys"])
        assert AESGCM(keys[:32]).encrypt(bytes.fromhex(v["iv"]), b"", message).hex() == v["gmac"]


@test
def xxh3_agrees_with_the_module(_tmp):
    # These two are XXH3_64bits() of libxxhash.
    assert xxh3.xxh3_64_long(make_vectors.pattern(0)) == 0xd369ccdd2fdab183
    assert xxh3.xxh3_64_long(make_vectors.pattern(0, 5000)) == 0x80c417de53bda261
    if xxh3.xxhash is None:
        raise Skip("no xxhash module")
    for n in (241, 256, 1024, 1025, 4095, 4096, 5000):
        data = make_vectors.pattern(n, n)
        assert xxh3.xxh3_64_long(data) == xxh3.xxhash.xxh3_64_intdigest(data)


@test
def vectors_are_what_the_program_makes(_tmp):
    with open(os.path.join(HERE, "..", "golden", "vectors.json"), encoding="utf-8") as f:
        assert f.read() == make_vectors.text(), "run make_vectors.py > ../golden/vectors.json"


TESTS += test_rules.TESTS


# Reader against writer.

def one_variant(variant):
    def run(tmp):
        path, m, root = make(tmp, variant)
        before = lower_hash(path)
        if m["refuse"]:
            try:
                read_tree(path, root)
            except Bad:
                assert lower_hash(path) == before
                return
            raise AssertionError("was not refused")
        seen, problems = read_tree(path, root)
        assert sorted({p for p, _ in problems}) == sorted(m["bad"]), problems
        for name in m["bad"]:
            del m["tree"][name]
        assert seen == m["tree"], difference(seen, m["tree"])
        status, out = verify(path, root, sums=len(seen) < 10)
        assert status == (1 if m["bad"] else 0), out
        assert lower_hash(path) == before, "the reader changed something"
    run.__name__ = "reads_" + variant.replace("-", "_")
    return run


def difference(a, b):
    return {k: (a.get(k), b.get(k)) for k in set(a) | set(b) if a.get(k) != b.get(k)}


def verify(path, root, sums=False):
    out, sys.stdout = sys.stdout, io.StringIO()
    err, sys.stderr = sys.stderr, io.StringIO()
    try:
        v = Volume(path, root)
        try:
            return cli.Verifier(v, sums).run(), sys.stdout.getvalue()
        finally:
            v.close()
    finally:
        sys.stdout, sys.stderr = out, err


TESTS += [one_variant(name) for name in make_volume.VARIANTS]


@test
def reads_random_histories(tmp):
    for seed in range(400 if FULL else 25):
        one_variant("random-%d" % seed)(tmp)
        shutil.rmtree(os.path.join(tmp, "random-%d" % seed))


@test
def writer_is_deterministic(tmp):
    a, b = os.path.join(tmp, "1"), os.path.join(tmp, "2")
    for d in (a, b):
        os.mkdir(d)
        make(d, "log-wrap")
    for name in sorted(os.listdir(os.path.join(a, "log-wrap"))):
        pair = [os.path.join(d, "log-wrap", name) for d in (a, b)]
        assert subprocess.run(["cmp", "-s"] + pair, check=False).returncode == 0, name


@test
def commands_work(tmp):
    subprocess.run([sys.executable, os.path.join(HERE, "make_volume.py"), "log-torn", os.path.join(tmp, "v")],
                   check=True)
    v = os.path.join(tmp, "v")

    def run(*args, key=("--root-key-file", v + ".root"), status=0):
        r = subprocess.run([sys.executable, os.path.join(HERE, "coffer_read.py"), *key, v, *args],
                           capture_output=True, check=False)
        assert r.returncode == status, (args, r)
        return r.stdout

    with open(v + ".root", "rb") as f:
        root = f.read()
    assert b"transactions 2 files 2" in run("info")
    assert run("info", key=("--local-key-file", v + ".local")) == run("info", key=("--root-key", root.hex()))
    run("info", key=("--local-key-file", v + ".root"), status=1)
    run("info", key=("--root-key-file", v + ".local"), status=1)
    assert run("ls").splitlines()[2] == b"f 644 3 untouched"
    assert run("cat", "untouched") == b"abc"
    run("cat", "no such", status=1)
    assert run("verify", "--sums") == b""
    assert b"GROUP 1 base HOME" in run("log")
    assert b" log " in run("dump", "a")
    out = os.path.join(tmp, "out")
    run("extract", out)
    assert sorted(os.listdir(out)) == ["a", "b", "untouched"]
    for name in ("a", "b"):
        with open(os.path.join(out, name), "rb") as f:
            assert f.read() == run("cat", name)
    run("extract", out, status=1)
    run("extract", os.path.join(v, "x"), status=1)


# Mutations: an error, or the same plain content; never other content.

class Mutant:
    def __init__(self, path, m, root):
        self.path, self.tree, self.root, self.count = path, m["tree"], root, 0
        self.silent = 0

    def judge(self, what):
        self.count += 1
        try:
            seen, problems = read_tree(self.path, self.root)
        except Bad:
            return
        if seen == self.tree:
            self.silent += not problems
            return
        assert problems, "%s: other content without an error: %s" % (what, difference(seen, self.tree))
        for name, e in seen.items():
            assert self.tree.get(name) == e, "%s: %s has other content" % (what, name)

    def flip(self, file, offsets, bits=(0x01, 0x80)):
        fd = os.open(file, os.O_RDWR)
        try:
            size = os.fstat(fd).st_size
            for n, at in enumerate(offsets):
                if at >= size:
                    continue
                old = os.pread(fd, 1, at)
                os.pwrite(fd, bytes([old[0] ^ bits[n % len(bits)]]), at)
                self.judge("%s byte %d" % (file, at))
                os.pwrite(fd, old, at)
        finally:
            os.close(fd)
        self.judge_clean()

    def judge_clean(self):
        seen, problems = read_tree(self.path, self.root)
        assert seen == self.tree and not problems, "not put back"


def sample(start, end, step):
    return range(start, end) if FULL else range(start, end, step)


def lower_files(path):
    return sorted(os.path.join(path, n) for n in os.listdir(path)
                  if not n.startswith("coffer.") and os.path.isfile(os.path.join(path, n)))


def authenticated(path, root, file):
    """Lower offsets of the metadata blocks and data blocks that hold something."""
    v = Volume(path, root)
    fd = os.open(file, os.O_RDONLY)
    try:
        f = filedata.File(v, fd)
        starts = [n * 528384 for n in f.group_numbers()]
        blocks = [n * 528384 + BLOCK * (1 + i) for n in f.group_numbers() for i in range(128)
                  if f.group(n).entry(i) is not None]
        return starts, blocks
    finally:
        os.close(fd)
        v.close()


@test
def flips_in_configuration_and_state(tmp):
    path, m, root = make(tmp, "log-home")
    t = Mutant(path, m, root)
    t.flip(os.path.join(path, "coffer.volume"), sample(0, 4096, 13))
    assert t.silent == 0, "a change of coffer.volume went unnoticed"
    t.flip(os.path.join(path, "coffer.state"), list(sample(4096, 4096 + 512, 7)) + list(sample(4608, 8192, 511)))
    t.flip(os.path.join(path, "coffer.state"), list(sample(0, 512, 17)) + list(sample(512, 4096, 977)))


@test
def flips_in_files_at_home(tmp):
    path, m, root = make(tmp, "small")
    t = Mutant(path, m, root)
    for file in lower_files(path):
        metadata, blocks = authenticated(path, root, file)
        for start in metadata:
            t.flip(file, list(sample(start, start + 512, 11)) + list(sample(start + 512, start + 4096, 119)))
        for start in blocks:
            t.flip(file, list(sample(start, start + BLOCK, 1361)))
    assert t.count > 200 and t.silent == 0, "%d of %d changes went unnoticed" % (t.silent, t.count)


@test
def flips_in_the_log(tmp):
    for variant in ("log-home", "log-torn", "log-wrap"):
        path, m, root = make(tmp, variant)
        t = Mutant(path, m, root)
        log = os.path.join(path, "coffer.log")
        with open(log, "rb") as f:
            used = [(n, block[:4] == b"CFRL") for n, block in ((n, f.read(BLOCK)) for n in range(4096)) if any(block)]
        t.silent = t.count = 0
        for n, is_descriptor in used if FULL else used[:12] + used[12::40]:
            offsets = sample(0, BLOCK, 401) if is_descriptor else range(0, BLOCK, 401)
            t.flip(log, [n * BLOCK + o for o in offsets])
        assert t.silent == 0, "%s: %d of %d changes went unnoticed" % (variant, t.silent, t.count)


@test
def flips_in_a_transaction_not_durable(tmp):
    """The content before it, or an error."""
    path, m, root = make(tmp, "log-last-damaged")
    t = Mutant(path, m, root)
    log = os.path.join(path, "coffer.log")
    t.flip(log, sample(2 * BLOCK, 5 * BLOCK, 173))
    t.silent = 0
    t.flip(log, sample(0, 2 * BLOCK, 173))
    assert t.silent == 0


@test
def changed_names_and_targets(tmp):
    path, m, root = make(tmp, "clean")
    t = Mutant(path, m, root)
    for where, dirs, files in list(os.walk(path)):
        for name in sorted(dirs + files):
            full = os.path.join(where, name)
            if os.path.islink(full):
                target = os.readlink(full)
                for at in range(0, len(target), max(1, len(target) // 3)):
                    other = target[:at] + ("A" if target[at] != "A" else "B") + target[at + 1:]
                    os.unlink(full)
                    os.symlink(other, full)
                    t.judge("%s -> %s" % (full, other))
                os.unlink(full)
                os.symlink(target, full)
            elif where == path and name.startswith("coffer.") and "long" not in name:
                continue
            else:
                at = len(name) - 2
                other = os.path.join(where, name[:at] + ("A" if name[at] != "A" else "B") + name[at + 1:])
                os.rename(full, other)
                t.judge("%s renamed" % full)
                os.rename(other, full)
    t.judge_clean()


@test
def moved_blocks_groups_and_directories(tmp):
    path, m, root = make(tmp, "small")
    t = Mutant(path, m, root)
    found = {len(authenticated(path, root, f)[1]): f for f in lower_files(path)}
    big, other = found[5], found[2]

    def copied(src, a, dst, b, length):
        with open(src, "rb") as s, open(dst, "r+b") as d:
            data, old = os.pread(s.fileno(), length, a), os.pread(d.fileno(), length, b)
            os.pwrite(d.fileno(), data, b)
            before = t.silent
            t.judge("copied")
            assert t.silent == before, "a copy from %d to %d went unnoticed" % (a, b)
            os.pwrite(d.fileno(), old, b)

    copied(big, 4096, big, 8192, BLOCK)                      # a block over its neighbour
    copied(big, 512, big, 540, 28)                           # an entry over its neighbour
    copied(big, 528384, big, 0, 528384)                      # a group over another
    copied(big, 0, big, 528384, 4096)                        # metadata of group 0 as that of group 1
    copied(other, 4096, big, 4096, BLOCK)                    # a block of another file
    copied(other, 512, big, 512, 3584)                       # entries of another file
    t.judge_clean()


@test
def flips_in_the_quarantine(tmp):
    path, _, root = make(tmp, "quarantined")
    top = os.path.join(path, "coffer.quarantine")
    assert sorted(n[-4:] for n in os.listdir(top)) == [".log", "home"]
    for name in os.listdir(top):
        full, about = os.path.join(top, name), "coffer.quarantine/" + name
        assert about not in verify(path, root)[1]
        with open(full, "r+b") as f:
            for at in (0, 9, 100, 4000, BLOCK - 1):
                old = os.pread(f.fileno(), 1, at)
                os.pwrite(f.fileno(), bytes([old[0] ^ 1]), at)
                assert about in verify(path, root)[1], "byte %d of %s" % (at, name)
                os.pwrite(f.fileno(), old, at)
        os.truncate(full, os.stat(full).st_size - 1)
        assert about in verify(path, root)[1]


@test
def missing_pieces(tmp):
    for name in ("coffer.volume", "coffer.state", "coffer.log"):
        path, m, root = make(tmp, "small")
        t = Mutant(path, m, root)
        full = os.path.join(path, name)
        os.truncate(full, os.stat(full).st_size - 1)
        t.judge("cut")
        assert t.silent == 0, name
        os.unlink(full)
        try:
            read_tree(path, root)
        except OSError:
            pass
        else:
            raise AssertionError("%s missing went unnoticed" % name)
        shutil.rmtree(path)


def main():
    failed = 0
    print("1..%d" % len(TESTS))
    for n, f in enumerate(TESTS, 1):
        name = f.__name__.replace("_", " ")
        tmp = tempfile.mkdtemp(prefix="coffer-interop-", dir=os.environ.get("TMPDIR"))
        try:
            f(tmp)
            print("ok %d - %s" % (n, name), flush=True)
        except Skip as e:
            print("ok %d - %s # SKIP %s" % (n, name, e), flush=True)
        except Exception:       # pylint: disable=broad-except
            failed += 1
            print("not ok %d - %s" % (n, name), flush=True)
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
