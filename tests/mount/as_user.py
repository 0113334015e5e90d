#!/usr/bin/python3
"""What a mount without root's capabilities must do for its one user: as_user.py make|check DIR."""
import errno
import os
import sys

d = sys.argv[2]
if sys.argv[1] == "make":
    for name, mode in (("ro", 0o444), ("none", 0), ("rw", 0o600)):
        fd = os.open(f"{d}/{name}", os.O_RDWR | os.O_CREAT, mode)
        os.write(fd, name.encode() * 1000)
        os.close(fd)
    os.mkdir(f"{d}/closed")
    with open(f"{d}/closed/f", "w") as f:
        f.write("inside")
    os.chmod(f"{d}/closed", 0o300)
    for p in ("rw", "closed", "closed/f"):
        try:
            os.setxattr(f"{d}/{p}", "user.of", p.encode())
        except OSError as e:
            assert e.errno == errno.ENOTSUP, e   # a backing filesystem without them
else:
    assert open(f"{d}/ro").read() == "ro" * 1000 and os.stat(f"{d}/ro").st_mode & 0o777 == 0o444
    assert os.stat(f"{d}/none").st_size == 4000 and os.stat(f"{d}/none").st_mode & 0o777 == 0
    try:
        open(f"{d}/none")
        raise SystemExit("mode 0 was opened")
    except PermissionError:
        pass
    assert open(f"{d}/closed/f").read() == "inside"
    try:
        os.listdir(f"{d}/closed")
        raise SystemExit("a directory of mode 0300 was listed")
    except PermissionError:
        pass
    for p in ("rw", "closed/f"):
        assert all(os.getxattr(f"{d}/{p}", n) == p.encode() for n in os.listxattr(f"{d}/{p}"))
    fd = os.open(f"{d}/suid", os.O_RDWR | os.O_CREAT, 0o755)
    os.fchmod(fd, 0o4755)
    os.write(fd, b"changed")
    assert os.fstat(fd).st_mode & 0o7777 == 0o755
    os.fchmod(fd, 0o4755)
    os.ftruncate(fd, 1)
    assert os.fstat(fd).st_mode & 0o7777 == 0o755
    os.close(fd)
    os.unlink(f"{d}/none")
    fd = os.open(f"{d}/rw", os.O_RDWR)
    os.chmod(f"{d}/rw", 0o400)
    os.write(fd, b"RW")
    os.fsync(fd)
    os.unlink(f"{d}/rw")
    os.write(fd, b"RW")
    os.fsync(fd)
    print("ok")
