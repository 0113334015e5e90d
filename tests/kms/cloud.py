"""What the fakes of Google's and Microsoft's services share: a host of their own, an authority, a server that keeps what it was asked, and faults.

enter() puts the test into a network and mount namespace of its own (so that the metadata services have their real address, and the services their real names
and port), under the Python that has the vendors' clients.
"""
import base64
import binascii
import collections
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
METADATA = "169.254.169.254"
sys.path.insert(0, HERE)
import bao  # noqa: E402
import trying  # noqa: E402


def skip(why):
    print("skipped: " + why)
    sys.exit(1 if os.environ.get("CI") == "true" else 77)


def enter(names):
    """Run this program again where names (of hosts) are ours. Comes back there; its directory is removed by the one who went in."""
    if os.environ.get("COFFER_CLOUD_DIR"):
        return os.environ["COFFER_CLOUD_DIR"]
    if os.geteuid() != 0:
        skip("needs root, for addresses and names of its own")
    found = subprocess.run([os.path.join(HERE, "clients"), "-n"], stdout=subprocess.PIPE, check=False)
    if found.returncode != 0:
        skip("the clients of tests/kms/clients are not installed")
    d = tempfile.mkdtemp(prefix="coffer-cloud.")
    with open("/etc/hosts") as f, open(os.path.join(d, "hosts"), "w") as out:
        out.write(f.read() + "\n127.0.0.1 %s\n%s metadata.google.internal\n" % (" ".join(names), METADATA))
    bao.make_ca(d, ["DNS:%s" % n for n in names])
    script = ('ip link set lo up && ip addr add %s/32 dev lo && mount --bind "$1/hosts" /etc/hosts && shift && exec "$@"' % METADATA)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GOOGLE_", "GCE_", "AZURE_", "IDENTITY_", "MSI_", "SSL_"))}
    env.update(COFFER_CLOUD_DIR=d, REQUESTS_CA_BUNDLE=os.path.join(d, "ca.pem"), NO_PROXY="*")
    try:
        r = subprocess.run(["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh", d,
                            found.stdout.decode().strip(), "-B", *sys.argv], env=env, check=False).returncode
    finally:
        shutil.rmtree(d, ignore_errors=True)
    sys.exit(r)


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    if not isinstance(text, str) or not all(c.isalnum() or c in "-_" for c in text) or len(text) % 4 == 1:
        raise binascii.Error("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Refusal(Exception):
    """An answer other than 200: body is text, or what becomes JSON."""

    def __init__(self, status, body, **headers):
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, {k.replace("_", "-"): v for k, v in headers.items()}


Request = collections.namedtuple("Request", "method path query headers body")


class Server:
    """One TLS 1.3 (or, without a certificate, plain) server whose answers handle(request) makes: a dict, or (dict, headers). requests: all it was asked.
    faults: done in the place of the next answers, each once; a function of (request, the right answer's function). storm: the same, of all answers."""

    def __init__(self, address, handle, cert=None, tls=ssl.TLSVersion.TLSv1_3):
        self.requests, self.faults, self.storm, self.handle = [], [], None, handle
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def go(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urllib.parse.urlsplit(self.path)
                q = Request(self.command, parts.path, urllib.parse.parse_qs(parts.query, keep_blank_values=True), self.headers, body)
                outer.requests.append(q)
                try:
                    fault = outer.faults.pop(0) if outer.faults else outer.storm
                    answer = fault(q, outer.handle) if fault else outer.handle(q)
                    body, headers = answer if isinstance(answer, tuple) else (answer, {})
                    status = 200
                except Refusal as e:
                    status, body, headers = e.status, e.body, e.headers
                data = body.encode() if isinstance(body, str) else json.dumps(body, indent=2).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(data)))
                for k, v in headers.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = go

        class Listener(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that goes away, or speaks no TLS that we take

            def finish_request(self, request, client_address):
                if not cert:
                    super().finish_request(request, client_address)
                    return
                with context.wrap_socket(request, server_side=True) as tls_request:
                    super().finish_request(tls_request, client_address)

        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = context.maximum_version = tls
            context.load_cert_chain(*cert)
        self.listener = Listener(address, Handler)
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()


# Faults.

def refuse(status, body, **headers):
    def fault(_q, _handle):
        raise Refusal(status, body, **headers)
    return fault


def slow(seconds):
    def fault(q, handle):
        time.sleep(seconds)
        return handle(q)
    return fault


def changed(**fields):
    """The right answer with other fields; None takes one away."""
    def fault(q, handle):
        answer = dict(handle(q), **fields)
        return {k: v for k, v in answer.items() if v is not None}
    return fault


def form_of(q):
    """A form, each field once."""
    if q.headers["Content-Type"] != "application/x-www-form-urlencoded":
        raise Refusal(400, {"error": "invalid_request", "error_description": "not a form"})
    fields = urllib.parse.parse_qs(q.body.decode(), strict_parsing=True)
    if any(len(v) != 1 for v in fields.values()):
        raise Refusal(400, {"error": "invalid_request", "error_description": "twice"})
    return {k: v[0] for k, v in fields.items()}


class Case(unittest.TestCase):
    """A test with a directory, and kms_try processes that end with it."""

    def setUp(self):
        self.d = tempfile.mkdtemp(prefix="case.", dir=os.environ["COFFER_CLOUD_DIR"])
        self.wrapped = os.path.join(self.d, "wrapped")
        self.tries = []

    def tearDown(self):
        for t in self.tries:
            t.close()

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.d, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def attempt(self, uri, *settings, env=None):
        t = trying.Try(uri, "ca-file=" + os.path.join(os.environ["COFFER_CLOUD_DIR"], "ca.pem"), *settings, env=env)
        self.tries.append(t)
        return t

    def said(self, a, kind, text=""):
        self.assertEqual(kind, a.kind, a.line)
        self.assertIn(text, a.message)
        return a

    def wrapped_by(self, t, version):
        return self.said(t("wrap", self.wrapped), "OK", "version " + version)

    def ok(self, t):
        return self.said(t("unwrap", self.wrapped), "OK")


class Agent:
    """An agent of one test with one tenant, acme, whose [kms] has settings, and [tenant] those of tenant; and the command."""

    def __init__(self, case, *settings, tenant=()):
        self.case, self.d = case, case.d
        self.bin = os.environ.get("COFFER_BIN", os.environ.get("top_builddir", "."))
        os.makedirs(self.path("etc/tenants.d"))
        with open(self.path("etc/tenants.d/acme.conf"), "w") as f:
            f.write("\n".join(["[tenant]", *tenant, "[kms]", "ca-file=" + os.path.join(os.environ["COFFER_CLOUD_DIR"], "ca.pem"), *settings]) + "\n")
        os.makedirs(self.path("mnt"))
        os.makedirs(self.path("state"))
        with open(self.path("agent.log"), "wb") as log:
            self.p = subprocess.Popen([os.path.join(self.bin, "coffer-agent"), "--config", self.path("etc"), "--state", self.path("state"), "--socket",
                                       self.path("sock"), "--foreground"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        case.addCleanup(self.stop)
        end = time.monotonic() + 60
        while self.run("status").returncode != 0:
            if self.p.poll() is not None or time.monotonic() > end:
                raise RuntimeError("no agent: " + self.read("agent.log"))
            time.sleep(0.05)

    def path(self, name):
        return os.path.join(self.d, name)

    def read(self, name):
        with open(self.path(name), errors="replace") as f:
            return f.read()

    def run(self, *args):
        return subprocess.run([os.path.join(self.bin, "coffer"), "--agent", self.path("sock"), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=120)

    def expect(self, code, text, *args):
        r = self.run(*args)
        self.case.assertEqual((code, True), (r.returncode, text in r.stdout), r.stdout)

    def mounts(self, write=None):
        """Mounts, reads (or writes) a file, unmounts."""
        self.expect(0, "", "mount", self.path("acme"), self.path("mnt"))
        if write is not None:
            with open(self.path("mnt/file"), "w") as f:
                f.write(write)
        text = self.read("mnt/file")
        self.expect(0, "", "umount", self.path("mnt"))
        return text

    def rows(self, event):
        return [row for row in map(json.loads, self.read("state/audit.log").splitlines()) if row.get("event") == event]

    def stop(self):
        subprocess.run(["umount", "-l", self.path("mnt")], stderr=subprocess.DEVNULL, check=False)
        self.p.terminate()
        self.p.wait()


class AgentCase(Case):
    """A volume whose key is there: made, mounted, refused while the key's owner says no."""

    def through_the_agent(self, uri, settings, refusals, credential):
        """refusals: (refuse, allow, what is said) each."""
        if not os.access("/dev/fuse", os.W_OK):
            self.skipTest("no /dev/fuse")
        agent = Agent(self, *settings)
        agent.expect(0, "", "--quiet", "init", agent.path("acme"), "--tenant", "acme", "--log-size", "16", "--kms", uri)
        self.assertEqual("text", agent.mounts("text"))
        for no, yes, said in refusals:
            no()
            agent.expect(12, said, "mount", agent.path("acme"), agent.path("mnt"))
            yes()
            self.assertEqual("text", agent.mounts())
        agent.expect(0, "", "audit", "verify", agent.path("state"))
        given = json.dumps(agent.rows("key.unwrap")[-1])
        self.assertIn(credential, given)
        self.assertRegex(given, '"req_id": "[0-9a-f-]{32,36}"')
        return agent

    def until(self, what, test):
        end = time.monotonic() + 60
        while not test():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)

    def lock_path(self, uri, settings, refusals, storms):
        """A mount at work, and a key's owner that refuses and allows: tests/kms/lock_path.py measures. refusals: (name, refuse, allow) each; storms: (name, server, fault) each,
        which lock nothing before max-stale=."""
        if not os.access("/dev/fuse", os.W_OK):
            self.skipTest("no /dev/fuse")
        does = {}
        control = Server(("127.0.0.1", 9), lambda q: {"done": does[q.path.strip("/")]()})
        self.addCleanup(control.stop)
        agent = Agent(self, *settings, tenant=["probe=2s", "confirm=2/2s", "max-stale=60s", "max-auth=4s"])
        agent.expect(0, "", "--quiet", "init", agent.path("acme"), "--tenant", "acme", "--log-size", "16", "--kms", uri)
        agent.expect(0, "", "mount", agent.path("acme"), agent.path("mnt"))
        for name, no, yes in refusals:
            does["no"], does["yes"] = no, yes
            ask = [sys.executable, "-c", "import sys, urllib.request; urllib.request.urlopen('http://127.0.0.1:9/' + sys.argv[1]).read()"]
            done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "lock_path.py"), os.path.join(HERE, "../lock/clients.py"), agent.path("mnt"), self.d, name, "60",
                                   "--", *ask, "no", "--", *ask, "yes"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            print(done.stdout, end="", file=sys.stderr)
            self.assertEqual(0, done.returncode, done.stdout)
            for file in os.listdir(agent.path("mnt")):
                os.unlink(agent.path("mnt/" + file))
        with open(agent.path("mnt/still"), "w") as f:
            f.write("still")
        for name, server, fault in storms:
            server.storm = fault
            self.until(name + " is not STALE", lambda: '"state":"STALE"' in agent.run("--json", "status").stdout)
            self.assertEqual("still", agent.read("mnt/still"))
            server.storm = None
            self.until("not ACTIVE behind " + name, lambda: '"state":"ACTIVE"' in agent.run("--json", "status").stdout)
        agent.expect(0, "", "umount", agent.path("mnt"))
        agent.expect(0, "", "fsck", agent.path("acme"))
        agent.expect(0, "", "audit", "verify", agent.path("state"))
        return agent
