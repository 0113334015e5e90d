#!/usr/bin/python3
"""Holds a snapshot's tag against the volume's key, from docs/backup.md and docs/format.md alone.

backup_tag.py KEYFILE VOLUME SNAPSHOT...   KEYFILE: of a local: slot of VOLUME; SNAPSHOT: files of a directory store.
A line each: "NAME none", "NAME fits", "NAME does not fit"."""

import hmac
import json
import os
import sys

sys.dont_write_bytecode = True

from cofferread import config, crypt  # noqa: E402


def statement(manifest):
    m = json.loads(manifest)
    lines = ["coffer-backup 1", m["uuid"], "%d" % m["serial"], m["previous"], m["root"], m["time"], crypt.hashlib.sha256(manifest).hexdigest()]
    return "".join(line + "\n" for line in lines).encode()


def look(root, uuid, text):
    line, _, manifest = text.partition(b"\n")
    words = line.split(b" ")
    if words[:2] != [b"coffer-backup", b"1"] or not 4 <= len(words) <= 5:
        raise config.Bad("the first line is malformed")
    if len(words) == 4:
        return "none"
    tag = crypt.backup_tag(root, uuid, statement(manifest))
    return "fits" if hmac.compare_digest(tag.hex().encode(), words[4]) and bytes.fromhex(json.loads(manifest)["uuid"]) == uuid else "does not fit"


def main(argv):
    with open(os.path.join(argv[2], "coffer.volume"), "rb") as f:
        c = config.Config(f.read())
    with open(argv[1], "rb") as f:
        root = c.open_local(f.read())
    c.authenticate(root)
    for name in argv[3:]:
        with open(name, "rb") as f:
            print(os.path.basename(name), look(root, c.uuid, f.read()))


main(sys.argv)
