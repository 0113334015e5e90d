"""coffer.volume: the MAC line, the slots and the key ring (sections 2 and 3)."""

import base64
import hmac
import json
import re
import struct

from . import crypt
from .layout import Bad

CONFIG_MAX = 256 * 1024
_LINE = re.compile(rb"coffer-volume 1 ([1-9][0-9]{0,4}) ([0-9a-f]{64})\n")
_TENANT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|\+00:00)")


def unbase64(text, what, length=None):
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, UnicodeEncodeError):
        raise Bad("%s: not base64" % what) from None
    if base64.b64encode(raw).decode() != text:
        raise Bad("%s: unused bits of base64" % what)
    if length is not None and len(raw) != length:
        raise Bad("%s: %d bytes" % (what, len(raw)))
    return raw


def _get(obj, key, kind, where=""):
    if not isinstance(obj, dict) or key not in obj:
        raise Bad("%s%s: missing" % (where, key))
    value = obj[key]
    if type(value) is not kind:
        raise Bad("%s%s: wrong type" % (where, key))
    return value


def _is_time(text):
    return len(text) <= 31 and _TIME.fullmatch(text) is not None


def _unique(pairs):
    out = {}
    for k, v in pairs:
        if k in out:
            raise Bad("key %s stands twice" % k)
        out[k] = v
    return out


def _constant(name):
    raise Bad("%s is not JSON" % name)


def _slot(s, n, config):
    where = "slot %d: " % n
    if len(_get(s, "kms", str, where).encode()) > 512:
        raise Bad(where + "kms: too long")
    if len(_get(s, "key_version", str, where).encode()) > 256:
        raise Bad(where + "key_version: too long")
    if not _is_time(_get(s, "created", str, where)):
        raise Bad(where + "created: not RFC 3339 UTC")
    if _get(s, "state", str, where) not in ("active", "retired"):
        raise Bad(where + "state")
    context = _get(s, "context", dict, where)
    for key, value in (("tenant", config["tenant"]), ("volume", config["uuid"]), ("purpose", "root")):
        if _get(context, key, str, where + "context: ") != value:
            raise Bad(where + "context: " + key)
    kek = unbase64(_get(s, "wrapped_kek", str, where), where + "wrapped_kek")
    if len(kek) > 8192:
        raise Bad(where + "wrapped_kek: too long")
    return {"kms": s["kms"], "state": s["state"], "wrapped_kek": kek,
            "sealed_root": unbase64(_get(s, "sealed_root", str, where), where + "sealed_root", 60),
            "commitment": unbase64(_get(s, "commitment", str, where), where + "commitment", 32)}


class Config:
    """Parsed, not yet believed; authenticate() makes it so and gives the keys."""

    def __init__(self, data):
        if len(data) > CONFIG_MAX:
            raise Bad("larger than 256 KiB")
        m = _LINE.match(data)
        if not m:
            raise Bad("first line is malformed")
        self.line_epoch, self.mac, self.body = int(m.group(1)), bytes.fromhex(m.group(2).decode()), data[m.end():]
        try:
            j = json.loads(self.body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
        except (ValueError, RecursionError) as e:
            raise Bad("not JSON: %s" % e) from None
        self.json = j
        if _get(j, "format", int) != 1:
            raise Bad("format %r" % j["format"])
        if not re.fullmatch("[0-9a-f]{32}", _get(j, "uuid", str)):
            raise Bad("uuid")
        if not _TENANT.fullmatch(_get(j, "tenant", str)):
            raise Bad("tenant")
        self.uuid, self.tenant = bytes.fromhex(j["uuid"]), j["tenant"]
        slots = _get(j, "slots", list)
        if not 1 <= len(slots) <= 16:
            raise Bad("slots: %d of them" % len(slots))
        self.slots = [_slot(s, n, j) for n, s in enumerate(slots)]

    def _check_rest(self):
        j = self.json
        if _get(j, "config_version", int) < 0:
            raise Bad("config_version")
        if not _is_time(_get(j, "created", str)):
            raise Bad("created: not RFC 3339 UTC")
        for key, value in (("content", "xts-stamp"), ("tag", "egmac"), ("names", "siv")):
            if _get(j, key, str) != value:
                raise Bad("%s: algorithm %s is not known" % (key, j[key]))
        features = _get(j, "features", dict)
        for key in ("compat", "ro_compat", "incompat"):
            if not all(type(f) is str for f in _get(features, key, list, "features: ")):
                raise Bad("features: %s" % key)
        if features["incompat"]:
            raise Bad("features: incompat %s" % ", ".join(features["incompat"]))

    def open_local(self, file_key):
        """The root key out of the first active local: slot that opens under this key file."""
        if len(file_key) != 32:
            raise Bad("the key file has not 32 bytes")
        tenant, why = self.tenant.encode(), "no active local: slot"
        for n, s in enumerate(self.slots):
            if s["state"] != "active" or not s["kms"].startswith("local:"):
                continue
            try:
                kek = crypt.gcm_open(file_key, crypt.kek_aad(tenant, self.uuid), s["wrapped_kek"])
                if len(kek) != 32:
                    raise crypt.CryptError("KEK of %d bytes" % len(kek))
                root = crypt.gcm_open(kek, crypt.root_aad(tenant, self.uuid), s["sealed_root"])
            except crypt.CryptError as e:
                why = "slot %d (%s): %s" % (n, s["kms"], e)
                continue
            if not hmac.compare_digest(s["commitment"], crypt.derive(root, b"commitment", self.uuid, 32)):
                why = "slot %d (%s): the commitment does not fit" % (n, s["kms"])
                continue
            return root
        raise Bad(why)

    def authenticate(self, root):
        """MAC, then the rest, then the key ring: (names_epoch, N, {epoch: M})."""
        mac = crypt.config_mac(root, self.uuid, self.line_epoch, self.body)
        if not hmac.compare_digest(mac, self.mac):
            raise Bad("the MAC does not fit: wrong root key, or changed")
        commitment = crypt.derive(root, b"commitment", self.uuid, 32)
        for n, s in enumerate(self.slots):
            if s["state"] == "active" and s["commitment"] != commitment:
                raise Bad("slot %d: the commitment does not fit" % n)
        self._check_rest()
        sealed = unbase64(_get(self.json, "key_ring", str), "key_ring")
        try:
            plain = crypt.gcm_open(crypt.derive(root, b"key ring", self.uuid, 32), crypt.ring_aad(self.uuid), sealed)
        except crypt.CryptError as e:
            raise Bad("key_ring: %s" % e) from None
        names_epoch, names, masters = parse_ring(plain)
        if self.line_epoch != max(masters):
            raise Bad("EPOCH of the first line is not the highest of the key ring")
        return names_epoch, names, masters


def parse_ring(plain):
    if len(plain) < 38:
        raise Bad("key_ring: too short")
    version, zero, names_epoch, names, count = struct.unpack_from("<BBH32sH", plain)
    if version != 1 or zero or not 1 <= count <= 64 or len(plain) != 38 + 34 * count:
        raise Bad("key_ring: malformed")
    masters, last = {}, 0
    for i in range(count):
        epoch, key = struct.unpack_from("<H32s", plain, 38 + 34 * i)
        if epoch <= last:
            raise Bad("key_ring: epochs do not rise")
        masters[epoch] = key
        last = epoch
    return names_epoch, names, masters
