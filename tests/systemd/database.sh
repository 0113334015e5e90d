#!/bin/bash
# Goals, in a container with systemd as PID 1, over two reboots: two tenants whose keys are in a Vault server, PostgreSQL on the volume of one of them, under load.
# 1. It never starts on the bare directory, though a copy of it that would start lie there: the mount failing, locked, or late because no key service answers at boot.
# 2. The other tenant's user and unit get neither files, nor key, nor credential, nor a look at the mount.
# 3. The mount killed, or its key taken away: errors, not lies; it, the database and its clients come back by unit rules, with every commit they were told of.
# 4. A planned restart of the mount, also into the program of an upgrade: no process of the database or its clients ends, no query fails.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
# shellcheck source=tests/systemd/database-functions.sh
. /root/database-functions.sh

works_on() { # TEXT: a new mount, the database, and clients that get on
	check "$1: the database is up" wait_state $pg active
	check "$1: its clients are told of new commits" until_ok 120 commits "$(acked)"
	check "$1: of the other client, too" wait_state load active
	check "$1: nothing that was committed is lost" until_ok 10 nothing_lost
	check "$1: its sums are right" until_ok 120 sums_agree
	check "$1: nothing was ever written below the mount" bare_is_empty
}

if [ "${REBOOTS:-0}" = 0 ]; then
	# shellcheck source=tests/systemd/database-setup.sh
	. /root/database-setup.sh
	works_on "at first"

	systemctl stop coffer@acme
	check "the mount stopped, so is all that is on it" sh -c "! systemctl is-active $pg app load"
	cp -a /srv/decoy/. /mnt/acme/ && touch /srv/decoy-made
	check "a copy of it below, and no mount: it does not start" not systemctl start $pg
	check "and has not touched it" decoy_is_left_alone
	check "which would start" as postgres sh -c "$bin/pg_ctl -s -w -D /mnt/acme/15 -l /tmp/decoy.log -o '-c config_file=/etc/postgresql/15/main/postgresql.conf -c data_directory=/mnt/acme/15' start && $bin/pg_ctl -s -w -D /mnt/acme/15 stop"
	rm -r /mnt/acme/15
	mv /srv/acme /srv/away
	check "without the volume it does not start" not systemctl start $pg
	check "nor write" bare_is_empty
	systemctl stop coffer@acme
	mv /srv/away /srv/acme
	systemctl reset-failed
	check "an operator locks the tenant" coffer lock --tenant acme --reason test
	check "locked, the database does not start" not systemctl start $pg
	check "nor write" bare_is_empty
	check "the mount is tried again" until_ok 60 restarted 2
	check "and still the database does not run" not systemctl is-active $pg
	check "the lock ends" coffer unlock --tenant acme
	works_on "unlocked, without help"

	# shellcheck source=tests/systemd/database-isolation.sh
	. /root/database-isolation.sh

	# shellcheck source=tests/systemd/database-upgrade.sh
	. /root/database-upgrade.sh

	mount=$(main_pid coffer@acme) base=$(main_pid $pg)
	kill -KILL "$mount"
	check "killed, the mount comes back" until_ok 120 another coffer@acme "$mount"
	check "and another database" until_ok 120 another $pg "$base"
	works_on "killed"
	check "the whole database verifies" verified

	mount=$(main_pid coffer@acme) base=$(main_pid $pg)
	check "the key's owner takes it away" bao request DELETE transit/keys/acme/soft-delete
	check "the mount locks" until_ok 60 lease acme LOCKED
	check "the database stops, or can do nothing" until_ok 120 out_of_use $pg "$base"
	check "the other tenant's mount does not" lease beta ACTIVE
	before=$(acked)
	check "and gives it back" bao request POST transit/keys/acme/soft-delete-restore '{}'
	check "the mount unlocks" until_ok 60 lease acme ACTIVE
	works_on "unlocked by the owner of the key, without help"
	check "with commits that are new" commits "$before"
	check "the mount is the same process" [ "$(main_pid coffer@acme)" = "$mount" ]
	acked >/srv/at-reboot
	systemctl disable bao >/dev/null 2>&1
	systemctl reboot
	sleep 99
fi
if [ "$REBOOTS" = 1 ]; then
	check "no key service at boot: the mount is tried" until_ok 60 restarted 2
	check "and says why" sh -c 'journalctl -q -b --no-pager -u coffer@acme | grep -F "localhost:8200: no connection"'
	check "the boot did not wait" sh -c 'systemctl is-system-running | tee /dev/stderr | grep -x "running\|degraded"'
	check "the database waits" not systemctl is-active $pg
	check "and has written nothing" bare_is_empty
	check "the agent is up" state_is coffer-agent active
	check "tries are not a storm" [ "$(systemctl show -P NRestarts coffer@acme)" -le $(($(cut -d. -f1 /proc/uptime) + 5)) ]
	check "the key service comes" systemctl enable --now bao
	check "and the mount" wait_state coffer@acme active
	check "the other one's, too" wait_state coffer@beta active
	works_on "after an outage at boot"
	check "more commits than before" commits "$(cat /srv/at-reboot)"
	systemctl reboot
	sleep 99
fi
check "at an ordinary boot the mounts are up" wait_state coffer@acme active
works_on "at an ordinary boot"
check "the whole database verifies" verified
check "the other tenant's file is there" as beta grep -q mine /mnt/beta/file
check "all stops in order" systemctl stop coffer@acme coffer@beta
check "and whole: no damage" coffer scrub acme
check "the audit log verifies" coffer audit verify
exit $fails
