"""A strict fake of Google Cloud KMS (REST v1), its token endpoint and its metadata service. test_gcp.py has Google's own client ask it first."""
import json
import os
import re
import time

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud import Refusal, form_of, b64, unb64, unb64url

SCOPE = "https://www.googleapis.com/auth/cloudkms"
NAME = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"


def crc32c(data):
    c = 0xffffffff
    for b in data:
        c ^= b
        for _ in range(8):
            c = (c >> 1) ^ (0x82f63b78 if c & 1 else 0)
    return c ^ 0xffffffff


assert crc32c(b"123456789") == 0xe3069283


def error(code, status, message, **detail):
    e = {"code": code, "message": message, "status": status}
    if detail:
        e["details"] = [dict({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com"}, **detail)]
    return Refusal(code, {"error": e})


class Account:
    """A service account and its key."""

    def __init__(self, email, token_uri):
        self.email, self.token_uri = email, token_uri
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def info(self):
        pem = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        return {"type": "service_account", "project_id": "p", "private_key_id": "kid1", "private_key": pem, "client_email": self.email,
                "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": self.token_uri}

    def claims(self, jwt):
        """What a token of this account says; None: it is not one, or is not valid now."""
        try:
            head, claims, signature = jwt.split(".")
            self.key.public_key().verify(unb64url(signature), (head + "." + claims).encode(), padding.PKCS1v15(), hashes.SHA256())
            head, claims = json.loads(unb64url(head)), json.loads(unb64url(claims))
        except (ValueError, InvalidSignature):
            return None
        now = time.time()
        if head.get("alg") != "RS256" or head.get("typ") != "JWT" or head.get("kid") != "kid1" or claims.get("iss") != self.email:
            return None
        if not claims["iat"] <= claims["exp"] <= claims["iat"] + 3600 or not claims["iat"] - 300 <= now < claims["exp"]:
            return None
        return claims


class Google:
    def __init__(self, accounts):
        self.accounts = accounts
        self.life = 3599
        self.tokens = {}        # token: until
        self.metadata_token = None
        self.denied = False     # permission removed
        self.versions = {}      # N: [AES key, state]
        self.primary = 0
        self.rotate()

    def rotate(self):
        self.primary += 1
        self.versions[self.primary] = [os.urandom(32), "ENABLED"]

    def token(self):
        t = "ya29.%s" % os.urandom(8).hex()
        self.tokens[t] = time.time() + self.life
        return t

    # cloudkms.googleapis.com

    def authorized(self, q):
        kind, _, t = (q.headers["Authorization"] or "").partition(" ")
        if kind == "Bearer" and self.tokens.get(t, 0) > time.time():
            return
        for a in self.accounts:
            claims = a.claims(t)
            # What is shown itself has the API as audience, or a scope (Google's own client), and a subject.
            if claims and claims.get("sub") == a.email and (claims.get("aud") == "https://cloudkms.googleapis.com/" or "scope" in claims):
                return
        raise error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", reason="ACCESS_TOKEN_EXPIRED")

    def fields(self, q, names):
        try:
            body = json.loads(q.body)
        except ValueError:
            raise error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.") from None
        for name, value in body.items():
            if name not in names or not isinstance(value, str):
                raise error(400, "INVALID_ARGUMENT", 'Invalid JSON payload received. Unknown name "%s".' % name)
        out = {}
        for name in (n for n in names if not n.endswith("Crc32c")):
            try:
                out[name] = unb64(body.get(name, ""))
            except ValueError:
                raise error(400, "INVALID_ARGUMENT", "Invalid value at '%s' (TYPE_BYTES)" % name) from None
            if name + "Crc32c" in body and int(body[name + "Crc32c"]) != crc32c(out[name]):
                raise error(400, "INVALID_ARGUMENT", "The checksum in field %s_crc32c did not match the data in field %s." % (name, name))
        return out, body

    def key(self, q, verb, n):
        if self.denied:
            raise error(403, "PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions.useTo%s' denied on resource '%s' (or it may not exist)."
                        % (verb.capitalize(), NAME), reason="IAM_PERMISSION_DENIED")
        key, state = self.versions[n]
        if state != "ENABLED":
            raise error(400, "FAILED_PRECONDITION", "%s/cryptoKeyVersions/%d is not enabled, current state is: %s." % (NAME, n, state))
        return AESGCM(key)

    def kms(self, q):
        m = re.fullmatch(r"/v1/(projects/[^/:]+/locations/[^/:]+/keyRings/[^/:]+/cryptoKeys/[^/:]+):(encrypt|decrypt)", q.path)
        if not m or q.method != "POST":
            raise Refusal(404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>")
        self.authorized(q)
        if m[1] != NAME:
            raise error(404, "NOT_FOUND", "CryptoKey %s not found." % m[1])
        if q.headers["Content-Type"] != "application/json":
            raise error(400, "INVALID_ARGUMENT", "Content-Type")
        return self.encrypt(q) if m[2] == "encrypt" else self.decrypt(q)

    def encrypt(self, q):
        f, body = self.fields(q, ("plaintext", "plaintextCrc32c", "additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c"))
        nonce = os.urandom(12)
        made = b"\x0a" + bytes([self.primary]) + nonce + self.key(q, "encrypt", self.primary).encrypt(nonce, f["plaintext"], f["additionalAuthenticatedData"])
        return {"name": "%s/cryptoKeyVersions/%d" % (NAME, self.primary), "ciphertext": b64(made), "ciphertextCrc32c": str(crc32c(made)),
                "verifiedPlaintextCrc32c": "plaintextCrc32c" in body,
                "verifiedAdditionalAuthenticatedDataCrc32c": "additionalAuthenticatedDataCrc32c" in body, "protectionLevel": "SOFTWARE"}

    def decrypt(self, q):
        f, _ = self.fields(q, ("ciphertext", "ciphertextCrc32c", "additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c"))
        c = f["ciphertext"]
        foreign = error(400, "INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        if len(c) < 30 or c[0] != 0x0a or c[1] not in self.versions:
            raise foreign
        try:
            plain = self.key(q, "decrypt", c[1]).decrypt(c[2:14], c[14:], f["additionalAuthenticatedData"])
        except InvalidTag:
            raise foreign from None
        return {"plaintext": b64(plain), "plaintextCrc32c": str(crc32c(plain)), "usedPrimary": c[1] == self.primary, "protectionLevel": "SOFTWARE"}

    # oauth2.googleapis.com

    def oauth(self, q):
        if q.method != "POST" or q.path != "/token":
            raise Refusal(404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>")
        f = form_of(q)
        if f.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Refusal(400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type: %s" % f.get("grant_type")})
        for a in self.accounts:
            claims = a.claims(f.get("assertion", ""))
            if claims and claims.get("aud") in (a.token_uri, "https://oauth2.googleapis.com/token") and claims.get("scope") == SCOPE:
                return {"access_token": self.token(), "expires_in": self.life, "token_type": "Bearer"}
        raise Refusal(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})

    # 169.254.169.254

    def metadata(self, q):
        if q.headers["Metadata-Flavor"] != "Google":
            raise Refusal(403, "<html>Missing Metadata-Flavor:Google header.</html>")
        flavor = {"Metadata-Flavor": "Google"}
        account = "/computeMetadata/v1/instance/service-accounts/default/"
        if q.method == "GET" and q.path == account:
            return {"aliases": ["default"], "email": "vm@p.iam.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}, flavor
        if q.method != "GET" or q.path != account + "token":
            raise Refusal(404, "<html>", Metadata_Flavor="Google")
        # One token for all, until it is near its end.
        if self.tokens.get(self.metadata_token, 0) < time.time():
            self.metadata_token = self.token()
        return {"access_token": self.metadata_token, "expires_in": int(self.tokens[self.metadata_token] - time.time()), "token_type": "Bearer"}, flavor
