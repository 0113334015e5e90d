#!/usr/bin/python3
"""What somebody can do to a directory store who has the host's backup key, but no volume's.

backup_resign.py STORE UUID SNAPSHOT SEED CASE [OTHER]   put another snapshot; prints its name

changed: the manifest says something else, for a later time, and keeps the tag; stripped: the tag is left out; moved: the manifest is OTHER's, the tag SNAPSHOT's;
made-up: any tag; own-keys: a snapshot, a coffer.volume of that uuid and a tag that fit each other, by a root key of our own, whose local: key goes into the file OTHER (and
is called local:test, of tenant mallory). All are signed by SEED, a file of 32 bytes, as docs/backup.md has it."""
import hashlib
import hmac
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
sys.dont_write_bytecode = True

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


def put(store, uuid, kind, data):
    name = hashlib.sha256(data).hexdigest()
    path = os.path.join(store, uuid, kind, name[:2], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data)
    return name


def own_keys(store, uuid, text, keyfile):
    """A manifest, and its tag, of a volume directory with nothing but coffer.volume."""
    from cofferbuild import Volume
    from cofferread import crypt
    v = Volume('mallory', 'mallory')
    v.uuid = bytes.fromhex(uuid)
    config = v.config_text()
    with open(os.open(keyfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as f:
        f.write(v.file_key)

    def entry(type, name, size, number):
        return struct.pack('<BBHQIIIqIQQH', 1, type, 0, 0, 0o600, 0, 0, 1600000000, 0, size, number, len(name)) + name + bytes(4)
    piece = struct.pack('<BHQI', 2, 1, 0, len(config)) + bytes.fromhex(put(store, uuid, 'segments', config)) + b'\0'
    records = [entry(2, b'', 0, 0), entry(1, b'coffer.volume', len(config), 1), piece]
    listed = b'CFBL' + struct.pack('<HHI', 1, 0, 3) + b''.join(struct.pack('<I', len(r)) + r for r in records)
    a, b, c = (hashlib.sha256(b'\0' + r).digest() for r in records)
    root = hashlib.sha256(b'\1' + hashlib.sha256(b'\1' + a + b).digest() + c).hexdigest()
    m = json.loads(text)
    m.update(time='2098-01-02T03:04:05Z', entries=2, bytes=len(config), root=root, lists=[dict(sha256=put(store, uuid, 'lists', listed), len=len(listed), records=3)])
    text = json.dumps(m, separators=(',', ':')).encode()
    key = crypt.derive(v.root_key, b'backup mac', v.uuid, 32)
    return text, hmac.new(key, statement(text), hashlib.sha256).hexdigest().encode()


def main(store, uuid, name, seed, case, other=None):
    words, text = read(store, uuid, name)
    tag = words[4]
    if case == 'changed':
        m = json.loads(text)
        m.update(time='2098-01-02T03:04:05Z', serial=m['serial'] + 1)
        text = json.dumps(m, separators=(',', ':')).encode()
    elif case == 'moved':
        text = read(store, uuid, other)[1]
    elif case == 'own-keys':
        text, tag = own_keys(store, uuid, text, other)
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
