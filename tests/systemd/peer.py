#!/usr/bin/python3
"""peer.py: a peer of the agent that is not what it seems.

peer.py ask                  hello, then status: prints what is answered: "ok", a class, or "closed"
peer.py pass                 connect here, ask from a child that inherited the connection
peer.py recycled UNIT        connect and end, while the agent is stopped; a process of UNIT gets the same number; then ask
peer.py keys FILE...         does a text or log hold the bytes of a key file, raw, as hex or base64? Keys: /etc/coffer/keys/*
"""
import base64
import ctypes
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import time

SOCK = os.environ.get("PEER_SOCKET", "/run/coffer/agent.sock")


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(60)
    s.connect(SOCK)
    return s


def ask(s):
    try:
        for i, op in enumerate(("hello", "status"), 1):
            s.send(json.dumps({"v": 1, "id": i, "op": op}).encode())
            got = s.recv(65536)
            if not got:
                return "closed"
            answer = json.loads(got)
    except (BrokenPipeError, ConnectionResetError):
        return "closed"
    return "ok" if answer["ok"] else answer["class"]


def passed():
    """The parent lives on: it is the sender that is another."""
    s = connect()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        print(ask(s), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)


def spawn_as(pid):
    """A process that gets this number (clone3 with set_tid) and sleeps."""
    args = (ctypes.c_uint64 * 11)()
    tid = (ctypes.c_int * 1)(pid)
    args[4] = signal.SIGCHLD
    args[8], args[9] = ctypes.addressof(tid), 1
    r = ctypes.CDLL(None, use_errno=True).syscall(435, args, 80)
    if r == 0:
        os.execv("/bin/sleep", ["sleep", "1000"])
    if r < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    return r


def recycled(unit):
    agent = int(subprocess.check_output(["systemctl", "show", "-P", "MainPID", "coffer-agent"]))
    ours, theirs = socket.socketpair()
    os.kill(agent, signal.SIGSTOP)
    try:
        first = os.fork()
        if first == 0:
            s = connect()
            socket.send_fds(theirs, [b"x"], [s.fileno()])
            os._exit(0)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        os.waitpid(first, 0)
        again = spawn_as(first)
        group = subprocess.check_output(["systemctl", "show", "-P", "ControlGroup", unit], text=True).strip()
        assert group.endswith(unit)
        with open(f"/sys/fs/cgroup{group}/cgroup.procs", "w") as f:
            f.write(str(again))
        assert again == first and group in open(f"/proc/{again}/cgroup").read()
    finally:
        os.kill(agent, signal.SIGCONT)
    s = socket.socket(fileno=fds[0])
    s.settimeout(60)
    print(ask(s))
    os.kill(again, signal.SIGKILL)
    os.waitpid(again, 0)


def keys(files):
    found, looked = [], 0
    texts = {f: open(f, "rb").read() for f in files}
    assert all(texts.values()), "an empty text holds nothing"
    for name in glob.glob("/etc/coffer/keys/*"):
        key = open(name, "rb").read()
        assert len(key) == 32
        looked += 1
        for form in (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key).rstrip(b"="), base64.urlsafe_b64encode(key).rstrip(b"=")):
            # half of it is as bad
            for part in (form[: len(form) // 2], form[len(form) // 2 :]):
                found += [f"{f}: {name}" for f, text in texts.items() if part in text]
    assert looked, "no key to look for"
    print("\n".join(found))
    sys.exit(bool(found))


if sys.argv[1] == "ask":
    print(ask(connect()))
elif sys.argv[1] == "pass":
    passed()
elif sys.argv[1] == "recycled":
    recycled(sys.argv[2])
else:
    keys(sys.argv[2:])
