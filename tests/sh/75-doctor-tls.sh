#!/bin/sh
# Goals: coffer doctor's own handshake with a volume's key service (a real Vault server, then servers with one fault each, by endpoint=).
# 1. What is wrong is told by its name: no TLS 1.3, a certificate that ended, has not begun, is for another name, is of another authority, will end soon; clocks; nobody there.
# 2. It asks only what this host has pinned or lists, and sends nothing but HEAD: no credential, and to a server that is not good nothing at all.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; what is quoted runs inside
. "${top_srcdir:?}/tests/sh/volume.sh"
# shellcheck source=tests/kms/functions.sh
. "$top_srcdir/tests/kms/functions.sh"
requires unshare --mount true

start_bao
bao_key acme
bao_approle acme
/usr/bin/python3 "$top_srcdir/tests/kms/tls_server.py" "$tmp" >"$tmp/tls.log" 2>&1 &
cleanup_fn kill $!
wait_for 60 [ -s "$tmp/tls-ports" ]

mkdir -p "$tmp/etc/tenants.d"
configured() { # LINE...: tenants.d/acme.conf, for doctor; the agent reads it at its start alone
	{ printf '[tenant]\n[kms]\nauth=approle:%s\ncredentials=file:%s\n' "$bao/acme.role-id" "$bao/acme.secret-id" && printf '%s\n' "$@"; } >"$tmp/etc/tenants.d/acme.conf"
}
at() { # CASE: endpoint= of that server, and its authority
	configured "endpoint=https://localhost:$(sed -n "s/^$1 //p" "$tmp/tls-ports")" "ca-file=$tmp/tls-ca.pem"
}
doctor() { # the command, with this script's configuration in the place of /etc/coffer
	unshare --mount --propagation private sh -c 'mount -t tmpfs none /etc && mkdir /etc/coffer && mount --bind "$1" /etc/coffer && shift && exec "$@"' - "$tmp/etc" \
		"$bin/coffer" --agent "${sock:-$tmp/agent.sock}" doctor "$tmp/acme"
}
finds() { # CODE RESULT NAME TEXT: a row of that result and name has TEXT
	expect "$1" doctor || return 0
	grep -q "^$2  *$3  .*$4" "$tmp/out" && ok "$3: $4" || not_ok "$3: no $2 with '$4': $(cat "$tmp/out")"
}

configured "ca-file=$bao/ca.pem"
agent_start
volume acme --kms "hcvault://$bao_host/transit/keys/acme"
finds 0 ok TLS "$bao_host speaks TLS 1.3; its certificate is good until 20..-.*T.*Z, [0-9]* days"
finds 0 ok clock "$bao_host says a time that is [0-9]* s off"
finds 0 ok 'key service' 'gives the key, in [0-9]* ms'
grep -q '^ok  *credential  .*approle' "$tmp/out" && ok "with which credential" || not_ok "no credential: $(cat "$tmp/out")"
configured
finds 15 FAIL TLS 'certificate is from an authority that is not trusted here\|the CA file cannot be used'

at good
finds 0 ok TLS 'speaks TLS 1.3; its certificate is good until .*, [78][0-9][0-9] days'
finds 0 ok clock 'says a time that is [0-9] s off'
at old
finds 15 FAIL TLS 'speaks TLS 1.2 and nothing newer; 1.3 is required'
at expired
finds 15 FAIL TLS 'its certificate was good until 20.*; here it is 20'
grep -q "is this host's clock right" "$tmp/out" && ok "with advice about the clock" || not_ok "no advice: $(cat "$tmp/out")"
at early
finds 15 FAIL TLS 'its certificate is good from 20.* on; here it is 20'
at name
finds 15 FAIL TLS 'certificate is for another name; it is of CN = other.example (DNS:other.example), from CN = test authority'
at stranger
finds 15 FAIL TLS 'authority that is not trusted here; it is of CN = localhost (DNS:localhost), from CN = unknown authority'
at soon
finds 0 warn TLS 'its certificate is good until .*, [12] days'
at slow
finds 0 warn clock 'says a time that is \(89\|9[0-9]\) s off'
at fast
finds 15 FAIL clock 'says a time that is [67][0-9][0-9] s off'
at plain
finds 15 FAIL TLS 'the server does not speak TLS'
configured 'endpoint=https://localhost:1' "ca-file=$tmp/tls-ca.pem"
finds 15 FAIL TLS 'localhost:1: no connection'
configured 'endpoint=http://localhost'
finds 15 FAIL TLS 'no host can be found for hcvault:'
configured 'no-such-key=1'
finds 15 FAIL TLS 'acme.conf:5: '

[ "$(cut -d ' ' -f 1-2 "$tmp/tls-asked" | sort -u | xargs)" = 'fast HEAD good HEAD slow HEAD soon HEAD' ] && ok "those that are not good were not asked anything" || not_ok "asked: $(cat "$tmp/tls-asked")"
! grep -qiE 'vault|token|authorization|cookie' "$tmp/tls-asked" && ok "nobody was sent a credential" || not_ok "sent: $(cat "$tmp/tls-asked")"

# Without an agent nobody knows what was pinned: what the volume says of itself counts only if the host's own file says it, too.
at good
: >"$tmp/tls-asked"
sock=$tmp/none.sock
finds 15 FAIL agent 'no agent'
! grep -q '^[a-zA-Z]*  *TLS ' "$tmp/out" && [ ! -s "$tmp/tls-asked" ] && ok "a volume's word is not enough" || not_ok "asked: $(cat "$tmp/out")"
sed -i "s|^.tenant.|&\\nkms=hcvault://$bao_host/transit/keys/acme|" "$tmp/etc/tenants.d/acme.conf"
finds 15 ok TLS 'speaks TLS 1.3'
