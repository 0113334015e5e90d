"""What a mount tells systemd: NOTIFY_SOCKET and WATCHDOG_USEC are ours. Usage: notify.py COFFER VOLUME MOUNTPOINT OPTIONS SLOW.so

SLOW.so makes fsync slow, so that replay takes several looks of who watches."""
import os
import signal
import socket
import subprocess
import sys
import time

coffer, volume, mountpoint, options, slow = sys.argv[1:]
DEADLINE = 120
WATCHDOG = 0.4


class Mount:
    """coffer mount --foreground, and what it said since."""

    def __init__(self, preload=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("")
        self.sock.settimeout(0.05)
        env = dict(os.environ, NOTIFY_SOCKET="@" + self.sock.getsockname()[1:].decode(), WATCHDOG_USEC=str(int(WATCHDOG * 1e6)))
        if preload:
            env["LD_PRELOAD"] = preload
        # the shell's process becomes coffer's, so that WATCHDOG_PID is right
        command = 'WATCHDOG_PID=$$ exec "$@"'
        self.process = subprocess.Popen(["sh", "-c", command, "-", coffer, "mount", volume, mountpoint, "--foreground", "-o", options], env=env)
        self.said = []

    def listen(self):
        try:
            self.said += self.sock.recv(4096).decode().split("\n")
        except TimeoutError:
            pass

    def wait(self, what, times=1):
        """Until a message that begins so came that often from now on."""
        end = time.monotonic() + DEADLINE
        begin = len(self.said)
        while sum(m.startswith(what) for m in self.said[begin:]) < times:
            if time.monotonic() > end:
                raise AssertionError(f"no {what}: {self.said[begin:]}")
            self.listen()
        return self.said[begin:]

    def silence(self, what, seconds):
        end = time.monotonic() + seconds
        begin = len(self.said)
        while time.monotonic() < end:
            self.listen()
        return not any(m.startswith(what) for m in self.said[begin:])


def check(text, good, shown=""):
    print(("ok - " if good else "not ok - ") + text, "" if good else shown, flush=True)
    return good


def main():
    good = True
    m = Mount()
    said = m.wait("READY=1")
    good &= check("more time, what it does, ready", said[0].startswith("EXTEND_TIMEOUT_USEC=") and any(s.startswith("STATUS=opening") for s in said)
                  and f"STATUS=serving {mountpoint}" in said and not any(s.startswith("WATCHDOG") for s in said[:-1]), said)
    m.wait("WATCHDOG=1", 3)
    good &= check("it says that it answers, again and again", True)
    children = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(m.process.pid)], capture_output=True, text=True).stdout.split()
    good &= check("by a process beside it", children[1:] == ["coffer-watch"], children)
    fds = os.listdir(f"/proc/{children[0]}/fd")
    good &= check("which holds no descriptor but the standard ones and a pipe", len(set(fds) - {"0", "1", "2"}) == 1, fds)
    os.kill(m.process.pid, signal.SIGSTOP)
    m.silence("x", 2 * WATCHDOG)  # what was on its way
    good &= check("stopped, it says nothing", m.silence("WATCHDOG", 5 * WATCHDOG))
    os.kill(m.process.pid, signal.SIGCONT)
    m.wait("WATCHDOG=1", 2)
    good &= check("and again when it goes on", True)
    for i in range(6):
        fd = os.open(f"{mountpoint}/file{i}", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"x" * 5000)
        os.fsync(fd)
        os.close(fd)
    os.kill(m.process.pid, signal.SIGKILL)
    m.process.wait()
    subprocess.run([coffer, "umount", mountpoint], stderr=subprocess.DEVNULL, check=False)
    end = time.monotonic() + DEADLINE
    while os.path.exists(f"/proc/{children[0]}") and open(f"/proc/{children[0]}/stat").read().split()[2] != "Z" and time.monotonic() < end:
        time.sleep(0.05)
    good &= check("killed, it takes the other one along", time.monotonic() < end)
    m = Mount(preload=slow)
    said = m.wait("READY=1")
    extends = sum(s.startswith("EXTEND_TIMEOUT_USEC=") for s in said)
    good &= check("a slow replay is given more time as it goes on", extends >= 3, said)
    good &= check("what was synced is there", all(os.path.getsize(f"{mountpoint}/file{i}") == 5000 for i in range(6)))
    os.kill(m.process.pid, signal.SIGTERM)
    said = m.wait("STATUS=bringing everything home")
    good &= check("at the end it says so", "STOPPING=1" in said, said)
    status = m.process.wait(DEADLINE)
    m.silence("x", WATCHDOG)  # what was on its way: the watcher may have had its answer just before it was ended
    begin = len(m.said)
    good &= check("and is done", status == 0 and m.silence("WATCHDOG", 2 * WATCHDOG), (status, m.said[begin:]))
    return 0 if good else 1


sys.exit(main())
