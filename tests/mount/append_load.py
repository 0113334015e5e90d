#!/usr/bin/python3
"""Append records to files and fsync; after each fsync say on standard output which record of which file is durable."""
import os, sys, time
top, name = sys.argv[1], sys.argv[2]
files = [os.open(f"{top}/{name}.{k}", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600) for k in range(4)]
sizes = [os.fstat(f).st_size for f in files]
n = 0
try:
    while True:
        k, n = n % 4, n + 1
        record = (b"%s %d %d;" % (name.encode(), k, sizes[k])).ljust(200 + 997 * (n % 50), b".") + b"\n"
        os.write(files[k], record)
        sizes[k] += len(record)
        if n % 3 == 0:
            os.fsync(files[k])
            os.write(1, b"%s.%d %d\n" % (name.encode(), k, sizes[k]))
except OSError as e:
    os.write(2, b"%.3f %d\n" % (time.monotonic(), e.errno))
