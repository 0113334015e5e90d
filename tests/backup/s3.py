"""S3 servers of one test, that check signatures: versitygw (TLS 1.3 by itself) and s3proxy (nothing keeps it to 1.3: a proxy of tests/kms/fault_proxy.py's
kind in front does). Ports and certificates of their own."""
import json
import os
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "kms"))
import bao as bao_module  # noqa: E402

KEY, SECRET = "AKTESTTESTTESTTEST", "secretsecretsecretsecret"
REGION = "eu-west-1"
BUCKET = "coffer-test"


def program(name):
    return subprocess.run([os.path.join(HERE, "servers"), "-n", name], check=True, stdout=subprocess.PIPE).stdout.decode().strip()


class Server:
    """d: a directory with ca.pem, srv.pem, srv.key (bao.make_ca)."""

    def __init__(self, d):
        self.d = d
        self.process = None
        self.options, self.posix_options = [], []
        self.port = bao_module.free_port()

    def spawn(self, command, env=None):
        with open(self.path("server.log"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=self.d)
        end = time.monotonic() + 240
        while True:
            if self.process.poll() is not None:
                with open(self.path("server.log")) as log:
                    raise RuntimeError("the server ended: " + log.read())
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def path(self, name):
        return os.path.join(self.d, name)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def endpoint(self):
        return "https://localhost:%d" % self.port


class Versity(Server):
    name = "versitygw"

    def start(self):
        os.makedirs(self.path("versity/" + BUCKET), exist_ok=True)
        with open(self.path("srv-chain.pem"), "w") as out:
            for name in "srv.pem", "ca.pem":
                with open(self.path(name)) as f:
                    out.write(f.read())
        env = dict(os.environ, ROOT_ACCESS_KEY=KEY, ROOT_SECRET_KEY=SECRET)
        self.spawn([program(self.name), "--port", "127.0.0.1:%d" % self.port, "--cert", self.path("srv-chain.pem"), "--key", self.path("srv.key"),
                    "--region", REGION, "--quiet", *self.options, "posix", *self.posix_options, self.path("versity")], env)


class S3proxy(Server):
    name = "s3proxy"

    def start(self):
        os.makedirs(self.path("s3proxy/" + BUCKET), exist_ok=True)
        bao_module.openssl(self.d, "pkcs12", "-export", "-in", "srv.pem", "-inkey", "srv.key", "-certfile", "ca.pem", "-name", "s3proxy", "-out", "srv.p12",
                           "-passout", "pass:password")
        with open(self.path("s3proxy.properties"), "w") as f:
            f.write("s3proxy.authorization=aws-v2-or-v4\ns3proxy.secure-endpoint=https://127.0.0.1:%d\ns3proxy.keystore-path=%s\n"
                    "s3proxy.keystore-password=password\ns3proxy.identity=%s\ns3proxy.credential=%s\njclouds.provider=filesystem-nio2\n"
                    "jclouds.filesystem.basedir=%s\n" % (self.port, self.path("srv.p12"), KEY, SECRET, self.path("s3proxy")))
        self.spawn(["java", "-Xmx256m", "-jar", program(self.name), "--properties", self.path("s3proxy.properties")])


WRITER, WRITER_SECRET = "AKWRITERWRITER", "writerwriterwriter"
LOCKED = "coffer-locked"


class VersityFull(Versity):
    """With versions; with a bucket LOCKED that was made with object lock; and with a user who may do all in BUCKET but delete."""

    def start(self):
        for name in "versions", "iam":
            os.makedirs(self.path(name), exist_ok=True)
        self.options, self.posix_options = ["--iam-dir", self.path("iam")], ["--versioning-dir", self.path("versions")]
        super().start()
        subprocess.run([program(self.name), "admin", "--region", REGION, "--access", KEY, "--secret", SECRET, "--endpoint-url", self.endpoint, "--allow-insecure", "create-user",
                        "--access", WRITER, "--secret", WRITER_SECRET, "--role", "user"], check=True, stdout=subprocess.DEVNULL)
        c = self.client()
        c.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True, CreateBucketConfiguration={"LocationConstraint": REGION})
        c.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": WRITER, "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "arn:aws:s3:::%s/*" % BUCKET},
            {"Effect": "Allow", "Principal": WRITER, "Action": ["s3:ListBucket"], "Resource": "arn:aws:s3:::" + BUCKET}]}))

    def client(self):
        return client(self.endpoint, self.path("ca.pem"))


def client(endpoint, ca):
    """Of all rights; another program than ours."""
    import botocore.config
    import botocore.session
    config = botocore.config.Config(s3={"addressing_style": "path"})
    return botocore.session.Session().create_client("s3", region_name=REGION, endpoint_url=endpoint, verify=ca, aws_access_key_id=KEY, aws_secret_access_key=SECRET, config=config)
