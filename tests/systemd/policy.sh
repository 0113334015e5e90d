#!/bin/bash
# Goals, in a container with systemd as PID 1: a tenant's key is for one user in one system unit, and for nobody else, root included.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
log=/var/lib/coffer/audit.log
refused() { # UID UNIT: the newest refusal of that user is of a peer in that unit
	python3 -c 'import json, sys
mine = [l["peer"] for l in map(json.loads, open(sys.argv[1])) if l.get("class") == "DENIED" and l.get("peer", {}).get("uid") == int(sys.argv[2])]
print(mine[-1:])
sys.exit(not mine or mine[-1].get("unit", "") != sys.argv[3])' "$log" "$1" "$2"
}
denied() { # CMD ARG...: exit code 11
	local status=0
	"$@" || status=$?
	[ "$status" = 11 ]
}
as() { # USER CMD ARG...: in no unit of its own but that of this script
	local user=$1
	shift
	setpriv --reuid="$user" --regid="$user" --init-groups env XDG_RUNTIME_DIR="/run/user/$(id -u "$user")" "$@"
}

systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
for u in acme other; do useradd -m $u; done
mkdir -p /etc/coffer/tenants.d /etc/coffer/volumes.d /etc/coffer/keys /mnt/acme /mnt/mine
chown acme: /mnt/mine
(umask 077 && head -c 32 /dev/urandom >/etc/coffer/keys/acme)
chown -R coffer-agent: /etc/coffer/keys
chmod 700 /etc/coffer/keys
cat >/etc/coffer/tenants.d/acme.conf <<'EOF'
[tenant]
kms=local:acme
[allow]
user=acme
unit=coffer@acme.service
operations=unlock
EOF
printf '[volume]\nsource=/srv/acme\nmountpoint=/mnt/acme\nuser=acme\n' >/etc/coffer/volumes.d/acme.conf
systemctl daemon-reload
check "the agent starts with rules" systemctl start coffer-agent.socket coffer-agent
check "root makes the volume" coffer init /srv/acme --tenant acme --kms local:acme
chown -R acme: /srv/acme
check "the unit of that name and user gets the key" systemctl start coffer@acme
check "as that user" [ "$(awk '/^Uid:/ { print $2 }' "/proc/$(main_pid coffer@acme)/status")" = "$(id -u acme)" ]
check "who is served" as acme sh -c 'echo text >/mnt/acme/file && sync /mnt/acme/file'
check "it stops" systemctl stop coffer@acme
check "the same user outside of the unit is denied" denied as acme coffer mount /srv/acme /mnt/mine
check "and audited" refused "$(id -u acme)" boot-systemd-cmd.service
check "in another unit, too" denied systemd-run --quiet --wait --pipe --collect --unit=db.service -p User=acme coffer mount /srv/acme /mnt/mine
check "and audited" refused "$(id -u acme)" db.service
loginctl enable-linger acme
check "a user's manager is up" wait_state "user@$(id -u acme).service" active
until_ok 30 [ -S "/run/user/$(id -u acme)/bus" ]
check "in a unit of that name of his own manager, too" denied as acme systemd-run --user --quiet --wait --pipe --collect --unit=coffer@acme.service coffer mount /srv/acme /mnt/mine
check "and audited" refused "$(id -u acme)" "user@$(id -u acme).service"
check "root without the unit is denied" denied coffer mount /srv/acme /mnt/mine
check "and audited" refused 0 boot-systemd-cmd.service
mkdir -p /etc/systemd/system/coffer@acme.service.d
printf '[Service]\nUser=other\nAmbientCapabilities=CAP_SYS_ADMIN\nExecStart=\nExecStart=/usr/local/bin/coffer mount /srv/acme /mnt/mine --foreground\n' >/etc/systemd/system/coffer@acme.service.d/other.conf
chown -R other: /srv/acme /mnt/mine
systemctl daemon-reload
check "the unit with another user is denied" not systemctl start coffer@acme
check "and audited" refused "$(id -u other)" coffer@acme.service
rm -r /etc/systemd/system/coffer@acme.service.d
chown -R acme: /srv/acme
systemctl daemon-reload
systemctl reset-failed coffer@acme
check "with its user again it is served" systemctl start coffer@acme
check "what was written is there" as acme grep -q text /mnt/acme/file
exit $fails
