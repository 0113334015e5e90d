"""The fixed structures of format 1: state slots, headers, entries, descriptors and records (sections 4, 5 and 7)."""

import struct
from collections import namedtuple

BLOCK = 4096
GROUP_BLOCKS = 128
GROUP_LOWER = 129 * 4096
FILE_SIZE_MAX = 1 << 48
GROUPS_MAX = 1 << 29
GAPS_MAX = 24
HOLE = bytes(28)

HOME, EMPTY, FRESH = 1, 2, 3
IN_LOG, AT_HOME, IS_HOLE = 1, 2, 3
DAMAGED = 1


class Bad(Exception):
    """An object is not as the format says; the message names it."""


def check_zero(data, what):
    if data.count(0) != len(data):
        raise Bad("%s: not zero" % what)


State = namedtuple("State", "index epoch serial stamp_limit generation log_blocks tail tail_sequence durable flags "
                            "root_handle_type root_handle fsid nonce")


def parse_state(data, index, uuid, check_tag):
    """One slot of 4096 bytes. check_tag(label, epoch, number, id, stamp, payload, tag) raises Bad."""
    magic, version, epoch, ident, serial, limit, generation, blocks, tail, seq, durable, flags, htype, hlen = \
        struct.unpack_from("<4sHH16sQQ16sQQQQIHH", data)
    if magic != b"CFRS" or version != 1:
        raise Bad("no magic and version of a state slot")
    if ident != uuid:
        raise Bad("another volume's uuid")
    nonce, tag = struct.unpack_from("<Q16s", data, 488)
    check_tag(b"S", epoch, index, uuid, nonce, data[:496], tag)
    if flags & ~1:
        raise Bad("unknown flags")
    if hlen > 128:
        raise Bad("root_handle_len")
    check_zero(data[96 + hlen:224], "rest of root_handle")
    check_zero(data[232:488], "bytes 232 to 487")
    check_zero(data[512:4096], "bytes behind the slot")
    return State(index, epoch, serial, limit, generation, blocks, tail, seq, durable, flags, htype,
                 data[96:96 + hlen], struct.unpack_from("<Q", data, 224)[0], nonce)


def check_shape(size, alloc_groups, gaps):
    """What section 5 says about size, alloc_groups and gaps."""
    if size > FILE_SIZE_MAX:
        raise Bad("size is above 2^48")
    if not 1 <= alloc_groups <= GROUPS_MAX:
        raise Bad("alloc_groups")
    if len(gaps) > GAPS_MAX:
        raise Bad("gap_count")
    end = -1
    for first, count in gaps:
        if count == 0 or first == 0 or first <= end or first + count > alloc_groups:
            raise Bad("gaps: (%d, %d)" % (first, count))
        end = first + count


def group_exists(group, alloc_groups, gaps):
    return group < alloc_groups and not any(f <= group < f + c for f, c in gaps)


Header = namedtuple("Header", "flags epoch group file_id size alloc_groups gaps entries_stamp entries_tag "
                              "header_stamp header_tag")


def parse_header(data, file_id, group, check_tag):
    """The first 512 bytes of a metadata block; file_id None takes the one there."""
    magic, version, flags, epoch, gap_count, number, ident, size, alloc = struct.unpack_from("<4sHHHHI16sQI", data)
    if magic != b"CFRG" or version != 1:
        raise Bad("no magic and version of a metadata block")
    if file_id is not None and ident != file_id:
        raise Bad("another file's file_id")
    if number != group:
        raise Bad("another group's number")
    entries_stamp, entries_tag, header_stamp, header_tag = struct.unpack_from("<Q16sQ16s", data, 464)
    check_tag(b"H", epoch, group, ident, header_stamp, data[:496], header_tag)
    check_zero(data[44:48], "bytes 44 to 47")
    check_zero(data[240:464], "bytes 240 to 463")
    if header_stamp == 0 or entries_stamp == 0:
        raise Bad("a stamp is 0")
    if group == 0:
        if flags & ~DAMAGED:
            raise Bad("unknown flags")
        if gap_count > GAPS_MAX:
            raise Bad("gap_count")
        gaps = tuple(struct.unpack_from("<II", data, 48 + 8 * i) for i in range(gap_count))
        check_shape(size, alloc, gaps)
        check_zero(data[48 + 8 * gap_count:240], "rest of gaps")
    else:
        gaps = ()
        if flags or gap_count or size or alloc:
            raise Bad("fields of group 0 in another group")
        check_zero(data[48:240], "gaps in another group")
    return Header(flags, epoch, group, ident, size, alloc, gaps, entries_stamp, entries_tag, header_stamp, header_tag)


def build_header(h):
    """The first 496 bytes again, for tags over computed headers (flags and root are as in h: zero)."""
    out = bytearray(496)
    struct.pack_into("<4sHHHHI16sQI", out, 0, b"CFRG", 1, h.flags, h.epoch, len(h.gaps), h.group, h.file_id, h.size,
                     h.alloc_groups)
    for i, (first, count) in enumerate(h.gaps):
        struct.pack_into("<II", out, 48 + 8 * i, first, count)
    struct.pack_into("<Q16sQ", out, 464, h.entries_stamp, h.entries_tag, h.header_stamp)
    return bytes(out)


Entry = namedtuple("Entry", "stamp tag sum")


def parse_entry(raw):
    """None for a hole."""
    if raw == HOLE:
        return None
    e = Entry(*struct.unpack("<Q16sI", raw))
    if e.stamp == 0:
        raise Bad("an entry with stamp 0 that is not a hole")
    return e


Descriptor = namedtuple("Descriptor", "epoch generation sequence durable part last record_bytes data_blocks stamp raw")


def parse_descriptor(data, uuid, check_tag):
    """An authentic descriptor. Raises Bad."""
    magic, version, epoch, ident, generation, sequence, durable, part, flags, record_bytes, data_blocks, zero, stamp = \
        struct.unpack_from("<4sHH16s16sQQIHHIIQ", data)
    if magic != b"CFRL" or version != 1:
        raise Bad("no magic and version of a descriptor")
    if ident != uuid:
        raise Bad("another volume's uuid")
    check_tag(b"L", epoch, part, uuid, stamp, data[:4080], data[4080:4096])
    if flags & ~1 or zero or stamp == 0:
        raise Bad("malformed descriptor")
    if record_bytes > 4000:
        raise Bad("record_bytes")
    check_zero(data[80 + record_bytes:4080], "bytes behind the records")
    return Descriptor(epoch, generation, sequence, durable, part, bool(flags & 1), record_bytes, data_blocks, stamp,
                      data)


FileRecord = namedtuple("FileRecord", "handle_type handle file_id size alloc_groups gaps header_stamp header_tag")
GroupRecord = namedtuple("GroupRecord", "file group base epoch entries_stamp entries_tag header_stamp header_tag blocks")
BlockRecord = namedtuple("BlockRecord", "index where entry")


class _Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, fmt):
        n = struct.calcsize(fmt)
        if self.at + n > len(self.data):
            raise Bad("a record is cut off")
        out = struct.unpack_from(fmt, self.data, self.at)
        self.at += n
        return out


def _file_record(c):
    hlen, htype, file_id, size, alloc, gap_count, stamp, tag = c.take("<BH16sQIBQ16s")
    if hlen > 128 or gap_count > GAPS_MAX or stamp == 0:
        raise Bad("FILE: out of range")
    gaps = tuple(c.take("<II") for _ in range(gap_count))
    check_shape(size, alloc, gaps)
    return FileRecord(htype, c.take("<%ds" % hlen)[0], file_id, size, alloc, gaps, stamp, tag)


def _group_record(c, current):
    count, group, base, epoch, estamp, etag = c.take("<BIBHQ16s")
    hstamp, htag = c.take("<Q16s") if group else (None, None)
    if current is None:
        raise Bad("GROUP without FILE")
    if count > GROUP_BLOCKS or base not in (HOME, EMPTY, FRESH) or estamp == 0 or hstamp == 0:
        raise Bad("GROUP: out of range")
    if not group_exists(group, current.alloc_groups, current.gaps):
        raise Bad("GROUP %d does not exist by its FILE" % group)
    blocks, last = [], -1
    for _ in range(count):
        index, where = c.take("<BB")
        if not last < index < GROUP_BLOCKS or where not in (IN_LOG, AT_HOME, IS_HOLE):
            raise Bad("BLOCK: out of range")
        last, entry = index, HOLE
        if where != IS_HOLE:
            entry = c.take("<28s")[0]
            if parse_entry(entry) is None:
                raise Bad("BLOCK: a hole's entry")
        blocks.append(BlockRecord(index, where, entry))
    return GroupRecord(current, group, base, epoch, estamp, etag, hstamp, htag, tuple(blocks))


def parse_records(data, current):
    """The records of one part; current is the last FILE of the parts before, or None. Raises Bad."""
    c, out = _Cursor(data), []
    while c.at < len(data):
        kind = c.take("<B")[0]
        if kind == 1:
            current = _file_record(c)
            out.append(current)
        elif kind == 2:
            out.append(_group_record(c, current))
        else:
            raise Bad("a record of kind %d" % kind)
    return out, current
