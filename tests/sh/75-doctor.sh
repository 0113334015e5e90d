#!/bin/sh
# Goals: coffer doctor, each check of which is made to fail.
# 1. A good host and volume: nothing fails; five engines find what they need on a mount, and a filesystem that is broken underneath is found out.
# 2. What is planted, taken away or forged is found, with exit 15 and advice: plain files, a written bare mount point, limits, /dev/fuse, agent, key, memory, clock's neighbours.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

finds() { # CODE RESULT NAME TEXT CMD...: a row of that result and name has TEXT
	finds_code=$1 finds_result=$2 finds_name=$3 finds_text=$4
	shift 4
	expect "$finds_code" "$@" || return 0
	grep -q "^$finds_result  *$finds_name  .*$finds_text" "$tmp/out" && ok "$finds_name: $finds_text" || not_ok "$finds_name: no $finds_result with '$finds_text': $(cat "$tmp/out")"
}

agent_start
volume acme
expect 0 coffer doctor "$tmp/acme" && ok "not mounted: nothing failed"
coffer mount "$tmp/acme" "$mnt"
mkdir "$mnt/d"
dd if=/dev/urandom of="$mnt/d/f" bs=64k count=16 conv=fsync status=none
ln -s f "$mnt/d/link"
: >"$mnt/$(printf '%0200d' 0)"
coffer sync "$mnt"
finds 0 ok foreign 'nothing in' coffer doctor "$mnt"
for row in 'ok  *kernel' 'ok  */dev/fuse' 'ok  *agent' 'ok  *mount .*ready' 'ok  *coffer.volume' 'ok  *backing fallocate' 'ok  *backing links' 'ok  *log' 'ok  *ballast' \
	'warn  *key service .*a file on this host' 'warn  *mount point .*is empty below'; do
	grep -q "^$row" "$tmp/out" && ok "$row" || not_ok "no row $row: $(cat "$tmp/out")"
done
expect 0 coffer --json doctor "$tmp/acme"
/usr/bin/python3 - "$tmp/out" <<'PY' && ok "--json" || not_ok "--json: $(cat "$tmp/out")"
import json, sys
o = json.load(open(sys.argv[1]))
assert o["version"] == 1 and o["ok"] is True and len(o["checks"]) > 20
for c in o["checks"]:
    assert set(c) == {"name", "result", "found", "advice"} and c["result"] in ("ok", "warn") and c["name"] and c["found"], c
    assert c["advice"] is None or c["result"] != "ok", c
PY
for engine in sqlite postgres duckdb clickhouse lucene; do
	expect 0 coffer doctor --workload "$engine" "$mnt" && grep -q "^ok  *$engine  *" "$tmp/out" && tail -1 "$tmp/out" | grep -q ' 0 warnings, 0 failed' &&
		ok "$engine: $(tail -1 "$tmp/out")" || not_ok "$engine: $(cat "$tmp/out")"
done
[ -z "$(find "$mnt" -name '.coffer-doctor*')" ] && ok "nothing stays behind" || not_ok "scratch directories stay behind"
expect 2 coffer doctor --workload oracle "$mnt" && expect 2 coffer doctor --workload sqlite && expect 2 coffer doctor a b && expect 18 coffer doctor nothing && ok "usage"
if "${CC:-cc}" -shared -fPIC -o "$tmp/broken.so" "$top_srcdir/tests/seen/broken.c" 2>/dev/null && [ -z "${SANITIZE_FLAGS:-}" ]; then
	for broken in 'exchange clickhouse exchanged.*: ' 'locks sqlite byte.ranges.*not.what.it.must.be' 'locks lucene write.lock.*not.what' 'reads duckdb 256.KiB.*not.what'; do
		# shellcheck disable=SC2086 # words
		set -- $broken
		finds 15 FAIL "$2" "$3" env "BROKEN=$1" "LD_PRELOAD=$tmp/broken.so" "$bin/coffer" --agent "$tmp/agent.sock" doctor --workload "$2" "$mnt"
	done
fi

echo secret >"$tmp/acme/base.dump"
finds 15 FAIL foreign 'base.dump: a file whose name is not encrypted' coffer doctor "$mnt"
rm "$tmp/acme/base.dump"
echo secret >"$tmp/acme/$(printf '%064d' 0)"
finds 15 FAIL foreign '0: a file without a header' coffer doctor "$mnt"
rm "$tmp/acme/$(printf '%064d' 0)"
mkdir -p "$tmp/acme/pgdata/base"
finds 15 FAIL foreign 'pgdata: a directory whose name is not encrypted' coffer doctor "$mnt"
rm -r "$tmp/acme/pgdata"
coffer umount "$mnt"
coffer mount "$tmp/acme" "$mnt" -o ro
finds 15 FAIL postgres 'no directory can be made' coffer doctor --workload postgres "$mnt"
coffer umount "$mnt"
expect 14 coffer doctor --workload sqlite "$tmp/acme" && ok "not mounted"

finds 15 FAIL RLIMIT_NOFILE 'at most' prlimit --nofile=200:200 "$bin/coffer" --agent "$tmp/agent.sock" doctor
finds 15 FAIL RLIMIT_MEMLOCK 'cannot be locked' prlimit --memlock=0:0 setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock "$bin/coffer" --agent "$tmp/agent.sock" doctor
finds 15 FAIL agent 'no agent' "$bin/coffer" --agent "$tmp/none.sock" doctor
forged() { # FILE TEXT: a command that sees TEXT in the file of the kernel
	printf '%s\n' "$2" >"$tmp/forged"
	unshare -m sh -c "mount --bind '$tmp/forged' '$1' && exec '$bin/coffer' --agent '$tmp/agent.sock' doctor"
}
finds 0 warn swap '/dev/sdz9 is not encrypted' forged /proc/swaps '/dev/sdz9 partition 1 0 -2'
finds 0 ok swap 'all of it' forged /proc/swaps '/dev/zram0 partition 1 0 -2'
finds 0 warn 'core dumps' 'go to /usr/bin/keep' forged /proc/sys/kernel/core_pattern '|/usr/bin/keep %p'
finds 0 warn 'AES in hardware' 'not there' forged /proc/cpuinfo 'flags : fpu sse2'
finds 15 FAIL /dev/fuse 'cannot be opened' unshare -m sh -c "mount --bind '$tmp/agent.sock' /dev/fuse && exec '$bin/coffer' --agent '$tmp/agent.sock' doctor"

mkdir "$tmp/memory"
mount -t tmpfs none "$tmp/memory"
cp -a "$tmp/acme" "$tmp/memory/acme"
finds 15 FAIL backing 'tmpfs is memory' coffer doctor "$tmp/memory/acme"
grep -q '^FAIL  *key service .*coffer trust\|^ *if this is the right volume: coffer trust' "$tmp/out" && ok "a copy is not trusted" || not_ok "a copy: $(cat "$tmp/out")"
rm "$tmp/memory/acme/coffer.reserve"
finds 15 warn ballast 'there is none' coffer doctor "$tmp/memory/acme"
umount "$tmp/memory"
mv "$(key_of acme)" "$tmp/key"
finds 15 FAIL 'key service' 'gone' coffer doctor "$tmp/acme"
mv "$tmp/key" "$(key_of acme)"
coffer mount "$tmp/acme" "$mnt"
unshare -m sh -c "umount -l '$mnt' && echo 15 >'$mnt/PG_VERSION'" # before it was mounted, for all that can be seen later
finds 15 FAIL 'mount point' '1 entries of its own below the mount' coffer doctor "$mnt"
coffer umount "$mnt"
rm "$mnt/PG_VERSION"
