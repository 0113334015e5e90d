"""One lower regular file: its header, groups and blocks, with what the log says of it laid over (sections 5 and 7)."""

import os

from . import xxh3
from .layout import (BLOCK, DAMAGED, GROUP_BLOCKS, GROUP_LOWER, HOLE, Bad, Header, build_header, check_zero, group_exists,
                     parse_entry, parse_header)


class Group:
    def __init__(self, header, entries, where):
        self.header, self.entries, self.where = header, entries, where

    def entry(self, index):
        return parse_entry(self.entries[28 * index:28 * index + 28])


class File:
    """fd stays the caller's. Raises Bad when the file cannot be opened."""

    def __init__(self, volume, fd):
        self.keys, self.log, self.fd = volume.keys, volume.log, fd
        self.file_id, self.size, self.alloc_groups, self.gaps, self.flags = None, 0, 0, (), 0
        self.overlaid, self.cache = {}, {}
        self.gathered = None
        self.lower_size = os.fstat(fd).st_size
        block = self._lower(0)
        if block.count(0) == BLOCK:
            if self.lower_size > GROUP_LOWER:
                raise Bad("no header in a lower file of %d bytes" % self.lower_size)
            return
        home = parse_header(block, None, 0, self.keys.check_file(block[16:32]))
        self.file_id, self.size, self.alloc_groups, self.gaps = home.file_id, home.size, home.alloc_groups, home.gaps
        self.flags = home.flags
        self.check = self.keys.check_file(self.file_id)
        self.gathered = self.log.files.get(self.file_id)
        if self.gathered:
            self._overlay(home)

    def _lower(self, offset):
        """4096 lower bytes; behind the end of the file they are zero."""
        data = os.pread(self.fd, BLOCK, offset)
        return data + bytes(BLOCK - len(data))

    def _verify(self, header, entries, label_h=True):
        if label_h:
            self.check(b"H", header.epoch, header.group, self.file_id, header.header_stamp, build_header(header),
                       header.header_tag)
        self.check(b"E", header.epoch, header.group, self.file_id, header.entries_stamp, entries, header.entries_tag)

    def _overlay(self, home):
        """Replay in memory: every gathered group must verify, else the file fails."""
        f = self.gathered.record
        self.size, self.alloc_groups, self.gaps, self.flags = f.size, f.alloc_groups, f.gaps, 0
        gathered = dict(self.gathered.groups)
        gathered.setdefault(0, None)
        for number, g in sorted(gathered.items()):
            base = self._lower(number * GROUP_LOWER)[512:]
            if g is None:
                entries, where = bytearray(base), {}
                epoch, stamp, tag = home.epoch, home.entries_stamp, home.entries_tag
            else:
                entries, where = bytearray(base if g.from_home else bytes(3584)), g.where
                for index, entry in g.entries.items():
                    entries[28 * index:28 * index + 28] = entry
                epoch, stamp, tag = g.epoch, g.entries_stamp, g.entries_tag
            if number == 0:
                header = Header(0, epoch, 0, self.file_id, f.size, f.alloc_groups, f.gaps, stamp, tag, f.header_stamp,
                                f.header_tag)
            else:
                header = Header(0, epoch, number, self.file_id, 0, 0, (), stamp, tag, g.header_stamp, g.header_tag)
            try:
                self._verify(header, bytes(entries))
            except Bad as e:
                raise Bad("replay: group %d: %s" % (number, e)) from None
            self.overlaid[number] = Group(header, bytes(entries), where)

    def group_numbers(self):
        """Those that exist, rising."""
        at = 0
        for first, count in self.gaps + ((self.alloc_groups, 0),):
            yield from range(at, first)
            at = first + count

    def group(self, number):
        """The verified group, or None if it does not exist. Raises Bad."""
        if not group_exists(number, self.alloc_groups, self.gaps):
            return None
        if number in self.overlaid:
            return self.overlaid[number]
        if number in self.cache:
            return self.cache[number]
        block = self._lower(number * GROUP_LOWER)
        try:
            header = parse_header(block, self.file_id, number, self.check)
            self._verify(header, block[512:], label_h=False)
        except Bad as e:
            raise Bad("group %d: %s" % (number, e)) from None
        g = Group(header, block[512:], {})
        if len(self.cache) >= 64:
            self.cache.clear()
        self.cache[number] = g
        return g

    def ciphertext(self, g, index):
        number = g.header.group
        if index in g.where:
            return self.log.block(g.where[index])
        return self._lower(number * GROUP_LOWER + BLOCK * (1 + index))

    def block(self, number, sums=False):
        """Plain bytes of a block, None for a hole. Raises Bad."""
        g = self.group(number // GROUP_BLOCKS)
        if g is None:
            return None
        return self.group_block(g, number % GROUP_BLOCKS, sums)

    def group_block(self, g, index, sums=False):
        number = g.header.group * GROUP_BLOCKS + index
        try:
            e = g.entry(index)
            if e is None:
                return None
            data = self.ciphertext(g, index)
            self.keys.check_block(g.header.epoch, self.file_id, number, e, data)
            if sums and xxh3.block_sum(data) != e.sum:
                raise Bad("sum does not fit")
        except Bad as err:
            raise Bad("block %d: %s" % (number, err)) from None
        return self.keys.file(g.header.epoch, self.file_id).decrypt(e.stamp, number, data)

    def extents(self):
        """(offset, bytes) of everything below size that is not a hole. Raises Bad."""
        if self.flags & DAMAGED:
            raise Bad("marked DAMAGED")
        for n in self.group_numbers():
            g = self.group(n)
            if n * GROUP_BLOCKS * BLOCK >= self.size:
                return
            for index in range(GROUP_BLOCKS):
                offset = (n * GROUP_BLOCKS + index) * BLOCK
                if offset >= self.size:
                    break
                data = self.group_block(g, index)
                if data is not None:
                    yield offset, data[:self.size - offset]

    def problems(self, sums, stamp):
        """Read everything; yield one message a problem. stamp(value, what) takes each stamp there is."""
        if self.flags & DAMAGED:
            yield "marked DAMAGED"
        for n in self.group_numbers():
            try:
                g = self.group(n)
            except Bad as e:
                yield str(e)
                continue
            yield from stamp(g.header.header_stamp, "header of group %d" % n)
            yield from stamp(g.header.entries_stamp, "entries of group %d" % n)
            if g.entries == bytes(3584):
                continue
            for index in range(GROUP_BLOCKS):
                if g.entries[28 * index:28 * index + 28] == HOLE:
                    continue
                offset = (n * GROUP_BLOCKS + index) * BLOCK
                try:
                    yield from stamp(g.entry(index).stamp, "block %d" % (offset // BLOCK))
                    data = self.group_block(g, index, sums)
                    if offset >= self.size:
                        yield "block %d: at or above size and no hole" % (offset // BLOCK)
                    elif offset + BLOCK > self.size:
                        check_zero(data[self.size - offset:], "block %d: bytes at or above size" % (offset // BLOCK))
                except Bad as e:
                    yield str(e)
