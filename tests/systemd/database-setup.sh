# database-setup.sh: two tenants, a Vault server, a database, its clients: . /root/database-setup.sh, after database-functions.sh
# shellcheck shell=bash disable=SC2015,SC2016,SC2034,SC2086,SC2154 # what check is given it runs; names are words
if [ -d /root/debs ]; then
	check "the packages" env DEBIAN_FRONTEND=noninteractive dpkg -i /root/debs/coffer-agent_0.1.0-1_*.deb /root/debs/coffer_0.1.0-1_*.deb
else
	systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
	systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/coffer.conf
fi
useradd -m beta && useradd -m app
mkdir -p /srv/kms/data /srv/app /etc/coffer/tenants.d /etc/coffer/credentials /etc/coffer/kms /mnt/acme /mnt/beta /srv/decoy
touch /srv/app/acked
chown -R app: /srv/app
chown postgres: /srv/decoy

# ---- the key service ----
python3 /root/bao.py ca /srv/kms
echo 8200 >/srv/kms/port
cat >/srv/kms/bao.hcl <<'EOS'
ui = false
storage "raft" { path = "/srv/kms/data"  node_id = "one" }
api_addr = "https://localhost:8200"
cluster_addr = "https://localhost:8201"
listener "tcp" { address = "127.0.0.1:8200"  tls_cert_file = "/srv/kms/srv.pem"  tls_key_file = "/srv/kms/srv.key"  tls_min_version = "tls13" }
EOS
cat >/usr/local/bin/bao-unseal <<'EOS'
#!/usr/bin/python3
import os, sys
sys.path.insert(0, "/root")
import bao
b = bao.Bao("/srv/kms")
if os.path.exists(b.path("unseal-key")):
    b.wait_health(503)
else:
    b.wait_health(501)
    made = b.must("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
    b.write("unseal-key", made["keys"][0])
    b.write("root-token", made["root_token"])
b.unseal()
EOS
chmod 755 /usr/local/bin/bao-unseal
printf '[Service]\nEnvironment=HOME=/srv/kms\nExecStart=/opt/bao server -config=/srv/kms/bao.hcl\nExecStartPost=/usr/local/bin/bao-unseal\nTimeoutStartSec=120\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/bao.service
systemctl daemon-reload
check "a Vault server" systemctl enable --now bao
[ $fails = 0 ] || exit 1
tenant() { # NAME USER: a key, a login, rules; a volume of that user
	bao request POST "transit/keys/$1" '{}' && bao request PUT "sys/policies/acl/$1" \
		"{\"policy\":\"path \\\"transit/encrypt/$1\\\" { capabilities=[\\\"update\\\"] }\\npath \\\"transit/decrypt/$1\\\" { capabilities=[\\\"update\\\"] }\"}" &&
		bao request POST "auth/approle/role/$1" "{\"token_policies\":\"$1\",\"token_ttl\":\"600s\"}" || return 1
	field() { python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][sys.argv[1]])' "$1"; }
	bao request GET "auth/approle/role/$1/role-id" | field role_id >"/etc/coffer/kms/$1.role-id"
	(umask 077 && bao request POST "auth/approle/role/$1/secret-id" '{}' | field secret_id >"/etc/coffer/kms/$1.secret-id")
	chown coffer-agent: "/etc/coffer/kms/$1."*
	cat >"/etc/coffer/tenants.d/$1.conf" <<-EOS
		[tenant]
		kms=hcvault://localhost:8200/transit/keys/$1
		probe=1s
		confirm=2/2s
		[allow]
		user=$2
		unit=coffer@$1.service
		operations=unlock
		[allow operators]
		user=root
		operations=admin,seal
		[kms]
		ca-file=/etc/coffer/kms/ca.pem
		auth=approle:/etc/coffer/kms/$1.role-id
		credentials=file:/etc/coffer/kms/$1.secret-id
	EOS
	printf '[volume]\nsource=/srv/%s\nmountpoint=/mnt/%s\ntenant=%s\nuser=%s\n' "$1" "$1" "$1" "$2" >"/etc/coffer/volumes.d/$1.conf"
}
cp /srv/kms/ca.pem /etc/coffer/kms/
bao request POST sys/mounts/transit '{"type":"transit"}' >/dev/null
bao request POST sys/auth/approle '{"type":"approle"}' >/dev/null
check "tenant acme, with PostgreSQL's user" tenant acme postgres
check "tenant beta" tenant beta beta
printf '[credential pgpass]\nfile=/etc/coffer/credentials/acme-pgpass\nunit=app.service load.service\n' >>/etc/coffer/tenants.d/acme.conf
systemctl daemon-reload
check "the agent" systemctl enable --now coffer-agent.socket coffer-credentials.socket coffer-agent
systemctl reload coffer-agent # that of packages runs already
for t in acme beta; do
	check "a volume of $t" coffer --quiet init $t --tenant $t --kms hcvault://localhost:8200/transit/keys/$t
done
chown -R postgres: /srv/acme
chown -R beta: /srv/beta
check "their mounts" systemctl start coffer@acme coffer@beta
check "beta's is beta's" as beta sh -c 'echo mine >/mnt/beta/file && sync /mnt/beta/file'

# ---- the database ----
mkdir /etc/postgresql/15 && chown postgres: /etc/postgresql/15
check "a cluster on the volume" as postgres pg_createcluster 15 main -d /mnt/acme/15 -- --data-checksums
cat >>/etc/postgresql/15/main/postgresql.conf <<'EOS'
shared_buffers = 16MB
max_connections = 20
checkpoint_timeout = 30s
listen_addresses = 'localhost'
EOS
check "and a copy of it elsewhere" as postgres sh -c 'cp -a /mnt/acme/15 /srv/decoy/15'
mkdir -p /etc/systemd/system/$pg.d /etc/systemd/system/coffer@acme.service.d
cp $examples/coffer-database.conf /etc/systemd/system/coffer@acme.service.d/database.conf
systemctl daemon-reload
sed 's/^#User=/User=/' $examples/postgresql.conf >/etc/systemd/system/$pg.d/coffer.conf
systemctl enable coffer@acme coffer@beta >/dev/null 2>&1
check "it starts" systemctl start $pg
password=$(head -c 24 /dev/urandom | base64)
query_admin() { as postgres psql -XqAt -c "$1"; }
check "a user with a password" query_admin "create role app login password '$password'"
check "a database" query_admin "create database bench owner app"
printf 'localhost:5432:bench:app:%s\n' "$password" | check "the password is sealed for its clients' units" \
	sh -c 'coffer seal --tenant acme --name pgpass >/etc/coffer/credentials/acme-pgpass'
systemctl reload coffer-agent

# ---- its clients, bound to it ----
cat >/usr/local/bin/app <<'EOS'
#!/bin/bash
# Numbers into a table; those that were committed into /srv/app/acked. Ends when the database does not answer.
psql -Xq -c 'create table if not exists numbers (n int)' || exit 1
n=$(tail -n 1 /srv/app/acked)
while n=$((n + 1)) && psql -Xq -c "insert into numbers values ($n)"; do echo "$n" >>/srv/app/acked; done
exit 1
EOS
cat >/usr/local/bin/load <<'EOS'
#!/bin/bash
[ -n "$(psql -XqAt -c "select 1 from pg_tables where tablename = 'pgbench_history'")" ] || /usr/lib/postgresql/15/bin/pgbench -q -i -s 1 || exit 1
exec /usr/lib/postgresql/15/bin/pgbench -n -c 3 -T 100000
EOS
chmod 755 /usr/local/bin/app /usr/local/bin/load
for u in app load; do
	printf '%s\n' '[Unit]' "BindsTo=$pg" "After=$pg coffer-credentials.socket" StartLimitIntervalSec=0 '[Service]' User=app \
		LoadCredential=pgpass:/run/coffer/credentials.sock 'Environment=PGPASSFILE=%d/pgpass PGHOST=localhost PGUSER=app PGDATABASE=bench' \
		ExecStart=/usr/local/bin/$u Restart=always RestartSec=1s >/etc/systemd/system/$u.service
	systemctl add-wants $pg $u.service >/dev/null 2>&1
done
systemctl daemon-reload
check "they start with it" systemctl start app load
[ $fails = 0 ] || exit 1
