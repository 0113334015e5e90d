#!/usr/bin/python3
"""The lock path on a mount at work: lock_path.py CLIENTS MOUNT DIR NAME SECONDS -- REFUSE... -- ALLOW...

Starts clients on MOUNT, runs REFUSE, and measures the seconds until nothing of MOUNT can be read any more: by read(2), through a shared mapping (SIGBUS), and from the
kernel's page cache (mincore(2): no page resident). Then runs ALLOW and measures until data is there again; what the writer was acknowledged must be. SECONDS is how long
each may take. Prints lines "ok - ", "not ok - ", and one "# NAME: ..." with the seconds."""
import errno
import os
import subprocess
import sys
import time

at = sys.argv.index("--")
second = sys.argv.index("--", at + 1)
CLIENTS, MOUNT, DIR, NAME, SECONDS = sys.argv[1:at]
REFUSE, ALLOW = sys.argv[at + 1:second], sys.argv[second + 1:]
LIMIT = float(SECONDS)
failed = False


def check(good, text):
    global failed
    failed = failed or not good
    print(("ok - " if good else "not ok - ") + NAME + ": " + text, flush=True)


class Client:
    def __init__(self, *args):
        self.p = subprocess.Popen([sys.executable, CLIENTS, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.line() == "ready", args

    def line(self):
        return self.p.stdout.readline().strip()

    def ask(self, word):
        self.p.stdin.write(word + "\n")
        self.p.stdin.flush()
        return self.line()


def until(what, test):
    begin = time.monotonic()
    while not test():
        if time.monotonic() - begin > LIMIT:
            check(False, what + ": not within %g s" % LIMIT)
            return
        time.sleep(0.02)


def path(name):
    return os.path.join(MOUNT, name)


def reads():
    try:
        with open(path("plain"), "rb") as f:
            return f.read(16) == b"x" * 16
    except OSError as e:
        if e.errno != errno.ENOKEY:
            check(False, "read says %s, not ENOKEY" % e)
        return False


def main():
    with open(path("plain"), "wb") as f:
        f.write(b"x" * (1 << 20))
        os.fsync(f.fileno())
    writer = Client("writer", path("w"), os.path.join(DIR, "w.ledger"))
    mapped = Client("mapped", path("m"), os.path.join(DIR, "m.ledger"))
    direct = Client("direct", path("plain"))
    looker = Client("looker", path("plain"))
    check(reads(), "it reads")
    start = time.monotonic()
    subprocess.run(REFUSE, check=True, stdout=subprocess.DEVNULL)
    refused = time.monotonic()
    until("read(2) ends", lambda: not reads())
    read_s = time.monotonic() - refused
    until("no page is resident", lambda: looker.ask("resident").startswith("0 of "))
    cache_s = time.monotonic() - refused
    check(looker.ask("touch") == "" and looker.p.wait() == -7, "a shared mapping that was read ends in SIGBUS")
    until("the mapping writer ends", lambda: mapped.p.poll() is not None)
    check(mapped.p.returncode == -7, "one that is written, too (%s)" % mapped.p.returncode)
    said = writer.line(), direct.line()
    check(said[0].startswith("stopped ENOKEY") and said[1] == "stopped ENOKEY", "writer and O_DIRECT reader: %s, %s" % said)
    all_s = time.monotonic() - refused
    check(not reads(), "and it stays so")
    allowed = time.monotonic()
    subprocess.run(ALLOW, check=True, stdout=subprocess.DEVNULL)
    until("data is back", reads)
    back_s = time.monotonic() - allowed
    again = writer.ask("again")
    check(again == "again 0 True", "all that was acknowledged is there, and the same descriptor writes on: " + again)
    with open(os.path.join(DIR, "m.ledger"), "rb") as f:
        acked = int(f.read() or b"0")
    with open(path("m"), "rb") as f:
        first = int.from_bytes(f.read(8), "little")
    check(first >= acked, "so is what was msynced: round %d of %d" % (first, acked))
    print("# %s: refused in %.1f s; read(2) stopped after %.1f s, page cache empty after %.1f s, all clients stopped after %.1f s; back %.1f s after it was allowed" %
          (NAME, refused - start, read_s, cache_s, all_s, back_s), flush=True)
    sys.exit(failed)


main()
