"""scatter.py MOUNT COPY: change files of a mount in all the ways a log has records for, each change fsynced, and do the same to a copy: blocks overwritten here
and there, cuts, growth over holes, a whole file written over, many small files, names moved and removed."""
import os
import random
import sys

rnd = random.Random(5)
trees = sys.argv[1:3]


def change(name, fn, flags=os.O_RDWR | os.O_CREAT):
    for tree in trees:
        fd = os.open(os.path.join(tree, name), flags, 0o644)
        fn(fd)
        if tree == trees[0]:
            os.fsync(fd)
        os.close(fd)


def write(name, off, data):
    change(name, lambda fd: os.pwrite(fd, data, off))


big = "dir/big"
size = os.stat(os.path.join(trees[1], big)).st_size
for turn in range(120):
    write(big, rnd.randrange(size), rnd.randbytes(rnd.choice((1, 100, 4096, 20000))))
change(big, lambda fd: os.ftruncate(fd, size // 2 + 77))
write(big, size + 3000000, b"behind a hole")
write("dir/big.copy", 0, rnd.randbytes(size + 5000))
change("dir/big.copy", lambda fd: os.ftruncate(fd, 0))
write("dir/big.copy", 700000, rnd.randbytes(300000))
write("whole", 0, rnd.randbytes(3 << 20))
for n in range(150):
    write("small.%d" % n, 0, rnd.randbytes(rnd.randrange(9000)))
for tree in trees:
    os.mkdir(os.path.join(tree, "moved"))
    for n in range(0, 150, 3):
        os.rename(os.path.join(tree, "small.%d" % n), os.path.join(tree, "moved/%d" % n))
    for n in range(1, 150, 3):
        os.unlink(os.path.join(tree, "small.%d" % n))
    os.link(os.path.join(tree, "whole"), os.path.join(tree, "moved/hard-link"))
