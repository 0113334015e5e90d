#!/bin/bash
# Goals, in a container with systemd as PID 1: LoadCredential= from credentials.sock gives a unit the secrets that its tenant's rules give it, in memory, when it starts; whoever
# else asks, as root too, gets none and a row in the audit log; a locked tenant's units get none; nothing of a secret is on a disk. The agent's own secret comes by
# LoadCredentialEncrypted=.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
log=/var/lib/coffer/audit.log
sock=/run/coffer/credentials.sock
rows() { # EVENT OUTCOME OBJECT TEXT: rows of the audit log with these, and TEXT in reason, detail or unit
	python3 -c 'import json, sys
event, outcome, name, text = sys.argv[2:]
print(sum(1 for l in map(json.loads, open(sys.argv[1])) if l["event"] == event and l["outcome"] == outcome and l.get("object", "") == name
	and text in l.get("reason", "") + " " + l.get("detail", "") + " " + l.get("peer", {}).get("unit", "")))' "$log" "$@"
}
row() { [ "$(rows "$@")" -ge 1 ] || { tail -n 3 "$log"; return 1; }; }
unit() { # NAME CREDENTIAL [LINE...]: a service that writes what it has been given where the test can look
	local name=$1 credential=$2
	shift 2
	printf '%s\n' '[Service]' Type=oneshot RemainAfterExit=yes "LoadCredential=$credential:$sock" "$@" \
		"ExecStart=sh -c 'stat -f -c %%T \"\$CREDENTIALS_DIRECTORY\" >/srv/$name.where; sha256sum <\"\$CREDENTIALS_DIRECTORY/$credential\" >/srv/$name.sum'" ReadWritePaths=/srv >/etc/systemd/system/"$name".service
}
given() { # NAME FILE: the unit was given the content of FILE
	[ "$(cat /srv/"$1".sum)" = "$(sha256sum <"$2")" ]
}
not_started() { # NAME: its start fails, because of its credential, and its program never ran
	rm -f /srv/"$1".sum
	systemctl reset-failed "$1" 2>/dev/null
	! systemctl start "$1" || { echo "$1 started"; return 1; }
	[ "$(systemctl show -P ExecMainStatus "$1")" = 243 ] || { systemctl status "$1"; return 1; }
	[ ! -e /srv/"$1".sum ]
}
# Asks like systemd, with any name: what it got, in bytes, and whether all of them are zero.
cat >/usr/local/bin/forger <<'EOF2'
#!/usr/bin/python3
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.settimeout(60)
if sys.argv[1]:
    s.bind("\0" + sys.argv[1])
s.connect("/run/coffer/credentials.sock")
s.shutdown(socket.SHUT_WR)
got = b""
while chunk := s.recv(65536):
    got += chunk
print(len(got), not any(got))
EOF2
chmod 755 /usr/local/bin/forger
chmod 777 /srv
nothing='1048577 True' # more than a credential may have, and nothing in it

systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
mkdir -p /etc/coffer/tenants.d /etc/coffer/credentials /etc/coffer/keys
chown coffer-agent: /etc/coffer/keys
chmod 700 /etc/coffer/keys
systemctl daemon-reload
check "the agent starts" systemctl start coffer-agent.socket coffer-agent
check "with the socket for credentials" state_is coffer-credentials.socket active
check "which is root's alone" [ "$(stat -c '%a %U' $sock)" = "600 root" ]
printf 'correct horse battery staple' >/tmp/secret
head -c 1048512 /dev/urandom >/tmp/large # systemd counts the name as well
seal() { coffer seal --tenant "$1" --name "$2" <"$3" >/etc/coffer/credentials/"$1-$2"; }
check "root seals" seal acme db.password /tmp/secret
check "and something large" seal acme large /tmp/large
check "for another tenant, too" seal other db.password /tmp/large
cat >/etc/coffer/tenants.d/acme.conf <<'EOF2'
[credential db.password]
file=/etc/coffer/credentials/acme-db.password
unit=acme.service dyn.service
[credential large]
file=/etc/coffer/credentials/acme-large
unit=acme-large.service
[credential swapped]
file=/etc/coffer/credentials/acme-db.password
unit=swapped.service
[credential missing]
file=/etc/coffer/credentials/none
unit=missing.service
[credential loose]
file=/etc/coffer/credentials/loose
unit=loose.service
[credential link]
file=/etc/coffer/credentials/link
unit=link.service
EOF2
printf '[credential db.password]\nfile=/etc/coffer/credentials/other-db.password\nunit=other.service both.service\n' >/etc/coffer/tenants.d/other.conf
printf '[credential db.password]\nfile=/etc/coffer/credentials/other-db.password\nunit=both.service\n' >/etc/coffer/tenants.d/third.conf
cp /etc/coffer/credentials/acme-db.password /etc/coffer/credentials/loose
chmod 666 /etc/coffer/credentials/loose
ln -s acme-db.password /etc/coffer/credentials/link
for u in acme victim other both; do unit $u db.password; done
unit dyn db.password DynamicUser=yes PrivateUsers=yes
unit acme-large large
for c in swapped missing loose link; do unit $c $c; done
useradd -m person
systemctl daemon-reload
check "the rules are read" systemctl reload-or-restart coffer-agent

check "the right unit starts" systemctl start acme
check "and is given the secret" given acme /tmp/secret
check "in memory" grep -qE 'ramfs|tmpfs' /srv/acme.where
check "which is in the audit log" row cred.open ok db.password acme.service
check "also one with a user, and users, of its own" systemctl start dyn
check "who is given it" given dyn /tmp/secret
check "as much as systemd takes" systemctl start acme-large
check "whole" given acme-large /tmp/large
check "each tenant's unit gets its tenant's" systemctl start other
check "of the same name" given other /tmp/large
check "a unit that no rule names does not start" not_started victim
check "and that is in the audit log" row peer.denied refused db.password victim.service
check "nor one that two tenants name" not_started both
check "and that is in the audit log" row peer.denied refused db.password 'two tenants'
check "nor one whose file is another credential" not_started swapped
check "and that is in the audit log" row cred.open refused swapped 'credential db.password of tenant acme'
check "nor one whose file is not there" not_started missing
check "nor one whose file anybody writes" not_started loose
check "nor one whose file is a link" not_started link
check "and that is in the audit log" row cred.open refused loose 'nobody else writes'

# Somebody who is root and binds a unit's name himself.
as_unit() { systemd-run --quiet --wait --pipe --collect --unit="$1" "${@:2}"; }
check "a forger in another unit gets nothing" [ "$(as_unit forger.service forger 0123456789abcdef/unit/acme.service/db.password)" = "$nothing" ]
check "and is in the audit log with his true unit" row peer.denied refused db.password forger.service
check "nor one in no unit's name" [ "$(as_unit forger2.service forger '')" = "$nothing" ]
check "nor one with another form of name" [ "$(as_unit forger3.service forger 0/cryptsetup/acme.service)" = "$nothing" ]
check "nor one in a slice named so" [ "$(as_unit forger4.service -p Slice=acme.service.slice forger 1/unit/acme.service/db.password)" = "$nothing" ]
check "nor root of a user namespace" not as_unit forger5.service -p User=person unshare --user --map-root-user forger 1/unit/acme.service/db.password
check "an ordinary user does not even connect" not as_unit acme.service2.service -p User=person forger 1/unit/acme.service/db.password
# A unit of that name of a user's manager, though he be root.
loginctl enable-linger root
check "root has a manager of his own" wait_state user@0.service active
until_ok 30 [ -S /run/user/0/bus ]
mkdir -p /root/.config/systemd/user
cp /etc/systemd/system/acme.service /root/.config/systemd/user/
XDG_RUNTIME_DIR=/run/user/0 systemctl --user daemon-reload
rm -f /srv/acme.sum
check "a unit of that name of a user's manager does not start" not env XDG_RUNTIME_DIR=/run/user/0 systemctl --user start acme
check "and has run nothing" [ ! -e /srv/acme.sum ]
check "and that is in the audit log" row peer.denied refused db.password user@0.service

# Too late.
systemctl stop acme
check "an operator locks the tenant" coffer lock --tenant acme --reason 'too late'
check "a unit that comes too late does not start" not_started acme
check "and that is in the audit log" row cred.open refused db.password 'too late'
check "another tenant's does" systemctl restart other
check "the lock ends" coffer unlock --tenant acme
systemctl reset-failed acme
check "and the unit starts" systemctl start acme
check "and is given the secret" given acme /tmp/secret
# Whoever hangs holds nobody up.
cat >/usr/local/bin/hang <<'EOF2'
#!/usr/bin/python3
import socket, time
held = []
for i in range(40):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("/run/coffer/credentials.sock")
    held.append(s)
print("hanging", flush=True)
time.sleep(1000)
EOF2
chmod 755 /usr/local/bin/hang
systemd-run --quiet --unit=hang.service -p StandardOutput=file:/tmp/hang.out hang
until_ok 60 grep -q hanging /tmp/hang.out
check "forty who hang hold nobody up" timeout 30 systemctl restart acme
systemctl stop hang.service
# The agent is started by who wants a credential, and none of this is anywhere in clear.
systemctl stop acme coffer-agent
check "the agent comes when a unit needs it" systemctl start acme
check "and gives" given acme /tmp/secret
check "the secret is in no file of the agent's" not grep -rqF 'correct horse' /var/lib/coffer /etc/coffer
check "nor in the journal" not sh -c 'journalctl -o export --no-pager | grep -qF "correct horse"'
check "the audit log verifies" coffer audit verify

# The agent's own secrets: encrypted for this host, in clear in the agent's unit alone.
if command -v systemd-creds >/dev/null && systemd-creds setup >/tmp/said 2>&1; then
	printf 'bootstrap' >/tmp/clear
	check "systemd encrypts a secret of the agent's" systemd-creds encrypt --with-key=host --name=kms.token /tmp/clear /etc/coffer/kms.token.cred
	mkdir -p /etc/systemd/system/coffer-agent.service.d
	printf '[Service]\nLoadCredentialEncrypted=kms.token:/etc/coffer/kms.token.cred\n' >/etc/systemd/system/coffer-agent.service.d/kms.conf
	systemctl daemon-reload
	check "the agent starts with it" systemctl restart coffer-agent
	# What credentials=file:PATH names: the agent may read it.
	check "and can read it" [ "$(nsenter -t "$(main_pid coffer-agent)" -m --setuid="$(id -u coffer-agent)" cat /run/credentials/coffer-agent.service/kms.token)" = bootstrap ]
	check "nobody else can" not setpriv --reuid=person --clear-groups cat /run/credentials/coffer-agent.service/kms.token
else
	echo "# systemd-creds does not work here: $(tail -n1 /tmp/said)"
fi
exit $fails
