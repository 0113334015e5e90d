#!/usr/bin/env python3
"""Writes the seeds of fuzz_pick: a path, a zero byte, a list of records in which the path means something, or nearly."""
import os
import struct
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(here, "..", "unit"))
sys.path.insert(0, os.path.join(here, "..", "mount"))
from backup_forge import DIR, FILE, LINK, SYMLINK, entry, piece, pieces, sha    # noqa: E402
from crypt_vectors import b64url, siv                                           # noqa: E402

KEY = bytes(range(64))                                  # as in fuzz_pick.c
IDS = [bytes([i]) * 16 for i in range(4)]
LINKED = 2


def name(id, plain):
    """The entry, and the link beside a long one's."""
    full = b64url(siv(KEY, [IDS[id]], plain + bytes(-len(plain) % 32))).encode()
    if len(full) <= 160:
        return full, None
    hash = b64url(sha(full)).encode()
    return b"coffer.long." + hash, b"coffer.name." + hash


def an_id(parent, id, epoch=1):
    return entry(SYMLINK, b"coffer.dir", parent, target=IDS[id].hex().encode() + b".%d" % epoch)


def file(parent, n, flags=0, text=b"some text"):
    return [entry(FILE, n, parent, flags, size=len(text), number=1), pieces(piece(0, text))]


LONG, BESIDE = name(0, b"n" * 150)
TREE = [
    entry(DIR, b""),                                                                # 0
    entry(DIR, b"coffer.quarantine"), *file(1, b"ab.home"), *file(1, b"1.entry"),   # 1 2 3
    *file(0, b"coffer.state"), *file(0, b"coffer.volume"),                          # 4 5
    entry(DIR, name(0, b"a")[0]), an_id(6, 1), *file(6, name(1, b"f")[0], LINKED),  # 6 7 8
    entry(DIR, name(1, b"sub")[0], 6), an_id(9, 2), entry(LINK, name(2, b"h")[0], 9, number=8),  # 9 10 11
    entry(DIR, LONG), an_id(12, 3), entry(LINK, name(3, b"j")[0], 12, number=8),    # 12 13 14
    entry(SYMLINK, BESIDE, target=b"whole"), entry(SYMLINK, name(0, b"l")[0], target=b"there"),  # 15 16
    entry(DIR, name(0, b"empty")[0]),                                               # 17
]


def main():
    seeds = {
        "file": (b"a/f", TREE),
        "directory": (b"/a/./sub/", TREE),
        "tree": (b"a", TREE),
        "other-name": (b"n" * 150 + b"/j", TREE),
        "long": (b"n" * 150, TREE),
        "link": (b"l", TREE),
        "through-link": (b"l/x", TREE),
        "no-directory": (b"a/f/", TREE),
        "nothing": (b"empty/x", TREE),
        "up": (b"a/../l", TREE),
        "other-epoch": (b"a/f", [entry(DIR, b""), entry(DIR, name(0, b"a")[0]), an_id(1, 1, 2), *file(1, name(1, b"f")[0])]),
        "no-id": (b"a/f", [entry(DIR, b""), entry(DIR, name(0, b"a")[0]), *file(1, name(1, b"f")[0])]),
        "not-linked": (b"b", [entry(DIR, b""), *file(0, name(0, b"a")[0]), entry(LINK, name(0, b"b")[0], number=1)]),
        "twice": (b"a", [entry(DIR, b""), *file(0, name(0, b"a")[0]), entry(DIR, name(0, b"a")[0]), *file(2, name(1, b"f")[0])]),
    }
    out = os.path.join(here, "corpus", "pick")
    os.makedirs(out, exist_ok=True)
    for seed, (path, records) in seeds.items():
        with open(os.path.join(out, seed), "wb") as f:
            f.write(path + b"\0CFBL" + struct.pack("<HHI", 1, 0, len(records)) + b"".join(struct.pack("<I", len(r)) + r for r in records))


main()
