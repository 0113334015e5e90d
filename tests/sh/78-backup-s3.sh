#!/bin/sh
# Goals:
# 1. A volume goes into a bucket of two real S3 servers through a proxy that spoils every tenth request (dropped and reset connections, lost and cut answers, 500, 502, 503, errors with 200, a wrong
#    clock, changed bodies), and comes back byte for byte, also when runs and restores are killed at random points; fsck finds it sound. So does the next generation.
# 2. Nothing that is sent or stored has a planted name, text, attribute or key in it, nor the tenant's name but in coffer.volume. A run when nothing has changed sends no data.
# 3. Wrong credentials and a bucket that is not there end with 22.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
for server in versitygw s3proxy; do
	"$top_srcdir/tests/backup/servers" -n "$server" >/dev/null || {
		echo "skipped: needs $server of tests/backup/servers"
		exit 77
	}
done
planted=$top_srcdir/tests/backup/planted.py
store=s3://coffer-test/backups
server_pid=
stop_server() {
	[ -n "$server_pid" ] && kill "$server_pid" 2>/dev/null || return 0
	wait "$server_pid" || true
	server_pid=
}
cleanup_fn stop_server
keyless() {
	"$bin/coffer" --agent "$tmp/no-such-socket" "$@" --endpoint "$(cat "$at/endpoint")" --region eu-west-1 --ca-file "$at/ca.pem" --credentials "${keys:-file:$at/credentials}"
}
files_in() {
	find "$1" -type f 2>/dev/null | wc -l
}
# A number of 1 to $1
random() {
	shuf -i "1-$1" -n 1
}
# Killed when there are so many more files below a directory, or $1 s later: kill_when SECONDS FILES DIR ARG...
kill_when() {
	kill_until=$(($(date +%s) + $1)) kill_files=$(($(files_in "$3") + $2)) kill_dir=$3
	shift 3
	keys='' keyless "$@" >/dev/null 2>&1 &
	kill_pid=$!
	while [ "$(files_in "$kill_dir")" -lt "$kill_files" ] && [ "$(date +%s)" -lt "$kill_until" ] && [ -e "/proc/$kill_pid/exe" ]; do sleep 0.01; done
	for kill_child in $(ps -o pid= --ppid "$kill_pid") "$kill_pid"; do kill -KILL "$kill_child" 2>/dev/null || :; done
	wait "$kill_pid" 2>/dev/null || :
}

agent_start
volume some-tenant
expect 0 coffer mount "$tmp/some-tenant" "$mnt"
mkdir "$mnt/planted-directory"
for n in $(seq 1 200); do echo "planted text $n" >"$mnt/planted-directory/f$n"; done
setfattr -n user.planted-attribute -v planted-value "$mnt/planted-directory/f1"
ln -s planted-target "$mnt/planted-link"
dd if=/dev/urandom of="$mnt/big" bs=1M count=60 status=none
expect 0 coffer umount "$mnt"
/usr/bin/python3 "$planted" make "$tmp/planted" "$tmp/some-tenant" "$(key_of some-tenant)" planted
expect 1 /usr/bin/python3 "$planted" scan "$tmp/planted" "$(dirname "$(key_of some-tenant)")" && ok "(a scan finds what is there)" || not_ok "a scan finds no key where one is"
/usr/bin/python3 "$planted" scan "$tmp/planted" "$tmp/some-tenant" >"$tmp/scan" && ok "nothing in clear in the volume itself: $(cat "$tmp/scan")" || not_ok "the volume: $(cat "$tmp/scan")"

restored_is() { # VOLUME TEXT
	tree "$tmp/$1" | grep -v 'coffer.reserve\|coffer.lock\|  ./coffer.log' >"$tmp/before"
	tree "$tmp/r" | grep -v 'coffer.reserve\|coffer.lock\|  ./coffer.log' >"$tmp/after"
	cmp "$tmp/before" "$tmp/after" && ok "$2: byte for byte" || not_ok "$2: not the same: $(diff "$tmp/before" "$tmp/after" | head -5)"
	expect 0 coffer --quiet trust "$tmp/r"
	expect 0 coffer fsck "$tmp/r" && ok "$2: fsck" || not_ok "$2: fsck: $(cat "$tmp/out" "$tmp/err")"
	rm -rf "$tmp/r"
}

with_server() { # NAME, and the directory of its buckets
	name=$1 at=$tmp/s3-$1 bucket=$tmp/s3-$1/$2/coffer-test
	XDG_CACHE_HOME=$tmp/cache-$1
	export XDG_CACHE_HOME
	/usr/bin/python3 "$top_srcdir/tests/backup/s3_serve.py" "$at" "$name" 0.1 "$tmp/planted" >"$at.log" 2>&1 &
	server_pid=$!
	wait_for 300 [ -e "$at/endpoint" ]
	rm -rf "$tmp/w"
	cp -a "$tmp/some-tenant" "$tmp/w" # so that each server sees both generations
	points=
	for _ in 1 2 3; do
		point=$(random 9)
		points="$points $point"
		kill_when 60 "$point" "$bucket" backup run "$tmp/w" "$store"
	done
	expect 0 keyless backup run "$tmp/w" "$store" && ok "$name: run, after three that were killed behind$points objects: $(sed 's/.*: //' "$tmp/out")" || not_ok "$name: run: $(cat "$tmp/err")"
	expect 0 keyless backup verify "$store" && grep -q '0 problems' "$tmp/out" && ok "$name: verify" || not_ok "$name: verify: $(cat "$tmp/out" "$tmp/err")"
	expect 0 keyless --json backup run "$tmp/w" "$store" && grep -q '"bytes_sent":0[,}]' "$tmp/out" && ok "$name: a second run sends no data" || not_ok "$name: sent: $(cat "$tmp/out")"
	point=$(random 150)
	kill_when 60 "$point" "$tmp/r" restore "$store" latest "$tmp/r"
	[ ! -e "$tmp/r/coffer.restore" ] || [ ! -e "$tmp/r/coffer.volume" ] || not_ok "$name: half a restore looks like a volume"
	[ -e "$tmp/r/coffer.volume" ] || expect 0 keyless restore "$store" latest "$tmp/r" || not_ok "$name: restore: $(cat "$tmp/err")"
	restored_is w "$name: restored, after one that was killed behind $point files"

	# The next generation, the run killed once more.
	expect 0 coffer --quiet trust "$tmp/w"
	expect 0 coffer mount "$tmp/w" "$mnt"
	dd if=/dev/urandom of="$mnt/big" bs=1M count=3 seek=20 conv=notrunc status=none
	mv "$mnt/planted-directory/f7" "$mnt/planted-other-name"
	expect 0 coffer umount "$mnt"
	kill_when 60 1 "$bucket" backup run "$tmp/w" "$store"
	expect 0 keyless backup run "$tmp/w" "$store" && ok "$name: the next generation: $(sed 's/.*: //' "$tmp/out")" || not_ok "$name: the next generation: $(cat "$tmp/err")"
	expect 0 keyless restore "$store" latest "$tmp/r" || not_ok "$name: the next generation: $(cat "$tmp/err")"
	restored_is w "$name: the next generation"

	expect 0 keyless --json restore "$store" latest "$tmp/r" --path planted-other-name --agent "$tmp/agent.sock" && [ "$(sed 's/.*"bytes":\([0-9]*\).*/\1/' "$tmp/out")" -lt 1000000 ] || not_ok "$name: a path: $(cat "$tmp/out" "$tmp/err")"
	expect 0 coffer --quiet trust "$tmp/r" && expect 0 coffer mount "$tmp/r" "$mnt" && [ "$(cat "$mnt/planted-other-name")" = "planted text 7" ] && ok "$name: one file" || not_ok "$name: one file: $(ls "$mnt")"
	expect 0 coffer umount "$mnt"
	rm -rf "$tmp/r"

	umask 077
	printf '[default]\naws_access_key_id=AKTESTTESTTESTTEST\naws_secret_access_key=wrong\n' >"$tmp/wrong"
	umask 022
	keys=file:$tmp/wrong
	expect 22 keyless backup list "$store" && grep -q 'SignatureDoesNotMatch' "$tmp/err" && ok "$name: a wrong secret: $(cat "$tmp/err")" || not_ok "$name: wrong secret: $(cat "$tmp/err")"
	keys=
	expect 22 keyless backup list s3://no-such-bucket/x && grep -q 'no such bucket' "$tmp/err" && ok "$name: no bucket" || not_ok "$name: no bucket: $(cat "$tmp/err")"

	stop_server
	grep -q '^seen: ' "$at/report" && not_ok "$name: sent in clear: $(grep '^seen: ' "$at/report" | head -3)" || ok "$name: nothing in clear was sent: $(tr '\n' ' ' <"$at/report")"
	[ "$(sed -n 's/ bytes looked at//p' "$at/report")" -gt 60000000 ] || not_ok "$name: too little was looked at: $(cat "$at/report")"
	/usr/bin/python3 "$planted" scan "$tmp/planted" "$bucket" "$XDG_CACHE_HOME" >"$tmp/scan" && ok "$name: nothing in clear is stored: $(cat "$tmp/scan")" || not_ok "$name: stored in clear: $(cat "$tmp/scan")"
}
with_server versitygw versity
with_server s3proxy s3proxy
