#!/usr/bin/python3
"""The Vault provider against a real OpenBao server, straight and through a proxy that misbehaves: tests/kms/kms_try does the calls.

In the build directory, with the network of a namespace: test_bao.py -v
"""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bao as bao_module  # noqa: E402
from trying import Answer, Try, TRY  # noqa: E402

PROXY = os.path.join(bao_module.HERE, "fault_proxy.py")


def policy(*keys):
    return "\n".join('path "transit/%s/%s" { capabilities=["update"] }' % (op, k) for k in keys for op in ("encrypt", "decrypt"))


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = tempfile.mkdtemp(prefix="coffer-bao.")
        cls.addClassCleanup(shutil.rmtree, cls.d, True)
        cls.bao = b = bao_module.Bao(cls.d)
        b.start()
        cls.addClassCleanup(b.stop)
        b.must("POST", "sys/mounts/transit", {"type": "transit"})
        b.must("POST", "sys/auth/approle", {"type": "approle"})
        b.must("POST", "sys/auth/jwt", {"type": "jwt"})

    def setUp(self):
        self.tries = []
        self.key = "k%d" % next(Case.numbers)
        self.wrapped = os.path.join(self.d, self.key + ".wrapped")
        self.bao.must("POST", "transit/keys/" + self.key, {"type": "aes256-gcm96"})
        self.allow(self.key)
        self.login()

    def tearDown(self):
        for t in self.tries:
            t.close()

    numbers = iter(range(1, 1000))

    def allow(self, *keys):
        self.bao.must("PUT", "sys/policies/acl/" + self.key, {"policy": policy(*keys) or "# nothing\n"})

    def login(self, **role):
        b = self.bao
        b.must("POST", "auth/approle/role/" + self.key, dict({"token_policies": self.key, "token_ttl": "600s"}, **role))
        self.role_id = b.must("GET", "auth/approle/role/%s/role-id" % self.key)["data"]["role_id"]
        secret = b.must("POST", "auth/approle/role/%s/secret-id" % self.key, {})["data"]
        self.secret_accessor = secret["secret_id_accessor"]
        b.write(self.key + ".secret-id", secret["secret_id"] + "\n")
        self.settings = ["ca-file=" + b.path("ca.pem"), "auth=approle:" + self.role_id,
                         "credentials=file:" + b.path(self.key + ".secret-id")]

    def attempt(self, *more, uri=None, port=None, settings=None, **how):
        t = Try(uri or "hcvault://localhost:%d/transit/keys/%s" % (port or self.bao.port, self.key),
                *(self.settings if settings is None else settings), *more, **how)
        self.tries.append(t)
        return t

    def wrapped_by(self, t):
        a = t("wrap", self.wrapped)
        self.assertEqual("OK", a.kind, a.line)
        self.assertEqual("version vault:v1", a.message)
        return a

    def said(self, a, kind, text=""):
        self.assertEqual(kind, a.kind, a.line)
        self.assertIn(text, a.message)
        return a

    def ok(self, t):
        return self.said(t("unwrap", self.wrapped), "OK")


class Keys(Case):
    """What a key's owner can do, seen by the very next call."""

    def test_wrap_unwrap_and_nothing_for_another_tenant(self):
        t = self.attempt()
        self.said(t("prepare"), "OK")
        self.wrapped_by(t)
        a = self.ok(t)
        self.assertRegex(a.id, "^[0-9a-f-]{36}$")
        self.assertRegex(a.credential, "^approle accessor=[A-Za-z0-9]+$")
        self.assertEqual((200, 1), (a.http, a.attempts))
        self.said(t("other", self.wrapped), "CORRUPT", "message authentication failed")

    def test_a_derived_key_binds_too(self):
        self.bao.must("POST", "transit/keys/%s-d" % self.key, {"type": "aes256-gcm96", "derived": True})
        self.key += "-d"
        self.allow(self.key)
        self.login()
        t = self.attempt()
        self.said(t("prepare"), "OK")
        self.wrapped_by(t)
        self.ok(t)
        self.said(t("other", self.wrapped), "CORRUPT")

    def test_init_never_makes_a_key_at_the_kms(self):
        t = self.attempt(uri="hcvault://localhost:%d/transit/keys/absent" % self.bao.port,
                         settings=["ca-file=" + self.bao.path("ca.pem"), "credentials=file:" + self.bao.path("root-token")])
        self.said(t("prepare"), "REVOKED", "encryption key not found")
        self.assertEqual(404, self.bao.request("GET", "transit/keys/absent")[0])

    def test_deleted(self):
        t = self.attempt()
        self.wrapped_by(t)
        self.bao.must("POST", "transit/keys/%s/config" % self.key, {"deletion_allowed": True})
        self.bao.must("DELETE", "transit/keys/" + self.key)
        self.said(t("unwrap", self.wrapped), "REVOKED", "localhost:%d: answered 400: encryption key not found" % self.bao.port)

    def test_soft_deleted_and_restored(self):
        t = self.attempt()
        self.wrapped_by(t)
        self.bao.must("DELETE", "transit/keys/%s/soft-delete" % self.key)
        self.said(t("unwrap", self.wrapped), "REVOKED", "soft-deleted")
        self.said(t("wrap", self.wrapped + "2"), "REVOKED", "soft-deleted")
        self.bao.must("POST", "transit/keys/%s/soft-delete-restore" % self.key, {})
        self.ok(t)

    def test_min_decryption_version(self):
        t = self.attempt()
        self.wrapped_by(t)
        self.bao.must("POST", "transit/keys/%s/rotate" % self.key, {})
        self.ok(t)
        self.bao.must("POST", "transit/keys/%s/config" % self.key, {"min_decryption_version": 2})
        self.said(t("unwrap", self.wrapped), "REVOKED", "too old")
        self.said(t("prepare"), "OK")

    def test_policy_removed_and_back(self):
        t = self.attempt()
        self.wrapped_by(t)
        self.allow()
        a = self.said(t("unwrap", self.wrapped), "DENIED", "permission denied")
        self.assertEqual((403, 2), (a.http, a.attempts))  # once more with a new token
        self.assertRegex(a.id, "^[0-9a-f]{32}$")
        self.allow(self.key)
        self.ok(t)

    def test_sealed_and_unsealed(self):
        t = self.attempt("deadline=1500")
        self.wrapped_by(t)
        self.bao.must("PUT", "sys/seal")
        try:
            self.said(t("unwrap", self.wrapped), "TRANSIENT", "Vault is sealed")
        finally:
            self.bao.unseal()
        self.ok(t)

    def test_a_blob_that_was_changed(self):
        t = self.attempt()
        self.wrapped_by(t)
        for text in (b"garbage", b"vault:v1:AAAA", b"vault:v9:" + b"A" * 80):
            with open(self.wrapped, "wb") as f:
                f.write(text)
            self.said(t("unwrap", self.wrapped), "CORRUPT")

    def test_mount_of_the_configuration(self):
        self.bao.request("POST", "sys/mounts/team/other", {"type": "transit"})
        self.bao.must("POST", "team/other/keys/" + self.key, {})
        t = self.attempt("mount=team/other", settings=["ca-file=" + self.bao.path("ca.pem"),
                                                       "credentials=file:" + self.bao.path("root-token")])
        self.wrapped_by(t)
        self.said(self.attempt()("unwrap", self.wrapped), "CORRUPT")  # the other mount has another key of that name

    def test_no_trace_of_the_key_in_memory(self):
        t = self.attempt()
        self.wrapped_by(t)
        self.assertEqual("0 0", t.raw("search"))
        self.assertEqual("1 0", t.raw("held", self.wrapped))
        self.assertEqual("0 0", t.raw("search"))
        self.assertRegex(t.raw("many 64", self.wrapped), "^OK: 64 of 64 ")
        self.assertEqual("0 0", t.raw("search"))


class Memory(Case):
    def test_too_little_locked_memory_is_an_outage_and_no_crash(self):
        self.wrapped_by(self.attempt())
        seen = set()
        for kib in range(1060, 1600, 20):
            t = self.attempt(before=("setpriv", "--bounding-set=-ipc_lock", "prlimit", "--memlock=%d" % (kib * 1024)))
            a = t("unwrap", self.wrapped)
            # A CA file that does not fit is told as one that cannot be used: libcurl knows no difference.
            self.assertTrue(a.kind in ("OK", "TRANSIENT") or "CA file" in a.message, a.line)
            self.assertEqual(a.kind, t("unwrap", self.wrapped).kind)
            seen.add(a.kind)
        self.assertLessEqual({"OK", "TRANSIENT"}, seen)


class Logins(Case):
    def test_token_revoked_means_one_login(self):
        t = self.attempt()
        self.wrapped_by(t)
        first = self.ok(t).credential
        self.bao.must("POST", "auth/token/revoke-accessor", {"accessor": first.split("=")[1]})
        a = self.ok(t)
        self.assertNotEqual(first, a.credential)
        self.assertEqual(2, a.attempts)

    def test_secret_id_destroyed(self):
        t = self.attempt()
        self.wrapped_by(t)
        accessor = self.ok(t).credential.split("=")[1]
        self.bao.must("POST", "auth/approle/role/%s/secret-id-accessor/destroy" % self.key, {"secret_id_accessor": self.secret_accessor})
        self.ok(t)  # the token lives
        self.bao.must("POST", "auth/token/revoke-accessor", {"accessor": accessor})
        self.said(t("unwrap", self.wrapped), "AUTH", "invalid role or secret ID")
        secret = self.bao.must("POST", "auth/approle/role/%s/secret-id" % self.key, {})["data"]["secret_id"]
        self.bao.write(self.key + ".secret-id", secret)  # put in place while the agent runs
        self.ok(t)

    def test_wrong_role(self):
        t = self.attempt(settings=[self.settings[0], "auth=approle:nobody", self.settings[2]])
        self.said(t("prepare"), "AUTH", "invalid role or secret ID")

    def test_token_file(self):
        token = self.bao.must("POST", "auth/token/create", {"policies": [self.key], "ttl": "600s"})["auth"]
        self.bao.write("token-file", token["client_token"])
        t = self.attempt(settings=[self.settings[0], "credentials=file:" + self.bao.path("token-file")])
        self.wrapped_by(t)
        self.assertEqual("token accessor=" + token["accessor"], self.ok(t).credential)
        self.allow()
        self.said(t("unwrap", self.wrapped), "DENIED")  # the token says that it is valid
        self.allow(self.key)
        self.bao.must("POST", "auth/token/revoke-accessor", {"accessor": token["accessor"]})
        self.said(t("unwrap", self.wrapped), "AUTH")
        token = self.bao.must("POST", "auth/token/create", {"policies": [self.key], "ttl": "600s"})["auth"]
        self.bao.write("token-file", token["client_token"])
        self.ok(t)

    def test_token_that_may_not_look_at_itself(self):
        token = self.bao.must("POST", "auth/token/create", {"policies": [self.key], "ttl": "600s", "no_default_policy": True})["auth"]
        t = self.attempt(settings=[self.settings[0]], env={"BAO_TOKEN": token["client_token"]})
        self.wrapped_by(t)
        self.allow()
        self.said(t("unwrap", self.wrapped), "DENIED")

    def test_no_token_at_all(self):
        self.said(self.attempt(settings=[self.settings[0]])("prepare"), "CONFIG", "no token")
        a = self.attempt(settings=[self.settings[0]], env={"VAULT_TOKEN": "s.wrong"})("prepare")
        self.said(a, "AUTH", "permission denied")
        self.assertNotIn("s.wrong", a.line)

    def test_renewed_at_two_thirds(self):
        self.login(token_ttl="6s", token_max_ttl="600s")
        t = self.attempt()
        self.wrapped_by(t)
        first = self.ok(t).credential
        end = time.monotonic() + 9  # one and a half leases
        while time.monotonic() < end:
            self.assertEqual(first, self.ok(t).credential)
            time.sleep(0.3)

    def test_logs_in_when_a_lease_comes_to_its_end(self):
        self.login(token_ttl="3s", token_max_ttl="4s")
        t = self.attempt()
        self.wrapped_by(t)
        first, end = self.ok(t).credential, time.monotonic() + 60
        while self.ok(t).credential == first:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.3)
        self.ok(t)

    def jwt(self, **claims):
        def b64(p):
            return base64.urlsafe_b64encode(p).rstrip(b"=")
        key = self.bao.path("jwt.key")
        if not os.path.exists(key):
            bao_module.openssl(self.d, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
            bao_module.openssl(self.d, "pkey", "-in", key, "-pubout", "-out", "jwt.pub")
            self.bao.must("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [self.bao.read("jwt.pub")]})
        now = int(time.time())
        head = b64(json.dumps({"alg": "RS256", "typ": "JWT"}).encode()) + b"." + b64(json.dumps(dict(
            {"sub": "system:serviceaccount:coffer:agent", "aud": "vault", "iat": now, "nbf": now - 5, "exp": now + 600}, **claims)).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=head, check=True, stdout=subprocess.PIPE).stdout
        return (head + b"." + b64(signature)).decode()

    def test_a_service_account_logs_in(self):
        """The wire of auth/kubernetes/login, answered by the JWT method: no cluster is needed to check the signature."""
        self.bao.write("jwt", self.jwt())
        os.chmod(self.bao.path("jwt"), 0o644)  # as pods have it
        self.bao.must("POST", "auth/jwt/role/coffer", {"role_type": "jwt", "bound_audiences": ["vault"], "user_claim": "sub",
                                                       "bound_subject": "system:serviceaccount:coffer:agent",
                                                       "token_policies": [self.key], "token_ttl": "600s"})
        t = self.attempt(settings=[self.settings[0], "auth=kubernetes@jwt:coffer", "credentials=file:" + self.bao.path("jwt")])
        self.wrapped_by(t)
        accessor = self.ok(t).credential
        self.assertRegex(accessor, "^jwt accessor=")
        self.bao.write("jwt", self.jwt(sub="system:serviceaccount:other:agent"))  # read anew at each login
        self.ok(t)
        self.bao.must("POST", "auth/token/revoke-accessor", {"accessor": accessor.split("=")[1]})
        self.said(t("unwrap", self.wrapped), "AUTH")
        self.bao.write("jwt", self.jwt())
        self.ok(t)


class Wire(Case):
    """What happens on the way."""

    def proxy(self, *args):
        for name in "proxy-port", "fault", "requests":
            if os.path.exists(self.bao.path(name)):
                os.unlink(self.bao.path(name))
        p = subprocess.Popen([sys.executable, PROXY, self.d, str(self.bao.port), *args], stdin=subprocess.DEVNULL)
        self.addCleanup(p.wait)
        self.addCleanup(p.send_signal, signal.SIGKILL)
        end = time.monotonic() + 60
        while not os.path.exists(self.bao.path("proxy-port")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        return int(self.bao.read("proxy-port"))

    def fault(self, text):
        with open(self.bao.path("fault.new"), "w") as f:
            f.write(text)
        os.rename(self.bao.path("fault.new"), self.bao.path("fault"))

    def through(self, *more):
        t = self.attempt(*more, port=self.proxy())
        self.wrapped_by(t)
        return t

    def requests(self):
        return self.bao.read("requests").splitlines()

    def test_only_tls_13(self):
        port = self.proxy("srv", "tls12")
        a = self.said(self.attempt(port=port)("prepare"), "TRANSIENT", "localhost:%d: " % port)
        self.assertIn("TLS 1.3", a.message)
        self.assertEqual(1, a.alarm)

    def test_a_real_server_of_tls_12(self):
        d = tempfile.mkdtemp(prefix="coffer-bao.")
        self.addCleanup(shutil.rmtree, d, True)
        b = bao_module.Bao(d)
        self.addCleanup(b.stop)
        b.start("tls12")
        t = self.attempt(port=b.port, settings=["ca-file=" + b.path("ca.pem"), *self.settings[1:]])
        self.said(t("prepare"), "TRANSIENT", "does not speak TLS 1.3")

    def test_unknown_authority(self):
        a = self.said(self.attempt(settings=self.settings[1:])("prepare"), "TRANSIENT", "authority that is not trusted")
        self.assertEqual((1, 1), (a.alarm, self.attempt(settings=self.settings[1:])("prepare").alarm))

    def test_environment_trusts_nobody(self):
        env = {"SSL_CERT_FILE": self.bao.path("ca.pem"), "CURL_CA_BUNDLE": self.bao.path("ca.pem"), "https_proxy": "http://127.0.0.1:9",
               "SSLKEYLOGFILE": self.bao.path("sslkeys")}
        self.said(self.attempt(settings=self.settings[1:], env=env)("prepare"), "TRANSIENT", "authority that is not trusted")
        self.said(self.attempt(env=env)("prepare"), "OK")
        self.assertFalse(os.path.exists(self.bao.path("sslkeys")))

    def test_wrong_name(self):
        port = self.proxy("other")
        self.assertEqual(1, self.said(self.attempt(port=port)("prepare"), "TRANSIENT", "for another name").alarm)

    def test_ca_file_that_is_none(self):
        for path in self.bao.path("absent.pem"), self.bao.path("root-token"):
            t = self.attempt(settings=["ca-file=" + path, *self.settings[1:]])
            self.said(t("prepare"), "CONFIG", "CA file")

    def test_nobody_there(self):
        port = bao_module.free_port()
        a = self.said(self.attempt("deadline=3000", port=port)("prepare"), "TRANSIENT", "localhost:%d: no connection: Connection refused" % port)
        self.assertEqual(0, a.alarm)

    def test_name_that_is_not_known(self):
        t = self.attempt("deadline=2000", uri="hcvault://nobody.invalid/transit/keys/k")
        self.said(t("prepare"), "TRANSIENT", "cannot be resolved")

    def test_a_name_server_that_hangs_does_not_hold_up_the_deadline(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 53))
            self.bao.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:20\n")
            t = self.attempt("deadline=1000", uri="hcvault://vault.example/transit/keys/k", before=(
                "unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"', "sh", self.bao.path("resolv.conf")))
            start = time.monotonic()
            self.said(t("prepare"), "TRANSIENT", "no answer in time")
            self.assertLess(time.monotonic() - start, 15)
            self.assertTrue(s.recv(512))

    def test_plain_http(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            def serve():
                c, _ = s.accept()
                c.recv(100)
                c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                c.close()
            thread = threading.Thread(target=serve)
            thread.start()
            self.said(self.attempt(port=s.getsockname()[1])("prepare"), "TRANSIENT", "does not speak TLS")
            thread.join()

    def test_hangs(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            start = time.monotonic()
            self.said(self.attempt("deadline=1000", port=s.getsockname()[1])("prepare"), "TRANSIENT", "no answer in time")
            self.assertGreaterEqual(time.monotonic() - start, 0.9)

    def test_slow_within_the_deadline(self):
        t = self.through()
        self.fault("slow 0.7")
        self.assertGreaterEqual(self.ok(t).ms, 700)

    def test_slow_beyond_the_deadline(self):
        t = self.through("deadline=600")
        self.fault("slow 3")
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "no answer in time")
        self.fault("")
        self.ok(t)

    def test_503_is_tried_again(self):
        t = self.through()
        self.fault("times 2 status 503")
        self.assertEqual(3, self.ok(t).attempts)
        self.fault("status 503")
        a = self.said(t("unwrap", self.wrapped), "TRANSIENT", "answered 503")
        self.assertEqual((503, 4), (a.http, a.attempts))

    def test_retry_after_is_obeyed(self):
        t = self.through()
        self.fault("times 1 status 429 Retry-After: 1")
        start = time.monotonic()
        self.assertEqual(2, self.ok(t).attempts)
        self.assertGreaterEqual(time.monotonic() - start, 1)
        self.fault("status 429 Retry-After: 3600")
        self.assertEqual(1, self.said(t("unwrap", self.wrapped), "THROTTLED").attempts)

    def test_dropped_and_cut(self):
        t = self.through()
        for what in "times 2 drop", "times 2 half":
            self.fault(what)
            self.assertLessEqual(2, self.ok(t).attempts)
        self.fault("half")
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "lost")

    def test_breaker(self):
        t = self.through()
        self.fault("status 404 x: y")  # an answer: keeps it closed
        for _ in range(6):
            self.said(t("unwrap", self.wrapped), "DENIED")
        self.fault("status 503 Retry-After: 3600")
        for _ in range(5):
            self.said(t("unwrap", self.wrapped), "TRANSIENT", "answered 503")
        before = len(self.requests())
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "not asked")
        self.assertEqual(before, len(self.requests()))
        self.fault("")
        end = time.monotonic() + 60
        while t("unwrap", self.wrapped).kind != "OK":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.2)

    def test_redirect_is_refused(self):
        t = self.through()
        self.fault("redirect https://localhost:%d/v1/transit/decrypt/%s" % (self.bao.port, self.key))
        a = self.said(t("unwrap", self.wrapped), "TRANSIENT", "redirect")
        self.assertEqual((307, 1, 1), (a.http, a.alarm, a.attempts))

    def test_too_large(self):
        t = self.through()
        self.fault("big 65536")
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "not Transit's")
        self.fault("big 65537")
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "larger than is allowed")

    def test_garbage(self):
        t = self.through()
        for body, kind, alarm in (("200 {}", "TRANSIENT", 1), ("200 garbage", "TRANSIENT", 1), ("403 <html>log in</html>", "TRANSIENT", 1),
                                  ('200 {"data":{"plaintext":"QUJD"}}', "CORRUPT", 0), ('400 {"errors":["new"]}', "DENIED", 0)):
            self.fault("body " + body)
            self.assertEqual((kind, alarm), (lambda a: (a.kind, a.alarm))(t("unwrap", self.wrapped)), body)

    def test_a_wrong_key_is_noticed_at_wrap(self):
        t = self.through()
        self.fault('body 200 {"data":{"plaintext":"%s"}}' % base64.b64encode(bytes(32)).decode())
        self.said(t("wrap", self.wrapped + "2"), "TRANSIENT")  # no ciphertext in it
        self.assertFalse(os.path.exists(self.wrapped + "2"))

    def test_the_connection_is_kept_and_goes_to_one_tenant(self):
        t = self.through()
        self.requests()
        self.ok(t)
        last = self.requests()[-1]
        for name in "X-Vault-Token", "X-Vault-Request", "X-Correlation-Id":
            self.assertIn(name, last)
        self.assertNotIn("Cookie", last)

    def test_namespace(self):
        t = self.through()
        self.assertNotIn("X-Vault-Namespace", self.requests()[-1])
        self.attempt("namespace=team", port=int(self.bao.read("proxy-port")))("prepare")
        self.assertIn("X-Vault-Namespace", self.requests()[-1])
        self.ok(t)

    def test_endpoint_of_the_configuration_gets_the_token(self):
        port = self.proxy()
        t = self.attempt("endpoint=https://localhost:%d/" % port, uri="hcvault://nobody.invalid/transit/keys/" + self.key)
        self.wrapped_by(t)
        self.assertTrue(self.requests())

    def test_through_a_proxy(self):
        """One that is configured; it sees a CONNECT and then nothing but TLS."""
        seen = []

        def pump(a, b):
            try:
                while data := a.recv(65536):
                    seen.append(data)
                    b.sendall(data)
            except OSError:
                pass
            b.close()

        def serve(s):
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += c.recv(1)
                seen.append(head)
                to = socket.create_connection(("127.0.0.1", self.bao.port))
                c.sendall(b"HTTP/1.1 200 ok\r\nRetry-After: 9\r\n\r\n")
                for pair in (c, to), (to, c):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

        s = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=serve, args=(s,), daemon=True).start()
        t = self.attempt("proxy=http://127.0.0.1:%d" % s.getsockname()[1])
        self.wrapped_by(t)
        self.ok(t)
        s.close()
        self.assertTrue(seen[0].startswith(b"CONNECT localhost:%d HTTP/1.1" % self.bao.port), seen[0])
        for secret in b"X-Vault-Token", b"vault:v1", b"transit":
            self.assertNotIn(secret, b"".join(seen))

    def test_what_the_authorities_of_the_system_cost_in_locked_memory(self):
        t = self.attempt(settings=self.settings[1:])
        self.assertEqual("TRANSIENT", t("prepare").kind)
        with open("/proc/%d/status" % t.p.pid) as f:
            locked = int(re.search(r"VmLck:\s*(\d+)", f.read())[1])
        self.assertLess(locked, 16 * 1024, "VmLck in KiB; the agent asks for 64 MiB")

    def test_eight_threads_log_in_once(self):
        t = self.through()
        t.raw("forget")
        before = len([r for r in self.requests() if "/login" in r])
        self.assertRegex(t.raw("many 64", self.wrapped), "^OK: 64 of 64 ")
        self.assertEqual(before + 1, len([r for r in self.requests() if "/login" in r]))


class Stopped(Case):
    def test_stopped(self):
        t = self.attempt("deadline=2000")
        self.wrapped_by(t)
        self.bao.stop()
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "no connection")


if __name__ == "__main__":
    unittest.main()
