#!/bin/bash
# Goals, in a container with systemd as PID 1: mounts as their users run them.
# 1. volumes.d reaches the units: a slice a tenant, the mounts below; a file with a fault, or with quotes and lines of units in it, does no harm.
# 2. A database (examples/postgresql.conf and coffer-database.conf as they are shipped) never starts on the bare directory. The mount's process killed, or hanging: its callers get ENOTCONN at
#    once, the database is stopped, the dead mount is detached under the feet of others, mounted again, replayed, and the database comes back, by unit rules alone.
# 3. fstab with _netdev and x-systemd.*, and mount units: order, waiting for what is durable. A scrub by timer.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
pg=postgresql@15-main.service
show() { systemctl show -P "$1" "$2"; }
mounted() { [ "$(grep -c " $2 .* fuse.coffer " /proc/1/mountinfo)" = "$1" ] || { grep coffer /proc/1/mountinfo; return 1; }; }
another() { local now; now=$(main_pid "$1") && [ "$now" != 0 ] && [ "$now" != "$2" ] && state_is "$1" active; }
says() { journalctl -q -b --no-pager | grep -F -- "$1"; }

systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/coffer.conf
check "tmpfiles makes the directories" [ "$(stat -c '%a %U' /etc/coffer/keys /etc/coffer/volumes.d | xargs)" = "700 coffer-agent 755 root" ]
mkdir -p /mnt/acme /mnt/f '/srv/q"q'
cd /etc/coffer/volumes.d || exit 1
printf '[volume]\nsource=/srv/acme\nmountpoint=/mnt/acme\ntenant=acme-1\n' >acme.conf
printf '[volume]\nsource=/srv/q"q/100%%i\\x\nmountpoint=/mnt/q/\ntenant=q\n' >q.conf
printf '[volume]\nsource=/srv/bad\n[Service]\nExecStart=/bin/false\n' >bad.conf
printf '[volume]\nsource=/srv/odd\n' >'o dd.conf'
systemctl daemon-reload
check "the tenant's slice" [ "$(show Slice coffer@acme)" = 'coffer-acme\x2d1.slice' ]
check "without tenant= or a file, one for all" [ "$(show Slice coffer@none)" = coffer.slice ]
check "what the volume lies on comes first" sh -c 'systemctl show -P RequiresMountsFor coffer@acme | grep -q "/srv/acme" && systemctl show -P RequiresMountsFor coffer@acme | grep -q "/mnt"'
check "quotes and percents are part of a path" sh -c 'systemctl show -P RequiresMountsFor coffer@q | tee /dev/stderr | grep -qF "100%i"'
check "a fault is told with file and line" says 'volumes.d/bad.conf:3:'
check "a name that no unit can have, too" says 'o dd.conf: its name cannot be'
check "and neither has a drop-in" sh -c '! ls /run/systemd/generator | grep -E "bad|o dd"'
rm bad.conf q.conf 'o dd.conf'
check "systemd has nothing to say about the units" sh -c 'systemd-analyze verify --man=no coffer@acme.service coffer.slice coffer-scrub@acme.service coffer-scrub@acme.timer 2>&1 | tee /tmp/verify; ! [ -s /tmp/verify ]'
check "a scrub's exposure" sh -c 'systemd-analyze --no-pager security --threshold=40 coffer-scrub@acme.service | tail -n 1'
check "the agent's socket" systemctl start coffer-agent.socket
check "init by name" coffer --quiet init acme

cat >/etc/systemd/system/$pg <<'EOS'
[Service]
ExecStart=/bin/bash -c 'cd /mnt/acme && exec 9>>ticks && while :; do echo tick >&9 || exit 1; sleep 0.05; done'
EOS
mkdir -p /etc/systemd/system/$pg.d /run/systemd/system/coffer@acme.service.d
cp /usr/local/share/doc/coffer/examples/postgresql.conf /etc/systemd/system/$pg.d/coffer.conf
printf '[Service]\nType=simple\nExecStart=\nExecStart=sleep 1000\n' >/run/systemd/system/coffer@acme.service.d/bare.conf
mkdir -p /etc/systemd/system/coffer@acme.service.d
cp /usr/local/share/doc/coffer/examples/coffer-database.conf /etc/systemd/system/coffer@acme.service.d/database.conf
systemctl daemon-reload
check "on the bare directory, be its unit up, the database does not start" not systemctl start $pg
check "and the unit was up" state_is coffer@acme active
check "nothing was written there" [ -z "$(ls -A /mnt/acme)" ]
systemctl stop coffer@acme
rm /run/systemd/system/coffer@acme.service.d/bare.conf
systemctl daemon-reload

check "with the mount it starts" systemctl start $pg
check "in the tenant's slice" grep -q 'coffer.slice/coffer-acme\\x2d1.slice/coffer@acme.service' "/proc/$(main_pid coffer@acme)/cgroup"
check "the unit says what it does" [ "$(show StatusText coffer@acme)" = "serving /mnt/acme" ]
check "the tenant's slice is accounted for" [ "$(for what in CPU Memory IO Tasks; do show ${what}Accounting 'coffer-acme\x2d1.slice'; done | xargs)" = "yes yes yes yes" ]
check "and has used the processor" sh -c 'systemctl show -P CPUUsageNSec "coffer-acme\\x2d1.slice" | tee /dev/stderr | grep -qx "[1-9][0-9]*"'
check "spared when memory is short" [ "$(show OOMScoreAdjust coffer@acme)" = -900 ]
ticks() { [ "$(stat -c %s /mnt/acme/ticks 2>/dev/null || echo 0)" -gt "$1" ]; }
check "the database works" until_ok 60 ticks 0

crash() { # TEXT HOW: and all comes back
	local text=$1 mount base how=$2
	mount=$(main_pid coffer@acme) base=$(main_pid $pg)
	echo "kept by $text" >/mnt/acme/kept && sync /mnt/acme/kept
	exec 8</mnt/acme/kept
	$how "$mount" # words
	check "$text: the mount comes back by itself" until_ok 60 another coffer@acme "$mount"
	check "$text: callers got ENOTCONN" sh -c 'cat <&8 2>&1 | grep "not connected"'
	exec 8<&-
	check "$text: mounted once" mounted 1 /mnt/acme
	check "$text: what was synced is there" grep -q "kept by $text" /mnt/acme/kept
	check "$text: so does the database" until_ok 60 another $pg "$base"
	check "$text: and goes on" until_ok 60 ticks "$(stat -c %s /mnt/acme/ticks)"
}

crash killed "kill -KILL"
check "stopped by hand, the database stays so" sh -c "systemctl stop $pg && systemctl is-active coffer@acme"
check "and it starts again" systemctl start $pg

printf '[Service]\nWatchdogSec=6s\n' >/run/systemd/system/coffer@acme.service.d/watchdog.conf
systemctl daemon-reload
check "with a shorter watchdog" systemctl restart coffer@acme
check "and the database" wait_state $pg active
pinged() { [ "$(show WatchdogTimestampMonotonic coffer@acme)" != "$1" ]; }
for _ in 1 2; do check "it is heard" until_ok 60 pinged "$(show WatchdogTimestampMonotonic coffer@acme)"; done
crash hanging 'kill -STOP'
check "by the watchdog" says "Failed with result 'watchdog'"
mount=$(main_pid coffer@acme) base=$(main_pid $pg)
check "the agent and its socket are restarted" systemctl restart coffer-agent.socket coffer-agent.service
check "below a mount that stays, with its database" [ "$(main_pid coffer@acme) $(main_pid $pg)" = "$mount $base" ]
check "restarted for these two, and no more" [ "$(show NRestarts coffer@acme)" -le 2 ]
check "a scrub of the mounted volume" systemctl start coffer-scrub@acme.service
check "every week" sh -c 'systemctl enable --now coffer-scrub@acme.timer 2>/dev/null && systemctl list-timers --no-legend | grep coffer-scrub@acme'
check "it stops, with the database" sh -c "systemctl stop coffer@acme && ! systemctl is-active $pg"
check "and is clean" coffer fsck acme

check "a volume for fstab" coffer --quiet init /srv/f --tenant f
echo '/srv/f /mnt/f coffer _netdev,nofail,x-systemd.requires=modprobe@fuse.service,x-systemd.after=coffer-agent.socket,x-systemd.mount-timeout=10min 0 0' >>/etc/fstab
sed 's|/mnt/acme|/mnt/f|' /usr/local/share/doc/coffer/examples/postgresql-fstab.conf >/etc/systemd/system/$pg.d/coffer.conf
sed -i 's|/mnt/acme|/mnt/f|' /etc/systemd/system/$pg
systemctl daemon-reload
check "behind the network and the agent's socket" sh -c 'systemctl show -P After mnt-f.mount | grep network-online.target | grep coffer-agent.socket'
check "the database brings the mount up" systemctl start $pg
check "which is there" mounted 1 /mnt/f
check "they stop" systemctl stop mnt-f.mount
check "when that returns the volume is at rest" coffer fsck /srv/f
mkdir /mnt/unit
for type in coffer fuse.coffer; do
	printf '[Unit]\nRequires=modprobe@fuse.service\nAfter=modprobe@fuse.service coffer-agent.socket\n[Mount]\nWhat=/srv/f\nWhere=/mnt/unit\nType=%s\nOptions=noexec,nofail\n' $type >/etc/systemd/system/mnt-unit.mount
	systemctl daemon-reload
	check "a mount unit of type $type" systemctl start mnt-unit.mount
	check "mounts it, as it says" grep -q ' /mnt/unit rw,nosuid,nodev,noexec.* fuse.coffer /srv/f ' /proc/1/mountinfo
	check "it stops" systemctl stop mnt-unit.mount
	check "and when that returns the volume is at rest" coffer fsck /srv/f
done
exit $fails
