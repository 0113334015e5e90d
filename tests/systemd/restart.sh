#!/bin/bash
# Goals, in a container with systemd as PID 1: SQLite commits on a mount, bound to its unit (BindsTo=), and
# 1. ten times `systemctl reload coffer@NAME`: neither process ends, the database commits on, nothing of it is wrong; by a program that was replaced, too; the watchdog is fed.
# 2. Refused (no agent): the reload fails, both go on. A mount with user= can be reloaded, and still be stopped.
# 3. Killed, and a new program that dies behind the point of no return: ENOTCONN at once, mounted again, replayed, the database back by unit rules, with every commit it
#    was told of.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
show() { systemctl show -P "$1" "$2"; }
another() { local now; now=$(main_pid "$1") && [ "$now" != 0 ] && [ "$now" != "$2" ] && state_is "$1" active; }
rows() { cat /run/db.rows 2>/dev/null || echo 0; } # that were committed, as the database was told
beyond() { [ "$(rows)" -gt "$1" ]; }
pinged() { [ "$(show WatchdogTimestampMonotonic coffer@acme)" != "$1" ]; }
cat >/usr/local/bin/db <<'EOS'
#!/usr/bin/python3
import os, sqlite3
db = sqlite3.connect("/mnt/acme/db", isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, text BLOB)")
assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
n, least, most = db.execute("SELECT count(*), min(n), max(n) FROM t").fetchone()
told = int(open("/run/db.rows").read()) if os.path.exists("/run/db.rows") else 0
assert n >= told and (n == 0 or (least, most) == (1, n)), (n, told, least, most)
while True:
    n += 1
    db.execute("INSERT INTO t VALUES (?, ?)", (n, os.urandom(3000)))
    with open("/run/db.new", "w") as f:
        f.write(str(n))
    os.rename("/run/db.new", "/run/db.rows")
    if n % 50 == 0:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (n,)
EOS
chmod 755 /usr/local/bin/db
replace() { mv /root/new /usr/local/bin/coffer; }

systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/coffer.conf
mkdir -p /mnt/acme /mnt/user
printf '[volume]\nsource=/srv/acme\nmountpoint=/mnt/acme\ntenant=acme\n' >/etc/coffer/volumes.d/acme.conf
printf '[volume]\nsource=/srv/user\nmountpoint=/mnt/user\ntenant=user\nuser=coffer-agent\n' >/etc/coffer/volumes.d/user.conf
printf '[Unit]\nBindsTo=coffer@acme.service\nAfter=coffer@acme.service\nAssertPathIsMountPoint=/mnt/acme\n[Service]\nExecStart=/usr/local/bin/db\n' >/etc/systemd/system/db.service
mkdir -p /etc/systemd/system/coffer@acme.service.d
printf '[Service]\nWatchdogSec=20s\n' >/etc/systemd/system/coffer@acme.service.d/watchdog.conf
systemctl daemon-reload
systemctl add-wants coffer@acme.service db.service >/dev/null 2>&1
check "the agent" systemctl start coffer-agent.socket
check "volumes" sh -c 'coffer --quiet init acme && coffer --quiet init user'
check "the mount, and its database" systemctl start coffer@acme
check "it commits" until_ok 60 beyond 0
mount=$(main_pid coffer@acme) base=$(main_pid db)
exec 8</mnt/acme/db
for turn in 1 2 3 4 5 6 7 8 9 10; do
	before=$(rows)
	systemctl reload coffer@acme || { check "reload $turn" false; systemctl status coffer@acme; break; }
	until_ok 60 beyond "$((before + 5))" || { check "it commits after reload $turn" false; break; }
done
check "ten reloads" [ "$turn" = 10 ]
check "in the same process, below the same database" [ "$(main_pid coffer@acme) $(main_pid db)" = "$mount $base" ]
check "which are active" sh -c 'systemctl is-active coffer@acme db'
check "nothing was restarted" [ "$(show NRestarts coffer@acme)" = 0 ]
check "the unit says what it does" [ "$(show StatusText coffer@acme)" = "serving /mnt/acme" ]
check "with no more privileges than before" grep -q 'CapEff:[[:space:]]*000000000000001f$' "/proc/$mount/status"
check "no process of before is left" [ "$(pgrep -c -P "$mount")" = 1 ]
for _ in 1 2; do check "it is heard" until_ok 60 pinged "$(show WatchdogTimestampMonotonic coffer@acme)"; done
cp /usr/local/bin/coffer /root/new && replace
check "by a program that was replaced" systemctl reload coffer@acme
check "which it is now" [ "$(readlink "/proc/$mount/exe")" = /usr/local/bin/coffer ]
check "and says so" until_ok 30 sh -c 'journalctl -q -b --no-pager -o cat -u coffer@acme | grep -F "/mnt/acme: goes on in another program (coffer "'
systemctl stop coffer-agent.socket coffer-agent.service
check "without an agent: refused" not systemctl reload coffer@acme
check "the unit is active" state_is coffer@acme active
check "and the database commits" until_ok 60 beyond "$(($(rows) + 5))"
check "the agent comes back" systemctl start coffer-agent.socket
check "and so it can" systemctl reload coffer@acme
check "status knows it" until_ok 60 sh -c 'coffer --json status | grep -q "\"mountpoint\":\"/mnt/acme\""'

chown -R coffer-agent: /srv/user /mnt/user
check "a mount of one user" systemctl start coffer@user
check "is reloaded" systemctl reload coffer@user
check "as that user" [ "$(awk '/^Uid:/ { print $2 }' "/proc/$(main_pid coffer@user)/status")" = "$(id -u coffer-agent)" ]
check "and may do no more" grep -q 'CapEff:[[:space:]]*0*$' "/proc/$(main_pid coffer@user)/status"
check "and serves him" setpriv --reuid coffer-agent --regid coffer-agent --clear-groups sh -c 'echo x >/mnt/user/file && cat /mnt/user/file'
check "it still can be stopped" systemctl stop coffer@user
check "and is whole" coffer fsck user

back() { # TEXT: after a crash of $mount, under $base, when $before rows were told
	check "$1: the mount is back" until_ok 60 another coffer@acme "$mount"
	check "$1: callers got ENOTCONN" sh -c 'cat <&8 2>&1 | grep "not connected"'
	check "$1: the database is back" until_ok 60 another db "$base"
	check "$1: it commits, with all it was told of" until_ok 60 beyond "$((before + 5))"
	check "$1: mounted once" [ "$(grep -c ' /mnt/acme .* fuse.coffer ' /proc/1/mountinfo)" = 1 ]
	exec 8</mnt/acme/db
	mount=$(main_pid coffer@acme) base=$(main_pid db)
}
before=$(rows)
kill -KILL "$mount"
back killed
cp /usr/local/bin/coffer /root/good
printf '[Service]\nExecReload=\nExecReload=/usr/local/bin/asker restart acme\n' >/etc/systemd/system/coffer@acme.service.d/asker.conf
cp /root/good /usr/local/bin/asker # the program that asks is not to be the one that dies
systemctl daemon-reload
printf '#!/bin/sh\n[ -e /run/asked ] || { : >/run/asked; exit 0; }\nmv /root/good /usr/local/bin/coffer; exit 1\n' >/root/new
chmod 755 /root/new && replace
before=$(rows)
check "a program that dies: told" not systemctl reload coffer@acme
back "a program that died"
exec 8<&-
check "it stops" sh -c 'systemctl stop coffer@acme && ! systemctl is-active db'
check "and is whole" coffer fsck acme
exit $fails
