#!/usr/bin/env python3
"""Writes the seeds of fuzz_names: one accepted input for each reader, and plain ones for each writer."""
import os
import struct
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "unit"))
sys.dont_write_bytecode = True
from crypt_vectors import b64url, siv                   # noqa: E402

KEYS = [bytes(range(64 * i, 64 * i + 64)) for i in range(4)]    # as fixed_keys() in fuzz_names.c
EPOCH = struct.pack("<H", 0x4141)
DIR_ID = bytes([1, 2, 3]).ljust(16, b"\0")


def pad(x):
    return x + bytes(-len(x) % 32)


def main():
    x = siv(KEYS[2], [], b"k")
    seeds = {
        "read_name": b"\0" + b64url(siv(KEYS[0], [DIR_ID], pad(b"base"))).encode(),
        "read_name_long": b"\0" + b64url(siv(KEYS[0], [DIR_ID], pad(b"n" * 255))).encode(),
        "read_name_dot": b"\0" + b64url(siv(KEYS[0], [DIR_ID], pad(b"."))).encode(),
        "read_dir_link": b"\1" + DIR_ID.hex().encode() + b".16705",
        "read_symlink": b"\2" + b64url(EPOCH + siv(KEYS[1], [], pad(b"../pg_wal"))).encode(),
        "read_xattr_name": b"\3user.coffer." + b64url(EPOCH + siv(KEYS[2], [], b"checksum")).encode(),
        "read_xattr_value": b"\4" + EPOCH + siv(KEYS[3], [x], b"a value"),
        "read_xattr_value_empty": b"\4" + EPOCH + siv(KEYS[3], [x], b""),
        "write_name": b"\5postgresql.auto.conf",
        "write_symlink": b"\6/srv/archive/000000010000000000000001",
        "write_xattr_name": b"\7checksum.sha256",
        "write_xattr_value": b"\10\0\1\2\3",
    }
    out = os.path.join(here, "corpus", "names")
    os.makedirs(out, exist_ok=True)
    for name, seed in seeds.items():
        with open(os.path.join(out, name), "wb") as f:
            f.write(seed)


main()
