#!/usr/bin/python3
"""Make a volume directory by docs/format.md alone: make_volume.py VARIANT DIR, make_volume.py --list; the
variant random-N makes files and a log by the random generator's seed N (random_volume.py).

Beside DIR come DIR.root (the root key), DIR.local (the key file of its local: slot) and DIR.json: what a reader must see
("tree"; "sha256" as in coffervol.PlainFile), "refuse": true if it must refuse the volume, "bad": paths that must fail.
Equal arguments give equal bytes.
"""

import argparse
import os
import re
import sys

sys.dont_write_bytecode = True

import cofferbuild as cb  # noqa: E402
import random_volume  # noqa: E402
from cofferbuild import AT_HOME, BLOCK, EMPTY, FRESH, HOME, pattern  # noqa: E402
from coffervol import GROUP_LOWER, Builder, write_manifest  # noqa: E402

G = 128 * BLOCK


def blocks(first, count, seed=0):
    return {n: pattern(seed + n) for n in range(first, first + count)}


def tree(b):
    """Names of all lengths, all types, attributes."""
    for n in (1, 31, 32, 33, 95, 96, 97, 128, 200, 255):
        b.home(b"n" * n, n, {0: b"%d" % n + b"." * (n - len(b"%d" % n))})
    b.mkdir(b"dir", 0o750)
    b.mkdir(b"dir/empty", 0o700)
    b.mkdir(b"dir/" + b"d" * 120)
    b.home(b"dir/" + b"d" * 120 + b"/" + b"f" * 120, 3, {0: b"abc"}, mode=0o400)
    b.home(b"dir/file", 5, {0: b"hello"}, mode=0o755)
    b.link(b"dir/again", b"dir/file")
    b.symlink(b"dir/link", b"../n")
    b.symlink(b"long link", b"t" * 3000)
    b.symlink(b"link of 32", b"x" * 32)
    b.fifo(b"pipe", 0o620)
    b.home("Größe 漢字".encode(), 1, {0: b"x"})
    b.home(bytes(range(0x80, 0xA0)), 1, {0: b"y"})
    b.home(b"-rf *\n\t'\"", 1, {0: b"z"})
    os.symlink("x" * 200, os.path.join(b.path, b"coffer.name." + cb.name_hash("x" * 200).encode()))


def attributes(b):
    f = b"dir/file"
    b.xattr(f, b"empty", b"")
    b.xattr(f, b"n" * 150, b"long name")
    b.xattr(f, b"value", bytes(range(256)) * 4)
    b.xattr(b"dir", b"value", b"of a directory")


def sizes(b):
    """The worked sizes of section 5, and files with gaps and holes."""
    b.file(b"never written")
    b.home(b"cut again", 0, {})
    for size in (1, 4096, 4097, G, G + 1):
        n = (size + BLOCK - 1) // BLOCK
        data = blocks(0, n, size)
        data[n - 1] = data[n - 1][:size - (n - 1) * BLOCK]
        b.home(b"size %d" % size, size, data)
    b.home(b"byte at 2 MiB", (2 << 20) + 1, {512: b"!"}, alloc=5, gaps=((1, 3),))
    b.home(b"size only", 1 << 20, {})
    f = b.home(b"holes", 20 * G + 7, {3: pattern(1), 130: pattern(2), 5 * 128 + 127: pattern(3), 19 * 128: pattern(4)},
               alloc=20, gaps=((2, 3), (6, 1), (8, 11)))
    f.pwrite(pattern(99), 3 * GROUP_LOWER)
    f.pwrite(pattern(98), 25 * GROUP_LOWER)
    b.home(b"largest", 1 << 48, {1: pattern(5)})
    b.home(b"old epoch", 8192, blocks(0, 2, 7), epoch=1)
    f = b.file(b"left over")
    f.pwrite(pattern(9), BLOCK)
    f.pwrite(pattern(9), 528384 - BLOCK)


def clean(b):
    tree(b)
    sizes(b)
    b.finish(flags=1)


def clean_xattrs(b):
    tree(b)
    attributes(b)
    b.finish(flags=1)


def small(b):
    """Two groups with a gap between, small files, a directory: for tests that change bytes."""
    b.home(b"big", 2 * G + 5, {0: pattern(1), 1: pattern(2), 2: pattern(3), 256: b"12345"}, alloc=3, gaps=((1, 1),))
    b.home(b"other", 2 * BLOCK, blocks(0, 2))
    b.home(b"two groups", G + 3 * BLOCK, blocks(0, 2) | blocks(128, 3))
    b.home(b"cut", 0, {})
    b.finish(flags=1)


def base_home(b):
    """Blocks in the log, at home and made holes; the later of two records counts; metadata at home torn."""
    f = b.home(b"a", 6 * BLOCK, blocks(0, 6))
    g = b.home(b"b", 2 * G, blocks(0, 2) | blocks(128, 3, 50))
    b.home(b"untouched", 3, {0: b"abc"})
    t = b.transaction()
    t.file(f, 7 * BLOCK, [(0, HOME, {0: pattern(100), 2: None, 3: pattern(101), 6: (AT_HOME, pattern(102))})])
    t.file(g, 2 * G, [(0, HOME, {0: pattern(103)}), (1, HOME, {1: pattern(104), 2: None})])
    b.commit(t)
    t = b.transaction()
    t.file(f, 7 * BLOCK - 5, [(0, HOME, {0: pattern(110), 3: (AT_HOME, pattern(111)), 4: None,
                                         6: pattern(112, BLOCK - 5)})])
    b.commit(t, durable=1)
    return f, g


def log_home(b):
    base_home(b)
    b.finish(durable=2)


def log_torn(b):
    """A checkpoint was cut off: entries of group 0 half new, group 1's metadata block nonsense, blocks half home."""
    f, g = base_home(b)
    f.damage_home(512 + 28 * 3, bytes(range(1, 29)))
    f.damage_home(512 + 28 * 6, bytes(range(1, 29)))
    f.damage_home(BLOCK, pattern(1))
    g.damage_home(GROUP_LOWER + 512 + 28, bytes(range(1, 57)))
    g.damage_home(GROUP_LOWER, bytes(512))
    b.finish(durable=2)


def log_empty_fresh(b):
    """EMPTY on groups that are new, gaps or were there; FRESH throws away what was gathered."""
    f = b.home(b"a", 4 * G, blocks(0, 2) | blocks(3 * 128, 2, 30), alloc=4, gaps=((1, 2),))
    f.pwrite(pattern(77), GROUP_LOWER)
    g = b.home(b"b", 8192, blocks(0, 2))
    b.home(b"new", 0, {})
    t = b.transaction()
    t.file(f, 6 * G, [(0, EMPTY, {1: pattern(120)}), (1, EMPTY, {0: pattern(121), 127: pattern(122)}),
                      (5, EMPTY, {5: (AT_HOME, pattern(123))})], alloc=6, gaps=((2, 1), (4, 1)))
    t.file(g, 8192, [(0, HOME, {0: pattern(124), 1: None})])
    t.file(b.files[b"new"], 5000, [(0, HOME, {0: pattern(125), 1: pattern(126, 904)})])
    b.commit(t)
    t = b.transaction()
    t.file(g, 3 * BLOCK, [(0, FRESH, {2: pattern(127)})])
    t.file(f, 6 * G, [(3, EMPTY, {})], alloc=6, gaps=((2, 1), (4, 1)))
    b.commit(t, durable=1)
    b.finish(durable=2)


def log_truncate(b):
    """Size alone; groups dropped and made again; a group that stays at home."""
    f = b.home(b"a", 3 * G, blocks(0, 2) | blocks(128, 2, 40) | blocks(256, 2, 60))
    g = b.home(b"b", 3 * BLOCK, blocks(0, 3))
    t = b.transaction()
    t.file(g, 10 * BLOCK)
    t.file(f, 3 * G, [(1, HOME, {0: pattern(130)}), (2, HOME, {1: pattern(131)})])
    b.commit(t)
    t = b.transaction()
    t.file(f, G + 1, [(1, HOME, {0: pattern(132, 1), 1: None})], alloc=2)
    b.commit(t)
    t = b.transaction()
    t.file(f, 3 * G - 1, [(2, EMPTY, {127: pattern(133, BLOCK - 1)})], alloc=3)
    t.file(g, 1 << 47)
    b.commit(t)
    t = b.transaction()
    t.file(f, 3 * G - 1, [], alloc=3, gaps=((1, 1),))
    b.commit(t)
    b.finish(durable=4)


def log_dropped_home(b):
    """A group with records is dropped and comes back on HOME: it starts from the entries at home again."""
    f = b.home(b"a", 2 * G, blocks(0, 1) | blocks(128, 3))
    t = b.transaction()
    t.file(f, 2 * G, [(1, HOME, {0: pattern(134), 5: pattern(135)})])
    b.commit(t)
    t = b.transaction()
    t.file(f, G, [], alloc=1)
    b.commit(t)
    t = b.transaction()
    t.file(f, 2 * G, [(1, HOME, {2: pattern(136)})], alloc=2)
    b.commit(t)
    b.finish(durable=3)


def parts(b):
    f = b.home(b"a", 2 * G, blocks(0, 128) | blocks(128, 128, 9))
    g = b.home(b"b", 100, {0: b"q" * 100})
    t = b.transaction()
    t.file(f, 2 * G, [(0, HOME, blocks(0, 120, 77)), (1, HOME, blocks(0, 126, 78))])
    t.split()
    t.file(g, 5, [(0, HOME, {0: b"12345"})], split=True)
    b.commit(t)


def log_parts(b):
    """A transaction of four parts; a GROUP whose FILE stands in the part before."""
    parts(b)
    b.finish(durable=1)


def log_wrap(b):
    """The same in a ring that wraps inside the transaction."""
    parts(b)
    b.finish(durable=42)


def log_epochs(b):
    """A file goes over to the highest epoch in the log; descriptors of two epochs."""
    f = b.home(b"a", 2 * G, blocks(0, 2) | blocks(128, 1), epoch=1)
    t = b.transaction()
    t.file(f, 2 * G, [(0, HOME, {0: pattern(140), 1: pattern(141)}, 2)])
    b.commit(t, epoch=2)
    t = b.transaction()
    t.file(f, 2 * G, [(1, HOME, {0: pattern(142), 1: pattern(143)}, 259)])
    b.commit(t)
    b.finish(durable=2)


def log_gone(b):
    """The log speaks of a file that is not there any more."""
    f = b.home(b"a", 1, {0: b"a"})
    b.home(b"b", 1, {0: b"b"})
    t = b.transaction()
    t.file(f, 2, [(0, HOME, {0: b"aa"})])
    b.commit(t)
    os.unlink(f.path)
    del b.expect[b"a"]
    b.finish(durable=1)


def two(b):
    """Two transactions; the manifest is taken between them, so the second must not count."""
    f = b.home(b"a", BLOCK, blocks(0, 1))
    t = b.transaction()
    t.file(f, BLOCK, [(0, HOME, {0: pattern(150)})])
    b.commit(t)
    seen = b.snapshot()
    t = b.transaction()
    t.file(f, 2 * BLOCK, [(0, HOME, {0: pattern(151), 1: pattern(152)})])
    return seen, t


def log_last_missing(b):
    seen, t = two(b)
    b.commit(t, write=False)
    b.finish(durable=1)
    return {"tree": seen}


def log_last_damaged(b):
    """One block of the last transaction never reached the disk."""
    seen, t = two(b)
    b.commit(t)
    b.block_at(b.position - 1, pattern(1))
    b.finish(durable=1)
    return {"tree": seen}


def log_last_stale(b):
    """Behind the end stand descriptors of another generation, and of an older sequence."""
    seen, t = two(b)
    b.commit(t, generation=bytes(16))
    old = b.transaction()
    old.file(b.files[b"a"], BLOCK, [(0, HOME, {0: pattern(153)})])
    b.commit(old, sequence=1)
    b.finish(durable=1)
    return {"tree": seen}


def refuse_state_durable(b):
    """The state says the damaged transaction was durable."""
    _, t = two(b)
    b.commit(t)
    b.block_at(b.position - 1, pattern(1))
    b.finish(durable=2)
    return {"refuse": True}


def refuse_log_durable(b):
    """A later descriptor says so."""
    _, t = two(b)
    b.commit(t)
    last = b.position - 1
    t = b.transaction()
    t.file(b.files[b"a"], 3, [(0, HOME, {0: b"abc", 1: None})])
    b.commit(t, durable=2)
    b.block_at(last, pattern(1))
    b.finish(durable=1)
    return {"refuse": True}


def refuse_first_missing(b):
    """Nothing of the log is there, though two transactions were durable."""
    _, t = two(b)
    b.commit(t)
    for p in range(b.tail, b.position):
        b.block_at(p, bytes(BLOCK))
    b.finish(durable=2)
    return {"refuse": True}


def refuse_state(b):
    """No valid slot."""
    b.home(b"a", 1, {0: b"a"})
    b.finish(flags=1, other=bytes(BLOCK), epoch=259)
    path = os.path.join(b.path, b"coffer.state")
    with open(path, "r+b") as f:
        os.pwrite(f.fileno(), b"\1", 4096 + 300)
    return {"refuse": True}


def bad_replay(b):
    """Home of one file is older than the log's base: that file fails, the other does not."""
    f = b.home(b"a", 2 * BLOCK, blocks(0, 2))
    g = b.home(b"b", BLOCK, blocks(0, 1))
    t = b.transaction()
    t.file(f, 2 * BLOCK, [(0, HOME, {0: pattern(160)})])
    t.file(g, BLOCK, [(0, HOME, {0: pattern(161)})])
    b.commit(t)
    f.damage_home(512 + 28, bytes(range(1, 29)))
    b.finish(durable=1)
    return {"bad": ["a"]}


def quarantined(b):
    """The same after replay: the file is marked, its records and what lay at home are kept."""
    bad_replay(b)
    f, top = b.files[b"a"], os.path.join(b.path, b"coffer.quarantine")
    os.mkdir(top, 0o700)
    with open(os.path.join(b.path, b"coffer.log"), "rb") as log:
        records = log.read((b.position - b.tail) * BLOCK)
    with open(f.path, "rb") as home:
        old = home.read(2 * BLOCK)
    name = os.path.join(top, b"%s.%d." % (f.file_id.hex().encode(), b.sequence))
    with open(name + b"log", "wb") as out:
        out.write(records)
    with open(name + b"home", "wb") as out:
        for at in (0, BLOCK):
            out.write(at.to_bytes(8, "little") + bytes(BLOCK - 8) + old[at:at + BLOCK])
    f.pwrite(b.v.seal_header(old[:6] + b"\1\0" + old[8:488], b.stamp()), 0)
    f = b.files[b"b"]
    f.bring_home()
    b.tail, b.tail_sequence = b.position, b.sequence
    b.finish(flags=1, durable=1)
    return {"bad": ["a"]}


def bad_old_header(b):
    """Only the size changed, but the seal of group 0 at home is not the one the header was sealed with."""
    f = b.home(b"a", 2 * BLOCK, blocks(0, 2))
    b.home(b"b", BLOCK, blocks(0, 1))
    es = b.stamp()
    f.seals[0] = (es, b.v.entries_tag(f.epoch, f.file_id, 0, es, bytes(f.home[0])))
    t = b.transaction()
    t.file(f, 3 * BLOCK)
    b.commit(t)
    b.finish(durable=1)
    return {"bad": ["a"]}


def slot_zero(b):
    """Slot 1 is torn; slot 0 counts and its older tail gives the same."""
    base_home(b)
    b.finish(durable=2, other={"durable": 1})
    with open(os.path.join(b.path, b"coffer.state"), "r+b") as f:
        os.pwrite(f.fileno(), bytes(100), 4096 + 400)


WRAP = {"tail": 3 * 4096 - 130, "tail_sequence": 41}
VARIANTS = {
    "small": (small, {}), "clean": (clean, {}), "clean-xattrs": (clean_xattrs, {}), "log-home": (log_home, {}),
    "log-torn": (log_torn, {}), "log-dropped-home": (log_dropped_home, {}), "bad-old-header": (bad_old_header, {}),
    "log-empty-fresh": (log_empty_fresh, {}), "log-truncate": (log_truncate, {}), "log-parts": (log_parts, {}),
    "log-wrap": (log_wrap, WRAP), "log-epochs": (log_epochs, {}), "log-gone": (log_gone, {}),
    "log-last-missing": (log_last_missing, {}), "log-last-damaged": (log_last_damaged, {}),
    "log-last-stale": (log_last_stale, {}), "refuse-state-durable": (refuse_state_durable, {}),
    "refuse-log-durable": (refuse_log_durable, {}), "refuse-first-missing": (refuse_first_missing, {}),
    "refuse-state": (refuse_state, {}), "bad-replay": (bad_replay, {}), "quarantined": (quarantined, {}), "slot-zero": (slot_zero, {}),
}


def make(variant, path):
    """Write the volume and return its manifest."""
    if variant.startswith("random-"):
        function, kw = random_volume.variant(int(variant[7:]))
    else:
        function, kw = VARIANTS[variant]
    os.umask(0o022)
    b = Builder(path, **kw)
    special = function(b) or {}
    return {**b.manifest(), "variant": variant, "refuse": False, "bad": [], **special}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--list", action="store_true")
    p.add_argument("variant", nargs="?", help="one of --list, or random-N")
    p.add_argument("dir", nargs="?")
    args = p.parse_args()
    if args.list:
        print("\n".join(VARIANTS))
        return
    if args.dir is None:
        p.error("give VARIANT and DIR")
    if args.variant not in VARIANTS and not re.fullmatch("random-[0-9]+", args.variant):
        p.error("no such variant")
    manifest = make(args.variant, args.dir)
    for name in ("root", "local"):
        with open("%s.%s" % (args.dir, name), "wb") as f:
            f.write(bytes.fromhex(manifest[name + "_key"]))
    write_manifest(args.dir + ".json", manifest)


if __name__ == "__main__":
    main()
