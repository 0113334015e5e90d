"""The 32-bit sum of a block's ciphertext: the low half of XXH3-64 with seed 0.

Debian's xxhash module is used when it is there; else the long form of the algorithm (inputs above 240 bytes), which
is all that 4096-byte blocks need, in Python.
"""

import struct

try:
    import xxhash
except ImportError:
    xxhash = None

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_M64 = (1 << 64) - 1
_P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
_KEYS = [struct.unpack_from("<8Q", _SECRET, 8 * i) for i in range(16)]
_KEY_SCRAMBLE = struct.unpack_from("<8Q", _SECRET, 128)
_KEY_LAST = struct.unpack_from("<8Q", _SECRET, 121)
_KEY_MERGE = struct.unpack_from("<8Q", _SECRET, 11)


def _accumulate(acc, stripe, key):
    for i in range(8):
        v = stripe[i]
        k = v ^ key[i]
        acc[i ^ 1] = (acc[i ^ 1] + v) & _M64
        acc[i] = (acc[i] + (k & 0xFFFFFFFF) * (k >> 32)) & _M64


def xxh3_64_long(data):
    """XXH3-64, seed 0, of more than 240 bytes."""
    n = len(data)
    assert n > 240
    acc = [_P32[2], _P64[0], _P64[1], _P64[2], _P64[3], _P32[1], _P64[4], _P32[0]]
    blocks = (n - 1) // 1024
    for b in range(blocks):
        for s in range(16):
            _accumulate(acc, struct.unpack_from("<8Q", data, 1024 * b + 64 * s), _KEYS[s])
        for i in range(8):
            a = acc[i]
            acc[i] = ((a ^ (a >> 47) ^ _KEY_SCRAMBLE[i]) * _P32[0]) & _M64
    for s in range((n - 1 - 1024 * blocks) // 64):
        _accumulate(acc, struct.unpack_from("<8Q", data, 1024 * blocks + 64 * s), _KEYS[s])
    _accumulate(acc, struct.unpack_from("<8Q", data, n - 64), _KEY_LAST)
    h = (n * _P64[0]) & _M64
    for i in range(4):
        p = (acc[2 * i] ^ _KEY_MERGE[2 * i]) * (acc[2 * i + 1] ^ _KEY_MERGE[2 * i + 1])
        h += (p & _M64) ^ (p >> 64)
    h &= _M64
    h ^= h >> 37
    h = (h * 0x165667919E3779F9) & _M64
    return h ^ (h >> 32)


def block_sum(data):
    if xxhash is not None:
        return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF
    return xxh3_64_long(data) & 0xFFFFFFFF
