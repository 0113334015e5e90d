#!/usr/bin/python3
"""Signatures: AWS's published cases (tests/kms/aws-servers), and random requests against Debian's botocore. In the build directory: test_sigv4.py -v"""
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import unittest
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

TRY = os.path.join(os.environ.get("top_builddir", "."), "tests/kms/sigv4_try")
HERE = os.path.dirname(os.path.abspath(__file__))
TWICE, NORMALIZE, S3, OTHER = 1, 2, 4, 3
ROUNDS = 1500
SEED = int(os.environ.get("COFFER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


class Signer:
    def __init__(self):
        self.p = subprocess.Popen([TRY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, **request):
        self.p.stdin.write(json.dumps(request) + "\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def close(self):
        self.p.stdin.close()
        self.p.stdout.close()
        return self.p.wait()


def headers_of(lines):
    """Headers of a raw request; a line that begins with a blank goes on with the one before."""
    out = []
    for line in lines:
        if line[:1] in (" ", "\t") and out:
            out[-1][1] += "\n" + line
        else:
            name, value = line.split(":", 1)
            out.append([name, value])
    return out


class Case(unittest.TestCase):
    def setUp(self):
        self.sign = Signer()
        self.addCleanup(self.sign.close)

    def test_aws_s_published_cases(self):
        found = subprocess.run([os.path.join(HERE, "aws-servers"), "-n"], stdout=subprocess.PIPE, text=True)
        if found.returncode != 0:
            self.assertNotEqual(os.environ.get("CI"), "true", "tests/kms/aws-servers has installed nothing")
            self.skipTest("tests/kms/aws-servers has installed nothing")
        count = 0
        for path, _, names in sorted(os.walk(os.path.join(found.stdout.strip(), "aws4_testsuite"))):
            for name in names:
                if name.endswith(".req"):
                    with self.subTest(name):
                        self.published(os.path.join(path, name[:-4]))
                    count += 1
        self.assertGreaterEqual(count, 26)

    def published(self, base):
        def read(kind):
            with open(base + "." + kind, encoding="utf-8-sig", newline="") as f:
                return f.read().replace("\r\n", "\n")
        head, _, body = read("req").partition("\n\n")
        line, *rest = head.rstrip("\n").split("\n")
        method, url = line.rsplit(" ", 1)[0].split(" ", 1)
        path, _, query = url.partition("?")
        authorization = read("authz")
        # What is signed is what they say: a token may be in the signed request alone, or be sent and not signed.
        names = re.search("SignedHeaders=([^,]*)", authorization)[1].split(";")
        rest += re.findall("(?im)^x-amz-security-token:.*$", read("sreq") if "oken:" not in head else "")
        headers = [h for h in headers_of(rest) if h[0].lower() in names]
        _, day, region, service, _ = re.search("Credential=([^,]*)", authorization)[1].split("/")
        got = self.sign(method=method, path=path, query=query, headers=headers, hash=hashlib.sha256(body.encode()).hexdigest(), flags=NORMALIZE,
                        date=dict((k.lower(), v.strip()) for k, v in headers)["x-amz-date"], access="AKIDEXAMPLE",
                        secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region=region, service=service, goog=False)
        self.assertEqual(got.get("canonical"), read("creq"))
        self.assertEqual(got["authorization"], authorization)

    def test_random_requests_are_signed_as_botocore_does(self):
        rng = random.Random(SEED)
        print("seed %d" % SEED, file=sys.stderr)
        for i in range(ROUNDS):
            with self.subTest(round=i):
                self.random_request(rng, rng.random() < 0.5)

    def random_request(self, rng, s3):
        def some(n, text):
            return "".join(rng.choice(text) for _ in range(rng.randrange(n)))
        part = "abcXYZ019-._~ %+=&/?#\u00e4\u1234:@!$'()*,;[]\""
        path = "/" + "/".join(rng.choice([urllib.parse.quote(some(8, part), safe="-._~"), ".", "..", "", "x"]) for _ in range(rng.randrange(6)))
        pairs = [(urllib.parse.quote(some(4, part) or "k", safe="-._~"), urllib.parse.quote(some(6, part), safe="-._~")) for _ in range(rng.randrange(5))]
        query = "&".join("%s=%s" % p for p in pairs)
        host = rng.choice(["s3.eu-west-1.amazonaws.com", "localhost:9443", "h.example:8080"])
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.Decrypt", "Range": "bytes=0-5", "x-amz-meta-a": some(9, "ab  \t"),
                   "x-amz-meta-a-b": "1", "If-None-Match": "*"}
        headers = {k: v for k, v in headers.items() if rng.random() < 0.5}
        body = rng.choice([b"", b"x", rng.randbytes(100)])
        token = rng.choice([None, "FwoG" + some(40, "aZ09+/=")])
        method = rng.choice(["GET", "PUT", "POST", "DELETE", "HEAD"])
        service, region = ("s3", "eu-west-1") if s3 else (rng.choice(["kms", "sts"]), "us-gov-west-1")
        request = botocore.awsrequest.AWSRequest(method=method, url="https://%s%s%s" % (host, path, "?" + query if query else ""), headers=headers, data=body)
        secret = "wJalr/" + some(40, "aZ09+/")
        auth = (botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth)(botocore.credentials.Credentials("AKID", secret, token), service, region)
        auth.add_auth(request)
        mine = [["Host", host]] + [[k, v] for k, v in request.headers.items() if k != "Authorization"]
        got = self.sign(method=method, path=path, query=query, headers=mine, hash=hashlib.sha256(body).hexdigest(), flags=S3 if s3 else OTHER,
                        date=request.headers["X-Amz-Date"], access="AKID", secret=secret, region=region, service=service, goog=False)
        self.assertEqual(got.get("authorization"), request.headers["Authorization"], got)


if __name__ == "__main__":
    unittest.main()
