#!/bin/sh
# Goals: init --recovery-key makes a file that opens the volume when nothing else answers, and no file when it makes no volume.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

agent_start
volume v --recovery-key "$tmp/paper"
key=$(key_of v)
uuid=$(coffer --json info "$tmp/v" | sed -n 's/.*"uuid": *"\([0-9a-f]*\)".*/\1/p')
[ "$(stat -c %a "$tmp/paper")" = 600 ] && grep -q "^# uuid   $uuid\$" "$tmp/paper" && grep -q '^# tenant v$' "$tmp/paper" && grep -q "^# volume $tmp/v\$" "$tmp/paper" &&
	grep -qE '^coffer-recovery-1 [0-9a-f]{16} ([0-9A-Fa-f]{8}-){7}[0-9A-Fa-f]{8}$' "$tmp/paper" && [ "$(grep -vc '^#' "$tmp/paper")" -eq 1 ] && ok "the file says what it is for" ||
	not_ok "the file: $(sed 's/-[0-9A-Fa-f-]*$/…/' "$tmp/paper")"
id=$(sed -n 's/^coffer-recovery-1 \([0-9a-f]*\) .*/\1/p' "$tmp/paper")
expect 0 coffer keys list "$tmp/v" && grep -q "^recovery:$id\$" "$tmp/out" && grep -q "^local:${key##*/}\$" "$tmp/out" && [ "$(grep -c 'pinned on this host' "$tmp/out")" -eq 2 ] && ok "both keys are pinned" ||
	not_ok "keys list: $(cat "$tmp/out")"
cp "$tmp/paper" "$tmp/paper.before"
expect 17 coffer init "$tmp/w" --tenant v --log-size 16 --recovery-key "$tmp/paper" && cmp "$tmp/paper" "$tmp/paper.before" && [ ! -e "$tmp/w" ] && ok "a file that is there is not touched"
ln -s "$tmp/elsewhere" "$tmp/link"
expect 17 coffer init "$tmp/w" --tenant v --log-size 16 --recovery-key "$tmp/link" && [ ! -e "$tmp/elsewhere" ] && [ ! -e "$tmp/w" ] && ok "nor is a link followed"
expect 18 coffer init "$tmp/w" --tenant v --log-size 16 --recovery-key "$tmp/none/paper" && [ ! -e "$tmp/w" ] && ok "a directory that is not there"
no_file() { # CODE TEXT ARG...
	no_file_code=$1 no_file_text=$2
	shift 2
	expect "$no_file_code" "$@" --tenant v --recovery-key "$tmp/none" && [ ! -e "$tmp/none" ] && ok "no file is left: $no_file_text" || not_ok "$no_file_text: $(cat "$tmp/err")"
}
no_file 17 "a volume already" coffer init "$tmp/v"
no_file 10 "no agent" "$bin/coffer" --agent "$tmp/none.sock" init "$tmp/w"
no_file 3 "a key URI that is none" coffer init "$tmp/w" --kms local:/
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ]; then
	cleanup_fn rm -rf "/dev/shm/coffer-test.$$"
	no_file 15 "a backing that is unfit" coffer init "/dev/shm/coffer-test.$$" --log-size 16
fi
digits=$(sed -n 's/^coffer-recovery-1 [0-9a-f]* \([0-9A-Fa-f]*\)-.*/\1/p' "$tmp/paper")
[ ${#digits} -eq 8 ] && ! grep -rqi "$digits" "$tmp/agent.log" "$tmp/state" && ok "the key is in no log" || not_ok "the key is in a log"
