#!/bin/bash
# Goals, in a container with systemd as PID 1: a backup by its units.
# 1. volumes.d is enough: store= reaches the service, schedule= the timer, which starts it; a snapshot is in the store, and comes back whole; the mount is frozen but
#    for a moment, and the agent is told. Also unmounted, without an agent, and when a value has blanks, quotes and percents in it.
#    Snapshots are taken away by another unit, by keep-daily= and its like.
# 2. The service has no capability but to read, and writes nowhere but its cache and its store. Credentials come to it alone; who is told of a failure is told.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
examples=/usr/local/share/doc/coffer/examples
show() { systemctl show -P "$1" "$2"; }
says() { journalctl -q -b --no-pager | grep -F -- "$1"; }
count() { find /srv/store -path '*/snapshots/*' -type f | wc -l; }
snapshots() { [ "$(count)" -ge "$1" ] || { ls /srv/store; return 1; }; }
configured() { # SOURCE STORE LINE...: volumes.d/acme.conf
	local source=$1 store=$2
	shift 2
	printf '%s\n' '[volume]' "source=$source" mountpoint=/mnt/acme tenant=acme '[backup]' "store=$store" "$@" >/etc/coffer/volumes.d/acme.conf
	systemctl daemon-reload
}

systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/coffer.conf
mkdir -p /mnt/acme /srv/store /etc/coffer/credentials
configured /srv/acme file:///srv/store 'schedule=*:0/1:0/2'
check "systemd has nothing to say about the units" sh -c 'systemd-analyze verify --man=no coffer-backup@acme.service coffer-backup@acme.timer coffer-backup@none.service coffer-prune@acme.service coffer-prune@acme.timer 2>&1 | tee /tmp/verify; ! [ -s /tmp/verify ]'
check "a prune's exposure" sh -c 'systemd-analyze --no-pager security --threshold=25 coffer-prune@acme.service | tail -n 1 | tee /dev/stderr | grep -q OK'
check "a backup's exposure" sh -c 'systemd-analyze --no-pager security --threshold=25 coffer-backup@acme.service | tail -n 1 | tee /dev/stderr | grep -q OK'
systemd-analyze --no-pager security coffer-backup@acme.service | tail -n 1
check "in the tenant's slice" [ "$(show Slice coffer-backup@acme.service)" = coffer-acme.slice ]
check "and so is a scrub, of what it lies on" [ "$(show Slice coffer-scrub@acme.service) $(show RequiresMountsFor coffer-scrub@acme.service | grep -c /srv/acme)" = "coffer-acme.slice 1" ]
check "what the store lies on comes first" sh -c 'systemctl show -P RequiresMountsFor coffer-backup@acme | grep "/srv/acme" | grep /srv/store'
check "schedule= is the timer's" sh -c 'systemctl show -P TimersCalendar coffer-backup@acme.timer | tee /dev/stderr | grep -qF "*:00/1:00/2" && ! systemctl show -P TimersCalendar coffer-backup@acme.timer | grep -q 00:00:00'
check "without it, daily" sh -c 'systemctl show -P TimersCalendar coffer-backup@none.timer | grep "00:00:00"'
check "the agent's socket" systemctl start coffer-agent.socket
check "init by name" coffer --quiet init acme
check "the mount" systemctl start coffer@acme
head -c 3000000 /dev/urandom >/mnt/acme/file
sync /mnt/acme/file

# The timer, as quick as the test wants it.
mkdir -p /run/systemd/system/coffer-backup@acme.timer.d
printf '[Timer]\nRandomizedDelaySec=0\nAccuracySec=100ms\n' >/run/systemd/system/coffer-backup@acme.timer.d/quick.conf
systemctl daemon-reload
check "the timer is enabled" systemctl enable --now coffer-backup@acme.timer
check "and starts the service, which puts a snapshot into the store" until_ok 60 snapshots 1
check "it stops" systemctl stop coffer-backup@acme.timer
check "the service ends well" wait_state coffer-backup@acme.service inactive
[ "$(show Result coffer-backup@acme)" = success ] || check "with success" false
check "its cache is its own" [ "$(stat -c '%a %U' /var/cache/coffer)" = "700 root" ]
check "the agent was told" sh -c 'grep -h "backup" /var/lib/coffer/audit.log'
check "it is listed" coffer backup list file:///srv/store
check "and restored" coffer --quiet restore file:///srv/store latest /srv/back
check "trusted, it is mounted" sh -c 'coffer trust /srv/back && mkdir /mnt/back && coffer mount /srv/back /mnt/back'
check "and is what was synced" cmp /mnt/acme/file /mnt/back/file
check "unmounted" coffer umount /mnt/back

before=$(count)
check "it stops" systemctl stop coffer@acme coffer-agent.socket coffer-agent.service coffer-credentials.socket
check "unmounted, no agent is needed" systemctl start coffer-backup@acme
check "nor is one started" state_is coffer-agent inactive
check "another snapshot" snapshots $((before + 1))

# Pruned by its own unit.
configured /srv/acme file:///srv/store
check "a prune that nobody has said what to keep removes nothing" sh -c '! systemctl start coffer-prune@acme && [ "$(systemctl show -P ExecMainStatus coffer-prune@acme)" = 2 ]'
[ "$(count)" = $((before + 1)) ] || check "no snapshot went" false
configured /srv/acme file:///srv/store keep-daily=1
check "in the tenant's slice, behind what the store lies on" sh -c '[ "$(systemctl show -P Slice coffer-prune@acme)" = coffer-acme.slice ] && systemctl show -P RequiresMountsFor coffer-prune@acme | grep /srv/store'
check "its timer is daily" sh -c 'systemctl enable --now coffer-prune@acme.timer && systemctl show -P TimersCalendar coffer-prune@acme.timer | grep 00:00:00 && systemctl stop coffer-prune@acme.timer'
check "a prune" systemctl start coffer-prune@acme
[ "$(count)" = 1 ] || check "leaves what keep-daily= says: $(count)" false
before=0

# What the service may do, tried from inside of it.
mkdir -p /run/systemd/system/coffer-backup@acme.service.d
cat >/run/systemd/system/coffer-backup@acme.service.d/inside.conf <<'EOS'
[Service]
ExecStart=
ExecStart=/bin/sh -c 'grep ^CapPrm: /proc/self/status >/srv/store/caps; for d in /srv /srv/acme /etc/coffer /var/lib/coffer /usr; do ! touch $d/written || echo $d >>/srv/store/written; done'
EOS
configured '/srv/a "c\100%i $HOME' file:///srv/store
check "from inside" systemctl start coffer-backup@acme
check "it can do nothing but read" grep -qx 'CapPrm:.*0000000000000004' /srv/store/caps
check "and writes nowhere else" [ ! -e /srv/store/written ]
check "each value is one word, whatever is in it" sh -c 'systemctl show -P RequiresMountsFor coffer-backup@acme | tee /dev/stderr | grep -qF "\$HOME"'
rm /run/systemd/system/coffer-backup@acme.service.d/inside.conf /srv/store/caps
configured /srv/acme file:///srv/store 'schedule=daily%i'
check "a schedule that is none is told, and there is no store" sh -c 'journalctl -q -b --no-pager | grep -F "acme.conf:7: schedule= must be" && ! systemctl start coffer-backup@acme'

# The example as it is shipped: credentials for the unit alone, somebody who is told.
systemctl start coffer-agent.socket coffer-credentials.socket
mkdir -p /etc/systemd/system/coffer-backup@acme.service.d
cp "$examples/coffer-backup.conf" /etc/systemd/system/coffer-backup@acme.service.d/store.conf
cp "$examples/coffer-failed@.service" /etc/systemd/system/
printf '[Service]\nExecStartPre=/bin/sh -c "sha256sum <${CREDENTIALS_DIRECTORY}/store.keys >/srv/store/given"\n' >/run/systemd/system/coffer-backup@acme.service.d/look.conf
printf '[default]\naws_access_key_id=AKIAEXAMPLE\naws_secret_access_key=secret\n' >/tmp/keys
printf '[tenant]\nkms=local:acme\n[credential store.keys]\nfile=/etc/coffer/credentials/acme-store.keys\nunit=coffer-backup@acme.service\n' >/etc/coffer/tenants.d/acme.conf
configured /srv/acme file:///srv/store '[store]' credentials=file:/run/credentials/coffer-backup@acme.service/store.keys
check "the example's unit is one" sh -c 'systemd-analyze verify --man=no coffer-backup@acme.service "coffer-failed@coffer-backup@acme.service.service" 2>&1 | tee /tmp/verify; ! [ -s /tmp/verify ]'
systemctl restart coffer-agent
check "a sealed credential" sh -c 'coffer seal --tenant acme --name store.keys </tmp/keys >/etc/coffer/credentials/acme-store.keys && [ -s /etc/coffer/credentials/acme-store.keys ]'
check "a backup with it" systemctl start coffer-backup@acme
check "which it was given" [ "$(cat /srv/store/given)" = "$(sha256sum </tmp/keys)" ]
rm /srv/store/given /run/systemd/system/coffer-backup@acme.service.d/look.conf
systemctl daemon-reload
check "which is a snapshot" snapshots $((before + 2))
mv /srv/store /srv/away
check "a store that is not there fails it" sh -c '! systemctl start coffer-backup@acme && [ "$(systemctl show -P ExecMainStatus coffer-backup@acme)" = 22 ]'
check "and is told by OnFailure=" until_ok 30 says 'coffer-backup@acme.service has failed'
check "nothing was written in its place" [ ! -e /srv/store ]
exit $fails
