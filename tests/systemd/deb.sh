#!/bin/bash
# Goals, in a container with systemd as PID 1: the Debian packages of /root/debs, installed, upgraded to 0.1.1, removed, purged, installed again.
# A live mount and its database go on over an upgrade; the agent may be another one behind it; a removal brings units' mounts to rest and is refused while
# others are mounted; a purge leaves keys, pins and the audit log.
# shellcheck disable=SC2016,SC2317 # what is checked is run by check
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
install() { DEBIAN_FRONTEND=noninteractive dpkg -i "$@"; } # the tree has all that they depend on
another() { local now; now=$(main_pid "$1") && [ "$now" != 0 ] && [ "$now" != "$2" ] && state_is "$1" active; }
listed() { coffer --json status | grep -q '"mountpoint":"/mnt/acme"'; }
ticks() { [ "$(stat -c %s /mnt/acme/ticks 2>/dev/null || echo 0)" -gt "$1" ]; }

check "they install" install /root/debs/coffer-agent_0.1.0-1_*.deb /root/debs/coffer_0.1.0-1_*.deb
check "the agent runs, as its user" sh -c 'systemctl is-active coffer-agent.service coffer-agent.socket && systemctl is-enabled coffer-agent.socket && id coffer-agent'
check "its directories" [ "$(stat -c '%a %U' /etc/coffer/keys /var/lib/coffer /etc/coffer/volumes.d | xargs)" = "700 coffer-agent 700 coffer-agent 755 root" ]
check "systemd has nothing to say about the units" sh -c 'systemd-analyze verify --man=no coffer-agent.service coffer-agent.socket coffer-credentials.socket coffer@a.service coffer-a.slice coffer-backup@a.timer coffer-scrub@a.timer 2>&1 | tee /tmp/verify; ! [ -s /tmp/verify ]'
mkdir -p /mnt/acme /mnt/hand
printf '[volume]\nsource=/srv/acme\nmountpoint=/mnt/acme\ntenant=acme\n' >/etc/coffer/volumes.d/acme.conf
systemctl daemon-reload
check "a volume" coffer --quiet init acme
cat >/etc/systemd/system/db.service <<'EOS'
[Unit]
BindsTo=coffer@acme.service
After=coffer@acme.service
AssertPathIsMountPoint=/mnt/acme
[Service]
ExecStart=/bin/bash -c 'cd /mnt/acme && exec 9>>ticks && while :; do echo tick >&9 || exit 1; sleep 0.05; done'
[Install]
WantedBy=coffer@acme.service
EOS
systemctl daemon-reload
systemctl enable db coffer@acme >/dev/null 2>&1
check "its unit and its database" systemctl start coffer@acme
check "which works" until_ok 60 ticks 0
check "mount(8) finds its helper" sh -c 'coffer --quiet init /srv/hand --tenant hand && mount -t coffer /srv/hand /mnt/hand && umount -c /mnt/hand'
mount=$(main_pid coffer@acme) base=$(main_pid db) agent=$(main_pid coffer-agent)
check "an upgrade" install /root/debs/coffer-agent_0.1.1-1_*.deb /root/debs/coffer_0.1.1-1_*.deb
check "the command is the new one" sh -c 'coffer --version | grep -x "coffer 0.1.1"'
check "the mount is the same process" [ "$(main_pid coffer@acme)" = "$mount" ]
check "so is its database" [ "$(main_pid db)" = "$base" ]
check "which goes on" until_ok 60 ticks "$(stat -c %s /mnt/acme/ticks)"
check "with another agent" until_ok 60 another coffer-agent "$agent"
check "to which the mount has come back" until_ok 60 listed
check "and can still be stopped, by the new program" sh -c 'systemctl stop coffer@acme && coffer fsck acme && systemctl start coffer@acme'
check "the database is back" until_ok 60 another db "$base"
check "a mount by hand" mount -t coffer /srv/hand /mnt/hand
check "keeps the package from being removed" sh -c '! dpkg -r coffer 2>/tmp/why && grep "still mounted, so it is not removed: /mnt/hand" /tmp/why && coffer --version'
check "unmounted" coffer umount /mnt/hand
systemctl start coffer@acme
check "a removal" dpkg -r coffer
check "brings the unit's mount to rest" sh -c '! grep fuse.coffer /proc/1/mountinfo && ! systemctl is-active db && cat /srv/acme/coffer.lock && grep -q "at rest" /srv/acme/coffer.lock'
check "and takes the program along" sh -c '! command -v coffer && [ ! -e /sbin/mount.coffer ]'
check "its configuration stays" [ -e /etc/needrestart/conf.d/coffer.conf ]
check "purged" sh -c 'dpkg -P coffer coffer-agent 2>&1 | tee /tmp/why; grep -q "/etc/coffer is left" /tmp/why && ! systemctl is-active coffer-agent.socket'
check "nothing is left but what cannot be had again" sh -c '[ ! -e /etc/needrestart/conf.d/coffer.conf ] && [ -z "$(dpkg -l | grep coffer)" ] && ls /etc/coffer/keys/* /var/lib/coffer/*audit* && [ ! -e /run/systemd/generator/coffer@acme.service.d ]'
check "installed again" install /root/debs/coffer-agent_0.1.1-1_*.deb /root/debs/coffer_0.1.1-1_*.deb
systemctl daemon-reload
check "the volume opens" systemctl start coffer@acme
check "with what was in it" grep -q tick /mnt/acme/ticks
check "it stops" systemctl stop coffer@acme
exit $fails
