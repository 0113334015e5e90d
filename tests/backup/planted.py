#!/usr/bin/python3
"""What must be seen nowhere outside of a volume: its keys, from the local key file down to the key ring as the independent reader opens it, its tenant (but in coffer.volume), and what a test
has planted in names and contents.

    planted.py make FILE VOLUME KEY-FILE TEXT...    remember it in FILE
    planted.py scan FILE DIR...                     look for it in the names and contents of all files below; status 1 if something is there
"""
import base64
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from cofferread import config, crypt  # noqa: E402


def forms(key):
    """As somebody might write a key; in base64 without what its neighbours have a part in."""
    return [key, key.hex().encode(), key.hex().upper().encode()] + [base64.b64encode(bytes(n) + key)[4 if n else 0:-4] for n in range(3)]


def keys_of(text, file_key):
    c = config.Config(text)
    root = c.open_local(file_key)
    keks = [crypt.gcm_open(file_key, crypt.kek_aad(c.tenant.encode(), c.uuid), s["wrapped_kek"]) for s in c.slots if s["kms"].startswith("local:")]
    _, names, masters = c.authenticate(root)
    return c.tenant, [file_key, root, names] + keks + list(masters.values())


class Planted:
    def __init__(self, file):
        with open(file, encoding="ascii") as f:
            d = json.load(f)
        self.needles = [bytes.fromhex(x) for x in d["needles"]]
        self.tenant, self.volume = d["tenant"].encode(), bytes.fromhex(d["volume"])

    def find(self, data):
        """The first needle that is in it, as text; None."""
        for needle in self.needles:
            if needle in data:
                return repr(needle)
        return "the tenant" if self.tenant in data.replace(self.volume, b"") else None


def make(file, volume, key_file, *texts):
    with open(os.path.join(volume, "coffer.volume"), "rb") as f:
        text = f.read()
    with open(key_file, "rb") as f:
        tenant, keys = keys_of(text, f.read())
    needles = [x.encode() for x in texts] + [x for k in keys for x in forms(k)]
    with open(file, "w", encoding="ascii") as f:
        json.dump({"needles": [x.hex() for x in needles], "tenant": tenant, "volume": text.hex()}, f)


def content(path):
    if os.path.islink(path):
        return os.readlink(path).encode()
    attributes = [x.encode() + b"=" + os.getxattr(path, x) for x in os.listxattr(path)]
    with open(path, "rb") as f:
        return b"\n".join(attributes + [f.read()])


def scan(file, *dirs):
    planted, files, status = Planted(file), 0, 0
    for d in dirs:
        for base, _, names in os.walk(d):
            for name in names:
                path = os.path.join(base, name)
                found = planted.find(os.path.relpath(path, d).encode() + b"\n" + content(path))
                files += 1
                if found:
                    print("%s: %s" % (path, found))
                    status = 1
    print("%d files, %d needles" % (files, len(planted.needles)))
    return status


if __name__ == "__main__":
    sys.exit({"make": make, "scan": scan}[sys.argv[1]](*sys.argv[2:]))
