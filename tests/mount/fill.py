#!/usr/bin/python3
"""Write files until there is no space, fsync each; print name and sum of those whose fsync was answered. Then overwrite one and append."""
import errno, hashlib, os, sys
top, n = sys.argv[1], 0
def put(name, data, flags=os.O_CREAT | os.O_TRUNC):
    fd = os.open(f"{top}/{name}", os.O_WRONLY | flags, 0o600)
    try:
        at = 0
        while at < len(data):
            at += os.write(fd, data[at:])
        os.fsync(fd)
    finally:
        os.close(fd)
    print(name, hashlib.sha256(data).hexdigest(), flush=True)
try:
    while n < 2000:
        put(f"f{n}", os.urandom(1000 + (n * 7919) % 3000000))
        n += 1
    sys.exit("the disk is never full")
except OSError as e:
    if e.errno != errno.ENOSPC:
        sys.exit(f"{e}")
