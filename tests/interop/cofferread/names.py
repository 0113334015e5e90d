"""Names, symbolic links and extended attributes (section 6)."""

import base64
import hashlib
import re
import struct

from . import crypt
from .layout import Bad

ROOT_ID = bytes(16)
LOWER_MAX = 160
XATTR = "user.coffer."
_DIR = re.compile(rb"([0-9a-f]{32})\.(0|[1-9][0-9]{0,4})")


def b64url(x):
    return base64.urlsafe_b64encode(x).rstrip(b"=")


def unb64url(text):
    """Strict: no other characters, no padding, unused bits zero."""
    if not re.fullmatch(rb"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        raise Bad("not base64url")
    raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if b64url(raw) != text:
        raise Bad("unused bits of base64url")
    return raw


def name_hash(lower):
    return b64url(hashlib.sha256(lower).digest())


def _strip(padded):
    """Take zero bytes off, fewer than 32."""
    if len(padded) % 32:
        raise Bad("length is no multiple of 32")
    plain = padded.rstrip(b"\0")
    if len(padded) - len(plain) >= 32:
        raise Bad("padding of 32 bytes or more")
    if b"\0" in plain:
        raise Bad("a zero byte inside")
    return plain


class Names:
    def __init__(self, names_epoch, names, uuid):
        self.epoch = names_epoch
        self.name_key = crypt.derive(names, b"name", uuid, 64)
        self.symlink_key = crypt.derive(names, b"symlink", uuid, 64)
        self.xattr_name_key = crypt.derive(names, b"xattr name", uuid, 64)
        self.xattr_value_key = crypt.derive(names, b"xattr value", uuid, 64)

    @staticmethod
    def _open(key, data, strings=()):
        try:
            return crypt.siv_decrypt(key, data, strings)
        except crypt.CryptError as e:
            raise Bad(str(e)) from None

    def _epoch(self, data):
        if len(data) < 2 or struct.unpack_from("<H", data)[0] != self.epoch:
            raise Bad("names_epoch is not the key ring's")
        return data[2:]

    def name(self, dir_id, lower):
        """Plain name of a lower one (bytes)."""
        plain = _strip(self._open(self.name_key, unb64url(lower), [dir_id]))
        if not 1 <= len(plain) <= 255 or b"/" in plain or plain in (b".", b".."):
            raise Bad("decrypts to something that is no name")
        return plain

    def dir_id(self, target):
        m = _DIR.fullmatch(target)
        if not m:
            raise Bad("target is malformed")
        if int(m.group(2)) != self.epoch:
            raise Bad("names_epoch is not the key ring's")
        return bytes.fromhex(m.group(1).decode())

    def symlink(self, target):
        plain = _strip(self._open(self.symlink_key, self._epoch(unb64url(target))))
        if not 1 <= len(plain) <= 3000:
            raise Bad("%d bytes" % len(plain))
        return plain

    def xattr(self, lower_name, lower_value):
        """('user.NAME' as bytes, value) of an attribute whose lower name begins with user.coffer."""
        x = self._epoch(unb64url(lower_name[len(XATTR):].encode("utf-8", "surrogateescape")))
        name = self._open(self.xattr_name_key, x)
        if not 1 <= len(name) <= 150 or b"\0" in name:
            raise Bad("decrypts to something that is no attribute name")
        return b"user." + name, self._open(self.xattr_value_key, self._epoch(lower_value), [x])
