#!/usr/bin/python3
"""Seeds of fuzz_hand, from the layout in src/fs/hand.h: make_hand_corpus.py DIR. The hash is left 0: the target puts it right."""
import os
import struct
import sys

REG, DIR, LINK, FIFO = 0o100644, 0o040755, 0o120777, 0o010600


def some(text):
    return struct.pack("<H", len(text)) + text


def inode(number, parent, name, mode=REG, lookups=1, flags=0, pin=-1, handle=b"", nsec=0):
    return struct.pack("<QQQIiQQQQIIII", number, parent, lookups, flags, pin, 1000 + number, 5, 8, 0, mode, 1, 0, 0) + \
        struct.pack("<qI", 1, nsec) * 3 + some(name) + struct.pack("<H", 1) + some(handle)


def seek(unique):
    return struct.pack("<QQQI", unique, 2, 4096, 3)


def state(kind, inodes=(), seeks=(), version=1, path=b"/srv/v", at=b"/mnt", next_id=100):
    body = struct.pack("<II16sQQiiiI", 0, 7, b"u" * 16, 2, 3, 5, -1, 9, 0) + b"g" * 16 + struct.pack("<QQQI", 77, next_id, len(inodes), len(seeks)) + \
        bytes(512) + some(b"i" * 104) + some(b"o" * 64) + some(path) + some(at) + b"".join(seeks) + b"".join(inodes)
    return b"coffhand" + struct.pack("<IIQQ", version, kind, 32 + len(body), 0) + body


root = inode(1, 0, b"", DIR)
seeds = {
    "ask": state(1),
    "take-root": state(2, [root]),
    "take-tree": state(2, [root, inode(2, 1, b"dir", DIR, flags=64), inode(3, 2, b"a" * 255), inode(4, 2, b"link", LINK), inode(5, 1, b"fifo", FIFO)]),
    "take-gone": state(2, [root, inode(9, 0, b"", pin=24, flags=1), inode(10, 0, b"", handle=b"h" * 128, flags=127)]),
    "take-seeks": state(2, [root], [seek(1), seek(1 << 62)]),
    "bad-version": state(2, [root], version=2),
    "bad-name": state(2, [root, inode(2, 1, b"a/b")]),
    "bad-nul": state(2, [root, inode(2, 1, b"a\0b")]),
    "bad-type": state(2, [root, inode(2, 1, b"x", 0o644)]),
    "bad-time": state(2, [root, inode(2, 1, b"x", nsec=1000000000)]),
    "bad-handle": state(2, [root, inode(2, 1, b"x", handle=b"h" * 129)]),
    "bad-more": state(2, [root]) + b"x",
    "bad-path": state(2, [root], path=b""),
    "bad-next": state(2, [root], next_id=1),
    "short": state(2, [root])[:-7],
    "none": b"coffhand",
}
for seed, data in seeds.items():
    with open(os.path.join(sys.argv[1], seed), "wb") as f:
        f.write(data)
