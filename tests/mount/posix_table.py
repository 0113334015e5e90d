#!/usr/bin/python3
"""The POSIX table: the same calls in a plain directory (ext4) and below a mount; every result is a row, and the two tables must be the same.

Usage: posix_table.py PLAIN MOUNT [SECTION...]     both directories, as root; the mount with the options dev and suid
       posix_table.py --one DIR [SECTION...]       print the table of one directory

A row is "section: what: result", where a result is an errno's name, a value, or what stat says, but for times and inode numbers: of those rows
say only how they compare. What may differ is in ALLOWED, with a reason; what stands there and does not differ is a failure, too."""
import errno
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import posix_calls          # noqa: E402
import posix_content        # noqa: E402
import posix_more           # noqa: E402
import posix_rows           # noqa: E402
from posix_rows import U1   # noqa: E402

ROWS_MIN = 18500
# rows (a pattern for the whole key), what ext4 says, what a mount says (patterns), why
ALLOWED = [
    (r"attributes: (set|get|remove) (security|trusted|system)\.\S+", r".*", r"ENOTSUP", "only user.* is kept; POSIX ACLs are not enforced, so not stored"),
    (r"attributes: name of (151|250)", r"ok", r"ENAMETOOLONG", "the encrypted name must fit into 255 bytes"),
    (r"attributes: name of (151|250) (back|removed)", r"b'v'|ok", r"ENODATA", "so there is none"),
    (r"attributes: value of 65536", r"ENOSPC", r"E2BIG", "encryption adds 18 bytes, and 65536 is all that the backing's kernel passes"),
    (r"links: target of (3001|4095)", r"ok", r"ENAMETOOLONG", "the encrypted target must fit into 4095 bytes"),
    (r"open_flags: tmpfile", r"ok", r"ENOTSUP", "libfuse 3.14 does not know the request"),
    (r"chmod_and_chown: chown (file|fifo|sock) \w+ \w+ -1:-1( then)?", r".*", r".*", "an owner of -1:-1 is not told to us, so it clears nothing and is refused to nobody"),
    (r"limits: blocks of nothing", r"0", r"1", "the kernel lengthens files without asking for blocks again, and archivers skip a file that has none"),
    (r"limits: write at the end of all offsets", r"EFBIG", r"1", "the kernel knows no smaller limit for FUSE: EFBIG comes with fsync"),
    (r"limits: and fsync", r"ok", r"EFBIG", "there it is"),
    (r"time_rules: truncate-same p", r"mtime ctime nlink 2", r" nlink 2", "the kernel's own times: truncate(2) to the same size leaves them"),
    (r"ranges: (8|9|32|128) of .*", r".*", r".*", "collapse and insert are not there, and other modes are refused before their places are looked at"),
    (r"ranges: 3 of \d+ at 17592186044416 for 1", r"EFBIG", r"ok", "files end at 2^48 bytes, not at 2^44"),
    (r"direct_io: unaligned .*", r"EINVAL", r"\d+", "any request can be served"),
    (r"vectors: read without waiting", r"True", r"ENOTSUP", "the kernel has RWF_NOWAIT for few filesystems"),
    (r"whence: (\d+ whence [012] by 9223372036854775807|dir whence 4)", r".*", r".*", "the kernel's own limits for FUSE"),
    (r"ioctls: epoll", r"EPERM", r"ok", "the kernel can poll all of FUSE"),
    (r"ioctls: FIEMAP", r"ok", r"ENOTSUP", "places below mean nothing above"),
    (r"ioctls: FS_IOC_.*", r"ok", r"ENOTTY", "flags of files are not kept"),
    (r"ioctls: still writable", r".*", r"ENOTTY", "flags of files are not kept"),
    (r"ioctls: whiteout .*", r".*", r".*", "no whiteouts: a mount is no upper layer of an overlay"),
    (r"utimensat_rows: \w+ \w+ too-far then", r".*", r".*", "ext4 bends dates that it cannot store at once; below a mount they are bent when it forgets them"),
]


class Table:
    """Runs sections in a directory of its own and keeps their rows."""

    def __init__(self, top):
        self.top, self.rows, self.section = top, {}, None

    def row(self, name, fn, *args, **kw):
        try:
            r = fn(*args, **kw)
            r = "ok" if r is None else r
        except OSError as e:
            r = errno.errorcode.get(e.errno, str(e.errno))
        key, n = f"{self.section}: {name}", 2
        while key in self.rows:
            key, n = f"{self.section}: {name} #{n}", n + 1
        self.rows[key] = str(r)
        return r

    def run(self, sections):
        for name, fn in sections:
            self.section = name
            d = f"{self.top}/{name}"
            os.mkdir(d)
            os.chmod(d, 0o777)
            os.chdir(d)
            os.umask(0o022)
            fn(self)
            os.chdir("/")
            shutil.rmtree(d)
        return self.rows


def all_sections(names):
    found = posix_rows.SECTIONS + posix_more.SECTIONS + posix_content.SECTIONS + posix_calls.SECTIONS
    return [s for s in found if not names or s[0] in names]


def allowed(key, a, b):
    for k, (pattern, plain, mount, _) in enumerate(ALLOWED):
        if re.fullmatch(pattern, key) and re.fullmatch(plain, a) and re.fullmatch(mount, b):
            return k
    return None


def compare(plain, mount, partly):
    bad, used = 0, set()
    if len(plain) < ROWS_MIN and not partly:
        bad += 1
        print(f"not ok - {len(plain)} rows are too few")
    for key in sorted(set(plain) | set(mount)):
        a, b = plain.get(key, "(none)"), mount.get(key, "(none)")
        k = allowed(key, a, b) if a != b else None
        if k is not None:
            used.add(k)
        elif a != b:
            bad += 1
            print(f"not ok - {key}: ext4 {a}, mount {b}")
    for k, rule in enumerate(ALLOWED):
        if k not in used and not partly:
            bad += 1
            print(f"not ok - allowed, but not met: {rule[0]}")
    return bad


def main():
    if sys.argv[1] == "--one":
        for k, v in Table(sys.argv[2]).run(all_sections(sys.argv[3:])).items():
            print(f"{k}: {v}")
        return 0
    sections = all_sections(sys.argv[3:])
    plain = Table(sys.argv[1]).run(sections)
    mount = Table(sys.argv[2]).run(sections)
    bad = compare(plain, mount, bool(sys.argv[3:]))
    if not bad:
        print(f"ok - {len(plain)} rows, {len(ALLOWED)} kinds of differences that are meant; as root and as user {U1}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
