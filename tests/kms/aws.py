#!/usr/bin/python3
"""AWS servers of one test, from tests/kms/aws-servers: local-kms (states of keys; signatures are not looked at) and moto (signatures, IAM, STS; states
are not looked at), each behind TLS 1.3, and metadata services at their real addresses, for which the test has a network namespace of its own.

As a module: LocalKms, Moto, Imds, Pod. As a program, for scripts (tests/kms/aws-functions.sh):
    aws.py start DIR                 local-kms with a key, that lives on, behind a proxy that fault_proxy.py describes; DIR/host has HOST:PORT
    aws.py call DIR OPERATION JSON   one request to it (KeyId is added); prints the answer's body
    aws.py moto DIR                  moto with authentication on, a key (DIR/arn) and a user whose keys are the profile DIR/credentials; DIR/host
    aws.py allow|deny DIR            what that user's policy says of kms:Decrypt
"""
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import bao  # noqa: E402

REGION = "eu-west-1"
KEY = "bc436485-5092-42b8-92a3-0aa8b93536dc"
ARN = "arn:aws:kms:eu-west-1:111122223333:key/" + KEY


def servers():
    """The directory of tests/kms/aws-servers, None when nothing is installed."""
    found = subprocess.run([os.path.join(HERE, "aws-servers"), "-n"], stdout=subprocess.PIPE, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def wait(what, process, log):
    end = time.monotonic() + 60
    while not what():
        if process.poll() is not None or time.monotonic() > end:
            with open(log) as f:
                raise RuntimeError("%s: not ready: %s" % (log, f.read()))
        time.sleep(0.05)


def answers(make, path="/"):
    try:
        c = make()
        c.request("GET", path)
        c.getresponse().read()
        c.close()
        return True
    except (OSError, http.client.HTTPException):
        return False


class Process:
    def __init__(self, d, name, command, env=None):
        self.log = os.path.join(d, name + ".log")
        with open(self.log, "ab") as log:
            # Its own standard streams alone: a script's pipe must not stay open because the server lives.
            self.p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=d, env=dict(os.environ, HOME=d, **(env or {})),
                                      start_new_session=True)

    def stop(self):
        self.p.terminate()
        self.p.wait()


class Proxy(Process):
    """fault_proxy.py before to; its files are in d, which has ca.pem."""

    def __init__(self, d, to, *more):
        self.d = d
        port = os.path.join(d, "proxy-port")
        if os.path.exists(port):
            os.unlink(port)
        super().__init__(d, "proxy", ["/usr/bin/python3", os.path.join(HERE, "fault_proxy.py"), d, to, *more])
        wait(lambda: os.path.exists(port), self.p, self.log)
        with open(port) as f:
            self.host = "localhost:" + f.read()

    def fault(self, text):
        with open(os.path.join(self.d, "fault"), "w") as f:
            f.write(text)

    def requests(self):
        try:
            with open(os.path.join(self.d, "requests")) as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0


class LocalKms(Process):
    """One key, KEY, which a seed makes the same at each start."""

    def __init__(self, d):
        self.d = d
        self.port = bao.free_port()
        with open(os.path.join(d, "seed.yaml"), "w") as f:
            f.write("Keys:\n  Symmetric:\n    Aes:\n      - Metadata: {KeyId: %s}\n        BackingKeys: [%s]\n" % (KEY, "3477" * 16))
        super().__init__(d, "local-kms", [os.path.join(servers(), "local-kms")],
                         {"PORT": str(self.port), "KMS_REGION": REGION, "KMS_ACCOUNT_ID": "111122223333", "KMS_DATA_PATH": os.path.join(d, "data"),
                          "KMS_SEED_PATH": os.path.join(d, "seed.yaml")})
        wait(lambda: answers(lambda: http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)), self.p, self.log)

    def __call__(self, operation, **body):
        return call(self.port, operation, body)


def call(port, operation, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    scope = "20261126/%s/kms/aws4_request" % REGION
    c.request("POST", "/", json.dumps({"KeyId": KEY, **body}),
              {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService." + operation,
               "Authorization": "AWS4-HMAC-SHA256 Credential=admin/%s, SignedHeaders=host, Signature=0" % scope})
    a = c.getresponse()
    data = a.read().decode()
    c.close()
    if a.status != 200:
        raise RuntimeError("%s: %d %s" % (operation, a.status, data))
    return json.loads(data or "{}")


def boto(d, port):
    return subprocess.Popen([os.path.join(servers(), "moto/bin/python"), os.path.join(HERE, "aws_boto.py"), "https://localhost:%d" % port,
                             os.path.join(d, "ca.pem"), REGION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process, keys, service, operation, arguments):
    process.stdin.write(json.dumps([*keys, service, operation, arguments]) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if "error" in answer:
        raise RuntimeError("%s: %s" % (operation, answer["error"]))
    return answer


def user_policy(name, policy):
    return {"UserName": name, "PolicyName": "p", "PolicyDocument": json.dumps(document(policy))}


class Moto(Process):
    """moto over TLS. admin(): calls of boto3, by a process of its venv; auth(): signatures and policies count from now on."""

    def __init__(self, d):
        self.d = d
        self.port = bao.free_port()
        super().__init__(d, "moto", [os.path.join(servers(), "moto/bin/moto_server"), "-H", "127.0.0.1", "-p", str(self.port), "-c", "srv.pem", "-k", "srv.key"])
        wait(lambda: answers(self.connect, "/moto-api/"), self.p, self.log)
        self.keys = ("admin", "admin")
        self.boto = boto(d, self.port)

    def connect(self):
        import ssl
        return http.client.HTTPSConnection("localhost", self.port, context=ssl.create_default_context(cafile=os.path.join(self.d, "ca.pem")), timeout=30)

    def auth(self, on):
        c = self.connect()
        c.request("POST", "/moto-api/reset-auth", "0" if on else "inf", {"Content-Type": "text/plain"})
        answer = c.getresponse().read()
        assert b"ok" in answer, answer
        c.close()

    def admin(self, service, operation, **arguments):
        return ask(self.boto, self.keys, service, operation, arguments)

    def user(self, name, policy):
        """A user with an inline policy: (access key, secret key)."""
        self.admin("iam", "create_user", UserName=name)
        self.policy(name, policy)
        key = self.admin("iam", "create_access_key", UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def policy(self, name, policy):
        self.admin("iam", "put_user_policy", **user_policy(name, policy))

    def stop(self):
        self.boto.stdin.close()
        self.boto.stdout.close()
        self.boto.wait()
        super().stop()


def document(statements):
    return {"Version": "2012-10-17", "Statement": [{"Effect": e, "Action": a, "Resource": r} for e, a, r in statements]}


def alone():
    """Does this process have a network of its own, with nothing but lo?"""
    links = subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return len(links) == 1 and ": lo:" in links[0]


def address(ip):
    subprocess.run(["ip", "addr", "replace", ip + "/32", "dev", "lo"], check=True)


class Imds(Process):
    """ec2-metadata-mock, version 2 only, with these credentials."""

    def __init__(self, d, access_key, secret_key, expires, token="tok"):
        address("169.254.169.254")
        with open(os.path.join(d, "imds.json"), "w") as f:
            json.dump({"metadata": {"values": {"iam-security-credentials": {
                "Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC", "AccessKeyId": access_key, "SecretAccessKey": secret_key,
                "Token": token, "Expiration": expires}}}, "server": {"hostname": "169.254.169.254", "port": "80"}, "imdsv2": True}, f)
        super().__init__(d, "imds", [os.path.join(servers(), "ec2-metadata-mock"), "-c", os.path.join(d, "imds.json")])
        wait(lambda: answers(lambda: http.client.HTTPConnection("169.254.169.254", 80, timeout=5)), self.p, self.log)


class Pod:
    """The agent of a container at 169.254.170.2, that wants its token: no server for it is to be had."""

    def __init__(self, ip, path, token, credentials):
        pod = self
        address(ip)
        self.asked = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                good = self.path == path and self.headers.get("Authorization") == token
                body = json.dumps(credentials if good else {"code": "AccessDenied"}).encode()
                pod.asked += 1
                self.send_response(200 if good else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer((ip, 80), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def write(d, **texts):
    for name, text in texts.items():
        with open(os.open(os.path.join(d, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(str(text))


def read(d, name):
    with open(os.path.join(d, name)) as f:
        return f.read()


def start(d):
    bao.make_ca(d)
    kms = LocalKms(d)
    proxy = Proxy(d, "http:%d" % kms.port)
    write(d, port=kms.port, host=proxy.host, arn=ARN, pids="%d %d" % (kms.p.pid, proxy.p.pid),
          credentials="[default]\naws_access_key_id=AKIDTEST\naws_secret_access_key=secret\n")


def start_moto(d):
    bao.make_ca(d)
    moto = Moto(d)
    write(d, pids=moto.p.pid)
    arn = moto.admin("kms", "create_key")["KeyMetadata"]["Arn"]
    admin = moto.user("admin", [("Allow", "*", "*")])
    keys = moto.user("agent", [("Allow", "kms:*", "*")])
    moto.auth(True)
    write(d, port=moto.port, host="localhost:%d" % moto.port, arn=arn, admin=" ".join(admin),
          credentials="[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n" % keys)
    moto.boto.stdin.close()
    moto.boto.wait()


def main(what, d, *rest):
    if what == "start":
        start(d)
    elif what == "moto":
        start_moto(d)
    elif what == "call":
        print(json.dumps(call(int(read(d, "port")), rest[0], json.loads(rest[1] if len(rest) > 1 else "{}"))))
    else:
        process = boto(d, int(read(d, "port")))
        policy = [("Allow", "kms:*", "*")] + ([("Deny", "kms:Decrypt", "*")] if what == "deny" else [])
        ask(process, read(d, "admin").split(), "iam", "put_user_policy", user_policy("agent", policy))
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
