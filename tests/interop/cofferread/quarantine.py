"""coffer.quarantine: what replay took away for files that failed it (section 8)."""

import os
import re

from .layout import BLOCK, GROUPS_MAX, Bad, FileRecord, check_zero, parse_descriptor, parse_records

# Stands for the last FILE of a part that was not kept, because it does not name the file.
_OTHER = FileRecord(0, b"", b"", 0, GROUPS_MAX, (), 1, b"")

_NAME = re.compile(r"([0-9a-f]{32})\.(0|[1-9][0-9]*)\.(log|home)")

_LOST = re.compile(r"[1-9][0-9]*\.(0|[1-9][0-9]*)\.lost")


def _names_file(records, current, file_id):
    """A part names a file in a FILE, or in a GROUP whose FILE stands in the part before."""
    if current is not None and current.file_id == file_id and records and not isinstance(records[0], FileRecord):
        return True
    return any((r if isinstance(r, FileRecord) else r.file).file_id == file_id for r in records)


def check_log(f, size, keys, file_id, last_sequence):
    """Descriptors that name the file, each followed by its blocks."""
    at, current, before = 0, None, (0, -1)
    while at < size:
        d = parse_descriptor(os.pread(f, BLOCK, at).ljust(BLOCK, b"\0"), keys.uuid, keys.check)
        if d.part == 0:
            current = None
        elif before != (d.sequence, d.part - 1):
            current = _OTHER
        records, after = parse_records(d.raw[80:80 + d.record_bytes], current)
        if not _names_file(records, current, file_id):
            raise Bad("descriptor at %d does not name the file" % at)
        if not before < (d.sequence, d.part) or d.sequence > last_sequence:
            raise Bad("descriptor at %d: sequence %d part %d" % (at, d.sequence, d.part))
        before, current = (d.sequence, d.part), after
        at += BLOCK * (1 + d.data_blocks)
    if at != size:
        raise Bad("ends inside a transaction")


def check_home(f, size):
    if size % (2 * BLOCK):
        raise Bad("length is no multiple of 8192")
    for at in range(0, size, 2 * BLOCK):
        head = os.pread(f, BLOCK, at)
        if int.from_bytes(head[:8], "little") % BLOCK:
            raise Bad("record at %d: lower offset is no multiple of 4096" % at)
        check_zero(head[8:], "record at %d: bytes behind the offset" % at)


def problems(volume):
    """(name, message) of each file of coffer.quarantine that is not as section 8 says."""
    top = os.path.join(os.fsdecode(volume.path), "coffer.quarantine")
    if not os.path.lexists(top):
        return
    for name in sorted(os.listdir(top)):
        m = _NAME.fullmatch(name)
        if not m and _LOST.fullmatch(name) and os.path.isdir(os.path.join(top, name)):
            continue  # a whole directory, as it was
        if not m:
            yield name, "name is not FILE_ID.SEQUENCE.log or .home, nor INODE.COUNT.lost"
            continue
        f = os.open(os.path.join(top, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(f).st_size
            if m.group(3) == "log":
                check_log(f, size, volume.keys, bytes.fromhex(m.group(1)), int(m.group(2)))
            else:
                check_home(f, size)
        except Bad as e:
            yield name, str(e)
        finally:
            os.close(f)
