# database-upgrade.sh: the mount goes on in another process image, its database and clients notice nothing: . /root/database-upgrade.sh
# shellcheck shell=bash disable=SC2015,SC2016,SC2034,SC2086,SC2154 # what check is given it runs; names are words
processes() { for p in coffer@acme $pg app load; do main_pid $p; done | xargs; }
# pgbench goes on when one of its clients has ended.
no_query_failed() { ! journalctl -q -b --no-pager -u app -u load -o cat --since "@$began" | grep -iE 'aborted|error|fatal|server closed'; }
goes_on() { # TEXT: no process ended since $before, all of them work
	check "$1: its clients are told of new commits" until_ok 120 commits $(($(acked) + 10))
	check "$1: the same processes of mount, database and clients" [ "$(processes)" = "$before" ]
	check "$1: no query failed" no_query_failed
	check "$1: nothing that was committed is lost" until_ok 10 nothing_lost
}
runs() { [ "$(readlink "/proc/$(main_pid "$1")/exe")" = "$2" ] || { readlink "/proc/$(main_pid "$1")/exe"; return 1; }; }
says_version() { journalctl -q -b --no-pager -o cat -u "$1" | grep -F "goes on in another program (coffer $2)"; }

works_on "before a planned restart"
before=$(processes) began=$(date +%s)
for turn in 1 2 3; do
	check "planned restart $turn" systemctl reload coffer@acme
	check "commits behind it" until_ok 120 commits $(($(acked) + 20))
done
goes_on "restarted thrice under load"

if [ -d /root/debs ]; then
	agent=$(main_pid coffer-agent) beta=$(main_pid coffer@beta)
	check "an upgrade" env DEBIAN_FRONTEND=noninteractive dpkg -i /root/debs/coffer-agent_0.1.1-1_*.deb /root/debs/coffer_0.1.1-1_*.deb
	check "the agent is the new one" until_ok 60 another coffer-agent "$agent"
	check "the mount's program is the old one" runs coffer@acme '/usr/bin/coffer (deleted)'
	check "with the new agent" until_ok 60 lease acme ACTIVE
	goes_on "upgraded below the mount"
	check "it goes over into the new program, under load" systemctl reload coffer@acme
	check "which runs" runs coffer@acme /usr/bin/coffer
	check "and says so" until_ok 30 says_version coffer@acme 0.1.1
	check "the agent knows it" until_ok 60 lease acme ACTIVE
	goes_on "in the program of the upgrade"
	check "the other tenant's is still the old one" runs coffer@beta '/usr/bin/coffer (deleted)'
	check "until it is told" systemctl reload coffer@beta
	check "and is then the new one" runs coffer@beta /usr/bin/coffer
	check "as the same process" [ "$(main_pid coffer@beta)" = "$beta" ]
	check "with its file" as beta grep -q mine /mnt/beta/file
fi
check "the whole database verifies" verified
