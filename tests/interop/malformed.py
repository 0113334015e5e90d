"""Structures with good tags that break a rule of the format: what a decoder must refuse though it is authentic."""

import struct

import cofferbuild as cb


def _patched(data, *patches):
    out = bytearray(data)
    for offset, new in patches:
        out[offset:offset + len(new)] = new
    return bytes(out)


def gap_table(*gaps):
    return b"".join(struct.pack("<II", *g) for g in gaps)


def headers(v, file_id):
    """(why, group, 512 bytes), each with a good H tag over what it says."""
    zero = cb.header_bytes(file_id, 0, 259, 11, bytes(16), size=4 << 20, alloc_groups=9, gaps=((1, 2), (5, 1)))
    other = cb.header_bytes(file_id, 5, 259, 11, bytes(16))
    u16, u32, u64 = (lambda x: struct.pack("<H", x)), (lambda x: struct.pack("<I", x)), (lambda x: struct.pack("<Q", x))

    def gaps(*g):
        return (10, u16(len(g))), (48, gap_table(*g) + bytes(192 - 8 * len(g)))

    cases = [
        ("unknown flag", zero, [(6, u16(2))]), ("highest flag", zero, [(6, u16(0x8000))]),
        ("25 gaps", zero, [(10, u16(25))]), ("size above 2^48", zero, [(32, u64((1 << 48) + 1))]),
        ("alloc_groups 0", zero, [(40, u32(0)), *gaps()]), ("alloc_groups above 2^29", zero, [(40, u32((1 << 29) + 1))]),
        ("bytes 44 to 47 not zero", zero, [(47, b"\1")]), ("a gap of no groups", zero, gaps((1, 0))),
        ("a gap that holds group 0", zero, gaps((0, 1))), ("gaps not sorted", zero, gaps((5, 1), (1, 2))),
        ("gaps overlap", zero, gaps((1, 2), (2, 2))), ("gaps adjacent", zero, gaps((1, 2), (3, 1))),
        ("a gap that ends above alloc_groups", zero, gaps((8, 2))),
        ("a gap that overflows", zero, gaps((2, 0xFFFFFFFF))), ("a gap behind gap_count", zero, [(10, u16(1))]),
        ("root not zero", zero, [(240, b"\1")]), ("end of root not zero", zero, [(271, b"\1")]),
        ("byte 272 not zero", zero, [(272, b"\1")]), ("byte 463 not zero", zero, [(463, b"\x80")]),
        ("entries_stamp 0", zero, [(464, u64(0))]),
        ("DAMAGED in another group", other, [(6, u16(1))]), ("gap_count in another group", other, [(10, u16(1))]),
        ("size in another group", other, [(32, u64(1))]), ("alloc_groups in another group", other, [(40, u32(6))]),
        ("a gap in another group", other, [(48, gap_table((1, 1)))]), ("root in another group", other, [(250, b"\1")]),
        ("magic", zero, [(0, b"CFRH")]), ("version 2", zero, [(4, u16(2))]),
        ("an epoch that is not in the ring", zero, [(8, u16(77))]),
    ]
    for why, base, patches in cases:
        head = _patched(base, *patches)
        group = struct.unpack_from("<I", head, 12)[0]
        tag_epoch = struct.unpack_from("<H", head, 8)[0]
        if tag_epoch not in v.masters:
            yield why, group, v.seal_header(base, 12)[:8] + u16(tag_epoch) + v.seal_header(base, 12)[10:]
        else:
            yield why, group, v.seal_header(head, 12)
    yield "header_stamp 0", 0, v.seal_header(zero, 0)


def slots(v):
    """(why, index, 4096 bytes), each with a good S tag."""
    base = v.state_slot(1, 5, handle=bytes(range(1, 9)), handle_type=1)
    mac = v._egmac(b"state tag", v.epoch)
    for why, patches in (
            ("unknown flag", [(88, struct.pack("<I", 2))]), ("highest flag", [(88, struct.pack("<I", 1 << 31))]),
            ("root_handle_len 129", [(94, struct.pack("<H", 129))]), ("rest of root_handle not zero", [(96 + 8, b"\1")]),
            ("end of root_handle not zero", [(223, b"\1")]), ("byte 232 not zero", [(232, b"\1")]),
            ("byte 479 not zero", [(479, b"\1")]), ("byte 480 not zero", [(480, b"\1")]),
            ("byte 487 not zero", [(487, b"\1")]), ("magic", [(0, b"CFRT")]), ("version 2", [(4, b"\2\0")]),
            ("another uuid", [(8, b"\0\0\0\0")]), ("byte 512 not zero", [(512, b"\1")]),
            ("byte 4095 not zero", [(4095, b"\x80")])):
        s = _patched(base, *patches)
        ident = s[8:24]
        yield why, 1, s[:496] + mac.tag(b"S", v.epoch, 1, ident, 5, s[:496]) + s[512:]
    yield "the other slot's index", 0, base


def descriptor_patches(v, base):
    """(why, 4096 bytes): base is a good descriptor of part 0; each has a good L tag."""
    mac = v._egmac(b"log tag", v.epoch)
    used = struct.unpack_from("<H", base, 62)[0]
    for why, patches in (
            ("magic", [(0, b"CFRM")]), ("version 2", [(4, b"\2\0")]), ("unknown flag", [(60, b"\3\0")]),
            ("bytes 68 to 71 not zero", [(71, b"\1")]), ("record_bytes 4001", [(62, struct.pack("<H", 4001))]),
            ("byte behind the records not zero", [(80 + used, b"\1")]), ("last byte not zero", [(4079, b"\1")]),
            ("another uuid", [(8, b"\0\0\0\0")]), ("stamp 0", [(72, bytes(8))]),
            ("records cut by one byte", [(62, struct.pack("<H", used - 1)), (80 + used - 1, b"\0")])):
        d = _patched(base, *patches)
        stamp = struct.unpack_from("<Q", d, 72)[0]
        yield why, d[:4080] + mac.tag(b"L", v.epoch, 0, d[8:24], stamp, d[:4080])


def records(v, a, b):
    """(why, records of a one-part transaction, blocks that follow)."""
    tag = bytes(range(16))
    e = cb.entry(5, tag, 6)
    one = cb.record_file(a, 5 << 20, 9, ((2, 1),), 3, tag)

    def file(**kw):
        return cb.record_file(*{**dict(file_id=a, size=5, alloc_groups=9, gaps=(), header_stamp=3, header_tag=tag),
                                **kw}.values())

    def group(group=0, base=1, blocks=(), es=4, hs=(7, tag)):
        return cb.record_group(group, base, 259, es, tag, blocks, hs if group else None)

    return [
        ("kind 0", one + b"\0", 0), ("kind 3", one + b"\3" + group()[1:], 0), ("GROUP without FILE", group(), 0),
        ("the FILE is cut off", one[:-1], 0), ("the GROUP is cut off", one + group()[:-1], 0),
        ("base 0", one + group(base=0), 0), ("base 4", one + group(base=4), 0),
        ("where 0", one + group(blocks=[(0, 0, e)]), 0), ("where 4", one + group(blocks=[(0, 4, e)]), 0),
        ("index 128", one + group(blocks=[(128, 3, e)]), 0),
        ("index stands twice", one + group(blocks=[(1, 3, e), (1, 3, e)]), 0),
        ("index falls", one + group(blocks=[(2, 3, e), (1, 3, e)]), 0),
        ("an at-home record with a hole's entry", one + group(blocks=[(1, 2, cb.HOLE)]), 0),
        ("an entry with stamp 0", one + group(blocks=[(1, 2, cb.entry(0, tag, 1))]), 0),
        ("block_count 129", one + _patched(group(), (1, b"\x81")) + b"\0\3" * 129, 0),
        ("block_count more than there are", one + _patched(group(blocks=[(0, 3, e)]), (1, b"\2")), 0),
        ("entries_stamp 0", one + group(es=0), 0), ("header_stamp 0 in GROUP", one + group(group=1, hs=(0, tag)), 0),
        ("header_stamp 0 in FILE", file(header_stamp=0), 0),
        ("a GROUP in a gap of its FILE", one + group(group=2), 0),
        ("a GROUP at alloc_groups", one + group(group=9), 0), ("two FILEs for one file", one + one, 0),
        ("two GROUPs for one group", one + group() + group(), 0),
        ("two GROUPs for one group, a file between", one + group() + file(file_id=b) + one + group(), 0),
        ("size above 2^48", file(size=(1 << 48) + 1), 0), ("alloc_groups 0", file(alloc_groups=0), 0),
        ("25 gaps", file(alloc_groups=100, gaps=[(1 + 2 * i, 1) for i in range(25)]), 0),
        ("gaps not sorted", file(gaps=((5, 1), (1, 1))), 0), ("a gap that holds group 0", file(gaps=((0, 1),)), 0),
        ("a gap of no groups", file(gaps=((1, 0),)), 0), ("gaps adjacent", file(gaps=((1, 1), (2, 1))), 0),
        ("a gap that ends above alloc_groups", file(gaps=((8, 2),)), 0),
        ("handle_len 129", file() [:1] + b"\x81" + file()[2:] + bytes(129), 0),
        ("data_blocks without a record", one + group(blocks=[(0, 3, e)]), 1),
        ("a record in the log without its block", one + group(blocks=[(0, 1, e)]), 0),
    ]
