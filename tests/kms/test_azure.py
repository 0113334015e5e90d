#!/usr/bin/python3
"""The Azure provider against a strict fake of Key Vault, Entra and the machine's identity: first Microsoft's own clients ask the fake, so that it is judged by
Microsoft's code; then ours, through tests/kms/kms_try.

In the build directory, as root: test_azure.py -v
"""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cloud  # noqa: E402

DIR = cloud.enter(["acme.vault.azure.net", "acme.managedhsm.azure.net", "login.microsoftonline.com", "private.test", "evil.test"])
import azure_fake as fake  # noqa: E402
from cloud import changed, refuse, slow  # noqa: E402

URI = "azure-kms://%s/keys/kek" % fake.VAULT
CERT = os.path.join(DIR, "srv.pem"), os.path.join(DIR, "srv.key")
APPLICATION = {"AZURE_TENANT_ID": fake.DIRECTORY, "AZURE_CLIENT_ID": fake.CLIENT}
POD = {"IDENTITY_ENDPOINT": "http://127.0.0.1:8081/msi/token", "IDENTITY_HEADER": fake.HEADER}


class Case(cloud.Case):
    @classmethod
    def setUpClass(cls):
        cls.azure = fake.Azure()
        cls.web = cloud.Server(("127.0.0.1", 443), lambda q: cls.azure.web(q), CERT)
        cls.imds = cloud.Server((cloud.METADATA, 80), lambda q: cls.azure.imds(q))
        cls.pod = cloud.Server(("127.0.0.1", 8081), lambda q: cls.azure.pod(q))
        for s in cls.web, cls.imds, cls.pod:
            cls.addClassCleanup(s.stop)

    def setUp(self):
        super().setUp()
        self.azure.__init__()
        for s in self.web, self.imds, self.pod:
            del s.requests[:], s.faults[:]

    def paths(self, host=fake.VAULT):
        return [q.path for q in self.web.requests if q.headers["Host"] == host]

    def ready(self, *settings):
        """A provider that wrapped a key, by the machine's identity."""
        t = self.attempt(URI, *settings)
        self.wrapped_by(t, self.azure.kid())
        del self.web.requests[:], self.imds.requests[:]
        return t


class MicrosoftsClients(Case):
    """The fake, judged by Microsoft's code: what this class finds right is what the others test us against."""

    def token(self, credential):
        t = credential.get_token(fake.RESOURCE + "/.default").token
        self.assertIn(t, self.azure.tokens)
        return t

    def environ(self, **env):
        os.environ.update(env)
        for name in env:
            self.addCleanup(os.environ.pop, name)

    def client(self, **how):
        from azure.identity import ClientSecretCredential
        from azure.keyvault.keys.crypto import CryptographyClient
        return CryptographyClient(self.azure.kid(), ClientSecretCredential(fake.DIRECTORY, fake.CLIENT, fake.SECRET), **how)

    def test_wrap_and_unwrap(self):
        from azure.core.exceptions import HttpResponseError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm
        for how in {}, {"api_version": "7.4"}:
            self.azure.denied = ("get",)  # else the client wraps by itself
            kek, client = os.urandom(32), self.client(**how)
            made = client.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, kek)
            self.assertTrue(self.paths()[-1].endswith("/wrapkey"))
            self.assertEqual(kek, client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, made.encrypted_key).key)
            self.assertTrue(self.paths()[-1].endswith("/unwrapkey"))
            self.azure.denied = ()
            # With the public key: what the client wraps by itself opens here.
            made = self.client(**how).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, kek)
            self.assertEqual(kek, client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, made.encrypted_key).key)
        self.azure.versions[self.azure.newest][1] = "disabled"
        with self.assertRaisesRegex(HttpResponseError, "not allowed on a disabled key") as e:
            client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, made.encrypted_key)
        self.assertEqual("KeyDisabled", e.exception.error.innererror["code"])
        self.azure.versions[self.azure.newest][1] = "enabled"
        with self.assertRaisesRegex(HttpResponseError, "BadParameter"):
            client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, os.urandom(256))

    def test_newest_version(self):
        from azure.core.exceptions import ResourceNotFoundError
        from azure.identity import ManagedIdentityCredential
        from azure.keyvault.keys import KeyClient
        client = KeyClient("https://" + fake.VAULT, ManagedIdentityCredential(), api_version="7.4")
        self.assertEqual(self.azure.newest, client.get_key("kek").properties.version)
        with self.assertRaises(ResourceNotFoundError):
            client.get_key("other")

    def test_managed_hsm(self):
        from azure.identity import ManagedIdentityCredential
        from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
        self.azure.denied = ("get",)  # else this version of the client makes a key up and wraps with that
        kek, client = os.urandom(32), CryptographyClient(self.azure.kid(host=fake.HSM), ManagedIdentityCredential())
        made = client.wrap_key(KeyWrapAlgorithm.aes_256, kek)
        self.assertTrue(self.paths(fake.HSM)[-1].endswith("/wrapkey"))
        self.assertEqual(kek, client.unwrap_key(KeyWrapAlgorithm.aes_256, made.encrypted_key).key)

    def test_identities(self):
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential
        self.token(ManagedIdentityCredential())
        self.assertEqual(1, len(self.imds.requests))
        self.token(ManagedIdentityCredential(client_id=fake.CLIENT))
        self.environ(**POD)
        self.token(ManagedIdentityCredential())
        self.assertEqual(1, len(self.pod.requests))
        self.environ(**APPLICATION, AZURE_FEDERATED_TOKEN_FILE=self.file("fed.jwt", fake.FEDERATED))
        self.token(WorkloadIdentityCredential())
        self.token(ClientSecretCredential(fake.DIRECTORY, fake.CLIENT, fake.SECRET))
        with self.assertRaisesRegex(ClientAuthenticationError, "AADSTS7000215"):
            ClientSecretCredential(fake.DIRECTORY, fake.CLIENT, "wrong").get_token(fake.RESOURCE + "/.default")


class Keys(Case):
    """What a key's owner can do, seen by the very next call; by the machine's identity."""

    def test_wrap_and_unwrap(self):
        t = self.attempt(URI)
        self.said(t("prepare"), "OK")
        self.wrapped_by(t, self.azure.kid())
        version = "/keys/kek/" + self.azure.newest
        self.assertEqual(["/keys/kek", version + "/wrapkey", version + "/unwrapkey"], self.paths())
        a = self.ok(t)
        self.assertEqual((200, 1, "imds"), (a.http, a.attempts, a.credential))
        self.assertRegex(a.id, "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
        self.assertEqual(a.id, self.web.requests[-1].headers["x-ms-client-request-id"])
        self.assertEqual(1, len(self.imds.requests))

    def test_a_version_of_the_uri(self):
        older = self.azure.newest
        self.azure.rotate()
        t = self.attempt(URI + "/" + older)
        self.azure.denied = ("get",)
        self.wrapped_by(t, self.azure.kid(older))
        self.ok(t)

    def test_managed_hsm_with_an_aes_key(self):
        t = self.attempt("azure-kms://%s/keys/kek" % fake.HSM)
        self.wrapped_by(t, self.azure.kid(host=fake.HSM))
        self.ok(t)
        with open(self.wrapped) as f:
            self.assertTrue(f.read().startswith("akv1:A256KW:" + self.azure.newest))
        with open(self.wrapped, "r+b") as f:
            f.seek(60)
            f.write(b"AAAA")
        self.said(t("unwrap", self.wrapped), "CORRUPT")

    def test_an_older_version_still_opens(self):
        older = self.azure.newest
        t = self.ready()
        self.azure.rotate()
        self.ok(t)
        self.assertEqual(["/keys/kek/%s/unwrapkey" % older], self.paths())
        self.wrapped_by(t, self.azure.kid())
        self.assertNotEqual(older, self.azure.newest)

    def test_states_of_a_version(self):
        t = self.ready()
        for state, code in ("disabled", "KeyDisabled"), ("expired", "Forbidden"):
            self.azure.versions[self.azure.newest][1] = state
            a = self.said(t("unwrap", self.wrapped), "REVOKED", "not allowed on a")
            self.assertEqual((403, 1, code, 0), (a.http, a.attempts, a.code, a.alarm))
        self.azure.versions[self.azure.newest][1] = "enabled"
        self.ok(t)

    def test_a_disabled_key_makes_no_volume(self):
        self.azure.versions[self.azure.newest][1] = "disabled"
        self.said(self.attempt(URI)("wrap", self.wrapped), "REVOKED", "disabled")
        self.assertTrue(self.paths()[-2].endswith("/wrapkey"), "which it still does")
        self.assertFalse(os.path.exists(self.wrapped))

    def test_deleted(self):
        t = self.ready()
        self.azure.versions.clear()
        self.said(t("unwrap", self.wrapped), "REVOKED", "KeyNotFound")
        self.web.faults += [refuse(409, {"error": {"code": "Conflict", "message": "Key kek is currently in a deleted but recoverable state",
                                                   "innererror": {"code": "ObjectIsDeletedButRecoverable"}}})]
        self.said(t("unwrap", self.wrapped), "REVOKED", "recoverable")

    def test_permission_removed(self):
        t = self.ready()
        self.azure.denied = ("unwrapkey",)
        a = self.said(t("unwrap", self.wrapped), "DENIED", "ForbiddenByRbac")
        self.assertEqual(1, len(self.imds.requests), "confirmed with what the metadata service has now")
        self.assertEqual(0, a.alarm)
        self.azure.denied = ()
        self.ok(t)

    def test_a_network_rule_raises_an_alarm(self):
        t = self.ready()
        self.web.faults += [refuse(403, {"error": {"code": "Forbidden", "message": "x", "innererror": {"code": "ForbiddenByFirewall"}}})] * 2
        self.assertEqual(1, self.said(t("unwrap", self.wrapped), "DENIED", "ForbiddenByFirewall").alarm)

    def test_a_wrapped_key_that_is_damaged(self):
        t = self.ready()
        with open(self.wrapped, "r+b") as f:
            f.seek(100)
            f.write(b"AAAAAAAA")
        self.said(t("unwrap", self.wrapped), "CORRUPT", "BadParameter")
        with open(self.wrapped, "r+b") as f:
            f.write(b"vault:v1:")
        self.said(t("unwrap", self.wrapped), "CORRUPT", "none of Key Vault's")

    def test_nothing_of_a_key_stays_in_memory(self):
        t = self.ready()
        self.assertEqual("0 0", t.raw("search"))
        self.assertEqual("1 0", t.raw("held", self.wrapped))
        self.assertEqual("0 0", t.raw("search"))


class Integrity(Case):
    def test_another_keys_answer(self):
        t = self.ready()
        for kid in ("https://acme.vault.azure.net/keys/kek/" + "0" * 32, "https://acme.vault.azure.net/keys/other/" + self.azure.newest,
                    "https://evil.test/keys/kek/" + self.azure.newest, None):
            self.web.faults += [changed(kid=kid)]
            a = self.said(t("unwrap", self.wrapped), "TRANSIENT", "another key")
            self.assertEqual((1, 1), (a.alarm, a.attempts))

    def test_a_key_of_another_length(self):
        t = self.ready()
        self.web.faults += [changed(value="AAAA")]
        self.said(t("unwrap", self.wrapped), "CORRUPT", "no key of ours")

    def test_an_answer_that_is_not_azures(self):
        t = self.ready()
        for bad in refuse(200, "<html>"), refuse(403, "<html>log in</html>"), refuse(404, "<html>"), refuse(302, "", Location="https://evil.test/"):
            self.web.faults += [bad]
            a = self.said(t("unwrap", self.wrapped), "TRANSIENT")
            self.assertEqual((1, 1), (a.alarm, a.attempts), a.line)
        self.assertFalse(self.paths("evil.test"))

    def test_a_token_goes_to_vaults_alone(self):
        a = self.said(self.attempt("azure-kms://evil.test/keys/kek")("wrap", self.wrapped), "CONFIG", "evil.test is not NAME.vault.azure.net")
        self.assertEqual(0, a.attempts)
        self.assertFalse(self.web.requests or self.imds.requests)

    def test_an_endpoint_of_the_hosts_configuration(self):
        t = self.attempt(URI, "endpoint=https://private.test:443")
        self.wrapped_by(t, self.azure.kid())
        self.assertEqual({"private.test"}, {q.headers["Host"].partition(":")[0] for q in self.web.requests})


class Trouble(Case):
    def test_trouble_that_passes(self):
        t = self.ready()
        self.web.faults += [refuse(503, {"error": {"code": "ServiceUnavailable", "message": "x"}}), refuse(429, {"error": {"code": "Throttled", "message": "x"}})]
        self.assertEqual(3, self.said(t("unwrap", self.wrapped), "OK").attempts)

    def test_throttled(self):
        t = self.ready("deadline=3000")
        self.web.faults += [refuse(429, {"error": {"code": "Throttled", "message": "too many requests"}}, Retry_After="1")] * 9
        self.said(t("unwrap", self.wrapped), "THROTTLED", "too many requests")

    def test_slow(self):
        t = self.ready("deadline=500")
        self.web.faults += [slow(3)] * 5
        self.said(t("unwrap", self.wrapped), "TRANSIENT", "no answer in time")

    def test_a_certificate_of_another_authority(self):
        self.said(self.attempt(URI, "ca-file=/etc/ssl/certs/ca-certificates.crt")("wrap", self.wrapped), "TRANSIENT", "certificate")
        self.assertFalse(self.web.requests)


class Tokens(Case):
    """Who we are."""

    def by_secret(self, *settings, secret=fake.SECRET, client=fake.CLIENT):
        return self.attempt(URI, "auth=client:%s/%s" % (fake.DIRECTORY, client), "credentials=file:" + self.file("secret", secret + "\n"), *settings)

    def test_client_secret(self):
        t = self.by_secret()
        self.wrapped_by(t, self.azure.kid())
        self.assertEqual("client " + fake.CLIENT, self.ok(t).credential)
        self.assertEqual((1, 0), (len(self.paths(fake.LOGIN)), len(self.imds.requests)))

    def test_environment(self):
        t = self.attempt(URI, env=dict(APPLICATION, AZURE_CLIENT_SECRET=fake.SECRET))
        self.wrapped_by(t, self.azure.kid())
        t = self.attempt(URI, "credentials=web", env=dict(APPLICATION, AZURE_FEDERATED_TOKEN_FILE=self.file("fed.jwt", fake.FEDERATED, 0o644)))
        self.assertEqual("workload " + fake.CLIENT, self.ok(t).credential)
        t = self.attempt(URI, env=POD)
        self.assertEqual("pod", self.ok(t).credential)
        self.assertEqual(1, len(self.pod.requests))

    def test_workload_identity(self):
        path = self.file("fed.jwt", fake.FEDERATED)
        t = self.attempt(URI, "auth=workload:%s/%s" % (fake.DIRECTORY, fake.CLIENT), "credentials=file:" + path)
        self.wrapped_by(t, self.azure.kid())
        self.file("fed.jwt", "another")
        self.ok(t)
        t.raw("forget")
        self.said(t("unwrap", self.wrapped), "AUTH", "AADSTS700213")

    def test_an_identity_of_the_user(self):
        t = self.attempt(URI, "auth=identity:" + fake.CLIENT)
        self.wrapped_by(t, self.azure.kid())
        self.assertEqual("imds " + fake.CLIENT, self.ok(t).credential)
        self.said(self.attempt(URI, "auth=identity:other")("wrap", self.wrapped), "AUTH", "Identity not found")

    def test_secrets_that_are_refused(self):
        self.assertEqual(0, self.said(self.by_secret(secret="wrong")("wrap", self.wrapped), "AUTH", "AADSTS7000215").alarm)
        self.assertEqual(1, self.said(self.by_secret(client="gone")("wrap", self.wrapped), "AUTH", "AADSTS700016").alarm)
        self.azure.secret_state = "expired"
        t = self.by_secret()
        for _ in range(7):  # an answer, however often: never "nobody answers"
            self.assertEqual(1, self.said(t("wrap", self.wrapped), "AUTH", "AADSTS7000222").alarm)
        self.assertFalse(self.paths())

    def test_the_directory_is_away(self):
        t = self.by_secret("deadline=400")
        self.web.faults += [refuse(503, "")] * 9
        self.said(t("wrap", self.wrapped), "TRANSIENT", "login.microsoftonline.com: no token")

    def test_the_metadata_service_is_updated_just_now(self):
        self.imds.faults += [refuse(410, {"error": "gone"}), refuse(404, ""), refuse(429, "")]
        self.wrapped_by(self.attempt(URI), self.azure.kid())

    def test_a_token_is_refreshed_before_its_end(self):
        self.azure.life = 3
        t = self.by_secret()
        self.wrapped_by(t, self.azure.kid())
        while len(self.paths(fake.LOGIN)) < 3:  # the suite has a time limit; each is good when it is used
            self.assertEqual(1, self.ok(t).attempts)

    def test_a_token_that_was_withdrawn_is_replaced(self):
        t = self.by_secret()
        self.wrapped_by(t, self.azure.kid())
        self.azure.tokens.clear()
        self.assertEqual(2, self.ok(t).attempts)
        self.assertEqual(2, len(self.paths(fake.LOGIN)))

    def test_tenants_have_tokens_of_their_own(self):
        for tenant in "one", "two":
            self.wrapped_by(self.by_secret("tenant=" + tenant), self.azure.kid())
        self.assertEqual(2, len({q.headers["Authorization"] for q in self.web.requests if q.headers["Host"] == fake.VAULT}))

    def test_eight_threads_ask_once(self):
        t = self.ready()
        t.raw("forget")
        self.assertRegex(t.raw("many 64", self.wrapped), "^OK: 64 of 64 ")
        self.assertEqual(1, len(self.imds.requests))

    def test_no_secret_is_told(self):
        t = self.by_secret(secret="wr0ngsecret")
        self.assertNotIn("wr0ngsecret", t.raw("wrap", self.wrapped))


class Agent(Case, cloud.AgentCase):
    def test_a_volume(self):
        def state(word):
            def do():
                self.azure.versions[self.azure.newest][1] = word
            return do

        def denied(*words):
            def do():
                self.azure.denied = words
            return do
        agent = self.through_the_agent(URI, ["auth=client:%s/%s" % (fake.DIRECTORY, fake.CLIENT), "credentials=file:" + self.file("secret", fake.SECRET)],
                                       [(state("disabled"), state("enabled"), "disabled key"), (denied("unwrapkey"), denied(), "ForbiddenByRbac")],
                                       "client " + fake.CLIENT)
        told = agent.read("agent.log") + agent.read("state/audit.log")
        for secret in fake.SECRET, *self.azure.tokens:
            self.assertNotIn(secret, told)

    def test_the_lock_path(self):
        def state(word):
            return lambda: self.azure.versions[self.azure.newest].__setitem__(1, word)

        def denied(*words):
            return lambda: setattr(self.azure, "denied", words)

        def secret(word):
            def do():
                self.azure.secret_state = word
                self.azure.tokens.clear()
            return do
        agent = self.lock_path(URI, ["auth=client:%s/%s" % (fake.DIRECTORY, fake.CLIENT), "credentials=file:" + self.file("secret", fake.SECRET)],
                               [("Azure: key disabled (REVOKED)", state("disabled"), state("enabled")), ("Azure: role removed (DENIED)", denied("unwrapkey"), denied()),
                                ("Azure: secret expired (AUTH)", secret("expired"), secret("good"))],
                               [("a throttling storm", self.web, refuse(429, {"error": {"code": "Throttled", "message": "too many requests"}}, Retry_After="1")),
                                ("somebody else's page", self.web, refuse(403, "<html>hotel</html>"))])
        self.assertTrue([r for r in agent.rows("key.revoked_seen") if r["http"] == 403 and r["req_id"]])


if __name__ == "__main__":
    unittest.main()
