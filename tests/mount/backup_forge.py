#!/usr/bin/python3
"""Snapshots as docs/backup.md has them, written and read without coffer's code.

backup_forge.py STORE UUID CASE   put a snapshot that must be refused into a directory store; prints its name
backup_forge.py --cases           the cases, one a line: CASE, a word of the refusal
backup_forge.py --read STORE UUID DIR   write the regular files of the newest snapshot below DIR, verified
"""
import hashlib
import json
import os
import struct
import sys

FILE, DIR, SYMLINK, FIFO, SOCKET, CHAR, BLOCK, LINK = range(1, 9)


def sha(b):
    return hashlib.sha256(b).digest()


def lp(b):
    return struct.pack('<H', len(b)) + b


def entry(type, name, parent=0, flags=0, mode=0o600, size=0, number=0, target=b'', xattrs=b'', nx=0, uid=0):
    return struct.pack('<BBHQIIIqIQQ', 1, type, flags, parent, mode, uid, 0, 1600000000, 0, size, number) + lp(name) + lp(target) + struct.pack('<H', nx) + xattrs


def piece(off, data=b'', length=None, hash=None, pack=None, at=0):
    length = len(data) if length is None else length
    p = struct.pack('<QI', off, length) + (hash or sha(data))
    return p + (b'\0' if pack is None else b'\1' + pack + struct.pack('<I', at))


def pieces(*list):
    return struct.pack('<BH', 2, len(list)) + b''.join(list)


def merkle(leaves):
    if not leaves:
        return sha(b'')
    if len(leaves) == 1:
        return sha(b'\0' + leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha(b'\1' + merkle(leaves[:k]) + merkle(leaves[k:]))


class Store:
    def __init__(self, root, uuid):
        self.root, self.uuid = root, uuid

    def put(self, kind, data, name=None):
        name = name or sha(data).hex()
        path = os.path.join(self.root, self.uuid, kind, name[:2], name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(data)
        return sha(data)

    def get(self, kind, hash):
        with open(os.path.join(self.root, self.uuid, kind, hash.hex()[:2], hash.hex()), 'rb') as f:
            data = f.read()
        assert sha(data) == hash, (kind, hash.hex())
        return data

    def lists_of(self, records):
        """Of another snapshot."""
        data = b'CFBL' + struct.pack('<HHI', 1, 0, len(records)) + b''.join(struct.pack('<I', len(r)) + r for r in records)
        return [dict(sha256=self.put('lists', data).hex(), len=len(data), records=len(records))]

    def snapshot(self, records, count=None, rename=False, cut=0, **over):
        body = b''.join(struct.pack('<I', len(r)) + r for r in records)
        list = b'CFBL' + struct.pack('<HHI', 1, 0, len(records) if count is None else count) + body
        list = list[:len(list) - cut]
        m = dict(format=1, uuid=self.uuid, serial=1000, previous='', time='2099-01-02T03:04:05Z', way='unmounted', clean=True, frozen_ms=0, rounds=1, problems=0,
                 entries=sum(r[0] == 1 for r in records), bytes=0, root=merkle(records).hex(),
                 lists=[dict(sha256=self.put('lists', list).hex(), len=len(list), records=len(records) if count is None else count)])
        for r in records:
            at = 3
            for _ in range(struct.unpack_from('<H', r, 1)[0] if r[0] == 2 else 0):
                m['bytes'] += struct.unpack_from('<I', r, at + 8)[0]
                at += 45 + 36 * r[at + 44]
        m.update(over)
        text = b'coffer-backup 1 - -\n' + json.dumps(m, separators=(',', ':')).encode()
        name = '20990102T030405Z-' + sha(text).hex()[:16]
        if rename:
            name = '20990102T030405Z-0123456789abcdef'
        path = os.path.join(self.root, self.uuid, 'snapshots', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(text)
        return name


ROOT = entry(DIR, b'', mode=0o700)
DATA = b'z' * 5000


def cases(s):
    small = entry(FILE, b'abc', size=5000, number=1)
    one = [ROOT, small, pieces(piece(0, DATA))]
    pack = lambda: s.put('packs', DATA)

    def swapped():
        s.put('segments', b'something else', sha(DATA).hex())
        return s.snapshot(one)

    return {
        'dotdot': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'..')])),
        'up': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'../outside')])),
        'absolute': ('malformed', lambda: s.snapshot([ROOT, entry(DIR, b'/tmp')])),
        'zero-byte': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'a\0b')])),
        'target': ('malformed', lambda: s.snapshot([ROOT, entry(SYMLINK, b'abc', target=b'../outside')])),
        'through-link': ('malformed', lambda: s.snapshot([ROOT, entry(SYMLINK, b'abc', target=b'..'), entry(FILE, b'outside', parent=1)])),
        'clear-name': ('no backing directory holds', lambda: s.snapshot([ROOT, entry(FILE, b'x.conf')])),
        'lock': ('no backing directory holds', lambda: s.snapshot([ROOT, entry(FILE, b'coffer.lock')])),
        'marker': ('no backing directory holds', lambda: s.snapshot([ROOT, entry(SYMLINK, b'coffer.restore', target=b'x')])),
        'no-volume': ('no backing directory holds', lambda: s.snapshot([ROOT, entry(FILE, b'abc')])),
        'no-root': ('malformed', lambda: s.snapshot([entry(FILE, b'abc')])),
        'two-roots': ('malformed', lambda: s.snapshot([ROOT, ROOT])),
        'parent': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'abc', parent=7)])),
        'link-ahead': ('malformed', lambda: s.snapshot([ROOT, entry(LINK, b'abc', number=9)])),
        'link-unsaid': ('no backing directory holds', lambda: s.snapshot([ROOT, entry(FILE, b'abc'), entry(LINK, b'abd', number=1)])),
        'xattr': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'abc', xattrs=lp(b'security.capability') + lp(b'x'), nx=1)])),
        'huge-file': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'abc', size=1 << 60)])),
        'huge-space': ('no backing directory holds', lambda: s.snapshot([ROOT, entry(FILE, b'abc', flags=1, size=1 << 40)])),
        'huge-log': ('no backing directory holds', lambda: s.snapshot([ROOT, entry(FILE, b'coffer.log', flags=1, size=1 << 40)])),
        'many-pieces': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'abc', size=5000, number=1 << 40)])),
        'many-records': ('malformed', lambda: s.snapshot([ROOT], count=0xffffffff)),
        'many-entries': ('no room', lambda: s.snapshot([ROOT], entries=1 << 40)),
        'many-bytes': ('no room', lambda: s.snapshot([ROOT], bytes=1 << 60)),
        'more-than-said': ('more in it', lambda: s.snapshot(one, bytes=10)),
        'billion': ('malformed', lambda: s.snapshot([ROOT], lists=[dict(sha256='0' * 64, len=100, records=1)] * 16385)),
        'same-list': ('malformed', lambda: s.snapshot([ROOT], lists=s.lists_of([ROOT]) + 2 * s.lists_of([entry(FIFO, b'abc')]), entries=3,
                                                      root=merkle([ROOT] + 2 * [entry(FIFO, b'abc')]).hex())),
        'cut-list': ('malformed', lambda: s.snapshot(one, cut=10)),
        'other-root': ('not what its manifest says', lambda: s.snapshot([ROOT, entry(FILE, b'coffer.volume')], root='1' * 64)),
        'behind-end': ('malformed', lambda: s.snapshot([ROOT, small, pieces(piece(100, DATA))])),
        'overlap': ('malformed', lambda: s.snapshot([ROOT, entry(FILE, b'abc', size=9000, number=2), pieces(piece(0, DATA), piece(3000, DATA))])),
        'behind-pack': ('not what its record says', lambda: s.snapshot([ROOT, small, pieces(piece(0, DATA, pack=pack(), at=1))])),
        'other-slice': ('not what its record says', lambda: s.snapshot([ROOT, small, pieces(piece(0, DATA, hash=b'q' * 32, pack=pack()))])),
        'missing': ('is not in the store', lambda: s.snapshot([ROOT, small, pieces(piece(0, DATA, hash=b'm' * 32))])),
        'swapped': ('is not what its name says', swapped),
        'renamed': ('is not what its name says', lambda: s.snapshot(one, rename=True)),
        'redated': ('of another time', lambda: s.snapshot(one, time='2020-01-02T03:04:05Z')),
        'mixed-lists': ('not what its manifest says', lambda: s.snapshot([ROOT, entry(FILE, b'coffer.volume')], lists=s.lists_of([ROOT, entry(FILE, b'coffer.reserve')]))),
        'other-volume': ("another volume's", lambda: s.snapshot(one, uuid='0' * 32)),
        'format': ('does not know', lambda: s.snapshot(one, format=2)),
    }


def read(s, to):
    dir = os.path.join(s.root, s.uuid, 'snapshots')
    name = max(os.listdir(dir))
    with open(os.path.join(dir, name), 'rb') as f:
        text = f.read()
    assert name.split('-')[1] == sha(text).hex()[:16]
    m = json.loads(text.split(b'\n', 1)[1])
    records = []
    for l in m['lists']:
        data, at = s.get('lists', bytes.fromhex(l['sha256'])), 12
        while at < len(data):
            n = struct.unpack_from('<I', data, at)[0]
            records.append(data[at + 4:at + 4 + n])
            at += 4 + n
    assert merkle(records).hex() == m['root']
    paths, current = [], None
    for r in records:
        if r[0] == 1:
            _, type, flags, parent, *_, size, number = struct.unpack_from('<BBHQIIIqIQQ', r)
            n = struct.unpack_from('<H', r, 52)[0]
            base = r[54:54 + n].decode()
            paths.append(os.path.join(paths[parent], base) if paths else to)
            if type == DIR:
                os.makedirs(paths[-1], exist_ok=True)
            current = paths[-1]
            if type == FILE and not flags & 1:
                with open(current, 'wb') as f:
                    f.truncate(size)
        else:
            at = 3
            for _ in range(struct.unpack_from('<H', r, 1)[0]):
                off, length = struct.unpack_from('<QI', r, at)
                hash, packed = r[at + 12:at + 44], r[at + 44]
                if packed:
                    start = struct.unpack_from('<I', r, at + 77)[0]
                    data = s.get('packs', r[at + 45:at + 77])[start:start + length]
                else:
                    data = s.get('segments', hash)
                assert sha(data) == hash and len(data) == length
                with open(current, 'r+b') as f:
                    f.seek(off)
                    f.write(data)
                at += 45 + 36 * packed


def main(argv):
    if argv[1] == '--cases':
        for case, (word, _) in cases(None).items():
            print(case, word)
    elif argv[1] == '--read':
        read(Store(argv[2], argv[3]), argv[4])
    else:
        Store(argv[1], argv[2]).put('segments', DATA)
        print(cases(Store(argv[1], argv[2]))[argv[3]][1]())


if __name__ == '__main__':
    main(sys.argv)
