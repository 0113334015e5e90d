#!/bin/sh
# The agent's program as people start it: usage, background, readiness, a socket handed over, the end.
# shellcheck source=tests/sh/functions.sh
. "${top_srcdir:?}/tests/sh/functions.sh"
requires [ "$(id -u)" -eq 0 ]
agent=$top_builddir/coffer-agent

# Start it as the arguments say, below $tmp.
start() {
	"$agent" --config "$tmp/etc" --state "$tmp/lib" --socket "$tmp/run/agent.sock" "$@"
}

# The pid that the agent behind socket $1 tells in hello.
hello_pid() {
	python3 - "$1" <<-'PY'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.settimeout(10)
		s.connect(sys.argv[1])
		s.send(b'{"v":1,"id":1,"op":"hello"}')
		print(json.loads(s.recv(65536))["pid"])
	PY
}

check() {
	text=$1
	shift
	if "$@"; then ok "$text"; else not_ok "$text"; fi
}

expect 0 "$agent" --version && check "--version is one line" grep -q '^coffer-agent [0-9]' "$tmp/out"
expect 0 "$agent" --help && check "--help names the options" grep -q -- --foreground "$tmp/out"
expect 2 "$agent" --nonsense && check "an unknown option is a usage error" grep -q '^usage' "$tmp/err"
expect 2 "$agent" extra && check "an argument is a usage error" grep -q '^usage' "$tmp/err"

expect 0 start && check "its socket is there when the parent ends" [ -S "$tmp/run/agent.sock" ]
pid=$(hello_pid "$tmp/run/agent.sock")
cleanup_fn kill "$pid" "2>/dev/null"
check "everybody may connect; policy decides" [ "$(stat -c %a "$tmp/run/agent.sock")" = 666 ]
check "state and keys are its own" [ "$(stat -c %a "$tmp/lib") $(stat -c %a "$tmp/etc/keys")" = "700 700" ]
check "it has left the terminal" [ "$(readlink "/proc/$pid/fd/2")" = /dev/null ]
expect 19 start && check "a second one is refused and says why" grep -q 'another agent' "$tmp/err"
kill "$pid"
wait_for 5 [ ! -e "$tmp/run/agent.sock" ] && ok "it takes its socket away when it ends"

: >"$tmp/file"
expect 1 start --state "$tmp/file/x" &&
	check "an impossible state directory is one line" [ "$(wc -l <"$tmp/err")" -eq 1 ]

requires command -v systemd-socket-activate
systemd-socket-activate --seqpacket --listen="$tmp/run/handed.sock" "$agent" --foreground \
	--config "$tmp/etc" --state "$tmp/lib2" --socket "$tmp/run/unused.sock" 2>"$tmp/activate" &
cleanup_fn kill $! "2>/dev/null"
wait_for 5 [ -S "$tmp/run/handed.sock" ]
check "it serves a socket that was handed over" [ "$(hello_pid "$tmp/run/handed.sock")" = $! ]
check "and binds none of its own" [ ! -e "$tmp/run/unused.sock" ]
