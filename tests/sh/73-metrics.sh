#!/bin/sh
# Goals: metrics as Prometheus reads them.
# 1. Every name of the interface, on a unix socket and on loopback; its own parser reads them; a write, a read and a damage move the counters.
# 2. A locked mount is not ready; clients that hang hold nobody up; SIGHUP moves the address, and a bad one keeps the rules of before.
# 3. In a file, for node_exporter's collector.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires /usr/bin/python3 -c 'import prometheus_client'

metrics() {
	/usr/bin/python3 "$top_srcdir/tests/seen/metrics.py" "$@"
}

scrape() { # FILE
	sleep 0.6 # mounts are asked at most twice a second
	metrics scrape "$tmp/m.sock" >"$1"
}

value() {
	metrics value "$@" || echo "-1"
}

rises() { # NAME LABEL... : from $tmp/before to $tmp/after
	rises_from=$(value "$tmp/before" "$@") rises_to=$(value "$tmp/after" "$@")
	[ "$rises_from" -ge 0 ] && [ "$rises_to" -gt "$rises_from" ] && ok "$*: $rises_from, then $rises_to" || not_ok "$*: $rises_from, then $rises_to"
}

mkdir -p "$tmp/etc"
printf '[agent]\nmetrics=unix:%s/m.sock\n' "$tmp" >"$tmp/etc/coffer.conf"
chmod 644 "$tmp/etc/coffer.conf"
agent_start
[ "$(stat -c %a "$tmp/m.sock")" = 660 ] && ok "the socket is its owner's and group's" || not_ok "mode of the socket"
volume acme
coffer mount "$tmp/acme" "$mnt"
scrape "$tmp/before"
metrics check "$tmp/before" >"$tmp/checked" && ok "before: $(cat "$tmp/checked")" || not_ok "the first scrape: $(cat "$tmp/before")"
dd if=/dev/urandom of="$mnt/f" bs=4k count=300 conv=fsync status=none
mkdir "$mnt/d" && mv "$mnt/f" "$mnt/d/g"
echo 3 >/proc/sys/vm/drop_caches
dd if="$mnt/d/g" of=/dev/null bs=4k count=8 iflag=direct status=none
ls "$mnt/d" >/dev/null
coffer sync "$mnt"
scrape "$tmp/after"
metrics check "$tmp/after" >"$tmp/checked" && ok "after: $(cat "$tmp/checked")" || not_ok "the second scrape"
rises coffer_write_bytes_total
rises coffer_read_bytes_total
rises coffer_commits_total
rises coffer_commit_duration_seconds_count
rises coffer_op_duration_seconds_count op=write
rises coffer_op_duration_seconds_count op=read
rises coffer_op_duration_seconds_count op=sync
rises coffer_op_duration_seconds_count op=create
rises coffer_op_duration_seconds_count op=rename
[ "$(value "$tmp/after" coffer_write_bytes_total)" -ge 1228800 ] && ok "bytes are bytes" || not_ok "300 blocks are not in coffer_write_bytes_total"
[ "$(value "$tmp/after" coffer_mount_ready)" = 1 ] && ok "ready" || not_ok "not ready"
[ "$(value "$tmp/after" coffer_kms_requests_total provider=local class=OK)" -ge 2 ] && ok "the key service's calls are counted" || not_ok "kms requests"

[ "$(value "$tmp/after" coffer_scrub_last_success_timestamp_seconds 2>/dev/null)" = -1 ] && ok "never scrubbed" || not_ok "scrubbed already?"
before=$(date +%s)
expect 0 coffer scrub "$mnt" && [ ! -s "$tmp/err" ] || not_ok "scrub: $(cat "$tmp/err")"
scrape "$tmp/scrubbed"
at=$(value "$tmp/scrubbed" coffer_scrub_last_success_timestamp_seconds)
[ "$at" -ge "$before" ] && grep -q '"event":"scrub"' "$tmp/state/audit.log" && ok "a scrub is told, and recorded" || not_ok "scrub: $at"
agent_stop
agent_start
wait_for 30 sh -c "'$bin/coffer' --agent '$tmp/agent.sock' status | grep -q ready"
scrape "$tmp/again"
[ "$(value "$tmp/again" coffer_scrub_last_success_timestamp_seconds)" = "$at" ] && ok "also when the agent was started again" || not_ok "forgotten: $(value "$tmp/again" coffer_scrub_last_success_timestamp_seconds)"

back=$(find "$tmp/acme" -type f -size +600k ! -name 'coffer.*')
coffer umount "$mnt"
printf 'zz' | dd of="$back" bs=1 seek=70000 conv=notrunc status=none
coffer mount "$tmp/acme" "$mnt"
! cat "$mnt/d/g" >/dev/null 2>&1 || not_ok "damage was read"
scrape "$tmp/damaged"
[ "$(value "$tmp/damaged" coffer_integrity_failures_total kind=block)" -gt 0 ] && ok "damage is counted by its kind" || not_ok "damage is not counted"

coffer lock "$tmp/acme"
scrape "$tmp/locked"
[ "$(value "$tmp/locked" coffer_mount_ready) $(value "$tmp/locked" coffer_lease_state state=LOCKED)" = "0 1" ] && ok "locked is not ready" || not_ok "locked, but ready"
[ "$(value "$tmp/locked" coffer_commits_total)" -ge 0 ] && ok "counters outlive the lock" || not_ok "no counters when locked"

metrics slow "$tmp/m.sock" >"$tmp/slow" && ok "$(cat "$tmp/slow")" || not_ok "hanging clients"
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf '[agent]\nmetrics=127.0.0.1:%s\n' "$port" >"$tmp/etc/coffer.conf"
kill -HUP "$agent"
wait_for 20 metrics scrape "127.0.0.1:$port"
metrics scrape "127.0.0.1:$port" >"$tmp/tcp" && metrics check "$tmp/tcp" >/dev/null && ok "on loopback, too" || not_ok "loopback"
[ ! -e "$tmp/m.sock" ] && ok "the old socket is gone" || not_ok "the old socket is still there"
printf '[agent]\nmetrics=0.0.0.0:%s\n' "$port" >"$tmp/etc/coffer.conf"
kill -HUP "$agent"
wait_for 20 grep -q 'metrics= is off' "$tmp/agent.log"
metrics scrape "127.0.0.1:$port" >/dev/null && ok "a fault changes nothing" || not_ok "a fault took the metrics away"

prom=$tmp/coffer.prom
printf '[agent]\nmetrics=textfile:%s\n' "$prom" >"$tmp/etc/coffer.conf"
kill -HUP "$agent"
wait_for 60 test -s "$prom"
metrics check "$prom" >"$tmp/checked" && ok "in a file: $(cat "$tmp/checked")" || not_ok "the file: $(head -n 5 "$prom")"
[ "$(value "$prom" coffer_lease_state state=LOCKED) $(stat -c %a "$prom")" = "1 640" ] && ok "of the mount, for its group" || not_ok "the file: $(stat -c %a "$prom")"
coffer umount "$mnt"
agent_stop
[ ! -e "$prom" ] && ok "gone with its agent" || not_ok "numbers that nobody makes any more"
