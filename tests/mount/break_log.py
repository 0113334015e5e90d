#!/usr/bin/env python3
"""break_log.py LOG N: spoil the N-th transaction of the log's newest generation, so that the ones behind it are still there."""
import struct
import sys

log = open(sys.argv[1], "r+b")
found = []
index = 0
while True:
    block = log.read(4096)
    if len(block) < 4096:
        break
    if block[:4] == b"CFRL":
        stamp, = struct.unpack_from("<Q", block, 24)
        sequence, = struct.unpack_from("<Q", block, 40)
        found.append((stamp, sequence, index))
    index += 1
newest = max(stamp for stamp, _, _ in found)
chosen = sorted((sequence, index) for stamp, sequence, index in found if stamp == newest)[int(sys.argv[2]) - 1]
log.seek(chosen[1] * 4096 + 100)
log.write(b"spoilt")
