#!/bin/sh
# The audit log of a real agent over restarts: `coffer audit` and an independent verifier agree that it is whole, and, changed, that it is not; 21 and
# the row; without the agent, in constant memory.
# shellcheck source=tests/sh/functions.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/functions.sh"
requires [ "$(id -u)" -eq 0 ]
requires /usr/bin/python3 -c 'import cryptography'
state=$tmp/state
coffer=$top_builddir/coffer
independent=$top_srcdir/tests/interop/audit_verify.py

agent() { # a life of the agent with one refusal in it
	"$top_builddir/coffer-agent" --foreground --config "$tmp/etc" --state "$state" --socket "$tmp/agent.sock" 2>>"$tmp/agent.log" &
	agent_pid=$!
	cleanup_fn kill "$agent_pid" "2>/dev/null"
	wait_for 30 [ -S "$tmp/agent.sock" ]
	setpriv --reuid 12345 --clear-groups "$coffer" --agent "$tmp/agent.sock" status >/dev/null 2>&1 || true
	kill "-${1:-TERM}" "$agent_pid"
	wait "$agent_pid" 2>/dev/null || true
	rm -f "$tmp/agent.sock"
}

both() { # CODE-OF-COFFER CODE-OF-THE-OTHER TEXT: what both say of all files
	expect "$1" "$coffer" audit verify "$state" && cp "$tmp/err" "$tmp/said" && cp "$tmp/out" "$tmp/told" &&
		expect "$2" /usr/bin/python3 "$independent" "$state"/audit-*.log --anchors "$state/audit.anchors" && ok "$3" || not_ok "$3"
}

chmod 755 "$tmp"
expect 18 "$coffer" audit verify "$tmp" && ok "no log is exit code 18"
agent
agent KILL
printf '{"agent_version":"torn' >>"$state/audit.log"
agent
both 0 0 "three lives, one killed, and a torn row: whole"
grep -q '^anchored to row' "$tmp/told" && grep -q '^1 torn row' "$tmp/told" && ok "it says how far it is anchored" || not_ok "said: $(cat "$tmp/told")"
expect 0 "$coffer" audit show "$state" --since 1h && grep -q 'peer.denied  *refused .* uid=12345' "$tmp/out" && ok "the refusal is shown" || not_ok "shown: $(cat "$tmp/out")"
expect 0 "$coffer" --json audit show "$state" && grep '"hash"' "$state/audit.log" | cmp -s - "$tmp/out" && ok "--json gives the rows as they are" || not_ok "--json"
expect 0 "$coffer" audit report --tenant acme "$state" && ok "a report of a tenant without rows"
expect 2 "$coffer" audit report "$state" && expect 2 "$coffer" audit frobnicate && ok "wrong use is exit code 2"

log=$(readlink -f "$state/audit.log")
cp "$log" "$tmp/kept"
sed -i '3s/"outcome":"/"outcome":"n/' "$log"
both 21 1 "an edit is found"
grep -q "audit-.*log:3: row 3: " "$tmp/said" && ok "and named: $(cat "$tmp/said")" || not_ok "said: $(cat "$tmp/said")"
sed 3d "$tmp/kept" >"$log" && both 21 1 "a deleted row is found"
sed '2{h;d};3G' "$tmp/kept" >"$log" && both 21 1 "swapped rows are found"
sed '$d' "$tmp/kept" >"$log" && both 21 1 "a cut is found by the anchors"
expect 0 "$coffer" audit verify "$log" && grep -q '^unanchored since' "$tmp/out" && ok "without them it says that nothing can tell"
cp "$tmp/kept" "$log" && both 0 0 "as it was it is whole"
expect 21 "$coffer" audit verify "$state" --host 00000000000000000000000000000000 && ok "another host's log is refused"
rm "$state/host.key"
expect 1 "$top_builddir/coffer-agent" --foreground --config "$tmp/etc" --state "$state" --socket "$tmp/agent.sock" && grep -q 'host.key is gone' "$tmp/err" &&
	ok "an agent that lost its host key says so"

# Memory does not grow with the log: the peak for a file of some 20 MiB is that for a small one.
peak() {
	/usr/bin/python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
}
cp "$tmp/kept" "$tmp/big"
while [ "$(stat -c %s "$tmp/big")" -lt 20000000 ]; do
	cat "$tmp/big" "$tmp/big" >"$tmp/twice"
	mv "$tmp/twice" "$tmp/big"
done
if ldd "$coffer" | grep -q libasan; then
	ok "memory cannot be measured under a sanitizer that keeps what was freed"
	exit
fi
small=$(peak "$coffer" audit show "$tmp/kept")
big=$(peak "$coffer" audit show "$tmp/big")
[ "$big" -lt $((small + 4096)) ] && ok "memory is constant: $small and $big KiB" || not_ok "memory: $small KiB for a small log, $big for a large one"
