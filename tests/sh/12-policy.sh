#!/bin/sh
# Rules in tenants.d with the commands as people use them: a bad file at start, rules, a reload, another user denied and allowed.
# shellcheck source=tests/sh/functions.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/functions.sh"
requires [ "$(id -u)" -eq 0 ]
requires setpriv --version
requires id -u daemon
user=$(id -u daemon)
work=$(mktemp -d "/tmp/coffer-test-policy.XXXXXX")
cleanup_fn rm -rf "$work"
chmod 755 "$work"
mkdir -p "$work/etc/tenants.d" "$work/bin"
cp "$(readlink -f "$top_builddir/coffer")" "$work/bin/coffer"

agent() {
	"$top_builddir/coffer-agent" --foreground --config "$work/etc" --state "$work/lib" --socket "$work/agent.sock"
}
cof() {
	"$work/bin/coffer" --agent "$work/agent.sock" "$@"
}
as_user() {
	setpriv --reuid="$user" --regid="$user" --clear-groups -- "$work/bin/coffer" --agent "$work/agent.sock" "$@"
}
loads() {
	[ "$(grep -c policy.load "$work/lib/audit.log")" -eq "$1" ]
}

printf '[tenant]\nprobe=60s\n[allow]\nuser=daemon\noperations=unlok\n' >"$work/etc/tenants.d/acme.conf"
expect 3 agent && grep -q "tenants.d/acme.conf:5: operations=: 'unlok' is none of" "$tmp/err" && ok "a bad file is told with its line" || not_ok "bad file: $(cat "$tmp/err")"
rm "$work/etc/tenants.d/acme.conf"
printf '[audit]\nsize=1\n' >"$work/etc/coffer.conf"
expect 3 agent && grep -q "coffer.conf:2: " "$tmp/err" && ok "and one in coffer.conf" || not_ok "bad coffer.conf: $(cat "$tmp/err")"
mkdir "$work/far"
printf '[agent]\nlog-level=info\n[audit]\nanchor-file=%s/anchors\n' "$work/far" >"$work/etc/coffer.conf"
"$top_builddir/coffer-agent" --foreground --config "$work/etc" --state "$work/lib" --socket "$work/agent.sock" 2>"$work/log" &
pid=$!
cleanup_fn kill $pid "2>/dev/null"
wait_for 20 cof status
expect 0 cof --quiet init "$work/v" --tenant acme --log-size 16 && ok "init without rules"
expect 0 cof fsck "$work/v" && ok "root reads it"
chown -R "$user" "$work/v"
expect 11 as_user fsck "$work/v" && ok "its owner does not"
printf '[allow]\nuser=daemon\noperations=unlock,audit\n' >"$work/etc/tenants.d/acme.conf"
kill -HUP $pid
wait_for 20 loads 2
expect 0 as_user fsck "$work/v" && ok "with rules its owner reads it"
expect 11 cof fsck "$work/v" && ok "and root does not"
expect 0 cof status && ok "but administers"
expect 0 as_user --json audit show --tenant acme && python3 -c 'import json, sys
rows = [json.loads(l) for l in sys.stdin]
assert {r["tenant"] for r in rows} == {"acme"} and {"key.generate", "key.unwrap", "peer.denied"} <= {r["event"] for r in rows}' <"$tmp/out" && ok "its owner reads the rows about it" || not_ok "audit show: $(cat "$tmp/out" "$tmp/err")"
expect 11 as_user audit show --tenant other && grep -q '"event":"audit.read"' "$work/lib/audit.log" && ok "and no others"
printf '[allow]\nuser=root\noperations=unlock\n[allow]\n' >"$work/etc/tenants.d/acme.conf"
kill -HUP $pid
wait_for 20 loads 3
grep -q 'acme.conf:4: .*stands in line 1 already' "$work/log" && ok "a bad reload is told" || not_ok "bad reload: $(cat "$work/log")"
expect 0 as_user fsck "$work/v" && ok "and the rules before stay"
grep -q '"class":"DENIED"' "$work/lib/audit.log" && ok "denials are audited" || not_ok "denials are audited"
printf '[audit]\nrequired=no\nanchor-file=relative\n' >"$work/etc/coffer.conf"
kill -HUP $pid
wait_for 20 loads 4
grep -q 'coffer.conf:3: anchor-file= must be an absolute path' "$work/log" && ok "a fault in coffer.conf is one of the whole reload" || not_ok "coffer.conf: $(cat "$work/log")"
printf '[agent]\nlog-level=err\n[audit]\nanchor-file=%s/anchors\n' "$work/far" >"$work/etc/coffer.conf"
rm "$work/etc/tenants.d/acme.conf"
kill -HUP $pid
wait_for 20 loads 5
kill $pid
wait_for 20 [ ! -e "/proc/$pid" ] || :
expect 0 "$work/bin/coffer" audit verify "$work/lib" --anchors "$work/far/anchors" && ok "anchors go where anchor-file= says" || not_ok "anchors: $(ls -l "$work/far" "$work/lib")"
