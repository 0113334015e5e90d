#!/usr/bin/python3
"""Print tests/golden/vectors.json: `make_vectors.py > ../golden/vectors.json`; `--check FILE` compares instead."""

import json
import struct
import sys

import cofferbuild as cb
import malformed
from cofferbuild import BLOCK, Volume, b64, pattern
from cofferread import crypt, xxh3

ABOUT = [
    "Inputs and outputs of format 1 (docs/format.md), made by tests/interop/make_vectors.py; regenerate, never edit.",
    "Byte strings are lower-case hexadecimal; names that are text on disk (b64url, b64, lower names) are plain strings.",
    "volume: the keys everything else is made with. masters: M(e) by epoch; key_ring seals the highest.",
    "hkdf: out = Expand(Extract(key), lp(label) . lp(uuid) [. lp(file_id)]), length bytes.",
    "slot, key_ring, config: iv is given; sealed = iv . ciphertext . tag. config.text is the whole file coffer.volume.",
    "egmac: keys = K1 . K2; message is label .. payload as fed to GMAC; payload_seed: byte i of the payload is "
    "i * 7 + (i >> 8) * 13 + seed modulo 256, gmac is G, tag is T.",
    "blocks: plain_seed as payload_seed; entry = stamp . tag . sum; xxh3 is the whole 64-bit sum, sum its low half.",
    "metadata: whole 4096-byte blocks; entries lists those that are not holes (index, entry). 'fields' are the inputs.",
    "state: slot is the 512 bytes that are not zero; 3584 zero bytes follow. Stamps, serials: JSON integers below 2^63.",
    "log: descriptor is 4096 bytes; records repeats its records one by one with their fields; blocks that follow a "
    "descriptor are those of its where = 1 records: named by plain_seed, file_id, number, epoch, not repeated here. "
    "The header_tag of a FILE is one over some header with these fields; codecs carry it, they do not check it.",
    "names: name is text, or name_hex bytes; lower is the encrypted name; hash is there if lower is longer than 160: the entry is coffer.long.HASH.",
    "reject: what a decoder must refuse though its tag is good, with the rule broken. headers: 512 bytes each, as if read "
    "for that group of file a; their entries_tag is not there to be checked. slots: zero bytes up to 4096 follow. "
    "descriptors: apply patches (offset, bytes) to log[0].descriptor. records: of a single part with data_blocks.",
]

ZERO_DIR = bytes(16)


def hexed(x):
    if isinstance(x, bytes):
        return x.hex()
    if isinstance(x, dict):
        return {k: hexed(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [hexed(v) for v in x]
    return x


def hkdf_vectors(v, file_id):
    def one(source, key, label, length, fid=None):
        d = {"from": source, "key": key, "label": label, "uuid": v.uuid, "length": length}
        if fid is not None:
            d["file_id"] = fid
        d["out"] = crypt.derive(key, label.encode(), v.uuid, length, fid)
        return d

    out = [one("R", v.root_key, l, 32) for l in ("config mac", "key ring", "commitment", "backup mac")]
    out += [one("N", v.names, l, 64) for l in ("name", "symlink", "xattr name", "xattr value")]
    for e in (1, 259):
        m = "M(%d)" % e
        out += [one(m, v.masters[e], l, 64) for l in ("state tag", "log tag")]
        out += [one(m, v.masters[e], l, 64, file_id) for l in ("file tag", "file xts")]
    return out


def slot_vectors(v):
    t = v.tenant.encode()
    return {
        "kek": v.kek, "local_key": v.file_key, "tenant": v.tenant,
        "sealed_root_aad": crypt.root_aad(t, v.uuid), "sealed_root_iv": v.sealed_root()[:12],
        "sealed_root": v.sealed_root(),
        "wrapped_kek_aad": crypt.kek_aad(t, v.uuid), "wrapped_kek_iv": v.wrapped_kek()[:12],
        "wrapped_kek": v.wrapped_kek(), "commitment": v.commitment(),
    }


def config_vectors(v):
    text = v.config_text()
    line, body = text.split(b"\n", 1)
    return {
        "epoch": v.epoch, "mac_key": crypt.derive(v.root_key, b"config mac", v.uuid, 32),
        "mac": crypt.config_mac(v.root_key, v.uuid, v.epoch, body), "line": line.decode(), "body": body.decode(),
        "text": text.decode(),
    }


def egmac_vectors(v, file_id):
    fk = crypt.derive(v.masters[259], b"file tag", v.uuid, 64, file_id)
    f1 = crypt.derive(v.masters[1], b"file tag", v.uuid, 64, file_id)
    sk = crypt.derive(v.masters[259], b"state tag", v.uuid, 64)
    lk = crypt.derive(v.masters[259], b"log tag", v.uuid, 64)
    cases = [
        (b"B", fk, 259, 0, file_id, 1, 4096, 0), (b"B", fk, 259, (1 << 36) - 1, file_id, 0x0123456789ABCDEF, 4096, 5),
        (b"B", f1, 1, 0x1_0000_0002, file_id, 77, 4096, 9), (b"E", fk, 259, 0, file_id, 2, 3584, 1),
        (b"E", fk, 259, (1 << 29) - 1, file_id, 3, 3584, 1), (b"H", fk, 259, 0, file_id, 4, 496, 2),
        (b"H", f1, 1, 5, file_id, (1 << 62) + 1, 496, 3), (b"L", lk, 259, 0, v.uuid, 5, 4080, 4),
        (b"L", lk, 259, 3, v.uuid, 6, 4080, 4), (b"S", sk, 259, 0, v.uuid, 0x7EDCBA9876543210, 496, 6),
        (b"S", sk, 259, 1, v.uuid, 0x0EDCBA9876543210, 496, 7),
    ]
    out = []
    for label, keys, epoch, number, ident, stamp, length, seed in cases:
        head = struct.pack("<sBHIQ16sQQ", label, 1, epoch, 0, number, ident, stamp, 0)
        iv = struct.pack("<QI", stamp, number & 0xFFFFFFFF)
        mac = crypt.Egmac(keys)
        tag = mac.tag(label, epoch, number, ident, stamp, pattern(seed, length))
        g = crypt.Cipher(mac.k2, crypt.modes.ECB()).decryptor().update(tag)
        out.append({"label": label.decode(), "keys": keys, "epoch": epoch, "number": number, "id": ident,
                    "stamp": stamp, "payload_length": length, "payload_seed": seed, "message_head": head, "iv": iv,
                    "gmac": g, "tag": tag})
    return out


def block_vectors(v, file_id, other_id):
    out = []
    for fid, epoch, number, stamp, seed, full in (
            (file_id, 259, 0, 1, 0, True), (file_id, 259, 1, 2, 0, False), (file_id, 1, 0, 1, 0, False),
            (other_id, 259, 0, 1, 0, False), (file_id, 259, 0x1_0000_0003, 0x0102030405060708, 17, True),
            (file_id, 2, (1 << 36) - 1, (1 << 63) - 1, 200, False)):
        e, c = v.seal_block(epoch, fid, number, stamp, pattern(seed))
        d = {"file_id": fid, "epoch": epoch, "xts_key": crypt.derive(v.masters[epoch], b"file xts", v.uuid, 64, fid),
             "number": number, "stamp": stamp, "tweak": struct.pack("<QQ", stamp, number), "plain_seed": seed}
        if full:
            d["ciphertext"] = c
        d.update({"ciphertext_head": c[:32], "ciphertext_sha256": crypt.hashlib.sha256(c).digest(), "tag": e[8:24],
                  "xxh3": "%016x" % xxh3.xxh3_64_long(c), "sum": struct.unpack_from("<I", e, 24)[0], "entry": e})
        out.append(d)
    e, c = v.seal_block(259, file_id, 7, 9, b"short last block" + bytes(BLOCK - 16))
    out.append({"file_id": file_id, "epoch": 259, "number": 7, "stamp": 9, "plain_text": b"short last block",
                "ciphertext_head": c[:32], "ciphertext_sha256": crypt.hashlib.sha256(c).digest(), "tag": e[8:24],
                "sum": struct.unpack_from("<I", e, 24)[0], "entry": e})
    return out


def make_entries(v, epoch, file_id, group, items):
    """items: index -> (stamp, seed). Returns the 3584 bytes and the list for the vector."""
    buf, listed = bytearray(3584), []
    for index, (stamp, seed) in sorted(items.items()):
        e, _ = v.seal_block(epoch, file_id, group * 128 + index, stamp, pattern(seed))
        buf[28 * index:28 * index + 28] = e
        listed.append({"index": index, "stamp": stamp, "plain_seed": seed, "entry": e})
    return bytes(buf), listed


def metadata_vectors(v, file_id):
    out = []
    for what, group, epoch, size, alloc, gaps, items, es, hs, flags in (
            ("group 0, two gaps, three blocks", 0, 259, 6 * 524288 + 4097, 7, ((1, 2), (4, 1)),
             {0: (100, 1), 5: (101, 2), 127: (102, 3)}, 103, 104, 0),
            ("group 5 of the same file", 5, 259, 0, 0, (), {0: (105, 4), 64: (106, 5)}, 107, 108, 0),
            ("group 0, size 0, all holes", 0, 1, 0, 1, (), {}, 109, 110, 0),
            ("group 0, damaged, size 2^48, full gap table", 0, 259, 1 << 48, 1 << 29,
             tuple((1 + 3 * i, 2) for i in range(24)), {}, 111, 112, 1)):
        entries, listed = make_entries(v, epoch, file_id, group, items)
        kw = dict(size=size, alloc_groups=alloc, gaps=gaps, flags=flags)
        block = v.metadata(file_id, group, epoch, entries, es, hs, **kw)
        d = {"what": what,
             "fields": {"flags": flags, "epoch": epoch, "group": group, "file_id": file_id, "size": size,
                        "alloc_groups": alloc, "gaps": gaps, "entries_stamp": es, "entries_tag": block[472:488],
                        "header_stamp": hs, "header_tag": block[496:512]},
             "entries": listed, "header": block[:512]}
        if items:
            d["block"] = block
        out.append(d)
    return out


def state_vectors(v, generation):
    out = []
    for f in (dict(index=0, nonce=0x1111111122222222, serial=1, stamp_limit=1 << 20, log_blocks=4096, flags=1),
              dict(index=1, nonce=0x3333333344444444, serial=2, stamp_limit=1 << 33, log_blocks=262144, tail=1 << 40,
                   tail_sequence=(1 << 40) + 1, durable=(1 << 40) + 9, flags=0, handle_type=0x81,
                   handle=bytes(range(128)), fsid=0x0123456789ABCDEF),
              dict(index=0, nonce=0, serial=3, stamp_limit=5, log_blocks=4096, epoch=2, handle_type=1,
                   handle=b"\x01\x02\x03\x04\x05\x06\x07\x08", flags=1)):
        slot = v.state_slot(generation=generation, **f)
        d = {"index": f["index"], "fields": {
            "epoch": f.get("epoch", v.epoch), "uuid": v.uuid, "serial": f["serial"], "stamp_limit": f["stamp_limit"],
            "generation": generation, "log_blocks": f["log_blocks"], "tail": f.get("tail", 0),
            "tail_sequence": f.get("tail_sequence", 0), "durable": f.get("durable", 0), "flags": f["flags"],
            "root_handle_type": f.get("handle_type", 0), "root_handle": f.get("handle", b""),
            "fsid": f.get("fsid", 0), "nonce": f["nonce"], "tag": slot[496:512]}, "slot": slot[:512]}
        out.append(d)
    return out


class LogCase:
    """Collects the records of one descriptor twice: as bytes and as fields."""

    def __init__(self, v):
        self.v, self.raw, self.listed, self.data = v, b"", [], 0

    def file(self, file_id, size, alloc, gaps, header_stamp, handle=b"", handle_type=0, epoch=259, es=1, et=bytes(16)):
        head = cb.header_bytes(file_id, 0, epoch, es, et, size=size, alloc_groups=alloc, gaps=gaps)
        tag = self.v.seal_header(head, header_stamp)[496:]
        r = cb.record_file(file_id, size, alloc, gaps, header_stamp, tag, handle, handle_type)
        self.raw += r
        self.listed.append({"kind": "FILE", "handle_type": handle_type, "handle": handle, "file_id": file_id,
                            "size": size, "alloc_groups": alloc, "gaps": gaps, "header_stamp": header_stamp,
                            "header_tag": tag, "bytes": r})

    def group(self, file_id, group, base, epoch, es, blocks, hs=None):
        """blocks: (index, where, stamp, seed)."""
        buf, recs, listed = bytearray(3584), [], []
        for index, where, stamp, seed in blocks:
            e = cb.HOLE
            d = {"index": index, "where": where}
            if where != cb.IS_HOLE:
                e, _ = self.v.seal_block(epoch, file_id, group * 128 + index, stamp, pattern(seed))
                d.update({"number": group * 128 + index, "stamp": stamp, "plain_seed": seed, "entry": e})
            self.data += where == cb.IN_LOG
            buf[28 * index:28 * index + 28] = e
            recs.append((index, where, e))
            listed.append(d)
        et = self.v.entries_tag(epoch, file_id, group, es, bytes(buf))
        d = {"kind": "GROUP", "file_id": file_id, "group": group, "base": base, "epoch": epoch, "entries_stamp": es,
             "entries_tag": et}
        seal = None
        if group:
            head = cb.header_bytes(file_id, group, epoch, es, et)
            seal = (hs, self.v.seal_header(head, hs)[496:])
            d.update({"header_stamp": seal[0], "header_tag": seal[1]})
        r = cb.record_group(group, base, epoch, es, et, recs, seal)
        self.raw += r
        d.update({"blocks": listed, "bytes": r})
        self.listed.append(d)
        return et

    def done(self, what, **kw):
        d = self.v.descriptor(records=self.raw, data_blocks=self.data, **kw)
        fields = {"epoch": kw.get("epoch", self.v.epoch), "uuid": self.v.uuid, "generation": kw["generation"],
                  "sequence": kw["sequence"], "durable": kw.get("durable", 0), "part": kw["part"],
                  "flags": 1 if kw["last"] else 0, "record_bytes": len(self.raw), "data_blocks": self.data,
                  "stamp": kw["stamp"], "tag": d[4080:]}
        return {"what": what, "fields": fields, "records": self.listed, "descriptor": d}


def log_vectors(v, generation, a, b):
    out = []
    c = LogCase(v)
    c.file(a, 3 * 524288 + 1, 4, ((1, 2),), 201, bytes(range(8)), 1)
    c.group(a, 0, cb.HOME, 259, 202, ((0, cb.IN_LOG, 203, 1), (1, cb.AT_HOME, 204, 2), (127, cb.IS_HOLE, 0, 0)))
    c.group(a, 3, cb.EMPTY, 259, 205, ((0, cb.IN_LOG, 206, 3),), 207)
    out.append(c.done("one file: gaps, group 0 on HOME, group 3 on EMPTY", generation=generation, sequence=1, part=0,
                      last=True, stamp=208, durable=0))
    c = LogCase(v)
    c.file(a, 4096, 1, (), 211)
    c.file(b, 524288 * 3, 3, (), 212, bytes(128), 0x81, epoch=2)
    c.group(b, 2, cb.FRESH, 2, 213, ((3, cb.IN_LOG, 214, 4), (64, cb.IN_LOG, 215, 5)), 216)
    out.append(c.done("two files, the first only cut; not the last part; older epoch in the group",
                      generation=generation, sequence=(1 << 40) + 5, part=0, last=False, stamp=217, durable=(1 << 40) + 4))
    c = LogCase(v)
    c.group(b, 0, cb.FRESH, 259, 218, ((127, cb.AT_HOME, 219, 6),))
    out.append(c.done("a GROUP whose FILE stands in an earlier part", generation=generation, sequence=(1 << 40) + 5,
                      part=1, last=True, stamp=220, durable=(1 << 40) + 4))
    c = LogCase(v)
    out.append(c.done("no records", generation=generation, sequence=7, part=0, last=True, stamp=221, epoch=2))
    return out


def name_vectors(v):
    other = v.bytes("directory id", 16)
    out = []
    for dir_id in (ZERO_DIR, other):
        for n in (1, 31, 32, 33, 96, 97, 128, 255):
            name = bytes(0x61 + i % 26 for i in range(n))
            lower = v.lower_name(dir_id, name)
            d = {"dir_id": dir_id, "name": name.decode(), "lower": lower}
            if len(lower) > 160:
                d["hash"] = cb.name_hash(lower)
            out.append(d)
    name = "Größe 漢字".encode()
    out.append({"dir_id": other, "name": name.decode(), "lower": v.lower_name(other, name)})
    name = bytes(range(1, 32)) + bytes([0x80, 0xFF])
    out.append({"dir_id": other, "name_hex": name.replace(b"/", b"."), "lower": v.lower_name(other, name.replace(b"/", b"."))})
    return out


def reject_vectors(v, log):
    def lower(plain):
        return cb.b64url(crypt.siv_encrypt(v.name_key, plain, [ZERO_DIR]))
    good = v.lower_name(ZERO_DIR, b"a")
    odd = v.lower_name(ZERO_DIR, b"a" * 33)
    assert len(odd) == 107 and odd[-1] in "AEIMQUYcgkosw048"
    bad = [
        ("padding of 32 bytes", lower(b"a" + bytes(63))), ("nothing but padding", lower(bytes(32))),
        ("zero byte inside", lower(cb.pad32(b"a\0b"))), ("slash", lower(cb.pad32(b"a/b"))), ("dot", lower(cb.pad32(b"."))),
        ("dot dot", lower(cb.pad32(b".."))), ("not a multiple of 32", lower(b"a" + bytes(14))), ("no plain text", lower(b"")),
        ("256 bytes", lower(b"a" * 256)), ("a character of base64 that is not of base64url", "+" + good[1:]),
        ("padding character", good + "="),
        ("another directory", v.lower_name(v.bytes("directory id", 16), b"a")), ("empty", ""),
        ("unused bits not zero", odd[:-1] + chr(ord(odd[-1]) + 1)),
    ]
    a, b = v.bytes("file a", 16), v.bytes("file b", 16)
    return {
        "dir_id": ZERO_DIR, "lower_names": [{"why": w, "lower": l} for w, l in bad],
        "headers": [{"why": w, "group": g, "header": h} for w, g, h in malformed.headers(v, a)],
        "slots": [{"why": w, "index": i, "slot": s.rstrip(b"\0")} for w, i, s in malformed.slots(v)],
        "records": [{"why": w, "records": r, "data_blocks": n} for w, r, n in malformed.records(v, a, b)],
        "descriptors": [{"why": w, "patches": difference(log["descriptor"], d)}
                        for w, d in malformed.descriptor_patches(v, log["descriptor"])],
    }


def difference(old, new):
    """The runs of bytes in which two blocks differ."""
    out, at = [], 0
    while at < len(old):
        end = at
        while end < len(old) and old[end] != new[end]:
            end += 1
        if end > at:
            out.append({"offset": at, "bytes": new[at:end]})
        at = end + 1
    return out


def make():
    v = Volume()
    a, b = v.bytes("file a", 16), v.bytes("file b", 16)
    generation = struct.pack("<Q", 0x0A0B0C0D) + v.bytes("generation", 8)
    other = v.bytes("directory id", 16)
    log = log_vectors(v, generation, a, b)
    targets = [b"a", b"x" * 31, b"../" + b"y" * 29, b"/etc/passwd/" * 3, b"t" * 3000]
    xattrs = [(b"a", b""), (b"comment", b"v"), (b"n" * 150, bytes(range(256)) * 3), (b"comment", b"w")]
    return hexed({
        "about": ABOUT,
        "volume": {"uuid": v.uuid, "tenant": v.tenant, "root_key": v.root_key, "names_epoch": v.names_epoch,
                   "names": v.names, "masters": [{"epoch": e, "master": m} for e, m in sorted(v.masters.items())]},
        "hkdf": hkdf_vectors(v, a),
        "slot": slot_vectors(v),
        "key_ring": {"key": crypt.derive(v.root_key, b"key ring", v.uuid, 32), "aad": crypt.ring_aad(v.uuid),
                     "iv": v.key_ring()[:12], "plain": v.ring_plain(), "sealed": v.key_ring(), "b64": b64(v.key_ring())},
        "config": config_vectors(v),
        "egmac": egmac_vectors(v, a),
        "blocks": block_vectors(v, a, b),
        "metadata": metadata_vectors(v, a),
        "state": state_vectors(v, generation),
        "log": log,
        "names": name_vectors(v),
        "coffer_dir": [{"dir_id": other, "names_epoch": v.names_epoch, "target": v.dir_target(other)}],
        "symlinks": [{"target": t.decode(), "lower": v.symlink_target(t)} for t in targets],
        "xattrs": [{"name": n.decode(), "value": val, "lower_name": v.xattr(n, val)[0],
                    "lower_value": v.xattr(n, val)[1]} for n, val in xattrs],
        "reject": reject_vectors(v, log[0]),
    })


def text():
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


def main():
    out = text()
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="utf-8") as f:
            if f.read() != out:
                sys.exit("%s: is not what make_vectors.py makes" % sys.argv[2])
        return
    sys.stdout.write(out)


if __name__ == "__main__":
    main()
