#!/bin/bash
# Runs inside a container with systemd as PID 1 (boot-systemd), twice: before and after a reboot.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
set -u
fails=0
check() { # TEXT CMD ARG...
	local text=$1
	shift
	if "$@" >/tmp/said 2>&1; then
		echo "ok - $text"
	else
		echo "not ok - $text: $*"
		sed 's/^/# /' /tmp/said | tail -n 15
		fails=1
	fi
}
state_is() { [ "$(systemctl is-active "$1")" = "$2" ] || { systemctl status "$1"; return 1; }; }
wait_state() { for _ in $(seq 100); do state_is "$1" "$2" >/dev/null && return; sleep 0.1; done; state_is "$1" "$2"; }
seen_by_pid1() { grep -q " $1 " /proc/1/mountinfo; }
not() { ! "$@"; }

if [ "${REBOOTS:-0}" = 0 ]; then
	check "sysusers makes the agent's user" sh -c 'systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf && id coffer-agent'
	systemctl daemon-reload
	check "the agent's socket starts" systemctl enable --now coffer-agent.socket
	mkdir -p /etc/coffer/volumes.d /mnt/v /mnt/w
	check "init; the first connect starts the agent" coffer init /srv/v --tenant t
	check "the agent runs as its user" test "$(ps -o user= -p "$(systemctl show -P MainPID coffer-agent)" | cut -c 1-6)" = coffer
	printf '[volume]\nsource=/srv/v\nmountpoint=/mnt/v\n' >/etc/coffer/volumes.d/v.conf
	printf '[Unit]\nBindsTo=coffer@v.service\nAfter=coffer@v.service\n[Service]\nExecStart=/bin/sleep 1000\n' >/etc/systemd/system/db.service
	systemctl daemon-reload
	check "a service bound to it starts the mount" systemctl start db
	check "which is active" state_is coffer@v active
	check "and visible to all" seen_by_pid1 /mnt/v
	check "and writable" sh -c 'echo text >/mnt/v/file && sync /mnt/v/file'
	check "also for a service of another user" systemd-run --quiet --wait --pipe -p User=nobody -p ProtectSystem=full ls -d /mnt/v
	check "it stops" systemctl stop coffer@v
	check "unmounted" not seen_by_pid1 /mnt/v
	check "with the service bound to it" state_is db inactive
	check "and clean" coffer fsck /srv/v
	check "it starts again" systemctl start db
	kill -KILL "$(systemctl show -P MainPID coffer@v)"
	check "killed, it fails" wait_state coffer@v failed
	check "and takes the service along" wait_state db inactive
	check "the dead mount is gone" not seen_by_pid1 /mnt/v
	check "it starts again, without help" systemctl start coffer@v
	check "and has what was fsynced" grep -q text /mnt/v/file
	systemctl restart coffer-agent
	check "the agent is restarted below it" sh -c 'for i in $(seq 150); do coffer status | grep -q /mnt/v && exit; sleep 0.1; done; exit 1'
	systemctl enable coffer@v >/dev/null 2>&1
	check "a volume for fstab" coffer init /srv/w --tenant w
	echo '/srv/w /mnt/w coffer nofail,x-systemd.requires=coffer-agent.socket 0 0' >>/etc/fstab
	systemctl daemon-reload
	check "mount -a" systemctl start mnt-w.mount
	echo other >/mnt/w/file
	[ $fails = 0 ] || exit 1
	systemctl reboot
	sleep 99
fi
check "after a reboot the enabled unit is up" wait_state coffer@v active
check "with its files" grep -q text /mnt/v/file
check "the mount of fstab is up" wait_state mnt-w.mount active
check "with its files, which nobody fsynced: the reboot unmounted it" grep -q other /mnt/w/file
check "no unit failed" sh -c '[ -z "$(systemctl --failed --no-legend)" ] || { systemctl --failed; exit 1; }'
exit $fails
