#!/usr/bin/env python3
"""overwrite_load.py FILE SECONDS: blocks of a file overwritten, cut and appended at random, some fsynced: home is never the same for long."""
import os
import random
import sys
import time

fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(fd, os.urandom(4 << 20), 0)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    os.pwrite(fd, os.urandom(random.choice((100, 4096, 65536, 700000))), random.randrange(4 << 20))
    if random.random() < 0.3:
        os.fsync(fd)
    if random.random() < 0.05:
        os.ftruncate(fd, random.randrange(1 << 20, 5 << 20))
