#!/usr/bin/python3
"""Is a key left anywhere? Two uses:

agent_memory.py run PROGRAM ARG...      run it without memfd_secret(2), so that its secrets lie where /proc/PID/mem shows them
agent_memory.py search PID VOLUME KEYFILE DIR...
        look for the keys of VOLUME, whose local: key is KEYFILE, in all of PID's memory, its environment and command line, and in all files
        below DIR; as bytes, in hexadecimal and in base64. A search that cannot find what must be there proves nothing, so the key URI, which is
        no secret, is looked for as well. Prints "ok - " and "not ok - " lines."""
import base64
import ctypes
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from cofferread import config, crypt  # noqa: E402

SYS_MEMFD_SECRET = 447
CHUNK = 1 << 20


def run(argv):
    # seccomp(2): ld nr; jeq memfd_secret -> ENOSYS; else allow
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, SYS_MEMFD_SECRET), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]
    program = b"".join(struct.pack("=HBBI", *c) for c in code)
    buffer = ctypes.create_string_buffer(program)
    fprog = struct.pack("@HP", len(code), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    holder = ctypes.create_string_buffer(fprog)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.addressof(holder), 0, 0):
        sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
    os.execv(argv[0], argv)


def keys_of(volume, keyfile):
    with open(os.path.join(volume, "coffer.volume"), "rb") as f:
        c = config.Config(f.read())
    with open(keyfile, "rb") as f:
        file_key = f.read()
    slot = c.slots[0]
    kek = crypt.gcm_open(file_key, crypt.kek_aad(c.tenant.encode(), c.uuid), slot["wrapped_kek"])
    root = crypt.gcm_open(kek, crypt.root_aad(c.tenant.encode(), c.uuid), slot["sealed_root"])
    return {"the local: key": file_key, "the KEK": kek, "the root key": root}, slot["kms"].encode()


def forms(key):
    """Halves, since a schedule of round keys begins with the first one; three ways to write them for logs."""
    for half in (key[:16], key[16:]):
        yield half
        yield half.hex().encode()
        yield half.hex().upper().encode()
    yield base64.b64encode(key)[:20]


def found(data, needles, hits, where):
    for name, forms_of in needles.items():
        for form in forms_of:
            if form in data:
                hits.setdefault(name, set()).add(where)


def search_memory(pid, needles, hits):
    hidden = 0
    with open("/proc/%s/maps" % pid) as maps, open("/proc/%s/mem" % pid, "rb", 0) as mem:
        for line in maps:
            span, modes = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if modes[0] != "r" or "[v" in line:
                continue
            tail = b""
            for at in range(start, end, CHUNK):
                try:
                    mem.seek(at)
                    data = mem.read(min(CHUNK, end - at))
                except OSError:
                    hidden += 1
                    break
                found(tail + data, needles, hits, line.split()[-1] if len(line.split()) > 5 else span)
                tail = data[-64:]
    return hidden


def search(pid, volume, keyfile, dirs):
    keys, uri = keys_of(volume, keyfile)
    needles = {name: list(forms(key)) for name, key in keys.items()}
    needles["the key URI"] = [uri]
    hits = {}
    hidden = search_memory(pid, needles, hits)
    for name in ("environ", "cmdline"):
        with open("/proc/%s/%s" % (pid, name), "rb") as f:
            found(f.read(), needles, hits, name)
    for top in dirs:
        for at, _, names in os.walk(top):
            for name in names:
                path = os.path.join(at, name)
                if os.path.isfile(path) and not os.path.islink(path) and not os.path.samefile(path, keyfile):
                    with open(path, "rb") as f:
                        found(f.read(), needles, hits, path)
    good = bool(hits.pop("the key URI", None)) and hidden == 0
    print(("ok" if good else "not ok") + " - the search sees everything (%d mappings are hidden)" % hidden)
    print(("not ok - found: %s" % hits if hits else "ok - no key is in the agent's memory, environment, command line, or in any file"))
    sys.exit(bool(hits) or not good)


if sys.argv[1] == "run":
    run(sys.argv[2:])
search(*sys.argv[2:5], sys.argv[5:])
