"""Encoders of format 1, the other direction of cofferread; make_vectors.py and make_volume.py use them.

Nothing here is random: a Volume's keys, ids and nonces come from its seed by SHA-512, so the same calls give the same bytes.
"""

import base64
import hashlib
import json
import struct

from cofferread import crypt, xxh3

BLOCK = 4096
GROUP_BLOCKS = 128
HOLE = bytes(28)
HOME, EMPTY, FRESH = 1, 2, 3
IN_LOG, AT_HOME, IS_HOLE = 1, 2, 3


def pattern(seed, length=BLOCK):
    """The plain text of test blocks: byte i is i * 7 + (i >> 8) * 13 + seed, modulo 256."""
    return bytes((i * 7 + (i >> 8) * 13 + seed) & 0xFF for i in range(length))


def b64(x):
    return base64.b64encode(x).decode()


def b64url(x):
    return base64.urlsafe_b64encode(x).rstrip(b"=").decode()


def pad32(x):
    return x + bytes(-len(x) % 32)


def header_bytes(file_id, group, epoch, entries_stamp, entries_tag, size=0, alloc_groups=0, gaps=(), flags=0):
    """The header's first 488 bytes: what stands before the header seal."""
    table = b"".join(struct.pack("<II", f, c) for f, c in gaps)
    h = struct.pack("<4sHHHHI16sQI4x", b"CFRG", 1, flags, epoch, len(gaps), group, file_id, size, alloc_groups)
    assert len(h) == 48
    h += table + bytes(192 - len(table)) + bytes(32 + 192)
    return h + struct.pack("<Q16s", entries_stamp, entries_tag)


def entry(stamp, tag, sum32):
    return struct.pack("<Q16sI", stamp, tag, sum32)


def record_file(file_id, size, alloc_groups, gaps, header_stamp, header_tag, handle=b"", handle_type=0):
    return (struct.pack("<BBH16sQIBQ16s", 1, len(handle), handle_type, file_id, size, alloc_groups, len(gaps),
                        header_stamp, header_tag)
            + b"".join(struct.pack("<II", f, c) for f, c in gaps) + handle)


def record_group(group, base, epoch, entries_stamp, entries_tag, blocks, header_seal=None):
    """blocks: (index, where, entry) in rising order; header_seal: (stamp, tag) unless the group is 0."""
    assert (header_seal is None) == (group == 0)
    r = struct.pack("<BBIBHQ16s", 2, len(blocks), group, base, epoch, entries_stamp, entries_tag)
    if header_seal is not None:
        r += struct.pack("<Q16s", *header_seal)
    for index, where, e in blocks:
        r += bytes([index, where])
        if where != IS_HOLE:
            r += e
    return r


class Volume:
    """The keys of a volume and what can be made with them."""

    def __init__(self, seed="coffer vector", tenant="tenant-a", epochs=(1, 2, 259), names_epoch=3):
        self.seed = seed
        self.tenant = tenant
        self.names_epoch = names_epoch
        self.uuid = self.bytes("uuid", 16)
        self.root_key = self.bytes("root key", 32)
        self.kek = self.bytes("kek", 32)
        self.file_key = self.bytes("local key file", 32)
        self.names = self.bytes("names master", 32)
        self.masters = {e: self.bytes("master of epoch %d" % e, 32) for e in epochs}
        self.epoch = max(epochs)
        self.name_key = crypt.derive(self.names, b"name", self.uuid, 64)
        self.symlink_key = crypt.derive(self.names, b"symlink", self.uuid, 64)
        self.xattr_name_key = crypt.derive(self.names, b"xattr name", self.uuid, 64)
        self.xattr_value_key = crypt.derive(self.names, b"xattr value", self.uuid, 64)
        self._keys = {}

    def bytes(self, what, length):
        return hashlib.sha512(("%s: %s" % (self.seed, what)).encode()).digest()[:length]

    def file_keys(self, epoch, file_id):
        k = (epoch, file_id)
        if k not in self._keys:
            self._keys[k] = crypt.FileKeys(self.masters[epoch], self.uuid, file_id)
        return self._keys[k]

    def _egmac(self, label, epoch):
        return crypt.Egmac(crypt.derive(self.masters[epoch], label, self.uuid, 64))

    # Keys and configuration.

    def sealed_root(self):
        return crypt.gcm_seal(self.kek, self.bytes("iv of sealed_root", 12),
                              crypt.root_aad(self.tenant.encode(), self.uuid), self.root_key)

    def wrapped_kek(self):
        return crypt.gcm_seal(self.file_key, self.bytes("iv of wrapped_kek", 12),
                              crypt.kek_aad(self.tenant.encode(), self.uuid), self.kek)

    def commitment(self):
        return crypt.derive(self.root_key, b"commitment", self.uuid, 32)

    def ring_plain(self):
        return (struct.pack("<BBH32sH", 1, 0, self.names_epoch, self.names, len(self.masters))
                + b"".join(struct.pack("<H32s", e, self.masters[e]) for e in sorted(self.masters)))

    def key_ring(self):
        key = crypt.derive(self.root_key, b"key ring", self.uuid, 32)
        return crypt.gcm_seal(key, self.bytes("iv of key_ring", 12), crypt.ring_aad(self.uuid), self.ring_plain())

    def config(self):
        """The configuration as an object, to change before config_text()."""
        return {
            "format": 1, "uuid": self.uuid.hex(), "tenant": self.tenant, "config_version": 1,
            "created": "2026-01-02T03:04:05Z", "content": "xts-stamp", "tag": "egmac", "names": "siv",
            "features": {"compat": [], "ro_compat": [], "incompat": []},
            "slots": [{
                "kms": "local:test", "key_version": "", "wrapped_kek": b64(self.wrapped_kek()),
                "sealed_root": b64(self.sealed_root()), "commitment": b64(self.commitment()),
                "context": {"tenant": self.tenant, "volume": self.uuid.hex(), "purpose": "root"},
                "created": "2026-01-02T03:04:05Z", "state": "active",
            }],
            "key_ring": b64(self.key_ring()),
        }

    def config_text(self, config=None, epoch=None):
        body = json.dumps(self.config() if config is None else config, separators=(",", ":")).encode() + b"\n"
        return self.config_line(body, epoch) + body

    def config_line(self, body, epoch=None):
        epoch = self.epoch if epoch is None else epoch
        return b"coffer-volume 1 %d %s\n" % (
            epoch, crypt.config_mac(self.root_key, self.uuid, epoch, body).hex().encode())

    # State and log.

    def state_slot(self, index, nonce, epoch=None, serial=1, stamp_limit=1 << 20, generation=None, log_blocks=4096,
                   tail=0, tail_sequence=0, durable=0, flags=0, handle_type=0, handle=b"", fsid=0):
        epoch = self.epoch if epoch is None else epoch
        generation = generation or struct.pack("<Q", 1) + self.bytes("generation", 8)
        s = struct.pack("<4sHH16sQQ16sQQQQIHH128sQ", b"CFRS", 1, epoch, self.uuid, serial, stamp_limit, generation,
                        log_blocks, tail, tail_sequence, durable, flags, handle_type, len(handle), handle, fsid)
        assert len(s) == 232
        s += bytes(248 + 8) + struct.pack("<Q", nonce)
        s += self._egmac(b"state tag", epoch).tag(b"S", epoch, index, self.uuid, nonce, s)
        return s + bytes(BLOCK - 512)

    def descriptor(self, generation, sequence, part, last, records, data_blocks, stamp, epoch=None, durable=0):
        epoch = self.epoch if epoch is None else epoch
        assert len(records) <= 4000
        d = struct.pack("<4sHH16s16sQQIHHI4xQ", b"CFRL", 1, epoch, self.uuid, generation, sequence, durable, part,
                        1 if last else 0, len(records), data_blocks, stamp)
        assert len(d) == 80
        d += records + bytes(4000 - len(records))
        return d + self._egmac(b"log tag", epoch).tag(b"L", epoch, part, self.uuid, stamp, d)

    # Files.

    def seal_block(self, epoch, file_id, number, stamp, plain):
        """Entry and ciphertext of one block."""
        keys = self.file_keys(epoch, file_id)
        c = keys.encrypt(stamp, number, plain)
        return entry(stamp, keys.egmac.tag(b"B", epoch, number, file_id, stamp, c), xxh3.block_sum(c)), c

    def entries_tag(self, epoch, file_id, group, stamp, entries):
        assert len(entries) == 3584
        return self.file_keys(epoch, file_id).egmac.tag(b"E", epoch, group, file_id, stamp, entries)

    def seal_header(self, head, header_stamp):
        """The 512 bytes of a header from its first 488."""
        epoch, group = struct.unpack_from("<H", head, 8)[0], struct.unpack_from("<I", head, 12)[0]
        file_id = head[16:32]
        h = head + struct.pack("<Q", header_stamp)
        return h + self.file_keys(epoch, file_id).egmac.tag(b"H", epoch, group, file_id, header_stamp, h)

    def metadata(self, file_id, group, epoch, entries, entries_stamp, header_stamp, **kw):
        """A whole metadata block."""
        tag = self.entries_tag(epoch, file_id, group, entries_stamp, entries)
        return self.seal_header(header_bytes(file_id, group, epoch, entries_stamp, tag, **kw), header_stamp) + entries

    # Names.

    def lower_name(self, dir_id, name):
        return b64url(crypt.siv_encrypt(self.name_key, pad32(name), [dir_id]))

    def dir_target(self, dir_id):
        return "%s.%d" % (dir_id.hex(), self.names_epoch)

    def symlink_target(self, target):
        return b64url(struct.pack("<H", self.names_epoch) + crypt.siv_encrypt(self.symlink_key, pad32(target)))

    def xattr(self, name, value):
        """Lower name and value of user.NAME."""
        x = crypt.siv_encrypt(self.xattr_name_key, name)
        return ("user.coffer." + b64url(struct.pack("<H", self.names_epoch) + x),
                struct.pack("<H", self.names_epoch) + crypt.siv_encrypt(self.xattr_value_key, value, [x]))


def name_hash(lower):
    return b64url(hashlib.sha256(lower.encode()).digest())
