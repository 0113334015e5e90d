"""A strict fake of Azure Key Vault and Managed HSM, of Entra's token endpoint and of the machine's identity services. test_azure.py has Microsoft's own clients ask it first."""
import json
import os
import re
import time

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cloud import Refusal, b64url, form_of, unb64url

VAULT, HSM, LOGIN = "acme.vault.azure.net", "acme.managedhsm.azure.net", "login.microsoftonline.com"
RESOURCE, HSM_RESOURCE = "https://vault.azure.net", "https://managedhsm.azure.net"
DIRECTORY, CLIENT, SECRET = "00000000-0000-0000-0000-000000000001", "11111111-1111-1111-1111-111111111111", "s3cret~+/="
FEDERATED = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
HEADER = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def error(status, code, message, inner=None, **headers):
    e = {"code": code, "message": message}
    if inner:
        e["innererror"] = {"code": inner}
    return Refusal(status, {"error": e}, **headers)


def aad_error(status, code, number, message):
    return Refusal(status, {"error": code, "error_description": "AADSTS%d: %s\r\nTrace ID: 1\r\nTimestamp: 2026" % (number, message), "error_codes": [number]})


class Azure:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]

    def __init__(self):
        self.life = 3599
        self.tokens = {}          # token: (until, for whom)
        self.machine_tokens = {}  # for whom: token
        self.versions = {}        # version: [key, state]
        self.newest = None
        self.denied = ()          # operations that nobody may do
        self.secret_state = "good"
        self.rotate()

    def rotate(self):
        self.newest = os.urandom(16).hex()
        self.versions[self.newest] = [self.keys[len(self.versions)], "enabled"]

    def kid(self, version=None, host=VAULT):
        return "https://%s/keys/kek/%s" % (host, version or self.newest)

    def token(self, resource):
        t = "eyA%s" % os.urandom(8).hex()
        self.tokens[t] = time.time() + self.life, resource
        return t

    def valid(self, t, resource):
        until, of = self.tokens.get(t, (0, None))
        return until > time.time() and of == resource

    def web(self, q):
        """What listens on port 443, by name."""
        host = q.headers["Host"].partition(":")[0]
        if host in (VAULT, HSM, "private.test"):
            return self.vault(q, HSM if host == HSM else VAULT)
        if host == LOGIN:
            return self.login(q)
        raise Refusal(421, "<html>")

    # acme.vault.azure.net

    def vault(self, q, host):
        """Of the two kinds, the one of that name. An HSM's keys are AES keys here."""
        kind, _, t = (q.headers["Authorization"] or "").partition(" ")
        resource = HSM_RESOURCE if host == HSM else RESOURCE
        if kind != "Bearer" or not self.valid(t, resource):
            raise error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", WWW_Authenticate=
                        'Bearer authorization="https://%s/%s", resource="%s"' % (LOGIN, DIRECTORY, resource))
        if q.query.get("api-version") not in (["7.4"], ["2025-07-01"]):
            raise error(400, "BadParameter", "The specified version is not recognized.")
        m = re.fullmatch(r"/keys/([^/]+)(?:/([^/]*))?(?:/(wrapkey|unwrapkey))?", q.path)
        if not m or q.method != ("POST" if m[3] else "GET"):
            raise error(404, "ResourceNotFound", "no " + q.path)
        if (m[3] or "get") in self.denied:
            raise error(403, "Forbidden", "Caller is not authorized to perform action on resource.\r\nIf role assignments were changed recently, wait.", "ForbiddenByRbac")
        if m[1] != "kek" or (m[2] or self.newest) not in self.versions:
            raise error(404, "KeyNotFound", "A key with (name/id) %s was not found in this key vault." % m[1])
        if m[3]:
            return self.operate(q, m[2], m[3], host)
        version = m[2] or self.newest
        key, state = self.versions[version]
        n = key.public_key().public_numbers()
        of_kind = {"kty": "oct-HSM"} if host == HSM else {"kty": "RSA", "n": b64url(n.n.to_bytes(256, "big")), "e": "AQAB"}
        return {"key": dict(of_kind, kid=self.kid(version, host), key_ops=["wrapKey", "unwrapKey"]),
                "attributes": {"enabled": state == "enabled", "created": 1700000000, "updated": 1700000000, "recoveryLevel": "Recoverable+Purgeable"}}

    def operate(self, q, version, verb, host):
        if not re.fullmatch("[0-9a-f]{32}", version or ""):
            raise error(400, "BadParameter", "no version")
        key, state = self.versions[version]
        # Live, a key that is disabled still wraps.
        if verb == "unwrapkey" and state != "enabled":
            raise error(403, "Forbidden", "Operation unwrapKey is not allowed on %s key."
                        % ("a disabled" if state == "disabled" else "an expired"), "KeyDisabled" if state == "disabled" else None)
        try:
            body = json.loads(q.body)
            if q.headers["Content-Type"] != "application/json" or set(body) != {"alg", "value"} or body["alg"] != ("A256KW" if host == HSM else "RSA-OAEP-256"):
                raise error(400, "BadParameter", "alg is not supported")
            value = unb64url(body["value"])
        except ValueError:
            raise error(400, "BadParameter", "not base64url, or no JSON") from None
        aes = version.encode()  # 32 bytes: as good a key as any, here
        try:
            if verb == "wrapkey":
                done = keywrap.aes_key_wrap(aes, value) if host == HSM else key.public_key().encrypt(value, OAEP)
            else:
                done = keywrap.aes_key_unwrap(aes, value) if host == HSM else key.decrypt(value, OAEP)
        except (ValueError, keywrap.InvalidUnwrap):
            raise error(400, "BadParameter", "The parameter is incorrect: could not decrypt or unwrap.") from None
        return {"kid": self.kid(version, host), "value": b64url(done)}

    # login.microsoftonline.com

    def login(self, q):
        base = "https://%s/%s" % (LOGIN, DIRECTORY)
        if q.method == "GET" and q.path == "/common/discovery/instance":
            return {"tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration", "metadata": []}
        if q.method == "GET" and q.path.endswith("/.well-known/openid-configuration"):
            return {"token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "issuer": base + "/v2.0"}
        if q.method != "POST" or q.path != "/%s/oauth2/v2.0/token" % DIRECTORY:
            raise aad_error(400, "invalid_request", 90002, "Tenant not found.")
        f = form_of(q)
        resource = (f.get("scope") or "").removesuffix("/.default")
        if f.get("grant_type") != "client_credentials" or resource not in (RESOURCE, HSM_RESOURCE) or f["scope"] == resource:
            raise aad_error(400, "invalid_request", 90014, "grant_type or scope")
        if f.get("client_id") != CLIENT:
            raise aad_error(400, "unauthorized_client", 700016, "Application with identifier '%s' was not found in the directory." % f.get("client_id"))
        if "client_assertion" in f:
            if f.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" or f["client_assertion"] != FEDERATED:
                raise aad_error(401, "invalid_client", 700213, "No matching federated identity record found.")
        elif f.get("client_secret") != SECRET:
            raise aad_error(401, "invalid_client", 7000215, "Invalid client secret provided.")
        elif self.secret_state == "expired":
            raise aad_error(401, "invalid_client", 7000222, "The provided client secret keys for app are expired.")
        return {"token_type": "Bearer", "expires_in": self.life, "ext_expires_in": self.life, "access_token": self.token(resource)}

    # 169.254.169.254, and the endpoint of a hosted process

    def machine(self, q, version):
        if q.query.get("api-version") != [version] or q.query.get("resource") not in ([RESOURCE], [HSM_RESOURCE]):
            raise Refusal(400, {"error": "invalid_request", "error_description": "api-version or resource"})
        if q.query.get("client_id", [CLIENT]) != [CLIENT]:
            raise Refusal(400, {"error": "invalid_request", "error_description": "Identity not found"})
        resource = q.query["resource"][0]
        if not self.valid(self.machine_tokens.get(resource), resource):
            self.machine_tokens[resource] = self.token(resource)
        t = self.machine_tokens[resource]
        until = int(self.tokens[t][0])
        return {"access_token": t, "client_id": CLIENT, "expires_in": str(until - int(time.time())), "expires_on": str(until),
                "not_before": "1", "resource": resource, "token_type": "Bearer"}

    def imds(self, q):
        if q.headers["Metadata"] != "true":
            raise Refusal(400, {"error": "invalid_request", "error_description": "Required metadata header not specified"})
        if q.method != "GET" or q.path != "/metadata/identity/oauth2/token":
            raise Refusal(404, {"error": "not found"})
        return self.machine(q, "2018-02-01")

    def pod(self, q):
        if q.method != "GET" or q.path != "/msi/token" or q.headers["X-IDENTITY-HEADER"] != HEADER:
            raise Refusal(403, {"error": "forbidden"})
        answer = self.machine(q, "2019-08-01")
        del answer["expires_in"]
        return answer
