"""coffer.log: the transactions that count and what replay computes of them, in memory (section 7)."""

import os
import struct

from .layout import (AT_HOME, BLOCK, EMPTY, FRESH, HOLE, HOME, IN_LOG, Bad, FileRecord, GroupRecord, group_exists,
                     parse_descriptor, parse_entry, parse_records)


class Transaction:
    def __init__(self, sequence, position):
        self.sequence, self.position = sequence, position
        self.parts = []         # (Descriptor, position, records)
        self.where = {}         # (GroupRecord, index): position of the ciphertext

    def records(self):
        for _, _, records in self.parts:
            yield from records


class GatheredGroup:
    """What the log says of one group: entries over those at home, or over holes."""

    def __init__(self, from_home):
        self.from_home = from_home
        self.entries = {}       # index: entry (28 bytes)
        self.where = {}         # index: position in the log
        self.epoch = self.entries_stamp = self.entries_tag = self.header_stamp = self.header_tag = None


class GatheredFile:
    def __init__(self):
        self.record = None      # the last FILE
        self.groups = {}


class Log:
    """fd: coffer.log. keys: volume.Keys. state: layout.State. Raises Bad for a volume to be refused."""

    def __init__(self, fd, keys, state):
        self.fd, self.keys, self.state = fd, keys, state
        self.blocks = state.log_blocks
        size = os.fstat(fd).st_size
        if size < self.blocks * BLOCK:
            raise Bad("coffer.log: %d bytes, the state wants %d" % (size, self.blocks * BLOCK))
        self.transactions, self.end_reason = [], ""
        self._walk()
        self._check_durable()
        self.files = {}
        for t in self.transactions:
            self._gather(t)

    def block(self, position):
        data = os.pread(self.fd, BLOCK, position % self.blocks * BLOCK)
        if len(data) != BLOCK:
            raise Bad("coffer.log: read at position %d is short" % position)
        return data

    def _descriptor(self, data):
        d = parse_descriptor(data, self.keys.uuid, self.keys.check)
        if d.generation != self.state.generation:
            raise Bad("another generation")
        return d

    def _walk(self):
        position, sequence = self.state.tail, self.state.tail_sequence + 1
        while True:
            try:
                t, position = self._transaction(position, sequence)
            except Bad as e:
                self.end_reason, self.end_position = str(e), position
                return
            self.transactions.append(t)
            sequence += 1

    def _transaction(self, position, sequence):
        t, current, files, groups = Transaction(sequence, position), None, set(), set()
        limit = self.state.tail + self.blocks
        while True:
            if position >= limit:
                raise Bad("the ring is full")
            d = self._descriptor(self.block(position))
            if d.sequence != sequence or d.part != len(t.parts):
                raise Bad("sequence %d part %d stands there" % (d.sequence, d.part))
            if position + 1 + d.data_blocks > limit:
                raise Bad("blocks reach around the ring")
            records, current = parse_records(d.raw[80:80 + d.record_bytes], current)
            for r in records:
                key = r.file_id if isinstance(r, FileRecord) else (r.file.file_id, r.group)
                if key in files or key in groups:
                    raise Bad("two records of one file or group")
                (files if isinstance(r, FileRecord) else groups).add(key)
            self._check_blocks(t, d, position, records)
            t.parts.append((d, position, records))
            position += 1 + d.data_blocks
            if d.last:
                return t, position

    def _check_blocks(self, t, d, position, records):
        at = position + 1
        for g in records:
            if not isinstance(g, GroupRecord):
                continue
            for b in g.blocks:
                if b.where != IN_LOG:
                    continue
                if at > position + d.data_blocks:
                    raise Bad("more records with a block than data_blocks")
                e = parse_entry(b.entry)
                self.keys.check_block(g.epoch, g.file.file_id, g.group * 128 + b.index, e, self.block(at))
                t.where[g, b.index] = at
                at += 1
        if at != position + 1 + d.data_blocks:
            raise Bad("fewer records with a block than data_blocks")

    def _scan(self):
        """Every authentic descriptor of this generation in the ring: (block, Descriptor)."""
        at, chunk = 0, 1 << 20
        end = self.blocks * BLOCK
        while at < end:
            data = os.pread(self.fd, min(chunk, end - at), at)
            i = data.find(b"CFRL")
            while i >= 0:
                if i % BLOCK == 0:
                    try:
                        yield (at + i) // BLOCK, self._descriptor(data[i:i + BLOCK])
                    except Bad:
                        pass
                i = data.find(b"CFRL", i + 1)
            at += len(data)

    def _check_durable(self):
        missing = self.state.tail_sequence + len(self.transactions) + 1
        durable, who = self.state.durable, "the state"
        for block, d in self._scan():
            if d.durable > durable:
                durable, who = d.durable, "the descriptor in block %d" % block
        if durable >= missing:
            raise Bad("coffer.log: acknowledged data is missing: transaction %d does not count (%s), %s says %d was "
                      "durable" % (missing, self.end_reason, who, durable))

    def _gather(self, t):
        for r in t.records():
            if isinstance(r, FileRecord):
                f = self.files.setdefault(r.file_id, GatheredFile())
                f.record = r
                for g in [g for g in f.groups if not group_exists(g, r.alloc_groups, r.gaps)]:
                    del f.groups[g]
                continue
            f = self.files[r.file.file_id]
            g = f.groups.get(r.group)
            if g is None or r.base != HOME:
                g = f.groups[r.group] = GatheredGroup(r.base != EMPTY)
            g.epoch, g.entries_stamp, g.entries_tag = r.epoch, r.entries_stamp, r.entries_tag
            g.header_stamp, g.header_tag = r.header_stamp, r.header_tag
            for b in r.blocks:
                g.entries[b.index] = b.entry
                g.where.pop(b.index, None)
                if b.where == IN_LOG:
                    g.where[b.index] = t.where[r, b.index]

    def describe(self):
        """Lines for `log`."""
        bases = {HOME: "HOME", EMPTY: "EMPTY", FRESH: "FRESH"}
        for t in self.transactions:
            yield "transaction %d at %d" % (t.sequence, t.position)
            for d, position, records in t.parts:
                yield "  part %d at %d epoch %d durable %d stamp %d blocks %d%s" % (
                    d.part, position, d.epoch, d.durable, d.stamp, d.data_blocks, " last" if d.last else "")
                for r in records:
                    if isinstance(r, FileRecord):
                        yield "    FILE %s size %d alloc_groups %d gaps %s header_stamp %d handle %d:%s" % (
                            r.file_id.hex(), r.size, r.alloc_groups, list(r.gaps), r.header_stamp, r.handle_type,
                            r.handle.hex())
                        continue
                    yield "    GROUP %d base %s epoch %d entries_stamp %d%s" % (
                        r.group, bases[r.base], r.epoch, r.entries_stamp,
                        " header_stamp %d" % r.header_stamp if r.group else "")
                    for b in r.blocks:
                        if b.entry == HOLE:
                            yield "      BLOCK %d hole" % b.index
                        else:
                            yield "      BLOCK %d %s stamp %d" % (
                                b.index, "at home" if b.where == AT_HOME else "in log at %d" % t.where[r, b.index],
                                struct.unpack_from("<Q", b.entry)[0])
        yield "end at %d: %s" % (self.end_position, self.end_reason)
