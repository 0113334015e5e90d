#!/usr/bin/python3
"""What somebody can do to a directory store who has the host's backup key, but no volume's.

backup_resign.py STORE UUID SNAPSHOT SEED CASE [OTHER]   put another snapshot; prints its name

changed: the manifest says something else, for a later time, and keeps the tag; stripped: the tag is left out; moved: the manifest is OTHER's, the tag SNAPSHOT's;
made-up: any tag. All are signed by SEED, a file of 32 bytes, as docs/backup.md has it."""
import hashlib
import json
import os
import sys

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def read(store, uuid, name):
    with open(os.path.join(store, uuid, 'snapshots', name), 'rb') as f:
        line, text = f.read().split(b'\n', 1)
    return line.split(b' '), text


def statement(text):
    m = json.loads(text)
    lines = ['coffer-backup 1', m['uuid'], str(m['serial']), m['previous'], m['root'], m['time'], hashlib.sha256(text).hexdigest()]
    return ''.join(line + '\n' for line in lines).encode()


def main(store, uuid, name, seed, case, other=None):
    words, text = read(store, uuid, name)
    tag = words[4]
    if case == 'changed':
        m = json.loads(text)
        m.update(time='2098-01-02T03:04:05Z', serial=m['serial'] + 1)
        text = json.dumps(m, separators=(',', ':')).encode()
    elif case == 'moved':
        text = read(store, uuid, other)[1]
    elif case == 'made-up':
        tag = b'5a' * 32
    with open(seed, 'rb') as f:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(f.read())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    line = b'coffer-backup 1 ' + public.hex().encode() + b' ' + key.sign(statement(text)).hex().encode() + (b'' if case == 'stripped' else b' ' + tag)
    data = line + b'\n' + text
    when = json.loads(text)['time'].replace('-', '').replace(':', '')
    new = when + '-' + hashlib.sha256(data).hexdigest()[:16]
    with open(os.path.join(store, uuid, 'snapshots', new), 'wb') as f:
        f.write(data)
    print(new)


main(*sys.argv[1:])
