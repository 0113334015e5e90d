"""Tests that structures which are authentic but break a rule are refused, and what the vectors decode to."""

import json
import os
import re
import struct

import cofferbuild as cb
import make_vectors
import malformed
from coffervol import Builder
from cofferread import layout, names
from cofferread.config import Config, parse_ring
from cofferread.layout import Bad
from cofferread.volume import Keys, Volume

TAG = re.compile("tag . does not fit")
VECTORS = make_vectors.make()


def _setup():
    v = cb.Volume()
    return v, Keys(v.uuid, v.masters), v.bytes("file a", 16), v.bytes("file b", 16)


def _refused(why, function, *args):
    """The error's text; tags must not be the reason."""
    try:
        function(*args)
    except Bad as e:
        assert not TAG.search(str(e)), "%s: refused for its tag, so the case tests nothing" % why
        return str(e)
    raise AssertionError("%s: was not refused" % why)


def malformed_headers_are_refused(_tmp):
    v, keys, a, _ = _setup()
    good = v.seal_header(cb.header_bytes(a, 0, 259, 11, bytes(16), size=9, alloc_groups=9, gaps=((1, 2), (5, 1))), 12)
    layout.parse_header(good, a, 0, keys.check_file(a))
    for why, group, header in malformed.headers(v, a):
        _refused(why, layout.parse_header, header, a, group, keys.check_file(a))
    _refused("another file", layout.parse_header, good, bytes(16), 0, keys.check_file(a))
    _refused("another group", layout.parse_header, good, a, 1, keys.check_file(a))


def malformed_state_slots_are_refused(_tmp):
    v, keys, _, _ = _setup()
    layout.parse_state(v.state_slot(1, 5), 1, v.uuid, keys.check)
    for why, index, slot in malformed.slots(v):
        if "index" in why:
            try:
                layout.parse_state(slot, index, v.uuid, keys.check)
            except Bad as e:
                assert str(e) == "tag S does not fit"
                continue
            raise AssertionError(why)
        _refused(why, layout.parse_state, slot, index, v.uuid, keys.check)


def malformed_descriptors_and_records_end_the_log(tmp):
    v, keys, a, b = _setup()

    def log_of(name, descriptor, more=()):
        """A volume whose log begins with these blocks, and why its log ends where it does."""
        builder = Builder(os.path.join(tmp, name), seed="coffer vector")
        builder.generation = descriptor[24:40]
        builder.tail_sequence = struct.unpack_from("<Q", descriptor, 40)[0] - 1
        for block in (descriptor, *more):
            builder.block_at(builder.position, block)
            builder.position += 1
        builder.finish()
        opened = Volume(builder.path, v.root_key)
        opened.close()
        return len(opened.log.transactions), opened.log.end_reason

    generation = bytes(range(16))
    n = 0
    for why, records, data in malformed.records(v, a, b):
        d = v.descriptor(generation, 1, 0, True, records, data, 99)
        n += 1
        count, reason = log_of("r%d" % n, d, [bytes(4096)] * data)
        assert count == 0, "%s: the transaction counted" % why
        assert not TAG.search(reason), "%s: %s" % (why, reason)
    good = v.descriptor(generation, 1, 0, True, cb.record_file(a, 5, 1, (), 3, bytes(16)), 0, 99)
    assert log_of("good", good)[0] == 1
    for why, d in malformed.descriptor_patches(v, good):
        n += 1
        count, reason = log_of("r%d" % n, d)
        assert count == 0 and not TAG.search(reason), "%s: %s" % (why, reason)
    for why, kw in (("another generation", {"generation": bytes(16)}), ("sequence 2", {"sequence": 2}),
                    ("part 1", {"part": 1}), ("not the last part", {"last": False})):
        n += 1
        d = v.descriptor(**{**dict(generation=generation, sequence=1, part=0, last=True, records=b"", data_blocks=0,
                                   stamp=99), **kw})
        builder = Builder(os.path.join(tmp, "r%d" % n), seed="coffer vector")
        builder.generation = generation
        builder.block_at(0, d)
        builder.finish()
        opened = Volume(builder.path, v.root_key)
        opened.close()
        assert not opened.log.transactions and not TAG.search(opened.log.end_reason), why


def malformed_entries_are_refused(_tmp):
    assert layout.parse_entry(cb.HOLE) is None
    _refused("stamp 0", layout.parse_entry, cb.entry(0, bytes(16), 1))
    _refused("stamp 0", layout.parse_entry, cb.entry(0, bytes(range(16)), 0))


def malformed_configurations_are_refused(_tmp):
    v = cb.Volume()

    def load(config, epoch=None):
        Config(v.config_text(config, epoch)).authenticate(v.root_key)

    def changed(path, value):
        c = v.config()
        at = c
        for key in path[:-1]:
            at = at[key]
        if value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return c

    load(v.config())
    load(changed(("unknown",), {"a": [1]}))
    load(changed(("slots", 0, "key_version"), "v" * 256))
    load(changed(("created",), "2026-01-02T03:04:05.%sZ" % ("0" * 10)))
    load(changed(("features", "compat"), ["x"]))
    load(changed(("features", "ro_compat"), ["x"]))
    slot = v.config()["slots"][0]
    for path, value in (
            (("format",), 2), (("format",), True), (("format",), "1"), (("uuid",), v.uuid.hex().upper()),
            (("uuid",), v.uuid.hex()[:-1]), (("tenant",), ""), (("tenant",), ".a"), (("tenant",), "a/b"),
            (("tenant",), "t" * 65), (("config_version",), "1"), (("config_version",), -1), (("created",), "yesterday"),
            (("content",), "xts-pos"), (("tag",), "hmac-sha256-128"), (("names",), "kw"), (("names",), "new"),
            (("features", "incompat"), ["x"]), (("features", "compat"), [1]), (("features",), []), (("slots",), []),
            (("slots",), [slot] * 17), (("slots", 0, "kms"), "k" * 513), (("slots", 0, "state"), "lost"),
            (("slots", 0, "sealed_root"), cb.b64(bytes(59))), (("slots", 0, "commitment"), cb.b64(bytes(31))),
            (("slots", 0, "commitment"), cb.b64(bytes(32))), (("slots", 0, "wrapped_kek"), cb.b64(bytes(8193))),
            (("slots", 0, "wrapped_kek"), "AB=="), (("slots", 0, "wrapped_kek"), "AA"),
            (("slots", 0, "wrapped_kek"), " AA=="), (("slots", 0, "context", "purpose"), "leaf"),
            (("slots", 0, "context", "tenant"), "tenant-b"), (("slots", 0, "context", "volume"), "0" * 32),
            (("slots", 0, "created"), ""), (("slots", 0, "key_version"), "v" * 257),
            (("created",), "2026-01-02T03:04:05.%sZ" % ("0" * 11)), (("key_ring",), cb.b64(bytes(60))), (("key_ring",), "")):
        _refused(str(path), load, changed(path, value))
    for key in v.config():
        _refused("without " + key, load, changed((key,), None))
    for key in slot:
        _refused("slot without " + key, load, changed(("slots", 0, key), None))
    _refused("EPOCH is not the ring's highest", load, v.config(), 2)
    body = json.dumps(v.config()).encode()
    for why, text in (
            ("a key twice", b'{"format":1,' + body[1:]), ("a key of a slot twice", body.replace(b'"kms"', b'"kms":"","kms"')),
            ("not JSON", body[:-1]), ("two objects", body + body), ("an array", b"[" + body + b"]"),
            ("not UTF-8", body.replace(b"local:test", b"local:\xff")), ("NaN", body[:-1] + b',"x":NaN}'),
            ("larger than 256 KiB", body + b" " * (256 << 10))):
        _refused(why, lambda t: Config(v.config_line(t) + t).authenticate(v.root_key), text)
    line = v.config_line(body)
    for why, text in (("version 2", line.replace(b" 1 ", b" 2 ", 1)), ("leading zero", line.replace(b" 259", b" 0259")),
                      ("upper case", line.replace(line[-65:], line[-65:].upper())), ("CR", line[:-1] + b"\r\n"),
                      ("no line", b""), ("epoch 0", line.replace(b" 259", b" 0"))):
        _refused(why, Config, text + body)


def malformed_key_rings_are_refused(_tmp):
    v = cb.Volume()
    good = v.ring_plain()
    assert parse_ring(good)[2] == v.masters
    entry = [good[38 + 34 * i:72 + 34 * i] for i in range(3)]
    for why, plain in (
            ("version 2", b"\2" + good[1:]), ("byte 1", b"\1\1" + good[2:]), ("cut", good[:-1]), ("longer", good + b"\0"),
            ("count 0", good[:36] + b"\0\0"), ("empty", b""), ("count 65", good[:36] + b"\x41\0" + b"".join(
                struct.pack("<H32s", i + 1, b"k") for i in range(65))),
            ("epochs fall", good[:38] + entry[1] + entry[0] + entry[2]), ("epoch twice", good[:38] + entry[0] * 2 + entry[2]),
            ("epoch 0", good[:38] + bytes(2) + entry[0][2:] + entry[1] + entry[2])):
        _refused(why, parse_ring, plain)
    assert len(parse_ring(good[:36] + b"\x40\0" + b"".join(struct.pack("<H32s", i + 1, b"k") for i in range(64)))[2]) == 64


def malformed_names_are_refused(_tmp):
    v = cb.Volume()
    n = names.Names(v.names_epoch, v.names, v.uuid)
    for c in VECTORS["reject"]["lower_names"]:
        try:
            n.name(bytes(16), c["lower"].encode())
        except Bad:
            continue
        raise AssertionError("%s: was not refused" % c["why"])
    for target in (b"", b"0" * 32, b"0" * 32 + b".", b"0" * 31 + b".3", b"A" * 32 + b".3", b"a" * 32 + b".03",
                   b"a" * 32 + b".2", b"a" * 32 + b".3\n", b"a" * 32 + b".65539"):
        _refused(repr(target), n.dir_id, target)


def vectors_decode(_tmp):
    v, keys, a, b = _setup()
    n = names.Names(v.names_epoch, v.names, v.uuid)
    for c in VECTORS["names"]:
        plain = bytes.fromhex(c["name_hex"]) if "name_hex" in c else c["name"].encode()
        assert n.name(bytes.fromhex(c["dir_id"]), c["lower"].encode()) == plain
        assert ("hash" in c) == (len(plain) > 96)
    for c in VECTORS["symlinks"]:
        assert n.symlink(c["lower"].encode()) == c["target"].encode()
    for c in VECTORS["xattrs"]:
        got = n.xattr(c["lower_name"], bytes.fromhex(c["lower_value"]))
        assert got == (b"user." + c["name"].encode(), bytes.fromhex(c["value"]))
    for c in VECTORS["coffer_dir"]:
        assert n.dir_id(c["target"].encode()).hex() == c["dir_id"]
    for c in VECTORS["state"]:
        s = layout.parse_state(bytes.fromhex(c["slot"]) + bytes(3584), c["index"], v.uuid, keys.check)
        for name, value in c["fields"].items():
            if hasattr(s, name):
                got = getattr(s, name)
                assert (got.hex() if isinstance(got, bytes) else got) == value, name
    for c in VECTORS["metadata"]:
        f = c["fields"]
        h = layout.parse_header(bytes.fromhex(c["header"]), a, f["group"], keys.check_file(a))
        assert (h.size, h.alloc_groups, [list(g) for g in h.gaps]) == (f["size"], f["alloc_groups"], f["gaps"])
        assert layout.build_header(h) + h.header_tag == bytes.fromhex(c["header"])
    current = None
    for c in VECTORS["log"]:
        d = layout.parse_descriptor(bytes.fromhex(c["descriptor"]), v.uuid, keys.check)
        records, last = layout.parse_records(d.raw[80:80 + d.record_bytes], None if d.part == 0 else current)
        current = last
        assert len(records) == len(c["records"])
        for got, want in zip(records, c["records"]):
            if want["kind"] == "FILE":
                assert (got.file_id.hex(), got.size, got.handle.hex()) == (want["file_id"], want["size"], want["handle"])
            else:
                assert (got.group, got.base, got.epoch) == (want["group"], want["base"], want["epoch"])
                assert [(x.index, x.where) for x in got.blocks] == [(x["index"], x["where"]) for x in want["blocks"]]
    for c in VECTORS["blocks"]:
        raw = bytes.fromhex(c["entry"])
        e = layout.parse_entry(raw)
        plain = bytes.fromhex(c["plain_text"]) if "plain_text" in c else make_vectors.pattern(c["plain_seed"])
        plain += bytes(4096 - len(plain))
        fid = bytes.fromhex(c["file_id"])
        data = keys.file(c["epoch"], fid).encrypt(e.stamp, c["number"], plain)
        keys.check_block(c["epoch"], fid, c["number"], e, data)
        assert keys.file(c["epoch"], fid).decrypt(e.stamp, c["number"], data) == plain


TESTS = [malformed_headers_are_refused, malformed_state_slots_are_refused, malformed_descriptors_and_records_end_the_log,
         malformed_entries_are_refused, malformed_configurations_are_refused, malformed_key_rings_are_refused,
         malformed_names_are_refused, vectors_decode]
