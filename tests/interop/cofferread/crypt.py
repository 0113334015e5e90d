"""Keys, tags and ciphers of format 1 (docs/format.md, section 2)."""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SALT = b"coffer format 1"


class CryptError(Exception):
    """Something is not authentic."""


def lp(x):
    return struct.pack("<H", len(x)) + x


def hkdf(ikm, info, length):
    """RFC 5869 with SHA-512 and the fixed salt."""
    prk = hmac.new(SALT, ikm, hashlib.sha512).digest()
    okm, t, i = b"", b"", 1
    while len(okm) < length:
        t = hmac.new(prk, t + info + bytes([i]), hashlib.sha512).digest()
        okm += t
        i += 1
    return okm[:length]


def derive(key, label, uuid, length, file_id=None):
    info = lp(label) + lp(uuid)
    if file_id is not None:
        info += lp(file_id)
    return hkdf(key, info, length)


# AES-256-GCM with iv in front and tag behind.

def gcm_seal(key, iv, aad, plain):
    return iv + AESGCM(key).encrypt(iv, plain, aad)


def gcm_open(key, aad, sealed):
    if len(sealed) < 28:
        raise CryptError("too short")
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    except InvalidTag:
        raise CryptError("does not authenticate") from None


def root_aad(tenant, uuid):
    return lp(b"coffer root key") + lp(tenant) + lp(uuid)


def kek_aad(tenant, uuid):
    return lp(b"coffer kek") + lp(tenant) + lp(uuid)


def ring_aad(uuid):
    return lp(b"coffer key ring") + lp(uuid)


# Tags.

class Egmac:
    """T = AES-256-ECB(K2, GMAC(K1, iv, message))."""

    def __init__(self, keys):
        assert len(keys) == 64
        self.k1 = algorithms.AES(keys[:32])
        self.k2 = algorithms.AES(keys[32:])

    def tag(self, label, epoch, number, ident, stamp, payload):
        message = struct.pack("<sBH4xQ16sQ8x", label, 1, epoch, number, ident, stamp)
        assert len(message) == 48
        iv = struct.pack("<QI", stamp, number & 0xFFFFFFFF)
        gmac = Cipher(self.k1, modes.GCM(iv)).encryptor()
        gmac.authenticate_additional_data(message + payload)
        gmac.finalize()
        return Cipher(self.k2, modes.ECB()).encryptor().update(gmac.tag)

    def check(self, tag, *args):
        return hmac.compare_digest(tag, self.tag(*args))


class FileKeys:
    """What M(e) gives for one file."""

    def __init__(self, master, uuid, file_id):
        self.egmac = Egmac(derive(master, b"file tag", uuid, 64, file_id))
        xts = derive(master, b"file xts", uuid, 64, file_id)
        if xts[:32] == xts[32:]:
            raise CryptError("the halves of the XTS key are equal")
        self.xts = algorithms.AES(xts)

    def encrypt(self, stamp, number, plain):
        assert len(plain) == 4096
        return Cipher(self.xts, modes.XTS(struct.pack("<QQ", stamp, number))).encryptor().update(plain)

    def decrypt(self, stamp, number, data):
        assert len(data) == 4096
        return Cipher(self.xts, modes.XTS(struct.pack("<QQ", stamp, number))).decryptor().update(data)


# AES-SIV, RFC 5297. hazmat's AESSIV (38) knows no empty plain text, and values of extended attributes may be empty;
# the self test compares the two where both can.

def _dbl(x):
    n = int.from_bytes(x, "big") << 1
    if n >> 128:
        n = (n & ((1 << 128) - 1)) ^ 0x87
    return n.to_bytes(16, "big")


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def _cmac(key, data):
    c = cmac.CMAC(algorithms.AES(key))
    c.update(data)
    return c.finalize()


def _s2v(key, strings, plain):
    d = _cmac(key, bytes(16))
    for s in strings:
        d = _xor(_dbl(d), _cmac(key, s))
    if len(plain) >= 16:
        t = plain[:-16] + _xor(plain[-16:], d)
    else:
        t = _xor(_dbl(d), plain + b"\x80" + bytes(15 - len(plain)))
    return _cmac(key, t)


def _siv_ctr(key, v, data):
    q = bytearray(v)
    q[8] &= 0x7F
    q[12] &= 0x7F
    return Cipher(algorithms.AES(key), modes.CTR(bytes(q))).encryptor().update(data)


def siv_encrypt(key, plain, strings=()):
    assert len(key) == 64
    v = _s2v(key[:32], strings, plain)
    return v + _siv_ctr(key[32:], v, plain)


def siv_decrypt(key, data, strings=()):
    assert len(key) == 64
    if len(data) < 16:
        raise CryptError("too short")
    v = data[:16]
    plain = _siv_ctr(key[32:], v, data[16:])
    if not hmac.compare_digest(v, _s2v(key[:32], strings, plain)):
        raise CryptError("does not authenticate")
    return plain


def backup_tag(root, uuid, statement):
    return hmac.new(derive(root, b"backup mac", uuid, 32), statement, hashlib.sha256).digest()


def config_mac(root, uuid, epoch, body):
    key = derive(root, b"config mac", uuid, 32)
    return hmac.new(key, b"coffer-volume 1 %d " % epoch + body, hashlib.sha256).digest()
