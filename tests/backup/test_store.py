#!/usr/bin/python3
"""Stores in real S3 servers, straight and through proxies that misbehave: tests/backup/store_try does the calls.

In the build directory, with the network of a namespace: test_store.py -v
"""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3  # noqa: E402
import s3_proxy  # noqa: E402

TRY = os.path.join(os.environ.get("top_builddir", "."), "tests/backup/store_try")
MIB = 1 << 20
INTERNAL = "<Error><Code>InternalError</Code><Message>made by the test</Message></Error>"
SLOW_DOWN = "<Error><Code>SlowDown</Code><Message>made by the test</Message></Error>"


class Answer:
    def __init__(self, line):
        m = re.fullmatch(r"(\w+) status=(\d+) attempts=(\d+) code=(\S*) id=(\S*) out=(\d+): (.*)", line)
        if m is None:
            raise AssertionError("no answer: " + line)
        self.r, self.code, self.id, self.message = m[1], m[4], m[5], m[7]
        self.status, self.attempts, self.out = int(m[2]), int(m[3]), int(m[6])
        self.names = []


class Try:
    def __init__(self, uri, *settings, env=None):
        env = dict({k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, AWS_EC2_METADATA_DISABLED="true", HOME="/nonexistent", **(env or {}))
        self.p = subprocess.Popen([TRY, uri, *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.opened = self.answer()

    def answer(self):
        names = []
        while (line := self.p.stdout.readline()).startswith("- "):
            names.append(line.split()[1])
        a = Answer(line.rstrip("\n"))
        a.names = names
        return a

    def send(self, *words):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.p.stdin.flush()

    def __call__(self, *words):
        self.send(*words)
        return self.answer()

    def close(self):
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait()


class Base:
    Kind = None
    BIG = 37 * MIB + 1  # three parts
    KILLS = 6

    @classmethod
    def setUpClass(cls):
        cls.d = tempfile.mkdtemp(prefix="coffer-store.")
        cls.addClassCleanup(shutil.rmtree, cls.d, True)
        s3.bao_module.make_ca(cls.d)
        cls.server = cls.Kind(cls.d)
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()
        cls.files = {}
        for name, size in ("empty", 0), ("small", 5), ("one", MIB), ("big", cls.BIG), ("big2", cls.BIG):
            cls.files[name] = os.path.join(cls.d, name + ".bin")
            with open(cls.files[name], "wb") as f:
                f.write(os.urandom(size))

    numbers = iter(range(1, 1000))

    def setUp(self):
        self.opened = []
        self.prefix = "t%d" % next(Base.numbers)
        self.out = os.path.join(self.d, "out")

    def tearDown(self):
        for x in self.opened:
            x.close()

    def settings(self, port=None, **other):
        s = {"endpoint": "https://localhost:%d" % (port or self.server.port), "ca-file": self.d + "/ca.pem", "region": s3.REGION,
             "key-id": s3.KEY, "key-secret": s3.SECRET}
        s.update({k.replace("_", "-"): v for k, v in other.items()})
        return ["%s=%s" % kv for kv in s.items() if kv[1] is not None]

    def open(self, port=None, bucket=s3.BUCKET, env=None, **other):
        t = Try("s3://%s/%s" % (bucket, self.prefix), *self.settings(port, **other), env=env)
        self.opened.append(t)
        self.assertEqual("ok", t.opened.r, t.opened.message)
        return t

    def faults(self, **kw):
        f = s3_proxy.Faults(self.d, self.server.port, **kw)
        self.opened.append(f)
        return f

    def said(self, answer, r, *texts):
        self.assertEqual(r, answer.r, answer.message)
        for text in texts:
            self.assertIn(text, answer.message)
        self.assertNotIn(s3.SECRET, answer.message)
        return answer

    def bytes_of(self, name):
        with open(self.files[name], "rb") as f:
            return f.read()

    def holds(self, t, name, *files):
        """The object has the bytes of one of these files. Of a client that was killed the server may do the last request while we read, and we are told so."""
        for _ in range(5):
            a = t("get", name, 0, 64 * MIB, self.out)
            if "it was replaced meanwhile" not in a.message:
                break
        self.said(a, "ok")
        with open(self.out, "rb") as f:
            data = f.read()
        self.assertTrue(any(data == self.bytes_of(x) for x in files), "%s: %d other bytes" % (name, len(data)))

    # --- all calls ---

    def test_what_is_put_is_got(self):
        t = self.open()
        for name in self.files:
            self.said(t("put", "d/" + name, self.files[name]), "ok")
            self.assertEqual(os.path.getsize(self.files[name]), t("head", "d/" + name).out)
            self.holds(t, "d/" + name, name)
        data = self.bytes_of("big")
        for off, size in (0, 1), (1, 2), (16 * MIB - 1, 2), (16 * MIB, 20 * MIB), (self.BIG - 1, 10), (self.BIG, 1), (50 * MIB, 1):
            a = self.said(t("get", "d/big", off, size, self.out), "ok")
            with open(self.out, "rb") as f:
                self.assertEqual(data[off:off + size], f.read())
            self.assertEqual(len(data[off:off + size]), a.out)
        self.assertEqual(["d/" + x for x in sorted(self.files)], sorted(t("list").names))
        self.assertEqual(["d/big", "d/big2"], sorted(t("list", "d/bi").names))
        self.said(t("delete", "d/big"), "ok")
        self.said(t("delete", "d/big"), "ok")
        self.said(t("head", "d/big"), "ENOENT", "d/big: not found")
        self.said(t("get", "d/big", 0, 1, self.out), "ENOENT")
        self.assertEqual(0, t("list", "none/").out)

    def test_puts_with_a_condition_replace_nothing(self):
        t = self.open()
        self.said(t("check"), "ok")
        self.said(t("putx", "x", self.files["small"]), "ok")
        self.said(t("putx", "x", self.files["one"]), "EEXIST", "PreconditionFailed")
        self.holds(t, "x", "small")
        self.assertEqual(["x"], t("list").names)  # and not what the check put

    def test_lists_have_many_pages(self):
        t = self.open()
        root = os.path.join(self.d, self.Kind.name if self.Kind is s3.S3proxy else "versity", s3.BUCKET, self.prefix, "p")
        os.makedirs(root)
        want = ["p/%04d" % i for i in range(2100)]
        for name in want:
            with open(os.path.join(root, name[2:]), "w"):
                pass
        self.assertEqual(want, sorted(t("list").names))

    def test_threads_put_and_get_at_once(self):
        self.said(self.open()("many", "m", 60, 200000, 6), "ok")

    # --- what is refused ---

    def test_wrong_credentials_are_told(self):
        a = self.said(self.open(key_secret="wrong")("put", "x", self.files["small"]), "EACCES", "SignatureDoesNotMatch", "the secret key is wrong")
        self.assertEqual((1, 403), (a.attempts, a.status))
        self.said(self.open(key_id="AKNOBODY")("list"), "EACCES", "there is no such access key")

    def test_credentials_and_places_come_from_the_environment_and_files(self):
        keys = {"AWS_ACCESS_KEY_ID": s3.KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET}
        none = {"key_id": None, "key_secret": None}
        where = {"AWS_ENDPOINT_URL_S3": self.server.endpoint, "AWS_REGION": s3.REGION}
        self.said(self.open(env=keys, credentials="env", **none)("list"), "ok")
        self.said(self.open(env=dict(keys, **where), endpoint=None, region=None, **none)("list"), "ok")
        self.said(self.open(**none)("list"), "EACCES", "no credentials")
        path = os.path.join(self.d, "credentials")

        def write(key):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n" % (key, s3.SECRET))
        write("AKNOBODY")
        t = self.open(credentials="file:" + path, **none)
        self.said(t("put", "x", self.files["small"]), "EACCES", "there are no others")
        write(s3.KEY)
        self.said(t("put", "x", self.files["small"]), "ok")
        self.holds(t, "x", "small")

    def test_a_bucket_that_is_not_there_is_told(self):
        t = self.open(bucket="no-such-bucket")
        self.said(t("put", "x", self.files["small"]), "ENODEV", "there is no such bucket")
        self.said(t("list"), "ENODEV")

    def test_a_wrong_clock_is_learned(self):
        t = self.open(clock=-3000)
        self.assertEqual(2, self.said(t("put", "x", self.files["small"]), "ok").attempts)
        self.assertEqual(1, self.said(t("put", "x", self.files["small"]), "ok").attempts)
        self.said(self.open(clock=86400 * 2)("list"), "ok")

    def test_old_tls_and_other_authorities_are_refused(self):
        f = self.faults(tls12=True)
        a = self.said(self.open(f.port)("list"), "EPROTO", "does not speak TLS 1.3")
        self.assertEqual(1, a.attempts)
        self.said(self.open(ca_file="/etc/ssl/certs/ca-certificates.crt")("list"), "EPROTO", "not trusted here")
        self.said(self.open(ca_file="/nonexistent")("list"), "EINVAL", "CA file")

    # --- faults on the way ---

    def test_what_passes_is_tried_again(self):
        f = self.faults()
        t = self.open(f.port)
        for what in (("status", 500), ("status", 500, (), INTERNAL), ("status", 503, (), SLOW_DOWN), ("status", 429), ("drop",), ("lost",),
                     ("answer", 502, "<html>")):
            f.clear()
            f.fault("^(PUT|GET)", 2, *what)
            # On a connection that was kept libcurl itself tries once more.
            self.assertGreaterEqual(self.said(t("put", "x", self.files["small"]), "ok").attempts, 2)
            f.fault("^(PUT|GET|DELETE)", 1, *what)
            self.assertEqual(1, self.said(t("list"), "ok").out)
            f.fault("^(PUT|GET|DELETE)", 1, *what)
            self.holds(t, "x", "small")
            f.fault("^(PUT|GET|DELETE)", 1, *what)
            self.said(t("delete", "x"), "ok")
            self.assertEqual(0, f.left())
        f.fault("PUT", 1, "reset")
        self.said(t("put", "x", self.files["one"]), "ok")
        start = time.monotonic()
        f.fault("PUT", 1, "status", 503, [("Retry-After", "2")])
        self.assertEqual(2, self.said(t("put", "x", self.files["small"]), "ok").attempts)
        self.assertGreaterEqual(time.monotonic() - start, 2)

    def test_what_is_final_is_not(self):
        f = self.faults()
        t = self.open(f.port)
        for status, body, r, text in ((403, "<Error><Code>AccessDenied</Code></Error>", "EACCES", "may not do this"), (403, "", "EACCES", "403"),
                                      (501, "", "EOPNOTSUPP", ""), (507, "", "ENOSPC", ""), (302, "", "EPROTO", "302"),
                                      (400, "<Error><Code>EntityTooLarge</Code><Message>made by &lt;us&gt;</Message></Error>", "EPROTO", "made by <us>")):
            f.clear()
            f.fault("PUT", 1, "status", status, (), body)
            self.assertEqual(1, self.said(t("put", "x", self.files["small"]), r, text).attempts)

    def test_what_is_missing_and_may_not_be_seen_is_missing(self):
        """AWS's 403, where ListBucket is given below a prefix alone."""
        f = self.faults()
        t = self.open(f.port)
        self.said(t("put", "there", self.files["small"]), "ok")
        for body in "<Error><Code>AccessDenied</Code></Error>", "":
            f.clear()
            f.fault("(GET|HEAD) [^?]*/(there|none)$", 99, "status", 403, (), body)
            for name, r in ("none", "ENOENT"), ("there", "EACCES"):
                self.said(t("head", name), r, name)
                self.said(t("get", name, 0, 10, self.out), r, name)
        f.fault("GET [^?]*[?]", 99, "status", 403, (), "<Error><Code>AccessDenied</Code></Error>")  # nor may it list
        self.said(t("head", "none"), "EACCES", "none")

    def test_answers_that_are_cut_or_changed_are_noticed(self):
        f = self.faults()
        t = self.open(f.port)
        self.said(t("put", "x", self.files["big"]), "ok")
        f.fault("GET", 1, "cut", 100)
        f.fault("GET", 1, "cut", 9 * MIB)
        self.holds(t, "x", "big")
        self.assertEqual(0, f.left())
        f.fault("PUT", 1, "corrupt")
        self.said(t("put", "x", self.files["one"]), "ok")
        self.assertEqual(0, f.left())
        self.holds(t, "x", "one")
        # A success of which somebody on the way, or the server after all, says that it was none.
        f.fault("PUT", 1, "status", 200, (), INTERNAL)
        self.said(t("put", "x", self.files["small"]), "ok")
        self.assertEqual(0, f.left())
        self.holds(t, "x", "small")
        f.fault("PUT", 1, "status", 200, (), "<html>please log in</html>")
        self.said(t("put", "x", self.files["one"]), "EPROTO", "makes no sense")
        self.said(t("put", "x", self.files["one"]), "ok")
        f.fault("GET", 1, "status", 200, (), "something else entirely, from a cache")
        self.said(t("get", "x", 5, 10, self.out), "EPROTO", "makes no sense")
        f.fault("GET", 1, "status", 200, (), "<ListBucketResult><Contents>")
        self.said(t("list"), "EPROTO", "makes no sense")

    def test_a_lost_answer_does_not_lose_a_condition(self):
        f = self.faults()
        t = self.open(f.port)
        self.said(t("check"), "ok")
        f.fault("PUT", 1, "lost")
        self.said(t("putx", "x", self.files["small"]), "ok")
        f.fault("PUT", 1, "lost")
        self.said(t("putx", "x", self.files["one"]), "EEXIST")
        self.holds(t, "x", "small")
        self.assertEqual(0, f.left())

    PART_FAULTS = (("POST.*uploads=", ("status", 500)), ("POST.*uploads=", ("lost",)), ("PUT.*partNumber=2", ("drop",)), ("PUT.*partNumber=3", ("lost",)),
                   ("POST.*uploadId", ("status", 200, (), INTERNAL)), ("POST.*uploadId", ("lost",)), ("POST.*uploadId", ("answer", 200, INTERNAL)),
                   ("PUT.*partNumber=2", ("status", 404, (), "<Error><Code>NoSuchUpload</Code></Error>")))

    def test_uploads_in_parts_get_past_faults(self):
        f = self.faults()
        t = self.open(f.port)
        for match, what in self.PART_FAULTS:
            f.clear()
            f.fault(match, 1, *what)
            self.said(t("put", "x", self.files["big"]), "ok")
            self.assertEqual(0, f.left(), match)
            self.holds(t, "x", "big")
            self.said(t("put", "x", self.files["small"]), "ok")
        f.fault("POST.*uploadId", 1, "status", 200, (), "<html>something else</html>")
        self.said(t("put", "x", self.files["big"]), "EPROTO", "makes no sense")
        self.holds(t, "x", "small")

    def test_a_server_that_ignores_conditions_is_found_out(self):
        f = self.faults()
        f.fault("PUT", 9, "status", 200)
        t = self.open(f.port)
        for _ in range(2):
            self.said(t("putx", "x", self.files["small"]), "EOPNOTSUPP", "ignores conditions")
        self.assertEqual(7, f.left())
        self.said(t("get", "x", 0, 9, self.out), "ENOENT")

    def test_connections_are_used_again(self):
        f = self.faults()
        t = self.open(f.port)
        for _ in range(10):
            self.said(t("put", "x", self.files["small"]), "ok")
        self.assertEqual(1, f.server.connections)

    def test_uploads_keep_to_their_limit(self):
        t = self.open(limit_upload="1M")
        start = time.monotonic()
        for _ in range(4):
            self.said(t("put", "x", self.files["one"]), "ok")
        self.assertGreaterEqual(time.monotonic() - start, 1.9)  # the first second is free, the last put is a debt

    def test_of_two_writers_at_least_one_wins(self):
        # Both servers look first and put then: now and then both writers win. Google's stand-in, below, does not.
        self.said(self.open()("race", "r", 40, 5000), "ok")

    # --- kills ---

    def test_a_put_that_is_killed_leaves_nothing_half(self):
        look = self.open()
        self.said(look("put", "x", self.files["big"]), "ok")
        for n in range(self.KILLS):
            t = self.open()
            t.send("put", "x", self.files["big2" if n % 2 == 0 else "big"])
            time.sleep(random.random() * 0.4)
            t.p.kill()
            t.p.wait()
            self.holds(look, "x", "big", "big2")
        self.said(look("sweep", 86400), "ok")
        self.said(look("sweep", 0), "ok")
        self.assertEqual(0, self.said(look("sweep", 0), "ok").out)
        self.holds(look, "x", "big", "big2")
        self.assertEqual(["x"], look("list").names)


class Versity(Base, unittest.TestCase):
    Kind = s3.Versity

    def test_parts_of_a_killed_put_are_swept(self):
        f = self.faults()
        t = self.open(f.port)
        f.fault("POST.*uploadId", 1, "status", 403)  # neither completed nor given up
        f.fault("DELETE", 1, "status", 403)
        self.said(t("put", "x", self.files["big"]), "EACCES")
        self.assertEqual(0, self.said(t("sweep", 86400), "ok").out)
        self.assertEqual(1, self.said(t("sweep", 0), "ok").out)
        self.said(t("head", "x"), "ENOENT")

    def test_a_server_that_is_gone_is_told_soon(self):
        a = self.said(self.open(s3.bao_module.free_port())("list"), "ECONNREFUSED", "no connection")
        self.assertGreater(a.attempts, 2)

    def test_google_is_spoken_to_in_its_own_words(self):
        ext = os.path.join(self.d, "google-ext")
        with open(ext, "w") as f:
            f.write("basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:storage.googleapis.com\n")
        ssl = s3.bao_module.openssl
        ssl(self.d, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "g.key", "-out", "g.csr", "-subj", "/CN=g")
        ssl(self.d, "x509", "-req", "-in", "g.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", ext, "-out", "g.pem")
        google = s3_proxy.google(self.d + "/g.pem", self.d + "/g.key", s3.KEY, s3.SECRET)
        proxy = s3_proxy.connect_proxy(google.port)
        where = {"endpoint": "https://storage.googleapis.com", "region": "auto", "proxy": "http://127.0.0.1:%d" % proxy.port}
        t = self.open(**where)
        self.said(t("putx", "a/b", self.files["small"]), "ok")
        self.said(t("putx", "a/b", self.files["one"]), "EEXIST")
        self.holds(t, "a/b", "small")
        self.said(t("put", "a/b", self.files["one"]), "ok")
        self.holds(t, "a/b", "one")
        self.said(t("delete", "a/b"), "ok")
        self.said(t("get", "a/b", 0, 1, self.out), "ENOENT")
        self.assertEqual(25, self.said(t("race", "r", 25, 5000), "ok").out)
        self.said(self.open(key_secret="wrong", **where)("head", "x"), "EACCES")
        self.assertEqual({"storage.googleapis.com:443"}, set(proxy.asked))
        for server in google, proxy:
            server.shutdown()
            server.server_close()


class Locked(unittest.TestCase):
    """Object lock, seen by us; 78-backup-keys.sh has another client's view."""

    @classmethod
    def setUpClass(cls):
        cls.d = tempfile.mkdtemp(prefix="coffer-store.")
        cls.addClassCleanup(shutil.rmtree, cls.d, True)
        s3.bao_module.make_ca(cls.d)
        cls.server = s3.VersityFull(cls.d)
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()
        cls.file = os.path.join(cls.d, "file")
        with open(cls.file, "wb") as f:
            f.write(os.urandom(5000))

    said = Base.said

    def setUp(self):
        self.prefix = "t%d" % next(Base.numbers)

    def open(self, port=None, lock="governance 4", bucket=s3.LOCKED, **other):
        t = Try("s3://%s/%s" % (bucket, self.prefix), *Base.settings(self, port, object_lock=lock, **other))
        self.addCleanup(t.close)
        return t

    def faults(self):
        f = s3_proxy.Faults(self.d, self.server.port)
        self.addCleanup(f.close)
        return f

    def test_what_is_held_stays_until_its_time(self):
        t = self.open()
        self.said(t("lock"), "ok")
        self.said(t("putk", "x", self.file), "ok")
        self.said(t("putl", "y", self.file), "ok")
        self.said(t("put", "z", self.file), "ok")
        self.assertEqual([4 * 24, 6 * 24, 0], [self.said(t("until", n), "ok").out for n in "xyz"])
        for n in "xy":
            self.assertGreater(self.said(t("drop", n), "EPERM", "object lock holds it").out, 90)
        self.said(t("put", "z", self.file), "ok")  # another version
        self.said(t("drop", "z"), "ok")
        for n in "z", "none":
            self.said(t("head", n), "ENOENT")
            self.said(t("drop", n), "ok")
            self.said(t("until", n), "ENOENT")
            self.said(t("hold", n), "ENOENT")
        self.said(self.open(bucket=s3.BUCKET, lock=None)("until", "x"), "ok")

    def test_what_is_used_again_is_held_on_and_never_for_less(self):
        t, longer, plain = self.open(), self.open(lock="compliance 40"), self.open(lock=None)
        self.said(plain("put", "x", self.file), "ok")
        self.said(t("hold", "x"), "ok")
        self.assertEqual(6 * 24, t("until", "x").out)
        self.said(longer("hold", "x"), "ok")
        self.assertEqual(51 * 24, t("until", "x").out)
        self.said(t("hold", "x"), "ok")
        self.assertEqual(51 * 24, t("until", "x").out)

    def test_a_bucket_or_a_server_without_is_told(self):
        for _ in range(2):
            self.said(self.open(bucket=s3.BUCKET)("lock"), "EOPNOTSUPP", "has no object lock")
        f = self.faults()
        f.fault("PUT", 9, "status", 200)  # takes the headers, and does nothing of it
        t = self.open(f.port)
        self.said(t("lock"), "EOPNOTSUPP", "has no object lock")
        self.said(t("lock"), "EOPNOTSUPP")
        self.assertEqual(8, f.left())
        f.clear()
        f.fault("PUT", 1, "status", 403, (), "<Error><Code>AccessDenied</Code></Error>")
        self.said(self.open(f.port)("lock"), "EACCES", "may not do this")  # who may not write knows nothing of the bucket
        self.said(self.open(f.port)("lock"), "ok")
        for uri in "s3://bucket/x", "file://" + self.d:
            where = {"endpoint": "https://storage.googleapis.com"} if uri.startswith("s3") else {}
            t = Try(uri, *Base.settings(self, object_lock="governance 4", **where))
            self.addCleanup(t.close)
            self.said(t.opened, "EOPNOTSUPP", "object-lock=")

    def test_faults_on_the_way_change_nothing(self):
        f = self.faults()
        t = self.open(f.port)
        self.said(self.open()("lock"), "ok")
        for what in ("status", 500), ("drop",), ("lost",), ("status", 503, (), SLOW_DOWN):
            f.clear()
            for method in "HEAD", "PUT", "DELETE":
                f.fault(method, 1, *what)
            self.said(t("put", "x", self.file), "ok")
            f.fault("PUT", 1, *what)
            self.said(t("lock"), "ok")
            self.said(t("drop", "x"), "ok")
            self.said(t("head", "x"), "ENOENT")
            self.said(t("put", "y", self.file), "ok")
            f.fault("PUT.*retention", 1, *what)
            self.said(t("hold", "y"), "ok")
            self.assertEqual(6 * 24, t("until", "y").out)
        f.clear()
        f.fault("PUT.*retention", 1, "status", 403, (), "<Error><Code>AccessDenied</Code></Error>")
        self.said(self.open(f.port, lock="governance 300")("hold", "y"), "EACCES", "not held for longer")
        f.fault("DELETE", 1, "status", 403, (), "<Error><Code>AccessDenied</Code></Error>")
        self.said(t("put", "z", self.file), "ok")
        self.said(t("drop", "z"), "EACCES", "not deleted")


class S3proxy(Base, unittest.TestCase):
    """What takes long there is done less often."""
    Kind = s3.S3proxy
    BIG = 17 * MIB + 1
    KILLS = 2
    PART_FAULTS = (("PUT.*partNumber=2", ("lost",)), ("POST.*uploadId", ("lost",)))


if __name__ == "__main__":
    unittest.main()
