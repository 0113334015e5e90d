#!/bin/bash
# Goals, in a container with systemd as PID 1: whom the agent takes its peers for. A unit is one of the system's manager, by the kernel's word and
# systemd's parser; forged ones are seen for what they are, denied, and in the audit log with their true unit.
# shellcheck disable=SC2016,SC2317,SC2024 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
log=/var/lib/coffer/audit.log
cp /root/peer.py /usr/local/bin/peer.py && chmod 755 /usr/local/bin/peer.py
ask=/usr/local/bin/peer.py

# What the agent took the last refused peer for. Each case is a peer of its own uid, so that a line is never another's.
refused_unit() { # UID
	python3 -c 'import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
mine = [l for l in lines if l.get("peer", {}).get("uid") == int(sys.argv[2]) and l.get("class") == "DENIED"]
print(mine[-1]["peer"].get("unit", "none") if mine else "nothing in the log")' "$log" "$1"
}
denied_as() { # UID UNIT ANSWER: the answer was a refusal, and the log has it with that unit
	[ "$3" = DENIED ] || { echo "answered: $3"; return 1; }
	[ "$(refused_unit "$1")" = "$2" ] || { echo "taken for: $(refused_unit "$1")"; return 1; }
}
n=2000
user() { # a fresh user: $name, $n
	n=$((n + 1)) name=peer$n
	useradd -m -u $n -s /bin/bash $name
}
service() { # UNIT [ARG...] -- CMD...: run as $name in a system unit of that name
	local unit=$1
	shift
	systemd-run --quiet --wait --pipe --collect --unit="$unit" -p User="$name" "$@"
}

systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
systemctl daemon-reload
mkdir -p /etc/coffer
systemctl start coffer-agent.socket coffer-agent
check "root is served" [ "$($ask ask)" = ok ]

user
check "a system unit is known by its name" denied_as $n acme.service "$(service acme.service $ask ask)"
user
check "a template in a slice of its own, too" denied_as $n db@x-y.service "$(service db@x-y.service -p Slice=coffer-acme.slice $ask ask)"
user
check "an escaped name stays escaped" denied_as $n 'a\x2facme.service' "$(service 'a\x2facme.service' $ask ask)"
user
check "a name with another one in it is another one" denied_as $n acme.service.service "$(service acme.service.service $ask ask)"
user
check "a slice is no unit" denied_as $n real.service "$(service real.service -p Slice=acme.service.slice $ask ask)"
user
check "a scope is a scope" denied_as $n acme.service.scope "$(systemd-run --quiet --scope --unit=acme.service.scope --uid=$name $ask ask)"
# A unit that was given its part of the cgroups names parts of it as it likes.
user
cat >/usr/local/bin/delegated <<'EOF'
#!/bin/bash
# into a group below our own that is called like a unit, and ask from there
group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir -p "$group/$1" && echo $$ >"$group/$1/cgroup.procs" || exit 1
grep -q "/$1\$" /proc/self/cgroup || exit 1
exec /usr/bin/python3 /usr/local/bin/peer.py ask
EOF
chmod 755 /usr/local/bin/delegated
check "a delegated group named like a unit counts as its owner" denied_as $n owner.service "$(service owner.service -p Delegate=yes /usr/local/bin/delegated acme.service)"
user
check "also below groups named like slices" denied_as $n owner.service "$(service owner.service -p Delegate=yes /usr/local/bin/delegated system.slice/acme.service)"
# A user's own manager: units of any name.
user
loginctl enable-linger $name
check "a user's manager is up" wait_state user@$n.service active
as_user() { setpriv --reuid=$n --regid=$n --init-groups env XDG_RUNTIME_DIR=/run/user/$n "$@"; }
until_ok 30 [ -S /run/user/$n/bus ] || :
check "a unit of a user's manager is that manager, whatever its name" denied_as $n user@$n.service \
	"$(as_user systemd-run --user --quiet --wait --pipe --collect --unit=acme.service $ask ask)"
check "a scope of it, too" denied_as $n user@$n.service "$(as_user systemd-run --user --quiet --scope --unit=acme.service.scope $ask ask)"
check "a process cannot move itself into another's group" not as_user sh -c 'echo $$ >/sys/fs/cgroup/system.slice/coffer-agent.service/cgroup.procs'
# Root in a user namespace is nobody here.
user
check "root of a user namespace is its owner" denied_as $n userns.service "$(service userns.service unshare --user --map-root-user $ask ask)"
# Root on another side of a user namespace, as an agent sees it: a uid without a number there.
mkdir /tmp/inside && chown 1 /tmp/inside
setpriv --reuid=1 --regid=1 --clear-groups unshare --user --map-root-user sh -c 'mkdir /tmp/inside/etc /tmp/inside/state
	exec /usr/local/sbin/coffer-agent --foreground --config /tmp/inside/etc --state /tmp/inside/state --socket /tmp/inside/agent.sock' >/tmp/inside.log 2>&1 &
until_ok 30 [ -S /tmp/inside/agent.sock ]
chmod 755 /tmp/inside
check "an agent in a user namespace denies whom it cannot name, though he be root" [ "$(PEER_SOCKET=/tmp/inside/agent.sock $ask ask)" = DENIED ]
log=/tmp/inside/state/audit.log
check "and writes it down" [ "$(refused_unit 65534)" != "nothing in the log" ]
log=/var/lib/coffer/audit.log
kill $!
# A connection belongs to the process that made it.
check "what root connected nobody else may use" [ "$($ask pass)" = closed ]
user
check "not even a child of the same unit" [ "$(service passes.service $ask pass)" = closed ]
check "the unit of a victim" systemd-run --quiet --unit=acme.service sleep 1000
check "a recycled process number is not its former owner, nor the new one" [ "$($ask recycled acme.service)" = closed ]
check "the agent serves on" [ "$($ask ask)" = ok ]
exit $fails
