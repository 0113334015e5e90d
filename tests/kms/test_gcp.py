#!/usr/bin/python3
"""The Google provider against a strict fake of Cloud KMS, OAuth and the metadata service: first Google's own client asks the fake, so that it is judged by
Google's code; then ours, through tests/kms/kms_try.

In the build directory, as root: test_gcp.py -v
"""
import json
import os
import ssl
import sys
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cloud  # noqa: E402

DIR = cloud.enter(["cloudkms.googleapis.com", "oauth2.googleapis.com", "old.test"])
import gcp_fake as gcp  # noqa: E402
from cloud import changed, refuse, slow  # noqa: E402

URI = "gcp-kms://" + gcp.NAME
V1 = "cryptoKeyVersions/1"
CERT = os.path.join(DIR, "srv.pem"), os.path.join(DIR, "srv.key")
ACCOUNT = gcp.Account("agent@p.iam.gserviceaccount.com", "https://oauth2.googleapis.com:8443/token")
STRANGER = gcp.Account("agent@p.iam.gserviceaccount.com", ACCOUNT.token_uri)


class Case(cloud.Case):
    @classmethod
    def setUpClass(cls):
        cls.google = gcp.Google([ACCOUNT])
        cls.kms = cloud.Server(("127.0.0.1", 443), lambda q: cls.google.kms(q), CERT)
        cls.oauth = cloud.Server(("127.0.0.1", 8443), lambda q: cls.google.oauth(q), CERT)
        cls.metadata = cloud.Server((cloud.METADATA, 80), lambda q: cls.google.metadata(q))
        for s in cls.kms, cls.oauth, cls.metadata:
            cls.addClassCleanup(s.stop)

    def setUp(self):
        super().setUp()
        self.google.__init__([ACCOUNT])
        for s in self.kms, self.oauth, self.metadata:
            del s.requests[:], s.faults[:]

    def account_file(self, account=ACCOUNT, mode=0o600, **other):
        return self.file("account.json", json.dumps(dict(account.info(), **other), indent=2), mode)

    def by_file(self, *settings, account=ACCOUNT, **how):
        return self.attempt(URI, "credentials=file:" + self.account_file(account), *settings, **how)

    def ready(self, *settings):
        """A provider that wrapped a key, by the metadata service."""
        t = self.attempt(URI, *settings)
        self.wrapped_by(t, V1)
        del self.kms.requests[:], self.metadata.requests[:]
        return t


class GooglesClient(Case):
    """The fake, judged by Google's code: what this class finds right is what the others test us against."""

    def client(self, credentials):
        from google.cloud import kms_v1
        return kms_v1.KeyManagementServiceClient(credentials=credentials, transport="rest",
                                                 client_options={"api_endpoint": "https://cloudkms.googleapis.com"})

    def round_trip(self, client):
        plain, aad = os.urandom(32), b"coffer/1\0context"
        made = client.encrypt(request={"name": gcp.NAME, "plaintext": plain, "additional_authenticated_data": aad, "plaintext_crc32c": gcp.crc32c(plain),
                                       "additional_authenticated_data_crc32c": gcp.crc32c(aad)})
        self.assertEqual(gcp.NAME + "/cryptoKeyVersions/1", made.name)
        self.assertTrue(made.verified_plaintext_crc32c and made.verified_additional_authenticated_data_crc32c)
        self.assertEqual(gcp.crc32c(made.ciphertext), made.ciphertext_crc32c)
        opened = client.decrypt(request={"name": gcp.NAME, "ciphertext": made.ciphertext, "additional_authenticated_data": aad,
                                         "ciphertext_crc32c": gcp.crc32c(made.ciphertext)})
        self.assertEqual(plain, opened.plaintext)
        self.assertEqual(gcp.crc32c(plain), opened.plaintext_crc32c)
        self.assertTrue(opened.used_primary)
        return made

    def test_metadata(self):
        from google.auth import compute_engine
        from google.auth.transport.requests import Request
        credentials = compute_engine.Credentials()
        credentials.refresh(Request())
        self.round_trip(self.client(credentials))

    def test_service_account(self):
        from google.auth.transport.requests import Request
        from google.oauth2 import service_account
        credentials = service_account.Credentials.from_service_account_info(ACCOUNT.info(), scopes=[gcp.SCOPE])
        self.round_trip(self.client(credentials))
        credentials.refresh(Request())  # the exchange
        self.assertEqual("/token", self.oauth.requests[-1].path)
        self.round_trip(self.client(credentials))

    def test_refusals(self):
        from google.api_core import exceptions
        from google.auth.exceptions import RefreshError
        from google.auth.transport.requests import Request
        from google.oauth2 import service_account
        credentials = service_account.Credentials.from_service_account_info(ACCOUNT.info(), scopes=[gcp.SCOPE])
        client = self.client(credentials)
        made = self.round_trip(client)

        def refused(kind, text):
            with self.assertRaisesRegex(kind, text):
                client.decrypt(request={"name": gcp.NAME, "ciphertext": made.ciphertext, "additional_authenticated_data": b"coffer/1\0context"})
        self.google.versions[1][1] = "DISABLED"
        refused(exceptions.BadRequest, "current state is: DISABLED")
        self.google.versions[1][1] = "ENABLED"
        self.google.denied = True
        refused(exceptions.Forbidden, "denied on resource")
        self.google.denied = False
        with self.assertRaisesRegex(exceptions.BadRequest, "Decryption failed"):
            client.decrypt(request={"name": gcp.NAME, "ciphertext": made.ciphertext, "additional_authenticated_data": b"other"})
        with self.assertRaises(exceptions.NotFound):
            client.encrypt(request={"name": gcp.NAME + "2", "plaintext": b"x"})
        with self.assertRaises(exceptions.BadRequest):
            client.encrypt(request={"name": gcp.NAME, "plaintext": b"x", "plaintext_crc32c": 1})
        stranger = service_account.Credentials.from_service_account_info(STRANGER.info(), scopes=[gcp.SCOPE])
        with self.assertRaisesRegex(RefreshError, "invalid_grant"):
            stranger.refresh(Request())
        with self.assertRaises(exceptions.Unauthorized):
            self.client(stranger).encrypt(request={"name": gcp.NAME, "plaintext": b"x"})


class Keys(Case):
    """What a key's owner can do, seen by the very next call; by the machine's identity."""

    def test_wrap_unwrap_and_nothing_for_another_tenant(self):
        t = self.attempt(URI)
        self.said(t("prepare"), "OK")
        self.wrapped_by(t, V1)
        a = self.ok(t)
        self.assertEqual((200, 1, "metadata"), (a.http, a.attempts, a.credential))
        self.assertEqual("coffer/" + a.id, self.kms.requests[-1].headers["X-Goog-Request-Reason"])
        self.said(t("other", self.wrapped), "CORRUPT", "gcp-kms: key k: cloudkms.googleapis.com: answered 400: INVALID_ARGUMENT: Decryption failed")
        self.assertEqual(2, len(self.metadata.requests), "one token for each tenant")

    def test_states_of_a_version(self):
        t = self.ready()
        for state in "DISABLED", "DESTROY_SCHEDULED", "DESTROYED":
            self.google.versions[1][1] = state
            a = self.said(t("unwrap", self.wrapped), "REVOKED", "current state is: %s." % state)
            self.assertEqual((400, 1, "FAILED_PRECONDITION", 0), (a.http, a.attempts, a.code, a.alarm))
        self.google.versions[1][1] = "ENABLED"
        self.ok(t)

    def test_an_older_version_still_opens(self):
        t = self.ready()
        self.google.rotate()
        self.ok(t)
        self.wrapped_by(t, "cryptoKeyVersions/2")

    def test_permission_removed(self):
        t = self.ready()
        self.google.denied = True
        a = self.said(t("unwrap", self.wrapped), "DENIED", "denied on resource")
        self.assertEqual(("IAM_PERMISSION_DENIED", 403), (a.code, a.http))
        self.assertEqual(1, len(self.metadata.requests), "confirmed with what the metadata service has now")
        self.google.denied = False
        self.ok(t)

    def test_no_such_key(self):
        self.said(self.attempt(URI + "2")("wrap", self.wrapped), "REVOKED", "not found")

    def test_a_wrapped_key_that_is_damaged(self):
        t = self.ready()
        with open(self.wrapped, "r+b") as f:
            f.seek(20)
            f.write(b"\0\0\0\0")
        self.said(t("unwrap", self.wrapped), "CORRUPT")

    def test_nothing_of_a_key_stays_in_memory(self):
        t = self.ready()
        self.assertEqual("0 0", t.raw("search"))
        self.assertEqual("1 0", t.raw("held", self.wrapped))
        self.assertEqual("0 0", t.raw("search"))


class Integrity(Case):
    """Answers that are damaged, or of something else."""

    def test_checksums_of_an_unwrapped_key(self):
        t = self.ready()
        self.kms.faults += [changed(plaintextCrc32c="1")]
        self.assertEqual(2, self.said(t("unwrap", self.wrapped), "OK").attempts)
        self.kms.faults += [changed(plaintextCrc32c="1"), changed(plaintextCrc32c=None)]
        self.said(t("unwrap", self.wrapped), "CORRUPT", "CRC32C")
        self.assertFalse(self.kms.faults)

    def test_checksums_of_a_wrapped_key(self):
        for bad in {"ciphertextCrc32c": "7"}, {"verifiedPlaintextCrc32c": False}, {"verifiedPlaintextCrc32c": None}, {"verifiedAdditionalAuthenticatedDataCrc32c": None}:
            t = self.attempt(URI)
            self.kms.faults += [changed(**bad)] * 2
            self.said(t("wrap", self.wrapped), "CORRUPT", "CRC32C")
            self.assertFalse(os.path.exists(self.wrapped))

    def test_another_keys_answer(self):
        self.kms.faults += [changed(name=gcp.NAME + "2/cryptoKeyVersions/1")]
        a = self.said(self.attempt(URI)("wrap", self.wrapped), "TRANSIENT", "another key")
        self.assertEqual(1, a.alarm)

    def test_an_answer_that_is_not_googles(self):
        t = self.ready()
        for bad in refuse(200, "<html>"), refuse(403, "<html>log in</html>"), refuse(404, "<html>"), refuse(302, "", Location="https://old.test/"):
            self.kms.faults += [bad]
            a = self.said(t("unwrap", self.wrapped), "TRANSIENT")
            self.assertEqual((1, 1), (a.alarm, a.attempts), a.line)

    def test_a_key_of_another_length(self):
        t = self.ready()
        self.kms.faults += [changed(plaintext="AAAA", plaintextCrc32c=str(gcp.crc32c(bytes(3))))]
        self.said(t("unwrap", self.wrapped), "CORRUPT", "no key of ours")


class Trouble(Case):
    def test_trouble_that_passes(self):
        t = self.ready()
        self.kms.faults += [refuse(503, {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}), refuse(429, "slow down")]
        self.assertEqual(3, self.said(t("unwrap", self.wrapped), "OK").attempts)

    def test_throttled(self):
        t = self.ready("deadline=3000")
        self.kms.faults += [refuse(429, {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}, Retry_After="1")] * 9
        self.said(t("unwrap", self.wrapped), "THROTTLED", "Quota exceeded")

    def test_slow(self):
        t = self.ready("deadline=500")
        self.kms.faults += [slow(3)] * 5
        a = self.said(t("unwrap", self.wrapped), "TRANSIENT", "no answer in time")
        self.assertEqual(0, a.alarm)

    def test_external_key_manager_away(self):
        t = self.ready("deadline=300")
        self.kms.faults += [refuse(400, {"error": {"code": 400, "message": "External key manager error", "status": "FAILED_PRECONDITION"}})] * 9
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "External key manager")

    def test_tls_1_2_is_refused(self):
        old = cloud.Server(("127.0.0.1", 9443), lambda q: {}, CERT, tls=ssl.TLSVersion.TLSv1_2)
        self.addCleanup(old.stop)
        a = self.said(self.attempt(URI, "endpoint=https://old.test:9443")("wrap", self.wrapped), "TRANSIENT", "TLS 1.3")
        self.assertEqual(1, a.alarm)
        self.assertFalse(old.requests)

    def test_a_certificate_of_another_authority(self):
        self.said(self.attempt(URI, "ca-file=/etc/ssl/certs/ca-certificates.crt")("wrap", self.wrapped), "TRANSIENT", "certificate")
        self.assertFalse(self.kms.requests)


class Tokens(Case):
    """Who we are."""

    def test_self_signed(self):
        t = self.by_file()
        self.wrapped_by(t, V1)
        self.assertEqual(ACCOUNT.email, self.ok(t).credential)
        self.assertEqual(([], []), (self.oauth.requests, self.metadata.requests))

    def test_exchanged(self):
        t = self.by_file("auth=exchange")
        self.wrapped_by(t, V1)
        self.ok(t)
        self.assertEqual(1, len(self.oauth.requests))

    def test_environment(self):
        t = self.attempt(URI, env={"GOOGLE_APPLICATION_CREDENTIALS": self.account_file()})
        self.wrapped_by(t, V1)
        self.assertFalse(self.metadata.requests)
        t = self.attempt(URI, "credentials=imds", env={"GOOGLE_APPLICATION_CREDENTIALS": self.account_file()})
        self.ok(t)
        self.assertTrue(self.metadata.requests)

    def test_a_token_is_refreshed_before_its_end(self):
        self.google.life = 3
        t = self.by_file("auth=exchange")
        self.wrapped_by(t, V1)
        while len(self.oauth.requests) < 3:  # the suite has a time limit; each is good when it is used
            a = self.ok(t)
            self.assertEqual(1, a.attempts)

    def test_a_token_that_was_withdrawn_is_replaced(self):
        t = self.by_file("auth=exchange")
        self.wrapped_by(t, V1)
        self.google.tokens.clear()
        a = self.ok(t)
        self.assertEqual((2, 2), (a.attempts, len(self.oauth.requests)))

    def test_an_account_whose_key_was_deleted(self):
        for auth, text in ("auth=exchange", "invalid_grant"), ("auth=jwt", "answered 401: ACCESS_TOKEN_EXPIRED"):
            t = self.by_file(auth, account=STRANGER)
            a = self.said(t("wrap", self.wrapped), "AUTH", text)
            self.assertEqual(0, a.alarm)

    def test_the_token_endpoint_is_away(self):
        t = self.by_file("auth=exchange", "deadline=400")
        self.oauth.faults += [refuse(503, "")] * 9
        self.said(t("wrap", self.wrapped), "TRANSIENT", "oauth2.googleapis.com:8443: no token")
        self.assertFalse(self.kms.requests)

    def test_files_that_are_refused(self):
        path = self.account_file(mode=0o644)
        t = self.attempt(URI, "credentials=file:" + path)
        self.said(t("wrap", self.wrapped), "CONFIG", "mode 0644")
        os.chmod(path, 0o600)
        self.wrapped_by(t, V1)
        self.account_file(type="authorized_user")
        t.raw("forget")
        self.said(t("wrap", self.wrapped), "CONFIG", "service_account")
        self.assertEqual(["POST"], sorted({q.method for q in self.kms.requests}))

    def test_metadata_that_is_not_googles(self):
        def without_flavor(q, handle):
            return handle(q)[0]
        self.metadata.faults += [without_flavor]
        a = self.said(self.attempt(URI)("wrap", self.wrapped), "TRANSIENT", "169.254.169.254: the answer is not that of the metadata service")
        self.assertEqual(1, a.alarm)
        self.assertFalse(self.kms.requests)

    def test_the_metadata_service_may_not_be_moved_elsewhere(self):
        evil = cloud.Server(("127.0.0.1", 80), lambda q: {}, None)
        self.addCleanup(evil.stop)
        for host in "127.0.0.1", "old.test":
            self.said(self.attempt(URI, env={"GCE_METADATA_HOST": host})("wrap", self.wrapped), "CONFIG", "GCE_METADATA_HOST")
        self.assertFalse(evil.requests)

    def test_tenants_have_tokens_of_their_own(self):
        for tenant in "one", "two":
            self.wrapped_by(self.attempt(URI, "tenant=" + tenant, "auth=exchange", "credentials=file:" + self.account_file()), V1)
        self.assertEqual(2, len({q.headers["Authorization"] for q in self.kms.requests}))

    def test_eight_threads_ask_once(self):
        t = self.ready()
        t.raw("forget")
        self.assertRegex(t.raw("many 64", self.wrapped), "^OK: 64 of 64 ")
        self.assertEqual(1, len(self.metadata.requests))

    def test_no_token_is_told(self):
        t = self.by_file("auth=exchange")
        self.wrapped_by(t, V1)
        self.google.denied = True
        lines = t.raw("unwrap", self.wrapped)
        for token in self.google.tokens:
            self.assertNotIn(token, lines)


class Agent(Case, cloud.AgentCase):
    def test_a_volume(self):
        def state(word):
            def do():
                self.google.versions[1][1] = word
            return do

        def denied(word):
            def do():
                self.google.denied = word
            return do
        agent = self.through_the_agent(URI, ["credentials=file:" + self.account_file(), "auth=exchange"],
                                       [(state("DISABLED"), state("ENABLED"), "current state is: DISABLED"), (denied(True), denied(False), "IAM_PERMISSION_DENIED")],
                                       ACCOUNT.email)
        told = agent.read("agent.log") + agent.read("state/audit.log")
        for token in self.google.tokens:
            self.assertNotIn(token, told)

    def test_the_lock_path(self):
        def state(word):
            return lambda: self.google.versions[1].__setitem__(1, word)

        def denied(word):
            return lambda: setattr(self.google, "denied", word)

        def accounts(*known):
            def do():
                self.google.accounts = list(known)
                self.google.tokens.clear()
            return do
        html = refuse(403, "<html>hotel</html>")
        agent = self.lock_path(URI, ["credentials=file:" + self.account_file(), "auth=exchange"],
                               [("Google: version disabled (REVOKED)", state("DISABLED"), state("ENABLED")), ("Google: role removed (DENIED)", denied(True), denied(False)),
                                ("Google: service account deleted (AUTH)", accounts(), accounts(ACCOUNT))],
                               [("a throttling storm", self.kms, refuse(429, {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}})),
                                ("somebody else's page", self.kms, html)])
        self.assertTrue([r for r in agent.rows("key.revoked_seen") if r["http"] == 403 and r["req_id"]])


if __name__ == "__main__":
    assert threading.active_count() == 1
    unittest.main()
