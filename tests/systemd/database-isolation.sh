# database-isolation.sh: the other tenant's user, in its unit and out of it, root in a unit of his, and nothing of acme: . /root/database-isolation.sh
# shellcheck shell=bash disable=SC2015,SC2016,SC2034,SC2086,SC2154 # what check is given it runs; names are words
in_unit() { # UNIT USER CMD ARG...: its exit status. A unit that there is does that instead
	local unit=$1 user=$2 dir
	shift 2
	if ! systemctl cat "$unit" >/dev/null 2>&1; then
		systemd-run --quiet --wait --pipe --collect --unit="$unit" -p User="$user" -p WorkingDirectory=/ "$@"
		return
	fi
	dir=/run/systemd/system/$unit.d
	mkdir -p "$dir"
	printf '%q ' "$@" >/run/in-unit.cmd
	printf '%s\n' '[Service]' Type=oneshot "User=$user" Restart=no ExecStart= 'ExecStart=/bin/bash /run/in-unit.cmd' ExecStopPost= \
		StandardOutput=truncate:/run/in-unit.out StandardError=truncate:/run/in-unit.out ${credential:+"$credential"} >"$dir/test.conf"
	rm -f /run/in-unit.out
	systemctl daemon-reload
	systemctl start "$unit" 2>/dev/null
	cat /run/in-unit.out 2>/dev/null
	set -- "$(systemctl show -P ExecMainStatus "$unit")"
	rm -r "$dir"
	systemctl daemon-reload
	systemctl reset-failed "$unit" 2>/dev/null
	return "$1"
}
code() { # CODE CMD ARG...
	local want=$1 status=0
	shift
	"$@" || status=$?
	[ "$status" = "$want" ] || { echo "exit $status"; return 1; }
}
says_no() { # CMD ARG...: fails, for its rights
	! "$@" >/tmp/no 2>&1 && grep 'Permission denied' /tmp/no || { cat /tmp/no; return 1; }
}
mount=$(main_pid coffer@acme)
mkdir -p /tmp/beta && chown beta: /tmp/beta
systemctl stop coffer@beta
check "beta's unit does not see into acme's mount" says_no in_unit coffer@beta.service beta ls /mnt/acme
check "nor into its files' ciphertext" says_no in_unit coffer@beta.service beta ls /srv/acme
check "nor into its process" says_no in_unit coffer@beta.service beta cat "/proc/$mount/environ"
check "nor does root's unit see into the mount" says_no in_unit other.service root ls /mnt/acme
cp -a /srv/acme /tmp/beta/acme && chown -R beta: /tmp/beta
mkdir /tmp/beta/mnt && chown beta: /tmp/beta/mnt
check "beta's unit gets no key for acme's volume, though it have the files" code 11 in_unit coffer@beta.service beta coffer mount /tmp/beta/acme /tmp/beta/mnt
check "nor does root" code 11 in_unit other.service root coffer mount /tmp/beta/acme /tmp/beta/mnt
chown -R postgres: /tmp/beta
check "nor PostgreSQL's user in another unit" code 11 in_unit other.service postgres coffer mount /tmp/beta/acme /tmp/beta/mnt
rm -r /tmp/beta
sealed=/etc/coffer/credentials/acme-pgpass
check "nor its credential, sealed as it may be read" code 11 in_unit coffer@beta.service beta sh -c "coffer unseal --tenant acme --name pgpass <$sealed"
credential=LoadCredential=pgpass:/run/coffer/credentials.sock
check "nor by systemd" code 243 in_unit coffer@beta.service beta true
credential=
check "nor from the unit that has it" says_no in_unit coffer@beta.service beta cat /run/credentials/app.service/pgpass
check "while the unit has it" [ -s /run/credentials/app.service/pgpass ]
check "beta may not lock acme" code 11 in_unit coffer@beta.service beta coffer lock --tenant acme --reason mine
check "beta's mount starts again" systemctl start coffer@beta
check "beta's user sees no status outside of the unit" code 11 as beta coffer status
check "all of it is in the audit log" [ "$(coffer audit show | grep -ciE 'refused|denied')" -ge 6 ]
