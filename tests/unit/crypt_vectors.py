#!/usr/bin/env python3
"""Writes crypt_vectors.h: known answers for the tests of src/crypt, computed by other means than the code under test.

Only the AES block function comes from a library (python3-cryptography); HMAC and SHA are Python's own. Every mode (XTS,
GHASH and GCM, CMAC and SIV, HKDF) is written out below from its standard and first checked against published vectors.
Run:  ./crypt_vectors.py > crypt_vectors.h
"""
import base64
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def aes(key, data):
    e = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return e.update(data) + e.finalize()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def xts(key, tweak, data):                              # IEEE 1619, whole blocks
    half = len(key) // 2
    t = int.from_bytes(aes(key[half:], tweak), "little")
    out = b""
    for i in range(0, len(data), 16):
        m = t.to_bytes(16, "little")
        out += xor(aes(key[:half], xor(data[i:i + 16], m)), m)
        t = t << 1
        if t >> 128:
            t = (t & ((1 << 128) - 1)) ^ 0x87
    return out


def ghash(h, data):                                     # SP 800-38D section 6.4, bit by bit
    h, y = int.from_bytes(h, "big"), 0
    for i in range(0, len(data), 16):
        x = y ^ int.from_bytes(data[i:i + 16], "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def gcm(key, iv, aad, plain):
    def pad(x):
        return x + bytes(-len(x) % 16)
    stream = b"".join(aes(key, iv + struct.pack(">I", i + 2)) for i in range((len(plain) + 15) // 16))
    cipher = xor(plain, stream)
    s = ghash(aes(key, bytes(16)), pad(aad) + pad(cipher) + struct.pack(">QQ", 8 * len(aad), 8 * len(cipher)))
    return cipher, xor(s, aes(key, iv + struct.pack(">I", 1)))


def dbl(d):
    n = int.from_bytes(d, "big") << 1
    return ((n & ((1 << 128) - 1)) ^ (0x87 if n >> 128 else 0)).to_bytes(16, "big")


def cmac(key, m):                                       # RFC 4493
    k1 = dbl(aes(key, bytes(16)))
    whole = len(m) > 0 and len(m) % 16 == 0
    blocks = [m[i:i + 16] for i in range(0, len(m), 16)] or [b""]
    last = blocks.pop()
    x = bytes(16)
    for b in blocks:
        x = aes(key, xor(x, b))
    last = xor(last, k1) if whole else xor((last + b"\x80").ljust(16, b"\0"), dbl(k1))
    return aes(key, xor(x, last))


def siv(key, strings, plain):                           # RFC 5297
    half = len(key) // 2
    d = cmac(key[:half], bytes(16))
    for s in strings:
        d = xor(dbl(d), cmac(key[:half], s))
    if len(plain) >= 16:
        t = plain[:-16] + xor(plain[-16:], d)
    else:
        t = xor(dbl(d), (plain + b"\x80").ljust(16, b"\0"))
    v = cmac(key[:half], t)
    q = int.from_bytes(v, "big") & ~(1 << 63) & ~(1 << 31)
    stream = b"".join(aes(key[half:], (q + i & (1 << 128) - 1).to_bytes(16, "big"))
                      for i in range((len(plain) + 15) // 16))
    return v + xor(plain, stream)


def hkdf(digest, salt, ikm, info, n):                   # RFC 5869
    prk = hmac.digest(salt or bytes(hashlib.new(digest).digest_size), ikm, digest)
    out, t = b"", b""
    for i in range(1, 256):
        if len(out) >= n:
            break
        t = hmac.digest(prk, t + info + bytes([i]), digest)
        out += t
    return out[:n]


def self_check():
    h = bytes.fromhex
    # IEEE 1619-2007 annex B, vector 10
    got = xts(h("2718281828459045235360287471352662497757247093699959574966967627"
                "3141592653589793238462643383279502884197169399375105820974944592"),
              h("ff") + bytes(15), bytes(range(256)) * 2)
    assert got[:32] == h("1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b")
    # NIST CAVP gcmEncryptExtIV256, PTlen 0, AADlen 128, count 0
    assert gcm(h("78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223"),
               h("d79cf22d504cc793c3fb6c8a"), h("b96baa8c1c75a671bfb2d08d06be5f36"),
               b"") == (b"", h("3e5d486aa2e30b22e040b85723a06e76"))
    # RFC 5297 A.1 and A.2
    assert siv(h("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
               [h("101112131415161718191a1b1c1d1e1f2021222324252627")],
               h("112233445566778899aabbccddee")) == \
        h("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c")
    assert siv(h("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f"),
               [h("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
                h("102030405060708090a0"), h("09f911029d74e35bd84156c5635688c0")],
               h("7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d"
                 "414553")) == \
        h("7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829"
          "ea64ad544a272e9c485b62a3fd5c0d")
    # RFC 5869 A.1 (SHA-256: the RFC has no case for SHA-512)
    assert hkdf("sha256", bytes(range(13)), b"\x0b" * 22, bytes(range(0xf0, 0xfa)), 42) == \
        h("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")


def lp(x):
    return struct.pack("<H", len(x)) + x


def derive(key, label, uuid, file_id=None, n=64):       # docs/format.md section 2
    info = lp(label) + lp(uuid) + (lp(file_id) if file_id else b"")
    return hkdf("sha512", b"coffer format 1", key, info, n)


def egmac(key, label, epoch, number, ident, stamp, payload):
    m = struct.pack("<sBHIQ16sQQ", label, 1, epoch, 0, number, ident, stamp, 0) + payload
    iv = struct.pack("<QI", stamp, number & 0xffffffff)
    return aes(key[32:], gcm(key[:32], iv, m, b"")[1])


def put(name, value):
    if isinstance(value, str):
        print(f'static const char {name}[] = "{value}";')
        return
    print(f"static const uint8_t {name}[{len(value)}] = {{")
    for i in range(0, len(value), 16):
        print("\t" + " ".join(f"0x{b:02x}," for b in value[i:i + 16]))
    print("};")


def b64url(x):
    return base64.urlsafe_b64encode(x).decode().rstrip("=")


def main():
    self_check()
    print("/* Made by crypt_vectors.py; do not edit. */\n#include <stdint.h>\n")
    # RFC 5869 appendix A's inputs, with SHA-512
    put("vec_hkdf1", hkdf("sha512", bytes(range(13)), b"\x0b" * 22, bytes(range(0xf0, 0xfa)), 42))
    put("vec_hkdf2", hkdf("sha512", bytes(range(0x60, 0xb0)), bytes(range(0x50)), bytes(range(0xb0, 0x100)), 82))
    put("vec_hkdf3", hkdf("sha512", b"", b"\x0b" * 22, b"", 42))

    uuid, file_id = bytes(range(0xa0, 0xb0)), bytes(range(0x30, 0x40))
    root, kek = bytes(range(32)), bytes(range(0x80, 0xa0))
    names, m1, m7 = b"\x4e" * 32, b"\x11" * 32, b"\x77" * 32
    iv = bytes(range(0xc0, 0xcc))
    put("vec_uuid", uuid)
    put("vec_file_id", file_id)
    put("vec_root", root)
    put("vec_kek", kek)
    put("vec_sealed_root", iv + b"".join(gcm(kek, iv, lp(b"coffer root key") + lp(b"acme") + lp(uuid), root)))
    put("vec_wrapped_kek", iv + b"".join(gcm(root, iv, lp(b"coffer kek") + lp(b"acme") + lp(uuid), kek)))
    put("vec_commitment", derive(root, b"commitment", uuid, n=32))
    put("vec_config_mac", hmac.digest(derive(root, b"config mac", uuid, n=32), b"coffer-volume 1 7 {}", "sha256"))

    statement = b"coffer-backup 1\n%s\n7\n%s\n%s\n2026-01-02T03:04:05Z\n%s\n" % (uuid.hex().encode(), b"1" * 64, b"2" * 64, b"3" * 64)
    put("vec_backup_statement", statement + b"\0")
    put("vec_backup_tag", hmac.digest(derive(root, b"backup mac", uuid, n=32), statement, "sha256"))

    ring_key, ring_aad = derive(root, b"key ring", uuid, n=32), lp(b"coffer key ring") + lp(uuid)

    def ring(plain):
        return iv + b"".join(gcm(ring_key, iv, ring_aad, plain))

    def body(version=1, zero=0, names_epoch=3, epochs=((1, m1), (7, m7)), count=None):
        return struct.pack("<BBH32sH", version, zero, names_epoch, names, len(epochs) if count is None else count) + \
            b"".join(struct.pack("<H32s", *e) for e in epochs)

    put("vec_ring", ring(body()))
    put("vec_ring_64", ring(body(epochs=[(i + 1, m1) for i in range(64)])))
    for what, plain in (("version", body(version=2)), ("zero", body(zero=1)), ("names_epoch", body(names_epoch=0)),
                        ("no_epochs", body(epochs=())), ("count", body(count=3)), ("count_low", body(count=1)),
                        ("epoch_zero", body(epochs=((0, m1),))), ("falling", body(epochs=((7, m7), (1, m1)))),
                        ("twice", body(epochs=((7, m7), (7, m1)))), ("short", body()[:37]), ("trailing", body() + b"\0")):
        put("vec_bad_ring_" + what, ring(plain))
    put("vec_state_tag", derive(m7, b"state tag", uuid))
    put("vec_log_tag", derive(m7, b"log tag", uuid))
    file_tag, file_xts = derive(m7, b"file tag", uuid, file_id), derive(m7, b"file xts", uuid, file_id)
    put("vec_file_tag", file_tag)
    put("vec_file_xts", file_xts)
    put("vec_file_tag_1", derive(m1, b"file tag", uuid, file_id))
    keys = {n: derive(names, n.encode(), uuid) for n in ("name", "symlink", "xattr name", "xattr value")}
    for n, k in keys.items():
        put("vec_key_" + n.replace(" ", "_"), k)

    # A block: byte i is i * 7 + i / 256, stamp 0x0102030405060708, number 2^32 + 5, epoch 7
    plain = bytes((i * 7 + i // 256) & 0xff for i in range(4096))
    stamp, block = 0x0102030405060708, (1 << 32) + 5
    cipher = xts(file_xts, struct.pack("<QQ", stamp, block), plain)
    put("vec_block_head", cipher[:32])
    put("vec_block_sha256", hashlib.sha256(cipher).digest())
    put("vec_block_tag", egmac(file_tag, b"B", 7, block, file_id, stamp, cipher))
    put("vec_header_tag", egmac(file_tag, b"H", 7, 9, file_id, stamp, plain[:496]))
    put("vec_log_descriptor_tag", egmac(derive(m7, b"log tag", uuid), b"L", 7, 2, uuid, stamp, plain[:4080]))

    def pad(x):
        return x + bytes(-len(x) % 32)

    root_dir, some_dir = bytes(16), bytes(range(0x60, 0x70))
    put("vec_name_a", b64url(siv(keys["name"], [root_dir], pad(b"a"))))
    put("vec_name_wal", b64url(siv(keys["name"], [some_dir], pad(b"000000010000000000000001"))))
    long = b64url(siv(keys["name"], [some_dir], pad(b"x" * 255)))
    put("vec_name_long", long)
    put("vec_name_long_hash", b64url(hashlib.sha256(long.encode()).digest()))
    put("vec_symlink", b64url(struct.pack("<H", 3) + siv(keys["symlink"], [], pad(b"../pg_wal"))))
    x = siv(keys["xattr name"], [], b"checksum")
    put("vec_xattr_name", "user.coffer." + b64url(struct.pack("<H", 3) + x))
    put("vec_xattr_value", struct.pack("<H", 3) + siv(keys["xattr value"], [x], b"0123456789abcdefXYZ"))
    put("vec_xattr_value_empty", struct.pack("<H", 3) + siv(keys["xattr value"], [x], b""))
    put("vec_siv_empty_no_string", siv(keys["symlink"], [], b""))
    # Authentic, but no plain name: what a reader must refuse after the SIV fitted
    for what, text in (("dot", pad(b".")), ("dotdot", pad(b"..")), ("slash", pad(b"a/b")), ("nul_inside", pad(b"a\0b")),
                       ("nothing", bytes(32)), ("padding", pad(b"a") + bytes(32)), ("unpadded", b"abcde")):
        put("vec_bad_name_" + what, b64url(siv(keys["name"], [root_dir], text)))
    put("vec_bad_symlink_nul", b64url(struct.pack("<H", 3) + siv(keys["symlink"], [], pad(b"a\0b"))))
    put("vec_bad_symlink_long", b64url(struct.pack("<H", 3) + siv(keys["symlink"], [], pad(b"x" * 3001))))
    put("vec_bad_xattr_nul", "user.coffer." + b64url(struct.pack("<H", 3) + siv(keys["xattr name"], [], b"a\0b")))

    put("vec_credential", credential(root))


def credential(key, tenant=b"acme", name=b"db.password", version=3, plain=b"correct horse\n"):  # docs/format.md section 9
    ident, salt, iv = bytes(range(0xa0, 0xb0)), bytes(range(0x40, 0x60)), bytes(range(0xc0, 0xcc))

    def own(label):
        return hkdf("sha512", salt, key, lp(label) + lp(ident), 32)

    texts = lp(tenant) + lp(name) + lp(b"local:acme") + lp(b"7") + lp(b"\x00wrapped\xff")
    head = struct.pack("<8sHHIQ16s32s32s", b"cofferSC", 1, 0, 104 + len(texts), version, ident, salt, own(b"cred commitment")) + texts
    aad = lp(b"coffer credential") + lp(tenant) + lp(name) + struct.pack("<Q", version)
    return head + iv + b"".join(gcm(own(b"credential"), iv, aad, plain))


if __name__ == "__main__":
    main()
