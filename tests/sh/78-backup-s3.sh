#!/bin/sh
# Goals:
# 1. A volume goes into a bucket of a real S3 server through a proxy that spoils every tenth request, and comes back byte for byte, also when runs and a restore are killed in the middle.
# 2. The second run sends next to nothing. Nothing in clear is in the bucket. Wrong credentials and a bucket that is not there end with 22.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
"$top_srcdir/tests/backup/servers" -n versitygw >/dev/null || {
	echo "skipped: needs versitygw of tests/backup/servers"
	exit 77
}
XDG_CACHE_HOME=$tmp/cache
export XDG_CACHE_HOME

/usr/bin/python3 "$top_srcdir/tests/backup/s3_serve.py" "$tmp/s3" versitygw 0.1 >"$tmp/s3.log" 2>&1 &
server=$!
stop_server() {
	kill "$server" 2>/dev/null || return 0
	wait "$server" || true
}
cleanup_fn stop_server
wait_for 60 [ -e "$tmp/s3/endpoint" ]
store=s3://coffer-test/backups
keyless() {
	"$bin/coffer" --agent "$tmp/no-such-socket" "$@" --endpoint "$(cat "$tmp/s3/endpoint")" --region eu-west-1 --ca-file "$tmp/s3/ca.pem" --credentials "${keys:-file:$tmp/s3/credentials}"
}

agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/planted-directory"
for n in $(seq 1 200); do echo "planted text $n" >"$mnt/planted-directory/f$n"; done
dd if=/dev/urandom of="$mnt/big" bs=1M count=60 status=none
expect 0 coffer umount "$mnt"

# Killed a few times, each time a little later, then to the end.
for seconds in 0.1 0.3 0.6; do timeout -s KILL "$seconds" "$bin/coffer" backup run "$tmp/v" "$store" --endpoint "$(cat "$tmp/s3/endpoint")" --region eu-west-1 \
	--ca-file "$tmp/s3/ca.pem" --credentials "file:$tmp/s3/credentials" >/dev/null 2>&1 || true; done
expect 0 keyless backup run "$tmp/v" "$store" && ok "run, after three that were killed: $(sed 's/.*: //' "$tmp/out")" || not_ok "run: $(cat "$tmp/err")"
expect 0 keyless backup verify "$store" && grep -q '0 problems' "$tmp/out" && ok "verify" || not_ok "verify: $(cat "$tmp/out" "$tmp/err")"
expect 0 keyless --json backup run "$tmp/v" "$store" && grep -q '"bytes_sent":0[,}]' "$tmp/out" && ok "a second run sends no data" || not_ok "sent: $(cat "$tmp/out")"
! grep -rq planted "$tmp/s3/versity" && ! find "$tmp/s3/versity" | grep -q planted && ok "nothing in clear" || not_ok "something in clear is in the bucket"

timeout -s KILL 0.4 "$bin/coffer" restore "$store" latest "$tmp/r" --endpoint "$(cat "$tmp/s3/endpoint")" --region eu-west-1 --ca-file "$tmp/s3/ca.pem" \
	--credentials "file:$tmp/s3/credentials" >/dev/null 2>&1 || true
expect 0 keyless restore "$store" latest "$tmp/r" && ok "restore, after one that was killed" || not_ok "restore: $(cat "$tmp/err")"
tree "$tmp/v" | grep -v 'coffer.reserve\|coffer.lock\|  ./coffer.log' >"$tmp/before"
tree "$tmp/r" | grep -v 'coffer.reserve\|coffer.lock\|  ./coffer.log' >"$tmp/after"
cmp "$tmp/before" "$tmp/after" && ok "byte for byte" || not_ok "not the same: $(diff "$tmp/before" "$tmp/after" | head -5)"

umask 077
printf '[default]\naws_access_key_id=AKTESTTESTTESTTEST\naws_secret_access_key=wrong\n' >"$tmp/wrong"
keys=file:$tmp/wrong
expect 22 keyless backup list "$store" && grep -q 'SignatureDoesNotMatch' "$tmp/err" && ok "a wrong secret: $(cat "$tmp/err")" || not_ok "wrong secret: $(cat "$tmp/err")"
keys=
expect 22 keyless backup list s3://no-such-bucket/x && grep -q 'no such bucket' "$tmp/err" && ok "no bucket" || not_ok "no bucket: $(cat "$tmp/err")"
