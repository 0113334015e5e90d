"""Write volume directories with the encoders of cofferbuild: files at home, and transactions in the log."""

import hashlib
import json
import os
import struct

import cofferbuild as cb
from cofferbuild import BLOCK, EMPTY, FRESH, GROUP_BLOCKS, HOLE, HOME, IN_LOG, AT_HOME, IS_HOLE, Volume

GROUP_LOWER = 129 * BLOCK
ROOT_ID = bytes(16)


class PlainFile:
    """What the reader should see: size and blocks. Grows with each transaction."""

    def __init__(self):
        self.size, self.blocks = 0, {}

    def sha256(self):
        """Over size in decimal, a line feed, and each block that is not zero with its number: files may be huge."""
        h = hashlib.sha256(b"%d\n" % self.size)
        for n, data in sorted(self.blocks.items()):
            data = data[:max(0, self.size - n * BLOCK)]
            if any(data):
                h.update(b"%d\n" % n + data)
        return h.hexdigest()


class File:
    """A regular file: what lies at home, what the log makes of it, and what should be read."""

    def __init__(self, builder, path, lower, epoch=None):
        self.b, self.path, self.plain = builder, lower, PlainFile()
        self.file_id = builder.v.bytes("file id of " + path.hex(), 16)
        self.epoch = epoch or builder.v.epoch
        self.size, self.alloc, self.gaps = 0, 0, ()
        self.home = {}          # group: bytearray of entries at home
        self.home_plain = {}    # number: plain bytes at home
        self.now = {}           # group: (epoch, bytearray of entries) with the log
        self.seals = {}         # group: (entries_stamp, entries_tag)
        self.headers = {}       # group: the 512 bytes of its header with the log
        self.pending = {}       # number: ciphertext that stands in the log alone
        self.handle, self.handle_type = builder.v.bytes("handle of " + path.hex(), 8), 1

    def lower_offset(self, number):
        return number // GROUP_BLOCKS * GROUP_LOWER + BLOCK * (1 + number % GROUP_BLOCKS)

    def pwrite(self, data, offset):
        with open(self.path, "r+b") as f:
            os.pwrite(f.fileno(), data, offset)

    def seal(self, epoch, number, plain, home):
        stamp = self.b.stamp()
        e, c = self.b.v.seal_block(epoch, self.file_id, number, stamp, plain + bytes(BLOCK - len(plain)))
        if home:
            self.pwrite(c, self.lower_offset(number))
        return e, c

    def write_home(self, size, blocks, alloc=None, gaps=()):
        """The whole file at once: blocks is number -> plain bytes."""
        groups = {n // GROUP_BLOCKS for n in blocks} | {0}
        self.size, self.gaps = size, tuple(gaps)
        self.alloc = alloc or max(groups) + 1
        for g in range(self.alloc):
            if any(f <= g < f + c for f, c in self.gaps):
                continue
            entries = bytearray(3584)
            for n, data in blocks.items():
                if n // GROUP_BLOCKS == g:
                    i = n % GROUP_BLOCKS
                    entries[28 * i:28 * i + 28], _ = self.seal(self.epoch, n, data, True)
            self.home[g] = entries
            self.now[g] = (self.epoch, bytearray(entries))
            es, hs = self.b.stamp(), self.b.stamp()
            kw = dict(size=size, alloc_groups=self.alloc, gaps=self.gaps) if g == 0 else {}
            block = self.b.v.metadata(self.file_id, g, self.epoch, bytes(entries), es, hs, **kw)
            self.seals[g] = (es, block[472:488])
            self.headers[g] = block[:512]
            self.pwrite(block, g * GROUP_LOWER)
        self.plain.size, self.plain.blocks, self.home_plain = size, dict(blocks), dict(blocks)

    def damage_home(self, offset, data):
        self.pwrite(data, offset)

    def forget(self, group):
        self.pending = {n: c for n, c in self.pending.items() if n // GROUP_BLOCKS != group}

    def bring_home(self):
        """What a checkpoint does, whole. The log may still be replayed over it."""
        for n, c in self.pending.items():
            self.pwrite(c, self.lower_offset(n))
        for g in sorted(self.now, reverse=True):
            self.pwrite(self.headers[g] + self.now[g][1], g * GROUP_LOWER)
        self.pending = {}
        self.home = {g: bytearray(entries) for g, (_, entries) in self.now.items()}
        self.home_plain = dict(self.plain.blocks)


class Transaction:
    """Records of one transaction; Builder.commit() writes it. Calls change the files' `now`, not what is at home."""

    def __init__(self, builder):
        self.b = builder
        self.parts = [[b"", []]]
        self.after = []

    def _add(self, raw, data):
        if len(self.parts[-1][0]) + len(raw) > 4000:
            self.split()
        self.parts[-1][0] += raw
        self.parts[-1][1] += data

    def split(self):
        """The next record goes into a part of its own."""
        self.parts.append([b"", []])

    def file(self, f, size, groups=(), alloc=None, gaps=(), split=False):
        """A FILE with its GROUPs. groups: (group, base, {index: plain | (AT_HOME, plain) | None}[, epoch])."""
        alloc = alloc or f.alloc
        for g in [g for g in f.now if g >= alloc or any(a <= g < a + c for a, c in gaps)]:
            del f.now[g]
            f.forget(g)
            f.plain.blocks = {n: d for n, d in f.plain.blocks.items() if n // GROUP_BLOCKS != g}
        built = [self._group(f, *g) for g in groups]
        f.size, f.alloc, f.gaps, f.plain.size = size, alloc, tuple(gaps), size
        es, et = f.seals[0]
        head = cb.header_bytes(f.file_id, 0, f.now[0][0], es, et, size=size, alloc_groups=alloc, gaps=gaps)
        hs = self.b.stamp()
        f.headers[0] = self.b.v.seal_header(head, hs)
        tag = f.headers[0][496:]
        self._add(cb.record_file(f.file_id, size, alloc, gaps, hs, tag, f.handle, f.handle_type), [])
        for raw, data in built:
            if split:
                self.split()
            self._add(raw, data)
        self.after.append(f)

    def _group(self, f, group, base, blocks, epoch=None):
        epoch, keep = epoch or f.epoch, None
        if base == EMPTY:
            entries = bytearray(3584)
        elif base == FRESH or group not in f.now:
            entries = bytearray(f.home.get(group, bytes(3584)))
        else:
            entries, keep = f.now[group][1], f.plain.blocks
        if keep is None:
            f.forget(group)
            keep = {n: d for n, d in f.plain.blocks.items() if n // GROUP_BLOCKS != group}
            if base != EMPTY:
                keep.update({n: d for n, d in f.home_plain.items() if n // GROUP_BLOCKS == group})
        f.plain.blocks = keep
        recs, data = [], []
        for index, what in sorted(blocks.items()):
            number, e, where = group * GROUP_BLOCKS + index, HOLE, IS_HOLE
            f.pending.pop(number, None)
            if what is None:
                f.plain.blocks.pop(number, None)
            else:
                where = IN_LOG
                if isinstance(what, tuple):
                    where, what = what
                e, c = f.seal(epoch, number, what, where == AT_HOME)
                f.plain.blocks[number] = what
                if where == IN_LOG:
                    f.pending[number] = c
                    data.append(c)
            entries[28 * index:28 * index + 28] = e
            recs.append((index, where, e))
        f.now[group] = (epoch, entries)
        es = self.b.stamp()
        et = self.b.v.entries_tag(epoch, f.file_id, group, es, bytes(entries))
        f.seals[group] = (es, et)
        seal = None
        if group:
            hs = self.b.stamp()
            f.headers[group] = self.b.v.seal_header(cb.header_bytes(f.file_id, group, epoch, es, et), hs)
            seal = (hs, f.headers[group][496:])
        return cb.record_group(group, base, epoch, es, et, recs, seal), data


class Builder:
    """A volume directory under `path`, made anew."""

    def __init__(self, path, seed="coffer volume", log_blocks=4096, tail=0, tail_sequence=0, names_epoch=3):
        self.v = Volume(seed, names_epoch=names_epoch)
        self.path = os.fsencode(path)
        os.mkdir(self.path)
        self.next_stamp = 1000
        self.log_blocks, self.tail, self.tail_sequence = log_blocks, tail, tail_sequence
        self.position, self.sequence = tail, tail_sequence
        self.generation = struct.pack("<Q", 999) + self.v.bytes("generation", 8)
        self.ids = {b"": ROOT_ID}
        self.lower = {b"": self.path}
        self.files, self.expect = {}, {}
        self.positions = {}     # sequence: (first position, one behind)
        self._put(b"coffer.volume", self.v.config_text())
        self._put(b"coffer.reserve", b"")
        self._put(b"coffer.lock", b"nobody\n")
        with open(os.path.join(self.path, b"coffer.log"), "wb") as f:
            f.truncate(log_blocks * BLOCK)

    def _put(self, name, data):
        with open(os.path.join(self.path, name), "wb") as f:
            f.write(data)

    def stamp(self):
        self.next_stamp += 1
        return self.next_stamp

    # The tree. Paths are plain bytes without a leading slash.

    def _lower(self, path):
        parent, _, name = path.rpartition(b"/")
        directory = self.lower[parent]
        if parent not in self.ids:
            self.ids[parent] = self.v.bytes("directory id of " + parent.hex(), 16)
            os.symlink(self.v.dir_target(self.ids[parent]), os.path.join(directory, b"coffer.dir"))
        lower = self.v.lower_name(self.ids[parent], name)
        if len(lower) > 160:
            h = cb.name_hash(lower)
            os.symlink(lower, os.path.join(directory, b"coffer.name." + h.encode()))
            lower = "coffer.long." + h
        self.lower[path] = os.path.join(directory, lower.encode())
        return self.lower[path]

    def mkdir(self, path, mode=0o755):
        os.mkdir(self._lower(path))
        os.chmod(self.lower[path], mode)
        self.expect[path] = {"kind": "d", "mode": mode}

    def symlink(self, path, target):
        os.symlink(self.v.symlink_target(target), self._lower(path))
        self.expect[path] = {"kind": "l", "target": target.hex()}

    def fifo(self, path, mode=0o600):
        os.mkfifo(self._lower(path))
        os.chmod(self.lower[path], mode)
        self.expect[path] = {"kind": "p", "mode": mode}

    def file(self, path, mode=0o644, epoch=None):
        lower = self._lower(path)
        with open(lower, "xb"):
            pass
        os.chmod(lower, mode)
        f = self.files[path] = File(self, path, lower, epoch)
        self.expect[path] = {"kind": "f", "mode": mode}
        return f

    def home(self, path, size, blocks, mode=0o644, epoch=None, **kw):
        f = self.file(path, mode, epoch)
        f.write_home(size, blocks, **kw)
        return f

    def link(self, path, old):
        os.link(self.lower[old], self._lower(path))
        self.expect[path] = self.expect[old]
        self.files[path] = self.files[old]

    def xattr(self, path, name, value):
        lower_name, lower_value = self.v.xattr(name, value)
        os.setxattr(self.lower[path], lower_name, lower_value)
        self.expect[path].setdefault("xattrs", {})["user." + name.decode()] = value.hex()

    # The log.

    def block_at(self, position, data):
        with open(os.path.join(self.path, b"coffer.log"), "r+b") as f:
            os.pwrite(f.fileno(), data, position % self.log_blocks * BLOCK)

    def transaction(self):
        return Transaction(self)

    def commit(self, t, durable=0, epoch=None, sequence=None, generation=None, write=True):
        self.sequence += 1
        start = self.position
        for n, (raw, data) in enumerate(t.parts):
            d = self.v.descriptor(generation or self.generation, sequence or self.sequence, n, n == len(t.parts) - 1,
                                  raw, len(data), self.stamp(), epoch=epoch, durable=durable)
            for block in [d] + data:
                if write:
                    self.block_at(self.position, block)
                self.position += 1
        self.positions[self.sequence] = (start, self.position)

    def finish(self, durable=0, flags=0, other=None, **kw):
        """Write coffer.state: slot 1 counts; other: fields of slot 0, or bytes of it."""
        base = dict(generation=self.generation, log_blocks=self.log_blocks, tail=self.tail,
                    tail_sequence=self.tail_sequence, stamp_limit=1 << 20, handle_type=1, handle=bytes(range(8)),
                    fsid=7)
        slot1 = self.v.state_slot(1, 0x2222222233333333, **dict(base, serial=9, durable=durable, flags=flags, **kw))
        if isinstance(other, bytes):
            slot0 = other
        else:
            slot0 = self.v.state_slot(0, 0x4444444455555555, **{**base, "serial": 8, "flags": flags, **(other or {})})
        self._put(b"coffer.state", slot0 + slot1)

    def snapshot(self):
        """What a reader should see now."""
        out = {}
        for path, e in sorted(self.expect.items()):
            e = dict(e)
            if path in self.files:
                p = self.files[path].plain
                e.update(size=p.size, sha256=p.sha256())
            out[os.fsdecode(path)] = e
        return out

    def manifest(self):
        return {"root_key": self.v.root_key.hex(), "local_key": self.v.file_key.hex(), "tree": self.snapshot()}


def write_manifest(path, manifest):
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as f:
        json.dump(manifest, f, indent=1, sort_keys=True)
        f.write("\n")
