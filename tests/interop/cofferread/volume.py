"""A volume directory: opening it, and its tree of plain names. Nothing is ever written."""

import os
import re
import stat
from collections import namedtuple

from . import crypt
from .config import CONFIG_MAX, Config
from .filedata import File
from .layout import Bad, parse_state
from .names import LOWER_MAX, ROOT_ID, XATTR, Names, name_hash
from .ring import Log

ROOT_FILES = {b"coffer.volume", b"coffer.state", b"coffer.log", b"coffer.reserve", b"coffer.lock",
              b"coffer.quarantine", b"coffer.partial"}
_LONG = re.compile(rb"coffer\.(long|name)\.([A-Za-z0-9_-]{43})")
O_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def open_lower(path, flags=0):
    try:
        return os.open(path, O_READ | flags | os.O_NOATIME)
    except PermissionError:
        return os.open(path, O_READ | flags)


def read_file(path, limit):
    fd = open_lower(path)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Bad("not a regular file")
        return os.pread(fd, limit, 0)
    finally:
        os.close(fd)


class Keys:
    """Everything below M(e), by epoch and file; raises Bad where a tag does not fit."""

    def __init__(self, uuid, masters):
        self.uuid, self.masters = uuid, masters
        self._volume, self._file = {}, {}

    def _master(self, epoch):
        if epoch not in self.masters:
            raise Bad("epoch %d is not in the key ring" % epoch)
        return self.masters[epoch]

    def file(self, epoch, file_id):
        key = (epoch, file_id)
        if key not in self._file:
            if len(self._file) > 10000:
                self._file.clear()
            try:
                self._file[key] = crypt.FileKeys(self._master(epoch), self.uuid, file_id)
            except crypt.CryptError as e:
                raise Bad(str(e)) from None
        return self._file[key]

    def check(self, label, epoch, number, ident, stamp, payload, tag):
        """Labels S and L."""
        key = (label, epoch)
        if key not in self._volume:
            name = {b"S": b"state tag", b"L": b"log tag"}[label]
            self._volume[key] = crypt.Egmac(crypt.derive(self._master(epoch), name, self.uuid, 64))
        if not self._volume[key].check(tag, label, epoch, number, ident, stamp, payload):
            raise Bad("tag %s does not fit" % label.decode())

    def check_file(self, file_id):
        """Labels E and H: the check for one file."""
        def check(label, epoch, number, ident, stamp, payload, tag):
            if not self.file(epoch, file_id).egmac.check(tag, label, epoch, number, ident, stamp, payload):
                raise Bad("tag %s does not fit" % label.decode())
        return check

    def check_block(self, epoch, file_id, number, entry, data):
        if not self.file(epoch, file_id).egmac.check(entry.tag, b"B", epoch, number, file_id, entry.stamp, data):
            raise Bad("tag B does not fit")


Node = namedtuple("Node", "kind path lower st target")     # kind: d f l p s; paths are bytes


class Volume:
    def __init__(self, path, root_key=None, local_key=None):
        self.path = os.fsencode(path)
        try:
            data = read_file(os.path.join(self.path, b"coffer.volume"), CONFIG_MAX + 1)
            self.config = Config(data)
            if root_key is None:
                root_key = self.config.open_local(local_key)
            self.names_epoch, names, masters = self.config.authenticate(root_key)
        except Bad as e:
            raise Bad("coffer.volume: %s" % e) from None
        self.keys = Keys(self.config.uuid, masters)
        self.names = Names(self.names_epoch, names, self.config.uuid)
        self._open_state()
        log = os.path.join(self.path, b"coffer.log")
        self.log_fd = open_lower(log)
        try:
            if not stat.S_ISREG(os.fstat(self.log_fd).st_mode):
                raise Bad("coffer.log: not a regular file")
            self.log = Log(self.log_fd, self.keys, self.state)
        except BaseException:
            self.close()
            raise

    def close(self):
        os.close(self.log_fd)

    def _open_state(self):
        data = read_file(os.path.join(self.path, b"coffer.state"), 8193)
        if len(data) != 8192:
            raise Bad("coffer.state: not 8192 bytes")
        self.slots = []
        for i in (0, 1):
            try:
                self.slots.append(parse_state(data[4096 * i:4096 * i + 4096], i, self.keys.uuid, self.keys.check))
            except Bad as e:
                self.slots.append(str(e))
        valid = [s for s in self.slots if not isinstance(s, str)]
        if not valid:
            raise Bad("coffer.state: no valid slot (0: %s; 1: %s)" % tuple(self.slots))
        if len(valid) == 2 and valid[0].serial == valid[1].serial:
            raise Bad("coffer.state: two valid slots with serial %d" % valid[0].serial)
        self.state = max(valid, key=lambda s: s.serial)
        if not 4096 <= self.state.log_blocks <= 262144:
            raise Bad("coffer.state: log_blocks %d" % self.state.log_blocks)

    def dir_id(self, lower, is_root):
        """None if the directory has no id yet."""
        link = os.path.join(lower, b"coffer.dir")
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            return ROOT_ID if is_root else None
        except OSError:
            raise Bad("coffer.dir: not a symbolic link") from None
        if is_root:
            raise Bad("coffer.dir in the root")
        try:
            return self.names.dir_id(target)
        except Bad as e:
            raise Bad("coffer.dir: %s" % e) from None

    def _plain_name(self, lower_dir, dir_id, lower):
        """Plain name of a directory entry, None if it is one of the format's own."""
        m = _LONG.fullmatch(lower)
        if m and m.group(1) == b"name":
            return None
        if m:
            try:
                whole = os.readlink(os.path.join(lower_dir, b"coffer.name." + m.group(2)))
            except OSError:
                raise Bad("no coffer.name beside it") from None
            if len(whole) <= LOWER_MAX:
                raise Bad("a short name stored as a long one")
            if name_hash(whole) != m.group(2):
                raise Bad("HASH does not fit")
            return self.names.name(dir_id, whole)
        if len(lower) > LOWER_MAX:
            raise Bad("a long name stored as a short one")
        return self.names.name(dir_id, lower)

    def listdir(self, lower, path, is_root, problem):
        """Nodes of a directory, sorted by plain name. problem(path, message) takes what is not ours."""
        dir_id = self.dir_id(lower, is_root)
        out, seen = [], set()
        for name in sorted(os.listdir(lower)):
            if name == b"coffer.dir" or is_root and name in ROOT_FILES:
                continue
            full = os.path.join(lower, name)
            if dir_id is None:
                raise Bad("entries, but no coffer.dir")
            try:
                plain = self._plain_name(lower, dir_id, name)
                if plain is None:
                    continue
                if plain in seen:
                    raise Bad("the name stands twice")
                seen.add(plain)
                out.append(self._node(full, os.path.join(path, plain) if path else plain))
            except (Bad, OSError) as e:
                problem(path, "entry %s: %s" % (os.fsdecode(name), e))
        return sorted(out, key=lambda n: n.path)

    def _node(self, lower, path):
        st = os.lstat(lower)
        target = None
        if stat.S_ISLNK(st.st_mode):
            kind, target = "l", self.names.symlink(os.readlink(lower))
        else:
            kinds = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFIFO: "p", stat.S_IFSOCK: "s"}
            kind = kinds.get(stat.S_IFMT(st.st_mode))
            if kind is None:
                raise Bad("a device")
        return Node(kind, path, lower, st, target)

    def root(self):
        return Node("d", b"", self.path, os.lstat(self.path), None)

    def walk(self, problem, node=None):
        """Every node, a directory before what is in it."""
        node = node or self.root()
        yield node
        if node.kind != "d":
            return
        try:
            children = self.listdir(node.lower, node.path, node.path == b"", problem)
        except (Bad, OSError) as e:
            problem(node.path, str(e))
            return
        for child in children:
            yield from self.walk(problem, child)

    def lookup(self, path):
        node = self.root()
        for part in [p for p in path.split(b"/") if p]:
            if node.kind != "d":
                raise Bad("%s: not a directory" % os.fsdecode(node.path))
            bad = []
            want = os.path.join(node.path, part) if node.path else part
            found = [c for c in self.listdir(node.lower, node.path, node.path == b"", lambda p, m: bad.append(m))
                     if c.path == want]
            if not found:
                raise Bad("%s: no such entry%s" % (os.fsdecode(want), "".join("; " + b for b in bad)))
            node = found[0]
        return node

    def open_file(self, node):
        fd = open_lower(node.lower)
        try:
            return File(self, fd)
        except BaseException:
            os.close(fd)
            raise

    def xattrs(self, node):
        """[(plain name, value)]; attributes that are not user.coffer.* are not the format's."""
        if node.kind == "l":
            return []
        out = []
        for name in sorted(os.listxattr(node.lower, follow_symlinks=False)):
            if not name.startswith(XATTR):
                continue
            value = os.getxattr(node.lower, name, follow_symlinks=False)
            try:
                out.append(self.names.xattr(name, value))
            except Bad as e:
                raise Bad("attribute %s: %s" % (name, e)) from None
        return out
