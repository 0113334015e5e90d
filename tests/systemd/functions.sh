# functions.sh: for scripts that run as root in a container with systemd as PID 1 (boot-systemd): . /root/functions.sh
# shellcheck shell=bash disable=SC2034,SC2317
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
not() { ! "$@"; }
until_ok() { # SECONDS CMD ARG...
	local tries=$(($1 * 10))
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}
state_is() { [ "$(systemctl is-active "$1")" = "$2" ] || { systemctl status "$1"; return 1; }; }
wait_state() { until_ok 60 state_is "$1" "$2" >/dev/null || state_is "$1" "$2"; }
main_pid() { systemctl show -P MainPID "$1"; }
