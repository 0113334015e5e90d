#!/usr/bin/python3
"""Is FILE, which `coffer policy` printed for the configuration of tests/sh/78-policy.sh, what it must be? policy_shape.py HOW FILE. Shell is run by a shell whose gcloud and az
write down what they were given."""
import json
import re
import subprocess
import sys

KEYS = ["arn:aws:kms:eu-west-1:111122223333:key/1234abcd", "arn:aws:kms:eu-west-1:111122223333:key/*"]
ROLE = "arn:aws:iam::111122223333:role/coffer-acme"


def only(text):
    """JSON without a member that stands there twice."""
    def pairs(p):
        assert len(dict(p)) == len(p), p
        return dict(p)
    return json.loads(text, object_pairs_hook=pairs)


def statements(text):
    p = only(text)
    assert p["Version"] == "2012-10-17" and set(p) == {"Version", "Statement"}
    assert all(s["Effect"] == "Allow" and not any("*" in a for a in s["Action"]) for s in p["Statement"])
    return p["Statement"]


def calls(path, **variables):
    """What a shell would call, as lists of words; the last one is what stood on standard input, if there is a here-document."""
    script = 'f() { printf "%s\\036" "$@"; case "$*" in *=/dev/stdin*) cat ;; esac; printf "\\035"; }\n' \
        'gcloud() { case " $* " in *" describe "*) return 1 ;; esac; f gcloud "$@"; }; az() { f az "$@"; }; . "$0"'
    out = subprocess.run(["sh", "-euc", script, path], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    return [c.split("\x1e") for c in out.split("\x1d")[:-1]]


def options(call):
    """(the words in front, the options: --a b and --a=b, and the here-document as '')."""
    front, found, words = [], {"": call[-1]}, iter(call[:-1])
    for word in words:
        name, eq, value = word.partition("=")
        if not word.startswith("--"):
            front.append(word)
        else:
            found[name] = value if eq else next(words)
    return " ".join(front), found


def hcl(text):
    """Vault's policies: path "P" { key = [strings] … }."""
    text = re.sub(r"#[^\n]*\n", "", text)
    block = r'path "([^"]*)" \{\s*((?:\w+ = \[(?:"\w+"(?:, )?)*\]\s*)*)\}\s*'
    assert re.fullmatch("(?:%s)*" % block, text), text
    return {m[1]: {k: json.loads(v) for k, v in re.findall(r"(\w+) = (\[[^\]]*\])", m[2])} for m in re.finditer(block, text)}


def aws(text, _path):
    use, describe = statements(text)
    assert use == {"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": KEYS, "Condition": {
        "StringEquals": {"kms:EncryptionContext:tenant": "acme", "kms:EncryptionContext:purpose": "root"},
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["purpose", "tenant", "volume"]}}}, use
    assert describe == {"Effect": "Allow", "Action": ["kms:DescribeKey"], "Resource": KEYS}, describe


def aws_host(text, _path):
    assert statements(text) == [{"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [ROLE]}]


def aws_trust(text, _path):
    assert statements(text) == [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/host"}, "Action": ["sts:AssumeRole"],
                                 "Condition": {"StringEquals": {"sts:ExternalId": "e-1"}}}]


def gcp(_text, path):
    made, key, ring = (options(c) for c in calls(path, HOST="sa@p.iam"))
    assert made[0] == "gcloud iam roles create cofferKeys" and made[1]["--project"] == "p", made
    assert made[1]["--permissions"] == "cloudkms.cryptoKeyVersions.useToEncrypt,cloudkms.cryptoKeyVersions.useToDecrypt", made
    where = {"--location": "europe-west1", "--project": "p", "--member": "serviceAccount:sa@p.iam", "--role": "projects/p/roles/cofferKeys", "": ""}
    assert key == ("gcloud kms keys add-iam-policy-binding k", {"--keyring": "r", **where}), key
    assert ring == ("gcloud kms keyrings add-iam-policy-binding r2", where), ring


def azure(_text, path):
    role, key, all_keys, hsm = (options(c) for c in calls(path, HOST="oid", SCOPE="/subscriptions/x"))
    assert role[0] == "az role definition create"
    role = only(role[1]["--role-definition"])
    assert role["Actions"] == [] and role["AssignableScopes"] == ["/subscriptions/x"], role
    assert role["DataActions"] == ["Microsoft.KeyVault/vaults/keys/" + a for a in ("wrap/action", "unwrap/action", "read")], role
    to = {"--assignee-object-id": "oid", "--assignee-principal-type": "ServicePrincipal", "": ""}
    at = "/subscriptions/x/providers/Microsoft.KeyVault/vaults/acme"
    assert key == ("az role assignment create", {"--role": role["Name"], "--scope": at + "/keys/kek", **to}), key
    assert all_keys == ("az role assignment create", {"--role": role["Name"], "--scope": at, **to}), all_keys
    assert hsm == ("az keyvault role assignment create", {"--hsm-name": "big", "--role": "Managed HSM Crypto Service Encryption User", "--scope": "/keys/aes", **to}), hsm


def vault(text, _path, paths=("transit/eu/%s/acme", "transit/%s/+")):
    rule = {"capabilities": ["update"], "required_parameters": ["associated_data", "context"]}
    assert hcl(text) == {p % verb: rule for p in paths for verb in ("encrypt", "decrypt")}, hcl(text)
    assert ("-namespace=team/a" in text) == (len(paths) == 2)


def vault_mount(text, path):
    vault(text, path, ("transit-eu/%s/k",))


def of_store(text, objects, locked, bucket):
    """Prefixes have a condition, a whole bucket has none; that one alone has object lock."""
    s = statements(text)
    assert sorted((*x["Action"], *x["Resource"]) for x in s) == sorted(
        [(*objects, r + "*") for r in ("arn:aws:s3:::backups/acme/a/", "arn:aws:s3:::backups/acme/a2/")] + [(*objects, *locked, "arn:aws-cn:s3:::whole/*")] +
        [(a, r) for r in ("arn:aws:s3:::backups", "arn:aws:s3:::backups", "arn:aws-cn:s3:::whole") for a in bucket]), s
    assert sorted(x["Condition"]["StringLike"]["s3:prefix"] for x in s if "Condition" in x) == ["acme/a/*", "acme/a2/*"], s
    assert all(x["Action"] == ["s3:ListBucket"] for x in s if "Condition" in x), s


def s3(text, _path):
    of_store(text, ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
             ("s3:GetObjectRetention", "s3:PutObjectRetention", "s3:GetObjectLegalHold", "s3:DeleteObjectVersion"), ("s3:ListBucket", "s3:ListBucketMultipartUploads"))


def s3_backup(text, _path):
    of_store(text, ("s3:GetObject", "s3:PutObject"), ("s3:GetObjectRetention", "s3:PutObjectRetention"), ("s3:ListBucket",))


def s3_prune(text, _path):
    of_store(text, ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"), ("s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:DeleteObjectVersion"), ("s3:ListBucket",))


def r2(text, _path):
    p = only(text)
    policy, = p["policies"]
    assert policy["effect"] == "allow" and len(policy["permission_groups"]) == 1 and p["name"] == "coffer acme"
    assert policy["resources"] == {"com.cloudflare.edge.r2.bucket.0123abc_eu_backups": "*", "com.cloudflare.edge.r2.bucket.ACCOUNT_default_whole": "*"}, policy


def gcs(_text, path):
    made = [options(c) for c in calls(path, HOST="sa@p.iam", PROJECT="proj")]
    roles, bound = made[:2], made[2:]
    assert [r[0] for r in roles] == ["gcloud iam roles create cofferObjects", "gcloud iam roles create cofferUploads"], roles
    assert roles[0][1]["--permissions"] == ",".join("storage.objects." + a for a in ("create", "get", "list", "delete")), roles
    conditions = []
    for words, o in bound:
        assert words in ("gcloud storage buckets add-iam-policy-binding gs://backups", "gcloud storage buckets add-iam-policy-binding gs://whole")
        assert o["--member"] == "serviceAccount:sa@p.iam" and re.fullmatch("projects/proj/roles/coffer(Objects|Uploads)", o["--role"]), o
        if o.get("--condition") != "None":
            assert words.endswith("gs://backups") and o["--role"].endswith("Objects")
            conditions.append(only(o[""])["expression"])
    assert sorted(conditions) == sorted("resource.name.startsWith('projects/_/buckets/backups/objects/acme/%s/') || "
                                        "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('acme/%s/')" % (v, v) for v in ("a", "a2")), conditions
    assert len(bound) == 6


def main(how, path):
    with open(path) as f:
        text = f.read()
    assert "others" not in text
    globals()[how.replace("-", "_")](text, path)


main(*sys.argv[1:])
