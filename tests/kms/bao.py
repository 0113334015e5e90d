#!/usr/bin/python3
"""An OpenBao server of one test: over TLS, in memory, on a port of its own, with certificates made here.

As a module: Bao. As a program, for scripts (tests/kms/functions.sh):
    bao.py start DIR [tls12]        starts a server, initialised and unsealed, that lives on; DIR gets what the others need
    bao.py request DIR METHOD PATH [JSON]   one request below /v1/ with the root token; prints the answer's body; status 1 above 399
    bao.py ca DIR                   DIR/ca.pem, DIR/srv.pem and DIR/srv.key for localhost, and DIR/other-*.pem for other.test
"""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def openssl(cwd, *args):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_ca(d, names=()):
    """An authority, and certificates for localhost and names (srv) and for another name (other), valid for a month."""
    os.makedirs(d, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(d, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=test CA", "-addext",
            "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, san in ("srv", ",".join(["DNS:localhost", "IP:127.0.0.1", *names])), ("other", "DNS:other.test"):
        openssl(d, "req", *key, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        with open(os.path.join(d, "ext"), "w") as f:
            f.write("basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
                    "subjectAltName=%s\n" % san)
        openssl(d, "x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-extfile", "ext", "-out", name + ".pem")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Bao:
    """The server of directory d; start() makes it, or attach to one that runs."""

    def __init__(self, d):
        self.d = d
        self.process = None
        self.port = None
        if os.path.exists(self.path("port")):
            self.port = int(self.read("port"))

    def path(self, name):
        return os.path.join(self.d, name)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read().strip()

    def write(self, name, text):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)

    def start(self, tls_max=""):
        if not os.path.exists(self.path("ca.pem")):
            make_ca(self.d)
        program = subprocess.run([os.path.join(HERE, "servers"), "-n"], check=True, stdout=subprocess.PIPE).stdout.decode().strip()
        self.port = free_port()
        tls = 'tls_min_version = "tls12"  tls_max_version = "tls12"' if tls_max == "tls12" else 'tls_min_version = "tls13"'
        with open(self.path("bao.hcl"), "w") as f:
            f.write('ui = false\ndisable_mlock = true\nstorage "inmem" {}\napi_addr = "https://localhost:%d"\n'
                    'listener "tcp" { address = "127.0.0.1:%d"  tls_cert_file = "%s"  tls_key_file = "%s"  %s }\n'
                    % (self.port, self.port, self.path("srv.pem"), self.path("srv.key"), tls))
        with open(self.path("bao.log"), "ab") as log:
            # Its own standard streams alone: a script's pipe must not stay open because the server lives.
            self.process = subprocess.Popen([program, "server", "-config=" + self.path("bao.hcl")], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.d, env=dict(os.environ, HOME=self.d),
                                            start_new_session=True)
        self.write("pid", str(self.process.pid))
        self.write("port", str(self.port))
        self.wait_health(501)
        made = self.must("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
        self.write("unseal-key", made["keys"][0])
        self.write("root-token", made["root_token"])
        self.unseal()

    def unseal(self):
        self.must("PUT", "sys/unseal", {"key": self.read("unseal-key")}, token="")
        self.wait_health(200)

    def wait_health(self, status):
        end = time.monotonic() + 60
        while True:
            try:
                if self.request("GET", "sys/health", token="")[0] == status:
                    return
            except (OSError, http.client.HTTPException):
                if self.process and self.process.poll() is not None:
                    raise RuntimeError("the server ended: " + self.read("bao.log")) from None
            if time.monotonic() > end:
                raise RuntimeError("the server is not ready: " + self.read("bao.log"))
            time.sleep(0.05)

    def request(self, method, path, body=None, token=None):
        """(status, the parsed body or None)"""
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        c = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=30)
        headers = {"X-Vault-Request": "true", "Connection": "close"}
        if token is None:
            token = self.read("root-token")
        if token:
            headers["X-Vault-Token"] = token
        c.request(method, "/v1/" + path, json.dumps(body) if body is not None else None, headers)
        answer = c.getresponse()
        data = answer.read()
        c.close()
        return answer.status, json.loads(data) if data.strip() else None

    def must(self, method, path, body=None, token=None):
        status, answer = self.request(method, path, body, token)
        if status >= 400:
            raise RuntimeError("%s %s: %d %s" % (method, path, status, answer))
        return answer

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
        elif os.path.exists(self.path("pid")):
            try:
                os.kill(int(self.read("pid")), signal.SIGTERM)
            except ProcessLookupError:
                pass
        self.process = None


def main(argv):
    if len(argv) >= 2 and argv[0] == "start":
        Bao(argv[1]).start(*argv[2:3])
    elif len(argv) == 2 and argv[0] == "ca":
        make_ca(argv[1])
    elif len(argv) in (4, 5) and argv[0] == "request":
        status, answer = Bao(argv[1]).request(argv[2], argv[3], json.loads(argv[4]) if len(argv) == 5 else None)
        print(json.dumps(answer))
        return 1 if status >= 400 else 0
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
