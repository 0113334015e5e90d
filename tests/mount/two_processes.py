#!/usr/bin/python3
"""Two processes append to one file and count in one mapping; every record is whole, no count is lost."""
import fcntl, mmap, os, sys
os.chdir(sys.argv[1])
open("counter", "wb").write(bytes(8192))
for who in "ab":
    if os.fork() == 0:
        log = os.open("both.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        counter = os.open("counter", os.O_RDWR)
        page = mmap.mmap(counter, 8192)
        for n in range(2000):
            os.write(log, (b"%s%04d" % (who.encode(), n)).ljust(99, who.encode()) + b"\n")
            fcntl.lockf(counter, fcntl.LOCK_EX)
            page[4094:4098] = (int.from_bytes(page[4094:4098], "big") + 1).to_bytes(4, "big")
            fcntl.lockf(counter, fcntl.LOCK_UN)
        os.fsync(log)
        os._exit(0)
for _ in "ab":
    assert os.wait()[1] == 0
lines = open("both.log", "rb").read().split(b"\n")[:-1]
assert len(lines) == 4000 and all(len(set(l[5:])) == 1 and len(l) == 99 for l in lines)
assert int.from_bytes(open("counter", "rb").read()[4094:4098], "big") == 4000
