#!/bin/bash
# Goals, in a container with systemd as PID 1: what an operator hears.
# 1. An agent whose loop hangs is killed by its watchdog, and mounts are at the next one.
# 2. In the journal, events have their MESSAGE_ID and fields, those that docs/operations.md lists and no others; a mount's lines name its volume; and nothing of a key.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
show() { systemctl show -P "$1" "$2"; }
another() { local now; now=$(main_pid "$1") && [ "$now" != 0 ] && [ "$now" != "$2" ] && state_is "$1" active; }
listed() { coffer --json status | grep -q '"mountpoint":"/mnt/acme"'; }
entry() { # EVENT FIELD=VALUE...: there is an entry of that event with all of these; * in place of VALUE: with that field
	journalctl -q -b --no-pager -o json COFFER_EVENT="$1" | python3 -c 'import json, sys
want = [w.split("=", 1) for w in sys.argv[1:]]
rows = [json.loads(l) for l in sys.stdin]
good = [r for r in rows if all(k in r and v in ("*", r[k]) for k, v in want)]
for r in rows if not good else []:
    print({k: v for k, v in r.items() if k.startswith(("COFFER", "MESSAGE", "PRIO", "SYSLOG", "CODE"))})
sys.exit(not good)' "${@:2}"
}
seen() { until_ok 30 entry "$@" >/dev/null || entry "$@"; }

systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/coffer.conf
mkdir -p /mnt/acme /srv/store /etc/systemd/system/coffer-agent.service.d
printf '[Service]\nWatchdogSec=5s\n' >/etc/systemd/system/coffer-agent.service.d/watchdog.conf
printf '[volume]\nsource=/srv/acme\nmountpoint=/mnt/acme\ntenant=acme\n[backup]\nstore=file:///srv/store\n' >/etc/coffer/volumes.d/acme.conf
systemctl daemon-reload
check "the agent starts" systemctl start coffer-agent.socket coffer-agent
check "init by name" coffer --quiet init acme
uuid=$(coffer --json info acme | grep -o '"uuid":"[0-9a-f]*"' | head -n 1 | cut -d '"' -f 4)
check "the volume's uuid" [ "${#uuid}" = 32 ]
check "the mount" systemctl start coffer@acme
pinged() { [ "$(show WatchdogTimestampMonotonic coffer-agent)" != "$1" ]; }
for _ in 1 2; do check "the agent is heard" until_ok 60 pinged "$(show WatchdogTimestampMonotonic coffer-agent)"; done
agent=$(main_pid coffer-agent)
kill -STOP "$agent"
check "one that hangs is killed, and there is another" until_ok 60 another coffer-agent "$agent"
check "by the watchdog" sh -c 'journalctl -q -b --no-pager -u coffer-agent | grep -F "Failed with result '"'watchdog'"'"'
check "to which the mount has come" until_ok 60 listed
agent=$(main_pid coffer-agent)

check "a key that was handed out" seen key.unwrap MESSAGE_ID=* COFFER_OUTCOME=ok "COFFER_VOLUME=$uuid" COFFER_TENANT=acme PRIORITY=6 SYSLOG_IDENTIFIER=coffer-agent _SYSTEMD_UNIT=coffer-agent.service
echo text >/mnt/acme/file
check "a scrub" systemctl start coffer-scrub@acme
check "is an entry" seen scrub MESSAGE_ID=8e6e362d916b4993acd4ef47663ad5c4 COFFER_OUTCOME=ok "COFFER_VOLUME=$uuid" COFFER_TENANT=acme PRIORITY=6
check "a backup" systemctl start coffer-backup@acme
check "is one" seen backup MESSAGE_ID=* "COFFER_VOLUME=$uuid" COFFER_TENANT=acme PRIORITY=6
check "an operator's lock" coffer lock acme --reason "two
lines"
check "is one, in one line" seen operator.lock MESSAGE_ID=* 'COFFER_REASON=*' PRIORITY=4
check "and what the mount did" seen key.lock MESSAGE_ID=* "COFFER_VOLUME=$uuid" COFFER_TENANT=acme COFFER_MOUNTPOINT=/mnt/acme PRIORITY=4
check "unlock" coffer unlock acme
check "is one" seen key.unlock "COFFER_VOLUME=$uuid" COFFER_TENANT=acme PRIORITY=6
check "and the mount says so" until_ok 30 sh -c 'journalctl -q -b --no-pager -o json -u coffer@acme COFFER_VOLUME='"$uuid"' | grep -F "/mnt/acme: unlocked"'
check "lines of the mount name its volume" sh -c 'journalctl -q -b --no-pager -o json -u coffer@acme COFFER_VOLUME='"$uuid"' COFFER_TENANT=acme | grep "locked"'
check "a stranger" sh -c '! setpriv --reuid=nobody --regid=nogroup --clear-groups coffer keys list /srv/acme --agent /run/coffer/agent.sock; ! setpriv --reuid=nobody --regid=nogroup --clear-groups coffer lock --tenant acme'
check "is refused, in an entry" seen peer.denied MESSAGE_ID=* COFFER_OUTCOME=refused "COFFER_PEER_UID=$(id -u nobody)" PRIORITY=4

# A block that is changed behind the mount's back.
systemctl stop coffer@acme
python3 - <<'EOP'
import glob, os
path = max((p for p in glob.glob("/srv/acme/*") if os.path.isfile(p) and not os.path.basename(p).startswith("coffer.")), key=os.path.getsize)
with open(path, "r+b") as f:
    f.seek(-100, 2)
    b = f.read(1)
    f.seek(-100, 2)
    f.write(bytes([b[0] ^ 1]))
EOP
check "mounted again" systemctl start coffer@acme
check "a changed byte is not served" not cat /mnt/acme/file
check "but alarmed on" seen mount.integrity MESSAGE_ID=2a569590f8fe43048f8952db3422980a COFFER_OUTCOME=failed "COFFER_VOLUME=$uuid" COFFER_TENANT=acme PRIORITY=3
check "without the name of a source file" sh -c '! journalctl -q -b --no-pager -o json COFFER_EVENT=key.lock | grep CODE_'
check "on the agent that was there" [ "$(main_pid coffer-agent)" = "$agent" ]
journalctl -q -b --no-pager -o export >/tmp/journal.export
check "neither the journal nor the audit log holds bytes of a key" python3 /root/peer.py keys /tmp/journal.export /var/lib/coffer/audit.log
exit $fails
