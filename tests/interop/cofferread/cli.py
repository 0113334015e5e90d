"""Commands of coffer_read.py."""

import argparse
import os
import stat
import sys

from . import quarantine
from .layout import BLOCK, GROUP_BLOCKS, Bad
from .volume import Volume


class Problems:
    """One line a problem on standard error (or output, for verify); the exit status comes of it."""

    def __init__(self, stream):
        self.stream, self.count = stream, 0

    def __call__(self, path, message):
        self.count += 1
        self.stream.write("%s: %s\n" % (show(path) or ".", message))


def show(path):
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode().replace("\n", "\\n")


def say(line):
    sys.stdout.write(line + "\n")


def cmd_info(v, _args):
    s, c = v.state, v.config
    say("uuid %s" % c.uuid.hex())
    say("tenant %s" % c.tenant)
    say("config_version %d" % c.json["config_version"])
    say("created %s" % c.json["created"])
    for n, slot in enumerate(c.slots):
        say("slot %d %s %s" % (n, slot["state"], slot["kms"]))
    say("epochs %s" % " ".join(str(e) for e in sorted(v.keys.masters)))
    say("names_epoch %d" % v.names_epoch)
    for i, slot in enumerate(v.slots):
        say("state %d %s" % (i, "invalid: " + slot if isinstance(slot, str) else "valid serial %d" % slot.serial))
    say("clean %s" % ("yes" if s.flags & 1 else "no"))
    say("stamp_limit %d" % s.stamp_limit)
    say("log_blocks %d tail %d tail_sequence %d durable %d" % (s.log_blocks, s.tail, s.tail_sequence, s.durable))
    say("generation %s" % s.generation.hex())
    say("root_handle %d:%s fsid %x" % (s.root_handle_type, s.root_handle.hex(), s.fsid))
    say("transactions %d files %d" % (len(v.log.transactions), len(v.log.files)))
    return 0


def cmd_ls(v, _args):
    problem = Problems(sys.stderr)
    for node in v.walk(problem):
        if not node.path:
            continue
        size = "-"
        if node.kind == "f":
            try:
                f = v.open_file(node)
                os.close(f.fd)
                size = str(f.size)
            except (Bad, OSError) as e:
                problem(node.path, str(e))
                size = "?"
        line = "%s %03o %s %s" % (node.kind, stat.S_IMODE(node.st.st_mode), size, show(node.path))
        say(line + (" -> " + show(node.target) if node.kind == "l" else ""))
    return 1 if problem.count else 0


def cmd_cat(v, args):
    node = v.lookup(os.fsencode(args.path))
    if node.kind != "f":
        raise Bad("%s: not a regular file" % args.path)
    f, out, at = v.open_file(node), sys.stdout.buffer, 0
    for offset, data in f.extents():
        while at < offset:
            at += out.write(bytes(min(offset - at, 1 << 20)))
        at += out.write(data)
    while at < f.size:
        at += out.write(bytes(min(f.size - at, 1 << 20)))
    out.flush()
    return 0


def _extract_file(v, node, target):
    f = v.open_file(node)
    try:
        with open(target, "xb") as out:
            os.ftruncate(out.fileno(), f.size)
            for offset, data in f.extents():
                os.pwrite(out.fileno(), data, offset)
    except Bad:
        os.unlink(target)
        raise
    finally:
        os.close(f.fd)


def _extract_one(v, node, target, links):
    if node.kind == "l":
        os.symlink(node.target, target)
        return
    inode = (node.st.st_dev, node.st.st_ino)
    if node.kind == "f" and inode in links:
        os.link(links[inode], target)
        return
    if node.kind == "d":
        if node.path:
            os.mkdir(target)
    elif node.kind == "p":
        os.mkfifo(target)
    elif node.kind == "s":
        raise Bad("a socket is not extracted")
    else:
        _extract_file(v, node, target)
        links[inode] = target
    for name, value in v.xattrs(node):
        os.setxattr(target, name, value)
    if node.kind != "d":
        os.chmod(target, stat.S_IMODE(node.st.st_mode))
        os.utime(target, ns=(node.st.st_atime_ns, node.st.st_mtime_ns))


def cmd_extract(v, args):
    problem, links, dirs = Problems(sys.stderr), {}, []
    target = os.fsencode(args.dir)
    if os.path.realpath(target).startswith(os.path.realpath(v.path) + b"/"):
        raise Bad("%s: inside the volume" % args.dir)
    os.makedirs(target, exist_ok=True)
    if os.listdir(target):
        raise Bad("%s: not empty" % args.dir)
    for node in v.walk(problem):
        full = os.path.join(target, node.path) if node.path else target
        try:
            _extract_one(v, node, full, links)
            if node.kind == "d":
                dirs.append((full, node.st))
        except (Bad, OSError) as e:
            problem(node.path, str(e))
    for full, st in reversed(dirs):
        os.chmod(full, stat.S_IMODE(st.st_mode))
        os.utime(full, ns=(st.st_atime_ns, st.st_mtime_ns))
    return 1 if problem.count else 0


class Verifier:
    def __init__(self, v, sums):
        self.v, self.sums = v, sums
        self.problem = Problems(sys.stdout)
        self.inodes, self.file_ids, self.dir_ids, self.stamps = set(), {}, {}, {}

    def stamp(self, value, what):
        if value >= self.v.state.stamp_limit:
            yield "%s: stamp %d is not below stamp_limit" % (what, value)
        before = self.stamps.setdefault(value, (self.path, what))
        if before != (self.path, what):
            yield "%s: stamp %d is also that of %s, %s" % (what, value, show(before[0]), before[1])

    def file(self, node):
        inode = (node.st.st_dev, node.st.st_ino)
        if inode in self.inodes:
            return
        self.inodes.add(inode)
        f = self.v.open_file(node)
        try:
            if f.file_id is not None:
                before = self.file_ids.setdefault(f.file_id, node.path)
                if before != node.path:
                    raise Bad("the same file_id as %s" % show(before))
            for p in f.problems(self.sums, self.stamp):
                self.problem(node.path, p)
        finally:
            os.close(f.fd)

    def directory(self, node):
        if not node.path:
            return
        dir_id = self.v.dir_id(node.lower, False)
        if dir_id is not None and self.dir_ids.setdefault(dir_id, node.path) != node.path:
            raise Bad("the same directory id as %s" % show(self.dir_ids[dir_id]))

    def log(self):
        self.path = b"coffer.log"
        for t in self.v.log.transactions:
            for d, _, _ in t.parts:
                for p in self.stamp(d.stamp, "transaction %d part %d" % (t.sequence, d.part)):
                    self.problem(b"coffer.log", p)

    def run(self):
        self.log()
        for node in self.v.walk(self.problem):
            self.path = node.path
            try:
                if node.kind == "f":
                    self.file(node)
                elif node.kind == "d":
                    self.directory(node)
            except (Bad, OSError) as e:
                self.problem(node.path, str(e))
            try:
                self.v.xattrs(node)
            except (Bad, OSError) as e:
                self.problem(node.path, str(e))
        for name, message in quarantine.problems(self.v):
            self.problem(b"coffer.quarantine/" + os.fsencode(name), message)
        for file_id in self.v.log.files:
            if file_id not in self.file_ids and not self.problem.count:
                sys.stderr.write("note: coffer.log: file %s is nowhere at home\n" % file_id.hex())
        return 1 if self.problem.count else 0


def cmd_verify(v, args):
    return Verifier(v, args.sums).run()


def cmd_dump(v, args):
    node = v.lookup(os.fsencode(args.path))
    if node.kind != "f":
        raise Bad("%s: not a regular file" % args.path)
    f = v.open_file(node)
    if f.file_id is None:
        say("no header, %d lower bytes" % f.lower_size)
        return 0
    say("file_id %s size %d alloc_groups %d gaps %s flags %d%s" % (
        f.file_id.hex(), f.size, f.alloc_groups, list(f.gaps), f.flags, " overlaid" if f.gathered else ""))
    bad = 0
    for n in f.group_numbers():
        try:
            g = f.group(n)
        except Bad as e:
            say(str(e))
            bad = 1
            continue
        h = g.header
        say("group %d epoch %d entries_stamp %d entries_tag %s header_stamp %d header_tag %s" % (
            n, h.epoch, h.entries_stamp, h.entries_tag.hex(), h.header_stamp, h.header_tag.hex()))
        for i in range(GROUP_BLOCKS):
            e = g.entry(i)
            if e is not None:
                where = "log %d" % g.where[i] if i in g.where else "home %d" % (n * 129 * BLOCK + BLOCK * (1 + i))
                say("  %d stamp %d tag %s sum %08x %s" % (n * GROUP_BLOCKS + i, e.stamp, e.tag.hex(), e.sum, where))
    return bad


def cmd_log(v, _args):
    for line in v.log.describe():
        say(line)
    return 0


def _read_key(path):
    with open(path, "rb") as f:
        return f.read(33)


def main(argv=None):
    p = argparse.ArgumentParser(prog="coffer_read.py", description="Read a coffer volume by docs/format.md alone.")
    p.add_argument("--root-key-file", metavar="F", help="32 raw bytes")
    p.add_argument("--root-key", metavar="HEX")
    p.add_argument("--local-key-file", metavar="F", help="key file of a local: slot, 32 raw bytes")
    p.add_argument("--sums", action="store_true", help="verify checks the sums too")
    p.add_argument("volume")
    sub = p.add_subparsers(dest="command", required=True)
    for name, arg in (("info", None), ("ls", None), ("cat", "path"), ("extract", "dir"), ("verify", None),
                      ("dump", "path"), ("log", None)):
        s = sub.add_parser(name)
        if arg:
            s.add_argument(arg)
        if name == "verify":
            s.add_argument("--sums", action="store_true", default=argparse.SUPPRESS)
    args = p.parse_args(argv)
    sys.stdout.reconfigure(errors="surrogateescape")
    try:
        given = [x is not None for x in (args.root_key_file, args.root_key, args.local_key_file)]
        if sum(given) != 1:
            raise Bad("give one of --root-key-file, --root-key, --local-key-file")
        root = local = None
        if args.root_key_file is not None:
            root = _read_key(args.root_key_file)
        elif args.root_key is not None:
            root = bytes.fromhex(args.root_key)
        else:
            local = _read_key(args.local_key_file)
        if root is not None and len(root) != 32:
            raise Bad("the root key has not 32 bytes")
        v = Volume(args.volume, root, local)
        return globals()["cmd_" + args.command](v, args)
    except (Bad, OSError, ValueError) as e:
        sys.stderr.write("coffer_read: %s\n" % e)
        return 1
