#!/usr/bin/python3
"""A terminal for coffer top and coffer status: top.py draws|signal|status COFFER AGENT TEXT..."""
import os
import pty
import re
import select
import signal
import sys
import termios
import time


def spawn(args, **env):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", **env)
        os.execv(args[0], args)
    return pid, fd


def read_until(fd, done, seconds=60):
    got, end = "", time.monotonic() + seconds
    while not done(got):
        left = end - time.monotonic()
        assert left > 0 and select.select([fd], [], [], left)[0], repr(got)
        try:
            more = os.read(fd, 65536).decode()
        except OSError:  # its end
            more = ""
        if not more:
            assert done(got), repr(got)
            break
        got += more
    return got


def top(args, texts, end):
    pid, fd = spawn(args + ["top"])
    got = read_until(fd, lambda s: s.count("\033[H") >= 3)
    assert got.startswith("\033[?1049h"), repr(got[:40])
    assert all(t in got for t in texts), (texts, got)
    assert not termios.tcgetattr(fd)[3] & termios.ICANON
    if end == "q":
        os.write(fd, b"xq")
    else:
        os.kill(pid, signal.SIGTERM)
    tail = read_until(fd, lambda s: "\033[?1049l" in s)
    assert tail.endswith("\033[?25h\033[?1049l"), repr(tail[-80:])
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert termios.tcgetattr(fd)[3] & termios.ICANON and termios.tcgetattr(fd)[3] & termios.ECHO


def status(args, texts):
    shown = {}
    for name, env in (("colour", {}), ("plain", {"NO_COLOR": "1"}), ("dumb", {"TERM": "dumb"})):
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update({"TERM": "xterm", **env})
            os.execv(args[0], args + ["status"])
        shown[name] = read_until(fd, lambda s: "\n" in s.split(texts[0])[-1] and texts[-1] in s)
        os.waitpid(pid, 0)
    assert "\033[" in shown["colour"] and "\033" not in shown["plain"] + shown["dumb"], shown
    assert all(t in shown["plain"] for t in texts), shown
    strip = re.sub("\033\\[[0-9;]*m", "", shown["colour"])
    assert strip.split("\n")[0] == shown["plain"].split("\n")[0], shown


what, args, texts = sys.argv[1], [sys.argv[2], "--agent", sys.argv[3]], sys.argv[4:]
if what == "status":
    status(args, texts)
else:
    top(args, texts, "q" if what == "draws" else "signal")
