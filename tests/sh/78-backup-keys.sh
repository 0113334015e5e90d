#!/bin/sh
# Goals: who may do what to a store, against a server that checks it.
# 1. credentials=sealed:PATH: the store's keys lie sealed under the tenant's key; a run by hand has the agent open them, which the audit log says, and nothing of them stands in clear in files, environment or
#    arguments. Refused, locked, of another tenant, no agent, no keys in it: each is told, and nothing reaches the store.
# 2. Writing and pruning are different rights: with keys that may not delete backups are made, and prune is refused; prune-credentials= has those that may.
# 3. object-lock=: what is stored is held by the server for so many days; prune leaves it, says until when, and takes it when the time has come; what a new snapshot uses again is held on. A bucket without is told.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; inner shells expand
. "${top_srcdir:?}/tests/sh/volume.sh"
"$top_srcdir/tests/backup/servers" -n versitygw >/dev/null || {
	echo "skipped: needs versitygw of tests/backup/servers"
	exit 77
}
requires /usr/bin/python3 -c 'import botocore.session'
at=$tmp/s3
server_pid=
stop_server() {
	[ -n "$server_pid" ] && kill "$server_pid" 2>/dev/null || return 0
	wait "$server_pid" || true
	server_pid=
}
cleanup_fn stop_server
/usr/bin/python3 "$top_srcdir/tests/backup/s3_serve.py" "$at" versitygw-full >"$at.log" 2>&1 &
server_pid=$!
XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME
agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
dd if=/dev/urandom of="$mnt/big" bs=1M count=12 status=none
echo text >"$mnt/small"
expect 0 coffer umount "$mnt"
wait_for 300 [ -e "$at/endpoint" ]
stored() {
	find "$at/versity/$1" -type f 2>/dev/null | wc -l
}
conf() { # BUCKET [LINE...]: volumes.d/v.conf
	printf '[volume]\nsource=%s\n[backup]\nstore=s3://%s/b\nkeep-daily=1\n[store]\nendpoint=%s\nregion=eu-west-1\nca-file=%s\n' "$tmp/v" "$1" "$(cat "$at/endpoint")" "$at/ca.pem" >"$tmp/v.conf"
	shift
	printf '%s\n' "$@" >>"$tmp/v.conf"
}
named() { # ARG...: coffer, with that file
	unshare -m sh -c 'mount -t tmpfs none /etc && mkdir -p /etc/coffer/volumes.d && cp "$0" /etc/coffer/volumes.d/v.conf || exit 99
		exec "$@"' "$tmp/v.conf" "$bin/coffer" --agent "$tmp/agent.sock" "$@"
}

# 1
seal() { # TENANT NAME FILE
	coffer seal --tenant "$1" --name "$2" <"$3" >"$tmp/$2.sealed" 2>"$tmp/err"
}
expect 0 seal v store "$at/writer" && expect 0 seal other another "$at/writer"
echo hunter2 >"$tmp/word"
expect 0 seal v word "$tmp/word"
sealed="credentials=sealed:$tmp/store.sealed"
says() { # CODE TEXT LINE...: a run with these lines of [store] is refused so
	says_code=$1 says_text=$2
	shift 2
	conf coffer-test "$@"
	expect "$says_code" named backup run v && grep -qF -- "$says_text" "$tmp/err" && ! grep -q 'writerwriter\|hunter2' "$tmp/out" "$tmp/err" && [ "$(stored coffer-test)" = 0 ] &&
		ok "$(sed "s|$tmp/||g" "$tmp/err")" || not_ok "$says_text: $(cat "$tmp/err")"
}
says 18 "cannot be read" "credentials=sealed:$tmp/none"
says 4 "not a sealed credential" "credentials=sealed:$tmp/word"
says 3 "no keys in AWS's format" "credentials=sealed:$tmp/word.sealed"
expect 0 coffer lock --tenant v && says 12 "store.sealed" "$sealed"
expect 0 coffer unlock --tenant v
conf coffer-test "credentials=sealed:$tmp/another.sealed"
sed -i 's/^source=/tenant=v\nsource=/' "$tmp/v.conf"
expect 11 named backup run v && grep -q 'sealed for tenant other, not for v' "$tmp/err" && ok "another tenant's" || not_ok "another tenant's: $(cat "$tmp/err")"
before=$(grep -c '"event":"cred.open".*"outcome":"ok"' "$tmp/state/audit.log")
conf coffer-test "$sealed"
expect 0 named backup run v && ok "a run by hand with sealed keys: $(sed 's/.*: //' "$tmp/out")" || not_ok "sealed: $(cat "$tmp/err")"
[ "$(grep -c '"event":"cred.open".*"outcome":"ok"' "$tmp/state/audit.log")" -eq "$((before + 1))" ] && grep '"event":"cred.open"' "$tmp/state/audit.log" | tail -n 1 | grep -q '"object":"store"' && ok "and the audit log says so" ||
	not_ok "audit: $(tail -n 3 "$tmp/state/audit.log")"
! grep -rqa writerwriterwriter "$tmp/state" "$tmp/agent.log" "$tmp/cache" "$tmp/store.sealed" && ok "nothing of them in clear" || not_ok "in clear"
expect 0 named backup verify v && ok "verify"
expect 0 coffer backup list s3://coffer-test/b --endpoint "$(cat "$at/endpoint")" --region eu-west-1 --ca-file "$at/ca.pem" --credentials "sealed:$tmp/store.sealed" && ok "as an option" || not_ok "option: $(cat "$tmp/err")"

# 2
expect 0 named backup run v
expect 22 named backup prune v --grace 0 && grep -q AccessDenied "$tmp/err" && ok "keys that may not delete do not prune: $(cat "$tmp/err")" || not_ok "prune: $(cat "$tmp/out" "$tmp/err")"
conf coffer-test "$sealed" "prune-credentials=file:$at/credentials"
expect 0 named backup prune v --grace 0 && grep -q '1 snapshots stay; removed 1' "$tmp/out" && ok "prune-credentials= does: $(tail -n 1 "$tmp/out")" || not_ok "prune: $(cat "$tmp/out" "$tmp/err")"
expect 0 named backup run v && ok "and the next run does not" || not_ok "run: $(cat "$tmp/err")"

# 3. With 12 days: objects are held 16, a quarter more, manifests 12.
locks() {
	/usr/bin/python3 "$top_srcdir/tests/backup/s3_locks.py" "$at" "$@"
}
conf coffer-test "credentials=file:$at/credentials" "object-lock=governance 12"
expect 22 named backup run v && grep -q 'has no object lock' "$tmp/err" && ok "$(sed "s|$tmp/||g" "$tmp/err")" || not_ok "no object lock: $(cat "$tmp/err")"
expect 22 coffer backup run "$tmp/v" "file://$tmp" --object-lock 'governance 1' && grep -q 'a directory has none' "$tmp/err" && ok "nor has a directory" || not_ok "directory: $(cat "$tmp/err")"
conf coffer-locked "credentials=file:$at/credentials" "object-lock=governance 12"
expect 0 named backup run v && ok "a run with object lock" || not_ok "lock: $(cat "$tmp/err")"
held() { # what show must say, sorted, with counts
	locks show | sort | uniq -c | awk '{ print $2, $3 }' | tr '\n' ';'
}
[ "$(held)" = "lists 16;other -;other 1;packs 16;segments 16;snapshots 12;" ] && ok "all of it is held" || not_ok "held: $(locks show)"

# Eleven days later, as it were: what the next snapshot uses again is held on, also where nothing of it was sent.
locks set 86400
expect 0 named --json backup run v && grep -q '"bytes_sent":0[,}]' "$tmp/out" || not_ok "again: $(cat "$tmp/out" "$tmp/err")"
[ "$(locks show | sort | uniq -c | awk '{ print $1, $2, $3 }' | grep -v other | tr '\n' ';')" = "1 lists 16;1 packs 16;2 segments 16;1 snapshots 1;1 snapshots 12;" ] &&
	ok "what is used again is held on" || not_ok "used again: $(locks show)"
expect 0 named backup prune v --grace 0 --dry-run && grep -q '^locked .* until 20' "$tmp/out" || not_ok "dry: $(cat "$tmp/out" "$tmp/err")"
expect 0 named backup prune v --grace 0 && grep -q '^locked .* until 20' "$tmp/out" && grep -q '2 snapshots stay; removed 0 snapshots and 0 objects' "$tmp/out" && grep -q '1 more stay, held by object lock, the last until 20' "$tmp/out" &&
	ok "prune leaves it: $(tail -n 1 "$tmp/out")" || not_ok "prune: $(cat "$tmp/out" "$tmp/err")"
expect 0 named backup verify v && ok "verify" || not_ok "verify: $(cat "$tmp/err")"

# When the time has come all of it goes for good.
expect 0 coffer mount "$tmp/v" "$mnt"
dd if=/dev/urandom of="$mnt/big" bs=1M count=12 conv=notrunc status=none
expect 0 coffer umount "$mnt"
expect 0 named backup run v
locks set 6
over=$(($(date +%s) + 7))
is_over() {
	[ "$(date +%s)" -gt "$over" ]
}
wait_for 60 is_over
expect 0 named backup prune v --grace 0 && grep -q '1 snapshots stay; removed 2 snapshots' "$tmp/out" && ok "prune takes it when it is over: $(tail -n 1 "$tmp/out")" || not_ok "over: $(cat "$tmp/out" "$tmp/err")"
expect 0 named backup verify v && ok "verify" || not_ok "verify: $(cat "$tmp/err")"
# No version of it is left, nor a marker in front of it.
[ "$(locks show | grep -v other | sort | uniq -c | awk '{ print $1, $2 }' | tr '\n' ';')" = "1 lists;2 packs;2 segments;1 snapshots;" ] && [ "$(locks versions | sed 's/.* //')" = 0 ] && ok "for good" || not_ok "left: $(locks versions; locks show)"
