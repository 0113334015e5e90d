#!/bin/sh
# Goals: an init that was killed does not keep the next one from the directory; what is not of init's making, or in use, does, and stays.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

unfinished() { # a log that takes a while to fill
	"$bin/coffer" --agent "$tmp/agent.sock" --quiet init "$tmp/v" --tenant v --log-size 1024 &
	killed=$!
	while [ ! -e "$tmp/v/coffer.log" ] && kill -0 "$killed"; do :; done
	kill -KILL "$killed"
	wait "$killed" 2>/dev/null || :
	[ -e "$tmp/v/coffer.log" ] && [ ! -e "$tmp/v/coffer.volume" ] || not_ok "init was not killed half-way: $(ls -l "$tmp/v")"
}

refused() { # CODE TEXT CMD...
	refused_code=$1 refused_text=$2
	shift 2
	tree "$tmp/v" >"$tmp/before"
	expect "$refused_code" "$@" init "$tmp/v" --tenant v --log-size 16 || return 0
	tree "$tmp/v" >"$tmp/after"
	grep -qF "$refused_text" "$tmp/err" && cmp "$tmp/before" "$tmp/after" && ok "$refused_text" || not_ok "$refused_text: $(cat "$tmp/err")"
}

agent_start
mkdir "$mnt"
unfinished
expect 0 coffer init "$tmp/v" --tenant v --log-size 16 && grep -q 'unfinished init' "$tmp/err" && ok "the next init says so and goes on" ||
	not_ok "the next init: $(cat "$tmp/err")"
expect 0 coffer mount "$tmp/v" "$mnt" && expect 0 coffer umount "$mnt" && expect 0 coffer fsck "$tmp/v" && ok "the volume is whole"
refused 17 'is a volume already' coffer

rm -r "$tmp/v"
unfinished
echo precious >"$tmp/v/file"
refused 17 'not empty (file)' coffer
rm "$tmp/v/file"
mkdir "$tmp/v/coffer.dir"
refused 17 'not empty (coffer.dir)' coffer
rmdir "$tmp/v/coffer.dir"
ln "$tmp/v/coffer.log" "$tmp/elsewhere"
refused 17 'not empty (coffer.log)' coffer
rm "$tmp/elsewhere"
refused 6 'another init' flock "$tmp/v" "$bin/coffer" --agent "$tmp/agent.sock"

/usr/bin/python3 - "$tmp/v/coffer.lock" "$tmp/locked" <<'END' &
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.fcntl(fd, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
open(sys.argv[2], "w").close()
time.sleep(60)
END
holder=$!
wait_for 10 [ -e "$tmp/locked" ]
refused 6 'cannot be removed' coffer
kill "$holder"
wait "$holder" 2>/dev/null || :
expect 0 coffer init "$tmp/v" --tenant v --log-size 16 && ok "and then it is made"
