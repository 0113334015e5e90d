#!/bin/sh
# Goals: policy prints what a provider takes (JSON, HCL, shell with JSON in it) and exactly the tenant's keys, context, buckets and prefixes; nothing of other tenants; it needs no
# agent. What is in it tests/kms/policy_shape.py says; test_aws.py has moto, 71-lock-path.sh a Vault server hold us to it.
# shellcheck source=tests/sh/functions.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/functions.sh"
requires python3 -c ''
bin=${COFFER_BIN:-$top_builddir}
mkdir -p "$tmp/etc/tenants.d" "$tmp/etc/volumes.d"
arn=arn:aws:kms:eu-west-1:111122223333:key
cat >"$tmp/etc/tenants.d/acme.conf" <<EOF
# kms=aws-kms://$arn/comment
[tenant]
kms=aws-kms://$arn/1234abcd
kms = aws-kms://$arn/*
kms=aws-kms://$arn/1234abcd
kms=gcp-kms://projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k
kms=gcp-kms://projects/p/locations/europe-west1/keyRings/r2/cryptoKeys/*
kms=azure-kms://acme.vault.azure.net/keys/kek/0123456789abcdef
kms=azure-kms://acme.vault.azure.net/keys/*
kms=azure-kms://big.managedhsm.azure.net/keys/aes
kms=hcvault://vault.example:8200/transit/eu/keys/acme
kms=hcvault://vault.example:8200/transit/keys/*
[allow]
user=nobody-of-this-name
unit=x.service
operations=unlock
[kms]
role-arn=arn:aws:iam::111122223333:role/coffer-acme
external-id=e-1
namespace=team/a
EOF
tenant() { printf '[tenant]\n%s\n' "$2" >"$tmp/etc/tenants.d/$1.conf"; }
volume() { # NAME TENANT STORE [STORE-KEY=VALUE]
	printf '[volume]\nsource=/srv/%s\ntenant=%s\n[backup]\nstore=%s\n[store]\n%s\n' "$1" "$2" "$3" "${4:-}" >"$tmp/etc/volumes.d/$1.conf"
}
tenant other "kms=aws-kms://$arn/other"
tenant bad 'kms=aws-kms://arn:aws:kms:"x/y'
tenant short 'kms=gcp-kms://projects/p'
tenant wrong 'kmz=aws-kms://x'
printf '[tenant]\nkms=hcvault://h/t/keys/k\n[kms]\nmount=transit-eu\n' >"$tmp/etc/tenants.d/mounted.conf"
volume a acme s3://backups/acme/a endpoint=https://0123abc.eu.r2.cloudflarestorage.com
volume a2 acme s3://backups/acme/a2 endpoint=https://0123abc.eu.r2.cloudflarestorage.com
volume b acme s3://whole region=cn-north-1
volume b2 acme s3://whole "region=cn-north-1
object-lock=governance 30"
volume c other s3://others
policy() { "$bin/coffer" policy "$@" --config "$tmp/etc"; }
shape() { # HOW ARGUMENT...
	how=$1
	shift
	expect 0 policy "$@" || return 0
	python3 "$top_srcdir/tests/kms/policy_shape.py" "$how" "$tmp/out" >"$tmp/why" 2>&1 && ok "$how" || not_ok "$how: $(cat "$tmp/why" "$tmp/out")"
}
shape aws aws --tenant acme
grep -q 'coffer-acme; --trust' "$tmp/err" && ok "whose policy it is" || not_ok "hint: $(cat "$tmp/err")"
shape aws-host aws --tenant acme --host
shape aws-trust aws --tenant acme --trust arn:aws:iam::444455556666:role/host
for kind in gcp azure vault s3 r2 gcs; do shape $kind $kind --tenant acme; done
shape s3-backup s3 --tenant acme --backup
shape s3-prune s3 --tenant acme --prune
shape vault-mount vault --tenant mounted
expect 0 policy aws --tenant other && ! grep -q 1234abcd "$tmp/out" && ok "another tenant's are its own"
expect 18 policy aws --tenant none && expect 18 policy gcp --tenant other && expect 18 policy s3 --tenant none && expect 18 policy aws --tenant other --host && ok "no such tenant, key, store or role"
expect 3 policy aws --tenant bad && expect 3 policy gcp --tenant short && expect 3 policy aws --tenant wrong && grep -q 'wrong.conf:2: ' "$tmp/err" && ok "what no policy can be made of" || not_ok "$(cat "$tmp/err")"
expect 2 policy aws --tenant ../acme && expect 2 policy frob --tenant acme && expect 2 policy aws && expect 2 policy gcp --tenant acme --host && expect 2 policy aws --tenant acme --trust "arn:'x" && expect 2 policy r2 --tenant acme --prune && expect 2 policy s3 --tenant acme --prune --backup && ok "usage"
