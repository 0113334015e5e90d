#!/usr/bin/python3
"""audit_verify.py LOG... [--anchors FILE]: is an audit log whole? Written from docs/protocol.md, section "Audit log", alone; shares no code with coffer.

Prints "whole: N rows, anchored to M" and ends with 0, or the first defect, and ends with 1. LOGs in order."""
import hashlib
import json
import os
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEX64 = re.compile(r"[0-9a-f]{64}\Z")
ID = re.compile(r"[0-9a-f]{32}\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\Z")


class Broken(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Broken(why)


def no_float(text):
    raise ValueError(text)


def pairs(items):
    keys = [k for k, _ in items]
    if len(keys) != len(set(keys)):
        raise ValueError("duplicate key")
    return dict(items)


def byte_sorted(v):
    if isinstance(v, dict):
        return {k: byte_sorted(v[k]) for k in sorted(v, key=lambda k: k.encode())}
    return v


def canonical(o):
    return json.dumps(byte_sorted(o), ensure_ascii=False, separators=(",", ":")).encode()


def parse(line):
    """The object of a line in the one form, else None."""
    if len(line) > 16384 or any(c < 0x20 or c == 0x7F for c in line):
        return None
    try:
        o = json.loads(line.decode("utf-8"), parse_float=no_float, object_pairs_hook=pairs)
    except ValueError:
        return None
    return o if isinstance(o, dict) and o.get("v") == 1 and canonical(o) == line else None


def signed(key, signature, message):
    try:
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Log:
    def __init__(self):
        self.seq, self.hash, self.host, self.key, self.last = 0, b"\0" * 32, None, None, None
        self.first, self.rows, self.expired, self.torn, self.hashes = 0, 0, 0, None, {}

    def begins(self, row, name):
        named = re.match(r"audit-(\d{20})\.log\Z", os.path.basename(name))
        need(row["event"] in ("audit.genesis", "audit.rotate"), "a file does not begin with its first row")
        need(not named or int(named[1]) == row["seq"], "a file has another's name")
        public = bytes.fromhex(row["public_key"])
        need(hashlib.sha256(b"coffer-host-v1" + public).hexdigest()[:32] == row["host_id"], "public_key is not of host_id")
        if not self.rows:
            need((row["event"] == "audit.genesis") == (row["seq"] == 1) == (row["prev"] == "0" * 64), "not a first row")
            self.key, self.host, self.first = Ed25519PublicKey.from_public_bytes(public), row["host_id"], row["seq"]

    def follows(self, row):
        need(row["host_id"] == self.host, "another host's row")
        need(row["seq"] == self.seq + 1, f"row {row['seq']} behind row {self.seq}")
        need(row["prev"] == self.hash.hex(), "prev is not the hash of the row before")
        need(row["event"] != "audit.genesis", "a log begins in the log")
        need(row["ts"] >= self.last["ts"] or row["event"] == "clock.jump", "the clock went back")
        need(row["boot_id"] != self.last["boot_id"] or row["mono_ns"] >= self.last["mono_ns"], "time since boot went back")

    def row(self, row, name, first_of_file):
        for k in ("seq", "mono_ns"):
            need(type(row.get(k)) is int and row[k] >= 0, f"{k} is missing")
        for k, form in (("ts", TIME), ("host_id", ID), ("boot_id", ID), ("prev", HEX64), ("hash", HEX64)):
            need(isinstance(row.get(k), str) and form.match(row[k]), f"{k} is missing or malformed")
        rest = canonical({k: v for k, v in row.items() if k != "hash"})
        digest = hashlib.sha256(b"coffer-audit-v1" + bytes.fromhex(row["prev"]) + rest).digest()
        need(digest.hex() == row["hash"], "content and hash do not fit")
        if self.rows:
            self.follows(row)
        if first_of_file:
            self.begins(row, name)
        if self.torn is not None and row["event"] != "clock.jump":
            need(row["event"] == "audit.torn", "a line that is no row")
            need((row["torn_bytes"], row["torn_sha256"]) == (len(self.torn), hashlib.sha256(self.torn).hexdigest()), "torn bytes changed")
            self.torn = None
        elif row["event"] == "audit.torn":
            raise Broken("torn bytes are missing")
        if row["event"] == "audit.anchor":
            need(signed(self.key, row["signature"], b"coffer-audit-signature-v1" + bytes.fromhex(row["prev"])), "a foreign signature")
        if row["event"] == "audit.expire":
            self.expired = max(self.expired, row["expired_to"])
        if not self.rows:
            self.hashes[row["seq"] - 1] = row["prev"]
        self.seq, self.hash, self.last, self.rows = row["seq"], digest, row, self.rows + 1
        self.hashes[self.seq] = row["hash"]

    def file(self, name):
        with open(name, "rb") as f:
            lines = f.read().split(b"\n")
        first, whole = True, lines[-1] == b""
        for line in lines[:-1] if whole else lines:
            o = parse(line)
            if o is None or "event" not in o:
                self.torn = line if self.torn is None else self.torn + b"\n" + line
            else:
                self.row(o, name, first)
                first = False
        return whole

    def anchors(self, name):
        last, others = 0, 0
        with open(name, "rb") as f:
            lines = f.read().split(b"\n")
        for line in lines:
            a = parse(line[line.find(b"{"):]) if b"{" in line else None
            if a is None or "signature" not in a:
                continue
            if a["host_id"] != self.host:
                others += 1
                continue
            message = b"coffer-anchor-v1" + canonical({k: v for k, v in a.items() if k != "signature"})
            need(signed(self.key, a["signature"], message), "an anchor with a foreign signature")
            need(a["seq"] >= last, "anchors go back")
            need(a["seq"] <= self.seq, f"rows to {a['seq']} are missing at the end")
            need(a["seq"] < self.first - 1 or self.hashes[a["seq"]] == a["hash"], f"row {a['seq']} is not the anchored one")
            last = a["seq"]
        need(last or not others, "no anchor of this host")
        return last


def main(argv):
    anchors = None
    if "--anchors" in argv:
        at = argv.index("--anchors")
        anchors = argv[at + 1]
        del argv[at:at + 2]
    log, whole, anchored = Log(), True, 0
    try:
        for name in argv:
            whole = log.file(name)
        need(log.rows, "no row")
        need(log.torn is None or not whole, "a line that is no row")
        need(log.first <= log.expired + 1, "rows are missing at the beginning")
        if anchors:
            anchored = log.anchors(anchors)
    except (Broken, KeyError, TypeError, ValueError) as e:
        print(f"broken behind row {log.seq}: {e}")
        return 1
    print(f"whole: {log.rows} rows, anchored to {anchored}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
