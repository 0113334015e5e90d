#!/bin/sh
# Goals:
# 1. COFFER_FILES files walked: the mount's memory is at most 340 bytes a file and 20 MiB above an empty mount's, so 10^6 stay within 250 MiB + cache= +
#    dirty=; it goes back when the kernel forgets, and a second walk needs no more than the first.
# 2. With COFFER_COSTS, what an operation costs with all of them remembered is within 30 % of what it costs in a volume of 1000 files, both measured in turn.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
files=${COFFER_FILES:-60000}

memory_kib() {
	sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(mount_pid v)/status"
}

limits() {
	expect 0 /usr/bin/python3 "$top_srcdir/tests/mount/limits.py" "$@"
}

walk() {
	[ "$(find "$mnt/many" -type f -size -100k | wc -l)" = "$files" ] || not_ok "walk: not $files files"
}

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
mkdir "$mnt/many"
limits make "$mnt/many" "$files" && ok "$(cat "$tmp/out")" || exit 1
coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt"
base=$(($(memory_kib) + 20 * 1024)) # the workers' buffers come with the load: 2 MiB each
walk
first=$(memory_kib)
[ $(((first - base) * 1024 / files)) -le 340 ] && [ "$first" -le $(((250 + 64 + 128) * 1024)) ] &&
	ok "memory: $base KiB, after the walk $first: $(((first - base) * 1024 / files)) bytes a file" ||
	not_ok "memory: $base KiB, after the walk $first: $(((first - base) * 1024 / files)) bytes a file"
if [ -n "${COFFER_COSTS:-}" ]; then
	volume w
	mkdir "$tmp/few"
	coffer mount "$tmp/w" "$tmp/few"
	limits make "$tmp/few" 1000 || exit 1
	limits costs "$tmp/few" "$mnt" && ok "an operation among 1000 files and among $files: $(tr '\n' ';' <"$tmp/out")" || not_ok "costs: $(cat "$tmp/out")"
	coffer umount "$tmp/few"
fi
echo 2 >/proc/sys/vm/drop_caches
gave_back() {
	[ $((first - $(memory_kib))) -ge $((files * 120 / 1024)) ]
}
wait_for 60 gave_back && ok "memory after the kernel forgot: $(memory_kib) KiB"
walk
again=$(memory_kib)
[ "$again" -le $((first + first / 20)) ] && ok "memory after a second walk: $again KiB" || not_ok "memory after a second walk: $again KiB, not $first"
coffer umount "$mnt"
