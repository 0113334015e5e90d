#!/bin/sh
# The agent is killed under 20 mounts at work: all go on; a new agent has them all again, and gives keys. With none for longer than agent-grace=, all lock by themselves, and open
# again when there is one.
set -eu
# shellcheck source=tests/sh/volume.sh
. "${top_srcdir:?}/tests/sh/volume.sh"
many=20

mkdir -p "$tmp/etc/tenants.d"
for i in $(seq $many); do
	printf '[tenant]\nprobe=5s\nagent-grace=%s\n' "${GRACE:-4s}" >"$tmp/etc/tenants.d/t$i.conf"
done
agent_start
for i in $(seq $many); do
	volume "t$i"
	mkdir -p "$tmp/mnt.$i"
	coffer mount "$tmp/t$i" "$tmp/mnt.$i"
	( n=0; while echo "$n" >>"$tmp/mnt.$i/log" && sync -d "$tmp/mnt.$i/log"; do n=$((n + 1)); echo "$n" >"$tmp/new.$i" && mv "$tmp/new.$i" "$tmp/acked.$i"; sleep 0.1; done ) 2>/dev/null &
	[ "$i" != 1 ] || writer=$!
done

mounts() { # STATE: how many of the agent's mounts have such a lease
	coffer --json status | tr '{' '\n' | grep -c "\"state\":\"$1\",\"reason\"" || :
}
all_are() { [ "$(mounts "$1")" = $many ]; }
all_written() { # since mark
	[ "$(find "$tmp" -maxdepth 1 -name 'acked.*' -newer "$tmp/mark" | wc -l)" = $many ]
}
all_locked() {
	for i in $(seq $many); do ! LC_ALL=C cat "$tmp/mnt.$i/log" >/dev/null 2>"$tmp/err" && grep -q 'key not available' "$tmp/err" || return 1; done
}

wait_for 60 all_are ACTIVE
ok "$many mounts, all ACTIVE"
kill -KILL "$agent"
wait "$agent" 2>/dev/null || :
touch "$tmp/mark"
wait_for 60 all_written
ok "without the agent all go on"
agent_start
wait_for 60 all_are ACTIVE
ok "a new agent has all of them"
kill "$writer"
wait "$writer" 2>/dev/null || :
wait_for 20 coffer umount "$tmp/mnt.1" # the writer's last sync may be on its way
if expect 0 coffer mount "$tmp/t1" "$tmp/mnt.1"; then ok "and gives keys"; fi
kill -KILL "$agent"
wait "$agent" 2>/dev/null || :
wait_for 120 all_locked
ok "without an agent for longer than agent-grace=, all lock"
agent_start
wait_for 120 all_are ACTIVE
for i in $(seq $many); do
	acked=$(cat "$tmp/acked.$i") lines=$(wc -l <"$tmp/mnt.$i/log")
	[ "$lines" -ge "$acked" ] || not_ok "t$i: $acked lines were durable, $lines are there"
done
ok "with a new one all open again, and every acknowledged line is there"
for i in $(seq $many); do coffer umount "$tmp/mnt.$i"; done
ok "all unmount"
