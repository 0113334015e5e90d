#!/usr/bin/python3
"""A relay between a mount and its agent that pushes events of its own: relay.py SOCKET AGENT-SOCKET.
It obeys lines on standard input, "lock" and "unlock", and answers each with what the mount says. The key for an unlock it fetches on a connection of its own, since
a mount's own serves no other. Mounts may be without an agent for one second."""
import json
import select
import socket
import sys

LISTENER = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
LISTENER.bind(sys.argv[1])
LISTENER.listen(8)
FIRST = 1 << 40  # ids of our own events
GRACE_MS = 1000


def agent():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[2])
    return s


def receive(s):
    text, fds, _, _ = socket.recv_fds(s, 65537, 1)
    return text, fds


def send(s, text, fds):
    socket.send_fds(s, [text], fds)
    for fd in fds:
        socket.close(fd)


class Pair:
    """One client, its connection to the agent, and a second one for keys."""

    def __init__(self):
        self.client, _ = LISTENER.accept()
        self.agent, self.keys, self.mount = agent(), None, False
        self.said = ""

    def ask(self, text, fds):
        if not self.keys:
            self.keys = agent()
            send(self.keys, b'{"v":1,"id":1,"op":"hello"}', [])
            receive(self.keys)
        send(self.keys, text, fds)
        send(self.client, *receive(self.keys))

    def from_client(self):
        text, fds = receive(self.client)
        if not text:
            return False
        m = json.loads(text)
        if "event" in m and m["id"] >= FIRST:
            print(m["event"], "ok" if m["ok"] else m["class"] + " " + m["message"], flush=True)
        elif self.mount and m.get("op") in ("unlock", "ack"):
            self.ask(text, fds)
        else:
            if m.get("op") == "register":
                self.mount, self.said = True, "registered " + ("locked" if m.get("locked") else "open")
            send(self.agent, text, fds)
        return True

    def from_agent(self):
        text, fds = receive(self.agent)
        if not text:
            return False
        if self.mount and b'"ok":true' in text:
            m = json.loads(text)
            text = json.dumps(m | {"agent_grace_ms": GRACE_MS}).encode() if len(m) == 3 or "agent_grace_ms" in m else text
        send(self.client, text, fds)
        if self.said:  # only now may events follow
            print(self.said, flush=True)
            self.said = ""
        return True

    def close(self):
        for s in (self.client, self.agent, self.keys):
            if s:
                s.close()


def main():
    pairs, number = [], FIRST
    while True:
        ready = select.select([LISTENER, sys.stdin] + [s for p in pairs for s in (p.client, p.agent)], [], [])[0]
        if LISTENER in ready:
            pairs.append(Pair())
        if sys.stdin in ready:
            line = sys.stdin.readline().strip()
            if not line:
                return
            for p in pairs:
                if p.mount:
                    number += 1
                    send(p.client, json.dumps({"v": 1, "event": line, "id": number} | ({"reason": "a test"} if line == "lock" else {})).encode(), [])
        for p in list(pairs):
            try:
                good = (p.client not in ready or p.from_client()) and (p.agent not in ready or p.from_agent())
            except OSError:
                good = False
            if not good:
                p.close()
                pairs.remove(p)


main()
