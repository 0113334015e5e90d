#!/bin/sh
# Goals: the agent, asked for keys over and over by probes, holds none between them, nor after a lock and an unmount; no key is in its environment, its command line, the
# audit log, its state, its log, or the volume. Without memfd_secret(2), so that all of its memory can be searched.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

memory=$top_srcdir/tests/lock/agent_memory.py
mkdir -p "$tmp/etc/tenants.d" "$tmp/state"
printf '[tenant]\nprobe=1s\nconfirm=1\n' >"$tmp/etc/tenants.d/v.conf"
/usr/bin/python3 "$memory" run "$bin/coffer-agent" --config "$tmp/etc" --state "$tmp/state" --socket "$tmp/agent.sock" --foreground >>"$tmp/agent.log" 2>&1 &
agent=$!
wait_for 30 coffer status
volume v
key=$(key_of v)
coffer mount "$tmp/v" "$mnt"
echo text >"$mnt/file"
coffer sync "$mnt"

search() { # TEXT; a probe may be under way, so once more
	for try in 1 2 3; do
		/usr/bin/python3 "$memory" search "$agent" "$tmp/v" "$key" "$tmp/state" "$tmp/v" "$tmp/log" >"$tmp/found" 2>&1 && { ok "$1"; return; }
		sleep 0.3
	done
	not_ok "$1 ($try): $(cat "$tmp/found")"
}
mkdir "$tmp/log" && ln "$tmp/agent.log" "$tmp/log/"
od -An -v -tx1 "$key" | tr -d ' \n' >"$tmp/log/planted"
if /usr/bin/python3 "$memory" search "$agent" "$tmp/v" "$key" "$tmp/log" >"$tmp/found"; then not_ok "a planted key is not found"; else ok "a planted key is found"; fi
rm "$tmp/log/planted"
sleep 3.5
search "between probes"
expect 0 coffer lock "$tmp/v" && search "after an operator's lock"
expect 0 coffer unlock "$tmp/v" && wait_for 30 cat "$mnt/file"
mv "$key" "$tmp/away"
wait_for 30 sh -c "! cat '$mnt/file' 2>/dev/null"
mv "$tmp/away" "$key"
wait_for 30 cat "$mnt/file"
search "after the key was gone and came back"
expect 0 coffer umount "$mnt" && search "after the unmount"
expect 0 coffer fsck "$tmp/v" && search "after fsck"
