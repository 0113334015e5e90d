#!/usr/bin/python3
"""A mount is locked while others work on it: lock.py LOCKER DIRECTORY.
Goals:
1. After the lock nothing is readable: every operation says ENOKEY, no page of a mapping is resident, a touch is SIGBUS; and the process that serves holds no key
   and no planted text in any mapping. What a core dump would hold has no key even while it is unlocked.
2. What was acknowledged before is there after the unlock, open files and working directories go on; a wrong key changes nothing.
3. Locked: killed, unmounted, locked again: nothing is lost, nothing has to be replayed.
4. When the backing filesystem fails or hangs meanwhile, the mount ends, and what was fsynced is there."""
import errno
import os
import secrets
import signal
import subprocess
import sys
import time

LOCKER, DIR = sys.argv[1:3]
HERE = os.path.dirname(os.path.abspath(__file__))
BACK, MNT = os.path.join(DIR, "back"), os.path.join(DIR, "mnt")
failed = 0


def check(good, text):
    global failed
    failed += not good
    print(("ok - " if good else "not ok - ") + text, flush=True)


class Process:
    def __init__(self, *args):
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self):
        return self.p.stdout.readline().strip()

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.hear()

    def end(self):
        self.p.stdin.close()
        return self.p.wait(60)


def locker(*more):
    p = Process(LOCKER, BACK, MNT, *more)
    if p.hear() != "ok ready":
        sys.exit("not ok - the locker does not start")
    return p


def client(role, *args):
    p = Process(sys.executable, os.path.join(HERE, "clients.py"), role, *args)
    if p.hear() != "ready":
        sys.exit("not ok - a client does not start: " + role)
    return p


def at(*names):
    return os.path.join(MNT, *names)


def ledger(name):
    with open(os.path.join(DIR, name), encoding="ascii") as f:
        return int(f.read() or 0)


def complement(text):
    return bytes(255 - b for b in text).hex()


def said(fn, *args):
    try:
        fn(*args)
        return "no error"
    except OSError as e:
        return errno.errorcode[e.errno]


def read_text(name):
    with open(at(name), "rb") as f:
        return f.read()


def backing_file(size):
    """Some backing file of that plain size or more, for its keys."""
    for top, _, files in os.walk(BACK):
        for f in files:
            path = os.path.join(top, f)
            if not f.startswith("coffer.") and os.path.getsize(path) > size:
                return path
    return sys.exit("not ok - no backing file")


def plant(p):
    """Text in content, a name, a link and an attribute. The locker is told only complements."""
    text = [secrets.token_hex(32).encode() for _ in range(4)]
    with open(at("planted"), "wb") as f:
        f.write(text[0] * 4096)
        os.fsync(f.fileno())
    with open(at(text[1].decode()), "wb") as f:
        f.write(b"x")
    os.symlink(text[2].decode(), at("d", "link"))
    os.setxattr(at("planted"), "user.some", text[3])
    os.getxattr(at("planted"), "user.some")
    os.readlink(at("d", "link"))
    os.listdir(MNT)
    read_text("planted")
    for t in text:
        p.ask("plant " + complement(t))
    p.ask("sync")
    p.ask("files " + backing_file(200000))
    return text


def locked_is_locked():
    got = {said(*s) for s in ((os.listdir, MNT), (os.stat, at("planted")), (read_text, "planted"), (os.mkdir, at("more")), (os.statvfs, MNT),
                              (os.unlink, at("planted")), (os.rename, at("planted"), at("p")), (os.stat, at("never-was")))}
    check(got == {"ENOKEY"}, "every operation says ENOKEY: " + " ".join(sorted(got)))


def handed_over(writes):
    """Of the bulk writer's last round (64 places of 64 KiB), what is not what it wrote. The very last write may have come behind the drop."""
    data = read_text("b")
    return [k for k in range(max(writes - 64, 0), writes - 1) if data[k % 64 * 65536:][:65536] != b"%015d\n" % k * 4096]


def first_lock(p, text):
    check(int(p.ask("search").split()[1]) > 0, "the search finds what is there while it is unlocked")
    work = {"writer": client("writer", at("w"), os.path.join(DIR, "w")), "bulk": client("bulk", at("b")),
            "mapped": client("mapped", at("m"), os.path.join(DIR, "m")), "inside": client("inside", at("d")),
            "looker": client("looker", at("planted")), "direct": client("direct", at("planted"))}
    time.sleep(0.3)  # so that they are in the middle of it
    check(p.ask("search-dump") == "ok 0", "a core dump of the mount at work would hold no key")
    before = work["looker"].ask("resident").split()
    check(before[0] == before[2], "all pages of a mapping were resident: " + before[0])
    began = time.monotonic()
    check(p.ask("lock") == "ok 0", "locked while six processes are at work, in %.2f s" % (time.monotonic() - began))
    locked_is_locked()
    check(work["looker"].ask("resident").startswith("0 of "), "no page of the mapping is resident")
    heard = work["inside"].ask("all").split(";")
    check(set(heard) == {"ENOKEY"}, "a process inside gets ENOKEY for all: " + " ".join(sorted(set(heard))))
    bulk = 0
    for role in ("writer", "bulk", "direct"):
        heard = work[role].hear()
        check(heard.startswith("stopped ENOKEY"), role + " " + heard)
        bulk = int(heard.split()[2]) if role == "bulk" else bulk
    check(work["mapped"].p.wait(60) == -signal.SIGBUS, "the process that writes to a mapping ends by SIGBUS")
    check(p.ask("search") == "ok 0", "no key and no planted text in any mapping of the locked mount")
    check(p.ask("lock") == "ok 0" and p.ask("sync") == "ok 0", "a second lock, and a sync, have nothing to do")
    check(p.ask("unlock-wrong") == "error -%d" % errno.EKEYREJECTED, "a wrong key is refused")
    locked_is_locked()
    check(p.ask("search") == "ok 0", "and leaves nothing behind")
    check(p.ask("unlock") == "ok 0", "unlocked")
    check(read_text("planted") == text[0] * 4096, "the content is there again")
    check(text[1].decode() in os.listdir(MNT) and os.readlink(at("d", "link")) == text[2].decode() and
          os.getxattr(at("planted"), "user.some") == text[3], "names, links and attributes, too")
    heard = work["writer"].ask("again")
    check(heard == "again 0 True", "the writer's descriptor works again, and all it was acknowledged is there: " + heard)
    with open(at("m"), "rb") as f:
        m = f.read()
    least = min(int.from_bytes(m[k:k + 8], "little") for k in range(0, len(m), 4096))
    check(len(m) == 64 * 4096 and least >= ledger("m") > 0, "so is what was msynced: %d of %d rounds" % (least, ledger("m")))
    lost = handed_over(bulk)
    check(bulk > 64 and not lost, "so is what was only written: %d of 63 places differ" % len(lost))
    heard = work["inside"].ask("use")
    check(heard.startswith("['link', 'open']; ".replace("; ", ";")) and "of the open file" in heard and "of the unlinked file" in heard and
          "ENOKEY" not in heard, "the process inside goes on: " + heard)
    check(work["looker"].ask("touch").startswith("touched"), "the mapping can be read again")
    for role in ("inside", "looker", "bulk", "writer", "direct"):
        work[role].end()


def rows(text):
    return read_text("planted") == text[0] * 4096 and len(read_text("w")) // 4096 > ledger("w") >= 5


def out_of_order(text, order, answer):
    """What cannot come to rest is locked all the same: the connection ends, and what was fsynced is there at the next mount."""
    p = locker("faults")
    held = client("looker", at("planted"))
    fd = os.open(at("late"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"late" * 4096)
    p.ask(order)
    began = time.monotonic()
    heard = p.ask("lock")
    check(heard == answer, "%s below: locked, but %s, in %.1f s" % (order, heard or "the process ended", time.monotonic() - began))
    check(held.ask("resident").startswith("0 of "), "and no page of a mapping is resident")
    got = said(os.stat, at("planted"))
    check(got in ("ENOTCONN", "ECONNABORTED"), "every user gets an error: " + got)
    said(os.close, fd)
    if heard:
        check(p.ask("quit").startswith("ok served"), "the mount ends by itself")
    p.p.wait(60)
    held.p.kill()
    subprocess.run(["umount", "-l", MNT], check=False, stderr=subprocess.DEVNULL)
    p = locker()
    check(rows(text), "what was fsynced is there")
    subprocess.run(["umount", MNT], check=True)
    p.ask("quit")


def main():
    for d in (BACK, MNT):
        os.makedirs(d, exist_ok=True)
    p = locker()
    os.mkdir(at("d"))
    text = plant(p)
    first_lock(p, text)
    deep = client("deep", at("planted"))
    for _ in range(10):
        if p.ask("lock") != "ok 0" or said(os.stat, at("w")) != "ENOKEY" or p.ask("search") != "ok 0" or p.ask("unlock") != "ok 0" or not rows(text):
            check(False, "locked and unlocked again and again")
            break
    else:
        check(True, "locked and unlocked again and again")
    heard = deep.ask("end")
    check(heard.startswith("right"), "while many small reads are under way, and writes: " + heard)
    deep.end()
    last = os.open(at("last"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(last, b"not fsynced")  # the kernel has it; closing would hand it over
    held = client("looker", at("planted"))
    check(p.ask("lock") == "ok 0", "locked with a file in use")
    held.p.stdin.write("touch\n")
    held.p.stdin.flush()
    check(held.p.wait(60) == -signal.SIGBUS, "a touch of a mapping is SIGBUS")
    os.close(last)
    check(subprocess.run(["umount", MNT], check=False).returncode == 0, "unmounted while locked")
    check(p.ask("quit") == "ok served 0 closed 0", "and the mount ended well")
    p.p.wait(60)
    with open(os.path.join(BACK, "coffer.lock"), "rb") as f:
        check(b"at rest" in f.read(), "coffer.lock says that it is at rest")
    p = locker()
    check(rows(text) and read_text("last") == b"not fsynced", "everything is there at the next mount, also what was only handed over")
    check(p.ask("lock") == "ok 0", "locked")
    p.p.kill()
    p.p.wait(60)
    subprocess.run(["umount", "-l", MNT], check=False)
    p = locker()
    check(rows(text), "killed while locked: everything is there")
    subprocess.run(["umount", MNT], check=True)
    check(p.ask("quit") == "ok served 0 closed 0" and p.p.wait(60) == 0, "unmounted")
    out_of_order(text, "fail", "error -%d" % errno.EIO)
    out_of_order(text, "hang", "")
    sys.exit(failed > 0)


main()
