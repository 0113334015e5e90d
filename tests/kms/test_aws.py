#!/usr/bin/python3
"""The AWS provider and its credentials against local-kms, moto with authentication on, and metadata services: tests/kms/kms_try does the calls.

In the build directory, as root, with the network of a namespace: test_aws.py -v
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import aws  # noqa: E402
import bao  # noqa: E402
from trying import Try  # noqa: E402

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "secret"}
NO_ENV = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}


def hence(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if aws.servers() is None:
            if os.environ.get("CI") == "true":
                raise RuntimeError("tests/kms/aws-servers has installed nothing")
            raise unittest.SkipTest("tests/kms/aws-servers has installed nothing")
        cls.d = tempfile.mkdtemp(prefix="coffer-aws.")
        cls.addClassCleanup(shutil.rmtree, cls.d, True)
        bao.make_ca(cls.d)

    def setUp(self):
        self.wrapped = os.path.join(self.d, self.id() + ".wrapped")

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.d, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def try_(self, arn, host, *settings, env=None):
        t = Try("aws-kms://" + arn, "endpoint=https://" + host, "ca-file=" + os.path.join(self.d, "ca.pem"), *settings, env={**NO_ENV, **(env or {})})
        self.addCleanup(t.close)
        return t

    def is_class(self, answer, kind, **more):
        self.assertEqual(answer.kind, kind, answer.line)
        for name, value in more.items():
            self.assertEqual(getattr(answer, name), value, answer.line)
        return answer


class States(Case):
    """local-kms behind TLS 1.3."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kms = aws.LocalKms(cls.d)
        cls.addClassCleanup(cls.kms.stop)
        cls.proxy = aws.Proxy(cls.d, "http:%d" % cls.kms.port)
        cls.addClassCleanup(cls.proxy.stop)

    def setUp(self):
        super().setUp()
        self.proxy.fault("")
        self.t = self.try_(aws.ARN, self.proxy.host, env=KEYS)
        self.is_class(self.t("wrap", self.wrapped), "OK")
        self.addCleanup(lambda: (self.proxy.fault(""), self.kms("EnableKey")))

    def test_a_key_is_wrapped_and_unwrapped_and_bound_to_its_tenant(self):
        a = self.is_class(self.t("unwrap", self.wrapped), "OK", http=200, attempts=1)
        self.assertEqual(a.credential, "env AKIDTEST")
        self.is_class(self.t("other", self.wrapped), "CORRUPT", code="InvalidCiphertextException")
        with open(self.wrapped, "r+b") as f:
            f.seek(-1, os.SEEK_END)
            last = f.read(1)[0]
            f.seek(-1, os.SEEK_END)
            f.write(bytes([last ^ 1]))
        self.is_class(self.t("unwrap", self.wrapped), "CORRUPT")
        self.assertEqual(self.t.raw("search"), "0 0")

    def test_states_of_the_key_are_told_apart(self):
        self.kms("DisableKey")
        a = self.is_class(self.t("unwrap", self.wrapped), "REVOKED", code="DisabledException", http=400, attempts=1)
        self.assertIn("is disabled", a.message)
        self.is_class(self.t("wrap", self.wrapped + ".no"), "REVOKED")
        self.kms("EnableKey")
        self.is_class(self.t("unwrap", self.wrapped), "OK")
        self.kms("ScheduleKeyDeletion", PendingWindowInDays=7)
        self.is_class(self.t("unwrap", self.wrapped), "REVOKED", code="KMSInvalidStateException", attempts=1)
        self.kms("CancelKeyDeletion")
        self.is_class(self.t("unwrap", self.wrapped), "OK")

    def test_a_state_that_was_not_said_is_asked_about(self):
        unsaid = 'times 1 body 400 {"__type":"KMSInvalidStateException","message":"not now"}'
        self.kms("ScheduleKeyDeletion", PendingWindowInDays=7)
        self.proxy.fault(unsaid)
        a = self.is_class(self.t("unwrap", self.wrapped), "REVOKED", attempts=2)
        self.assertIn("KeyState PendingDeletion", a.message)
        self.kms("CancelKeyDeletion")
        self.proxy.fault(unsaid)
        self.is_class(self.t("unwrap", self.wrapped), "TRANSIENT", alarm=1, code="KMSInvalidStateException")
        self.proxy.fault(unsaid.replace("times 1 ", "times 2 "))
        self.is_class(self.t("unwrap", self.wrapped), "TRANSIENT", alarm=1)

    def test_a_key_that_is_not_there_is_gone(self):
        t = self.try_(aws.ARN.replace(aws.KEY, "11111111-1111-4111-8111-111111111111"), self.proxy.host, env=KEYS)
        self.is_class(t("wrap", self.wrapped + ".no"), "REVOKED", code="NotFoundException")

    def test_a_throttling_storm_is_waited_out_and_then_told(self):
        self.proxy.fault('times 2 body 400 {"__type":"ThrottlingException","message":"Rate exceeded"}')
        self.is_class(self.t("unwrap", self.wrapped), "OK", attempts=3)
        self.proxy.fault('body 400 {"__type":"ThrottlingException","message":"Rate exceeded"}')
        a = self.is_class(self.t("unwrap", self.wrapped), "THROTTLED", attempts=4)
        self.assertEqual(a.code, "ThrottlingException")

    def test_an_outage_is_no_refusal(self):
        self.proxy.fault("times 1 status 500")
        self.is_class(self.t("unwrap", self.wrapped), "OK", attempts=2)
        self.proxy.fault("drop")
        self.is_class(self.t("unwrap", self.wrapped), "TRANSIENT", alarm=0)
        self.t.raw("forget")
        self.proxy.fault("body 403 <html>hotel</html>")
        self.is_class(self.t("unwrap", self.wrapped), "TRANSIENT", alarm=1, attempts=1)
        self.proxy.fault('body 200 {"KeyId":"%s","Plaintext":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}' % aws.ARN.replace("bc43", "bc44"))
        a = self.is_class(self.t("unwrap", self.wrapped), "TRANSIENT", alarm=1)
        self.assertIn("not of this key", a.message)

    def test_a_clock_that_is_wrong_is_corrected_once(self):
        self.proxy.fault('clock 1200 400 {"__type":"InvalidSignatureException","message":"Signature expired"}')
        self.is_class(self.t("unwrap", self.wrapped), "OK", attempts=2)
        self.is_class(self.t("unwrap", self.wrapped), "OK", attempts=1)
        self.t.raw("forget")
        self.proxy.fault('body 400 {"__type":"InvalidSignatureException","message":"secret"}')
        a = self.is_class(self.t("unwrap", self.wrapped), "AUTH", attempts=1)
        self.assertNotIn("secret", a.message)

    def test_tls_1_3_is_required(self):
        d = os.path.join(self.d, "old")
        os.makedirs(d, exist_ok=True)
        for name in ("ca.pem", "srv.pem", "srv.key"):
            shutil.copy(os.path.join(self.d, name), d)
        old = aws.Proxy(d, "http:%d" % self.kms.port, "srv", "tls12")
        self.addCleanup(old.stop)
        t = self.try_(aws.ARN, old.host, env=KEYS)
        a = self.is_class(t("unwrap", self.wrapped), "TRANSIENT", alarm=1, attempts=1)
        self.assertIn("does not speak TLS 1.3", a.message)

    def test_credentials_of_a_file_are_replaced_without_a_restart(self):
        path = self.file("creds", "[default]\naws_access_key_id=AKONE\naws_secret_access_key=s\n")
        t = self.try_(aws.ARN, self.proxy.host, "credentials=file:" + path)
        self.assertEqual(self.is_class(t("unwrap", self.wrapped), "OK").credential, "file AKONE")
        self.file("creds", "[default]\naws_access_key_id=AKTWO\naws_secret_access_key=s\n")
        self.proxy.fault('times 1 body 400 {"__type":"UnrecognizedClientException"}')
        self.assertEqual(self.is_class(t("unwrap", self.wrapped), "OK").credential, "file AKTWO")
        self.file("creds", "[default]\naws_access_key_id=AKTWO\naws_secret_access_key=s\n", 0o644)
        t.raw("forget")
        self.assertIn("others may not read it", self.is_class(t("unwrap", self.wrapped), "CONFIG").message)
        t = self.try_(aws.ARN, self.proxy.host)
        self.is_class(t("unwrap", self.wrapped), "AUTH")

    def test_containers_give_theirs_for_their_token_alone(self):
        if not aws.alone():
            self.skipTest("needs a network namespace of its own")
        token = self.file("token", "tok-1\n", 0o644)
        give = {"AccessKeyId": "ASIAPOD", "SecretAccessKey": "s", "Token": "t", "Expiration": hence(3600)}
        for ip, env in (("169.254.170.2", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials"}),
                        ("169.254.170.23", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v2/credentials"})):
            pod = aws.Pod(ip, "/v2/credentials", "tok-1", give)
            self.addCleanup(pod.stop)
            env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = token
            t = self.try_(aws.ARN, self.proxy.host, "credentials=pod", env=env)
            self.assertEqual(self.is_class(t("unwrap", self.wrapped), "OK").credential, "pod ASIAPOD")
            self.is_class(t("unwrap", self.wrapped), "OK")
            self.assertEqual(pod.asked, 1)
            t = self.try_(aws.ARN, self.proxy.host, env={**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": self.file("no", "wrong")})
            self.assertIn("answered 401", self.is_class(t("unwrap", self.wrapped), "AUTH").message)

    def test_instances_that_fail_leave_what_there_was(self):
        if not aws.alone():
            self.skipTest("needs a network namespace of its own")
        imds = aws.Imds(self.d, "ASIAONE", "s", hence(-3600))
        env = {"AWS_EC2_METADATA_DISABLED": ""}
        t = self.try_(aws.ARN, self.proxy.host, "credentials=imds", env=env)
        # Over already, by the instance's own word: used as long as nobody refuses them.
        self.assertEqual(self.is_class(t("unwrap", self.wrapped), "OK").credential, "imds ASIAONE")
        imds.stop()
        self.assertEqual(self.is_class(t("unwrap", self.wrapped), "OK").credential, "imds ASIAONE")
        self.proxy.fault('times 1 body 400 {"__type":"ExpiredTokenException"}')
        self.is_class(t("unwrap", self.wrapped), "TRANSIENT")
        imds = aws.Imds(self.d, "ASIATWO", "s", hence(3600))
        self.addCleanup(imds.stop)
        self.proxy.fault('times 1 body 400 {"__type":"ExpiredTokenException"}')
        self.assertEqual(self.is_class(t("unwrap", self.wrapped), "OK").credential, "imds ASIATWO")


class Identity(Case):
    """moto, with authentication on: signatures and policies are looked at."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.moto = m = aws.Moto(cls.d)
        cls.addClassCleanup(m.stop)
        cls.host = "localhost:%d" % m.port
        cls.arn = m.admin("kms", "create_key")["KeyMetadata"]["Arn"]
        admin = m.user("admin", [("Allow", "*", "*")])
        cls.keys = m.user("agent", [("Allow", ["kms:Encrypt", "kms:Decrypt", "sts:AssumeRole"], "*")])
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        cls.role = m.admin("iam", "create_role", RoleName="volume", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        m.admin("iam", "put_role_policy", RoleName="volume", PolicyName="p",
                PolicyDocument=json.dumps(aws.document([("Allow", ["kms:Encrypt", "kms:Decrypt"], "*")])))
        m.keys = admin
        m.auth(True)

    def env(self, **more):
        return {"AWS_ACCESS_KEY_ID": self.keys[0], "AWS_SECRET_ACCESS_KEY": self.keys[1], **more}

    def sts(self):
        return {"AWS_ENDPOINT_URL_STS": "https://" + self.host}

    def test_signatures_are_those_that_moto_computes(self):
        t = self.try_(self.arn, self.host, env=self.env())
        a = self.is_class(t("wrap", self.wrapped), "OK")
        self.assertRegex(a.id, r"\A\w{20,}\Z")
        self.is_class(t("unwrap", self.wrapped), "OK")
        self.is_class(t("other", self.wrapped), "CORRUPT")
        bad = self.try_(self.arn, self.host, env=self.env(AWS_SECRET_ACCESS_KEY="wrong"))
        self.is_class(bad("unwrap", self.wrapped), "AUTH", code="SignatureDoesNotMatch", http=403)
        bad = self.try_(self.arn, self.host, env=self.env(AWS_ACCESS_KEY_ID="AKIAUNKNOWN"))
        self.is_class(bad("unwrap", self.wrapped), "AUTH", code="InvalidClientTokenId")

    def test_a_policy_that_changes_is_seen_at_once(self):
        keys = self.moto.user("other", [("Allow", ["kms:Encrypt", "kms:Decrypt"], "*")])
        t = self.try_(self.arn, self.host, env={"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]})
        self.is_class(t("wrap", self.wrapped), "OK")
        self.moto.policy("other", [("Allow", "kms:*", "*"), ("Deny", "kms:Decrypt", "*")])
        a = self.is_class(t("unwrap", self.wrapped), "DENIED", code="AccessDenied", http=403)
        self.assertIn("is not authorized to perform: kms:Decrypt", a.message)
        self.moto.policy("other", [("Allow", "kms:Encrypt", "*")])
        self.is_class(t("unwrap", self.wrapped), "DENIED")
        self.moto.policy("other", [("Allow", "kms:*", "*")])
        self.is_class(t("unwrap", self.wrapped), "OK")

    def test_roles_are_assumed_with_the_keys_that_are_there(self):
        t = self.try_(self.arn, self.host, "role-arn=" + self.role, "external-id=x-1", env=self.env(**self.sts()))
        a = self.is_class(t("wrap", self.wrapped), "OK")
        self.assertRegex(a.credential, r"\Aenv\+role ASIA\w+\Z")
        self.is_class(t("unwrap", self.wrapped), "OK")
        bad = self.try_(self.arn, self.host, "role-arn=" + self.role, env=self.env(AWS_SECRET_ACCESS_KEY="wrong", **self.sts()))
        a = self.is_class(bad("unwrap", self.wrapped), "AUTH", code="SignatureDoesNotMatch")
        self.assertIn("STS: AssumeRole", a.message)
        keys = self.moto.user("nobody", [("Deny", "sts:AssumeRole", "*")])
        bad = self.try_(self.arn, self.host, "role-arn=" + self.role,
                        env={"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1], **self.sts()})
        self.is_class(bad("unwrap", self.wrapped), "DENIED", code="AccessDenied")

    def test_profiles_lead_to_roles(self):
        path = self.file("profiles", "[base]\naws_access_key_id = %s\naws_secret_access_key = %s\n\n[default]\nrole_arn = %s\nsource_profile = base\n"
                         "external_id = x\nrole_session_name = probe\n" % (*self.keys, self.role))
        t = self.try_(self.arn, self.host, "credentials=file:" + path, env=self.sts())
        a = self.is_class(t("wrap", self.wrapped), "OK")
        self.assertRegex(a.credential, r"\Afile\+role ASIA\w+\Z")
        config = self.file("config", "[default]\nrole_arn = %s\ncredential_source = Environment\n" % self.role, 0o644)
        t = self.try_(self.arn, self.host, "credentials=file:" + config, env=self.env(**self.sts()))
        self.assertRegex(self.is_class(t("unwrap", self.wrapped), "OK").credential, r"\Afile\+role ASIA\w+\Z")
        # As ~/.aws has it: keys in one file, the role in the other.
        shared = self.file("shared", "[base]\naws_access_key_id=%s\naws_secret_access_key=%s\n" % self.keys)
        config = self.file("config", "[profile deep]\nrole_arn = %s\nsource_profile = base\n" % self.role, 0o644)
        t = self.try_(self.arn, self.host, env={"AWS_SHARED_CREDENTIALS_FILE": shared, "AWS_CONFIG_FILE": config, "AWS_PROFILE": "deep", **self.sts()})
        self.assertRegex(self.is_class(t("unwrap", self.wrapped), "OK").credential, r"\Afile\+role ASIA\w+\Z")

    def test_an_instance_s_credentials_sign(self):
        if not aws.alone():
            self.skipTest("needs a network namespace of its own")
        role = self.moto.admin("sts", "assume_role", RoleArn=self.role, RoleSessionName="instance")["Credentials"]
        imds = aws.Imds(self.d, role["AccessKeyId"], role["SecretAccessKey"], hence(3600), role["SessionToken"])
        self.addCleanup(imds.stop)
        t = self.try_(self.arn, self.host, env={"AWS_EC2_METADATA_DISABLED": ""})
        a = self.is_class(t("wrap", self.wrapped), "OK")
        self.assertEqual(a.credential, "imds " + role["AccessKeyId"])
        imds.stop()
        wrong = aws.Imds(self.d, role["AccessKeyId"], role["SecretAccessKey"], hence(3600), "another")
        self.addCleanup(wrong.stop)
        t.raw("forget")
        self.is_class(t("unwrap", self.wrapped), "AUTH", code="InvalidClientTokenId")

    def coffer_policy(self, *arguments, **kms):
        """The statements that `coffer policy` prints for a tenant with this key and [kms]."""
        d = tempfile.mkdtemp(dir=self.d)
        os.makedirs(d + "/tenants.d")
        os.makedirs(d + "/volumes.d")
        with open(d + "/tenants.d/acme.conf", "w") as f:
            f.write("[tenant]\nkms=aws-kms://%s\n[kms]\n" % self.arn + "".join("%s=%s\n" % (k.replace("_", "-"), v) for k, v in kms.items()))
        with open(d + "/volumes.d/v.conf", "w") as f:
            f.write("[volume]\nsource=/v\ntenant=acme\n[backup]\nstore=s3://backups/acme\n")
        coffer = os.path.join(os.environ.get("COFFER_BIN", os.environ.get("top_builddir", ".")), "coffer")
        out = subprocess.run([coffer, "--quiet", "policy", *arguments, "--tenant", "acme", "--config", d], stdout=subprocess.PIPE, check=True).stdout
        return json.loads(out)["Statement"]

    def refused(self, keys, service, operation, **arguments):
        with self.assertRaisesRegex(RuntimeError, "AccessDenied", msg=operation):
            aws.ask(self.moto.boto, keys, service, operation, arguments)

    def test_the_policy_that_coffer_prints_lets_the_agent_work_and_nothing_else(self):
        # moto takes no key for a resource and knows no context of a key: these two are held against the text by tests/sh/78-policy.sh.
        keys = self.moto.user("least", [(s["Effect"], s["Action"], "*") for s in self.coffer_policy("aws")])
        t = self.try_(self.arn, self.host, env={"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]})
        self.is_class(t("wrap", self.wrapped), "OK")
        self.is_class(t("unwrap", self.wrapped), "OK")
        aws.ask(self.moto.boto, keys, "kms", "describe_key", {"KeyId": self.arn})
        for operation, arguments in (("generate_data_key", {"KeySpec": "AES_256"}), ("disable_key", {}), ("schedule_key_deletion", {}), ("list_grants", {}),
                                     ("create_grant", {"GranteePrincipal": "x", "Operations": ["Decrypt"]}), ("get_key_policy", {"PolicyName": "default"})):
            self.refused(keys, "kms", operation, KeyId=self.arn, **arguments)
        for s in self.coffer_policy("aws"):  # and it needs the first of them
            self.moto.policy("least", [(s["Effect"], [a for a in s["Action"] if a != "kms:Decrypt"], "*")])
        self.is_class(t("unwrap", self.wrapped), "DENIED")

    def test_the_trust_that_coffer_prints_is_for_the_host_and_its_external_id(self):
        document = {"Version": "2012-10-17", "Statement": []}
        role = self.moto.admin("iam", "create_role", RoleName="coffer-acme", AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        kms = {"role_arn": role, "external_id": "e-1"}
        self.moto.admin("iam", "put_role_policy", RoleName="coffer-acme", PolicyName="p", PolicyDocument=json.dumps(
            aws.document([(s["Effect"], s["Action"], "*") for s in self.coffer_policy("aws", **kms)])))
        host = self.moto.user("host", [(s["Effect"], s["Action"], s["Resource"]) for s in self.coffer_policy("aws", "--host", **kms)])
        arn = self.moto.admin("iam", "get_user", UserName="host")["User"]["Arn"]
        document["Statement"] = self.coffer_policy("aws", "--trust", arn, **kms)
        self.moto.admin("iam", "update_assume_role_policy", RoleName="coffer-acme", PolicyDocument=json.dumps(document))
        env = {"AWS_ACCESS_KEY_ID": host[0], "AWS_SECRET_ACCESS_KEY": host[1], **self.sts()}
        t = self.try_(self.arn, self.host, "role-arn=" + role, "external-id=e-1", env=env)
        self.is_class(t("wrap", self.wrapped), "OK")
        self.is_class(self.try_(self.arn, self.host, "role-arn=" + role, "external-id=e-2", env=env)("unwrap", self.wrapped), "DENIED")
        self.is_class(self.try_(self.arn, self.host, "role-arn=" + self.role, "external-id=e-1", env=env)("unwrap", self.wrapped), "DENIED")
        self.is_class(self.try_(self.arn, self.host, env=env)("unwrap", self.wrapped), "DENIED")

    def test_the_policy_of_a_store_is_for_its_prefix(self):
        self.moto.admin("s3", "create_bucket", Bucket="backups", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        keys = self.moto.user("backup", [(s["Effect"], s["Action"], s["Resource"]) for s in self.coffer_policy("s3")])

        def s3(operation, **arguments):
            return aws.ask(self.moto.boto, keys, "s3", operation, {"Bucket": "backups", **arguments})

        s3("put_object", Key="acme/x", Body="x")
        s3("head_object", Key="acme/x")
        s3("list_objects_v2", Prefix="acme/")
        s3("list_multipart_uploads")
        upload = s3("create_multipart_upload", Key="acme/y")["UploadId"]
        s3("abort_multipart_upload", Key="acme/y", UploadId=upload)
        s3("delete_object", Key="acme/x")
        for operation, arguments in (("put_object", {"Key": "other/x", "Body": "x"}), ("put_object", {"Key": "acmex", "Body": "x"}), ("delete_object", {"Key": "other/x"}),
                                     ("delete_bucket", {}), ("put_bucket_policy", {"Policy": "{}"}), ("put_object_acl", {"Key": "acme/x", "ACL": "public-read"})):
            self.refused(keys, "s3", operation, Bucket="backups", **arguments)

    def test_web_identities_are_changed_for_a_role(self):
        self.moto.auth(False)  # moto answers 500 to this request while authentication is on
        self.addCleanup(self.moto.auth, True)
        token = self.file("jwt", "eyJhbGciOiJub25lIn0.e30.x\n", 0o644)
        env = {"AWS_WEB_IDENTITY_TOKEN_FILE": token, **self.sts()}
        t = self.try_(self.arn, self.host, "credentials=web", env={**env, "AWS_ROLE_ARN": self.role})
        self.assertRegex(self.is_class(t("wrap", self.wrapped), "OK").credential, r"\Aweb ASIA\w+\Z")
        t = self.try_(self.arn, self.host, "credentials=web", "role-arn=" + self.role, env=env)
        self.assertRegex(self.is_class(t("unwrap", self.wrapped), "OK").credential, r"\Aweb ASIA\w+\Z")
        t = self.try_(self.arn, self.host, "credentials=web", "role-arn=" + self.role, env={**env, "AWS_ROLE_ARN": self.role})
        self.assertRegex(self.is_class(t("unwrap", self.wrapped), "OK").credential, r"\Aweb\+role ASIA\w+\Z")
        os.unlink(token)
        t.raw("forget")
        self.is_class(t("unwrap", self.wrapped), "CONFIG")


del Case

if __name__ == "__main__":
    unittest.main()
