#!/bin/bash
# Goals, in a container with systemd as PID 1 (boot-systemd), twice, before and after a reboot: the units as they are shipped.
# 1. The agent starts by its socket and by itself; a mount's unit is active only when its root can be read; a service bound to it lives and ends with it.
# 2. A mount process keeps the capabilities it serves with, and one with user= none, and serves that user alone.
# 3. Agents come and go below mounts: restarted, killed.
# 4. No journal and no audit log holds bytes of a key. The units are as closed as was found possible.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
seen_by_pid1() { grep -q " $1 " /proc/1/mountinfo; }
volume() { # NAME: a volume, its tenant and its configuration
	mkdir -p "/mnt/$1"
	coffer --quiet init "/srv/$1" --tenant "$1" || return 1
	printf '[volume]\nsource=/srv/%s\nmountpoint=/mnt/%s\n' "$1" "$1" >"/etc/coffer/volumes.d/$1.conf"
}
listed() { # COUNT: mounts the agent knows, all of which answer
	coffer --json status | python3 -c 'import json, sys
m = json.load(sys.stdin)["mounts"]
print(len(m), [x["state"] for x in m])
sys.exit(len(m) != int(sys.argv[1]) or any(x["state"] != "ready" for x in m))' "$1"
}
# "EFFECTIVE PERMITTED" of the main thread, then of the others; io_uring's are the kernel's.
thread_caps() { awk '/^Name:/ { skip = $2 ~ /^iou-/ } /^CapPrm:/ { prm = $2 } /^CapEff:/ && !skip { print $2, prm }' "$1"; }
main_caps() { thread_caps /proc/"$1"/status; }
other_caps() { for t in /proc/"$1"/task/*; do [ "${t##*/}" = "$1" ] || thread_caps "$t/status"; done | sort -u; }
exposure_below() { # UNIT MAXIMUM, tenths
	systemd-analyze --no-pager security --threshold="$2" "$1" >/tmp/security
	local status=$?
	tail -n 1 /tmp/security >&3
	cat /tmp/security
	return "$status"
}
no_keys() {
	journalctl -q -b --no-pager -o export >/tmp/journal.export
	python3 /root/peer.py keys /tmp/journal.export /var/lib/coffer/audit.log
}
exec 3>&1

if [ "${REBOOTS:-0}" = 0 ]; then
	check "sysusers makes the agent's user" sh -c 'systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf && id coffer-agent'
	systemctl daemon-reload
	check "systemd has nothing to say about the units" sh -c 'systemd-analyze verify --man=no coffer-agent.service coffer-agent.socket coffer-credentials.socket coffer@v.service coffer.slice coffer-v.slice 2>&1 | tee /tmp/verify; ! [ -s /tmp/verify ]'
	check "the agent's exposure" exposure_below coffer-agent.service 20
	check "a mount's exposure" exposure_below coffer@v.service 42
	mkdir -p /run/systemd/system/coffer-agent.service.d
	sed 's/203\.0\.113\.7/127.1.2.3/' /usr/local/share/doc/coffer/examples/coffer-agent-network.conf >/run/systemd/system/coffer-agent.service.d/network.conf
	systemctl daemon-reload
	check "its network can be held to its key service, by the example" [ "$(systemctl show -P IPAddressDeny -P IPAddressAllow coffer-agent | xargs -n 1 | sort | xargs)" = "0.0.0.0/0 127.0.0.0/8 127.1.2.3/32 ::/0 ::1/128" ]
	check "of which systemd has nothing to say" sh -c 'systemd-analyze verify --man=no coffer-agent.service 2>&1 | tee /tmp/verify; ! [ -s /tmp/verify ]'
	rm -r /run/systemd/system/coffer-agent.service.d
	systemctl daemon-reload
	check "the agent's socket starts" systemctl enable --now coffer-agent.socket
	mkdir -p /etc/coffer/volumes.d
	check "init; the first connect starts the agent" volume v
	check "which is active" state_is coffer-agent active
	check "it runs as its user, without capabilities" sh -c 'p=$(systemctl show -P MainPID coffer-agent)
		[ "$(stat -c %U /proc/$p/environ)" = root ] && [ "$(awk "/^Uid:/ { print \$2 }" /proc/$p/status)" = "$(id -u coffer-agent)" ] && grep -q "^CapPrm:.*0000$" /proc/$p/status'
	systemctl stop coffer-agent.socket coffer-agent
	check "stopped, it takes its socket along" [ ! -e /run/coffer/agent.sock ]
	check "it starts by itself, too" sh -c 'systemctl start coffer-agent && coffer status'

	printf '[Unit]\nBindsTo=coffer@v.service\nAfter=coffer@v.service\n[Service]\nExecStartPre=/bin/sh -c "grep -q coffer /proc/self/mountinfo && ls -a /mnt/v"\nExecStart=sleep 1000\n' >/etc/systemd/system/db.service
	systemctl daemon-reload
	check "a service bound to it starts the mount" systemctl start db
	check "which is active" state_is coffer@v active
	check "and visible to all" seen_by_pid1 /mnt/v
	check "and writable" sh -c 'echo text >/mnt/v/file && sync /mnt/v/file'
	check "also for a service of another user" systemd-run --quiet --wait --pipe -p User=nobody -p ProtectSystem=full ls -d /mnt/v
	check "whose files are his" sh -c 'chmod 1777 /mnt/v && systemd-run --quiet --wait --pipe -p User=daemon sh -c "echo x >/mnt/v/daemons" && [ "$(stat -c %U /mnt/v/daemons)" = daemon ]'
	# CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID, and SYS_ADMIN out of reach
	check "its threads have what serving needs, and the one that locks may end the mount" [ "$(other_caps "$(main_pid coffer@v)" | xargs)" = "000000000000001f 000000000000001f 000000000000001f 000000000020001f" ]
	check "the first one may unmount, when it does" [ "$(main_caps "$(main_pid coffer@v)")" = "000000000000001f 000000000020001f" ]
	check "no address family but the agent's" grep -q '^Seccomp:.*2' "/proc/$(main_pid coffer@v)/status"
	no_core() { grep -qE '^Max core file size +0 +0 ' "/proc/$(main_pid "$1")/limits"; }
	check "neither it nor the agent dumps core" eval 'no_core coffer@v && no_core coffer-agent'
	check "it stops" systemctl stop coffer@v
	check "unmounted" not seen_by_pid1 /mnt/v
	check "with the service bound to it" state_is db inactive
	check "and clean" coffer fsck /srv/v
	check "it starts again" systemctl start db
	killed=$(main_pid coffer@v)
	back() { local now; now=$(main_pid coffer@v) && [ "$now" != 0 ] && [ "$now" != "$killed" ] && state_is coffer@v active; }
	kill -KILL "$killed"
	check "killed, it takes the service along" wait_state db inactive
	check "and starts again, without help" until_ok 60 back
	check "the dead mount is gone" [ "$(grep -c ' /mnt/v ' /proc/1/mountinfo)" = 1 ]
	check "and has what was fsynced" grep -q text /mnt/v/file

	# Active means that the root was read: not before, and not at all if it cannot be.
	check "a volume whose root will not be readable" volume r
	mkdir -p /etc/systemd/system/coffer@r.service.d
	printf '[Service]\nEnvironment=LD_PRELOAD=/root/unreadable.so\n' >/etc/systemd/system/coffer@r.service.d/preload.conf
	systemctl daemon-reload
	check "its unit does not start" not systemctl start coffer@r
	systemctl stop coffer@r
	check "and leaves no mount" not seen_by_pid1 /mnt/r
	check "and says why" sh -c 'journalctl -q -b --no-pager -u coffer@r | grep "its root cannot be read: Input/output error"'
	rm /etc/systemd/system/coffer@r.service.d/preload.conf
	systemctl daemon-reload
	check "it does once the root can be read" systemctl start coffer@r
	check "which is left" systemctl stop coffer@r

	# A mount of one user. The agent's user is one that an agent without rules serves.
	check "a volume of one user" volume u
	chown -R coffer-agent: /srv/u
	echo user=coffer-agent >>/etc/coffer/volumes.d/u.conf
	check "its unit starts" systemctl start coffer@u
	check "as that user, without capabilities, but the one to unmount" [ "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$(main_pid coffer@u)/status") $(main_caps "$(main_pid coffer@u)")" = \
		"$(id -u coffer-agent | sed 's/.*/& & & &/') 0000000000000000 0000000000200000" ]
	check "its threads have none, but for that one" [ "$(other_caps "$(main_pid coffer@u)" | xargs)" = "0000000000000000 0000000000000000 0000000000000000 0000000000200000" ]
	check "that user is served" setpriv --reuid=coffer-agent --regid=coffer-agent --init-groups sh -c 'echo mine >/mnt/u/file && sync /mnt/u/file && grep mine /mnt/u/file'
	check "nobody else is, not even root" not ls /mnt/u
	check "it stops, unmounted" sh -c 'systemctl stop coffer@u && ! grep " /mnt/u " /proc/1/mountinfo'
	check "and is clean" coffer fsck /srv/u
	sed -i 's/^user=.*/user=nobody-there/' /etc/coffer/volumes.d/u.conf
	check "a user that is not there is an error of configuration" sh -c 'coffer mount u; [ $? = 3 ]'
	sed -i 's/^user=.*/user=coffer-agent\noptions=allow_other/' /etc/coffer/volumes.d/u.conf
	check "others cannot be let in" sh -c 'coffer mount u; [ $? = 2 ]'
	rm /etc/coffer/volumes.d/u.conf

	check "a volume x" volume x
	check "a volume y" volume y
	check "their units" systemctl start coffer@x coffer@y
	touch /run/ticking
	for d in v x y; do (while [ -e /run/ticking ]; do echo tick >>/mnt/$d/ticks || echo $d >>/run/failed; sleep 0.02; done) & done
	check "the agent has three" until_ok 30 listed 3
	agent=$(main_pid coffer-agent)
	check "it is restarted" systemctl restart coffer-agent
	check "it is another one" [ "$(main_pid coffer-agent)" != "$agent" ]
	check "the three come back to it" until_ok 60 listed 3
	agent=$(main_pid coffer-agent)
	kill -KILL "$agent"
	check "mounts go on without an agent" sh -c 'for d in v x y; do echo more >>/mnt/$d/file && sync /mnt/$d/file && grep -q more /mnt/$d/file || exit 1; done'
	another() { state_is coffer-agent active && [ "$(main_pid coffer-agent)" != "$agent" ]; }
	check "its unit has started another one" until_ok 30 another
	check "and the three come back" until_ok 60 listed 3
	check "no mount had to start again, but the one that was killed" [ "$(systemctl show -P NRestarts coffer@v coffer@x coffer@y | xargs)" = "1 0 0" ]
	rm /run/ticking
	wait
	check "and no writer was told of an error" [ ! -e /run/failed ]
	check "though they all wrote" sh -c "[ -s /mnt/v/ticks ] && [ -s /mnt/x/ticks ] && [ -s /mnt/y/ticks ]"
	systemctl stop coffer@x coffer@y
	check "x and y are clean" sh -c 'coffer fsck /srv/x && coffer fsck /srv/y'
	systemctl enable coffer@v coffer@x >/dev/null 2>&1
	check "a volume for fstab" coffer init /srv/w --tenant w
	mkdir -p /mnt/w
	echo '/srv/w /mnt/w coffer nofail,x-systemd.requires=coffer-agent.socket 0 0' >>/etc/fstab
	systemctl daemon-reload
	check "mount -a" systemctl start mnt-w.mount
	echo other >/mnt/w/file
	check "neither the journal nor the audit log holds bytes of a key" no_keys
	[ $fails = 0 ] || exit 1
	systemctl reboot
	sleep 99
fi
check "after a reboot the enabled units are up" wait_state coffer@v active
check "all of them" wait_state coffer@x active
check "with their files" grep -q text /mnt/v/file
check "the mount of fstab is up" wait_state mnt-w.mount active
check "with its files, which nobody fsynced: the reboot unmounted it" grep -q other /mnt/w/file
check "nothing had to be replayed: the reboot unmounted all" sh -c 'coffer --json status | grep -o "\"replayed_transactions\":[0-9]*" | sort -u | tee /dev/stderr | grep -qx "\"replayed_transactions\":0"'
check "no unit failed" sh -c '[ -z "$(systemctl --failed --no-legend)" ] || { systemctl --failed; exit 1; }'
check "neither the journal nor the audit log holds bytes of a key" no_keys
exit $fails
