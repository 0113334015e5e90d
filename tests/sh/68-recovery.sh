#!/bin/sh
# Goals: init --recovery-key makes a file, and none when it makes no volume; unlock --recovery-key opens with it while no other key answers, and not while one
# says no; what was opened is whole, and the key is in no log.
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

# The key service is away (no key directory), nobody has said no: the recovery key opens.
expect 0 coffer unlock "$tmp/v" --recovery-key "$tmp/paper" && grep -q 'not needed' "$tmp/out" && ok "while the key is there it is not needed" || not_ok "not needed: $(cat "$tmp/out")"
coffer mount "$tmp/v" "$mnt"
echo content >"$mnt/file"
coffer umount "$mnt"
mv "$tmp/etc/keys" "$tmp/keys.away"
expect 3 coffer mount "$tmp/v" "$mnt" && ok "without the key directory nothing opens"
sed 's/^\(coffer-recovery-1 [0-9a-f]* \)\(.\)/\1x\2/' "$tmp/paper" >"$tmp/bad"
expect 7 coffer unlock "$tmp/v" --recovery-key "$tmp/bad" && ok "a file that is no recovery key"
sed '/^coffer-/{s/0$/1/;t;s/.$/0/}' "$tmp/paper" >"$tmp/bad"
expect 7 coffer unlock "$tmp/v" --recovery-key "$tmp/bad" && grep -q mistyped "$tmp/err" && ok "a slip of the hand" || not_ok "mistyped: $(cat "$tmp/err")"
expect 18 coffer unlock "$tmp/v" --recovery-key "$tmp/none" && ok "no file"
expect 2 coffer unlock --tenant v --recovery-key "$tmp/paper" && ok "a volume, not a tenant"
expect 0 coffer unlock "$tmp/v" --recovery-key "$tmp/paper" && grep -q "opens with recovery:$id for at most 86400 s" "$tmp/out" && ok "it is brought" || not_ok "unlock --recovery-key: $(cat "$tmp/out" "$tmp/err")"
expect 0 coffer mount "$tmp/v" "$mnt" && [ "$(cat "$mnt/file")" = content ] && ok "the content is there" || not_ok "the content: $(cat "$mnt/file" 2>&1)"
echo more >>"$mnt/file"
expect 0 coffer umount "$mnt"
expect 0 coffer keys list "$tmp/v" && grep -A1 "^recovery:$id" "$tmp/out" | grep -q 'opened last' && ok "keys list says so" || not_ok "keys list: $(cat "$tmp/out")"
grep -q '"event":"key.recovery"' "$tmp/state/audit.log" && ok "the audit log says so" || not_ok "audit"
mv "$tmp/keys.away" "$tmp/etc/keys"
expect 0 coffer fsck "$tmp/v" && ok "the key is back"
chmod 644 "$key" # nobody's no either: somebody must repair the host
expect 3 coffer fsck "$tmp/v" && ok "that ended it"
expect 0 coffer --quiet unlock "$tmp/v" --recovery-key "$tmp/paper"
agent_stop
agent_start
expect 3 coffer fsck "$tmp/v" && ok "so does the end of the agent"
chmod 600 "$key"

# The key was withdrawn: no.
mv "$key" "$tmp/key"
expect 12 coffer unlock "$tmp/v" --recovery-key "$tmp/paper" && ok "not while the key is revoked"
expect 12 coffer mount "$tmp/v" "$mnt" && ok "nor later"
mv "$tmp/key" "$key"
"$bin/coffer" audit show "$tmp/state" 2>/dev/null | grep -q 'key.recovery' && ok "audit show" || not_ok "audit show"
expect 0 coffer fsck "$tmp/v" && ok "fsck"
! grep -rqi "$digits" "$tmp/agent.log" "$tmp/state" && ok "the key is in no log" || not_ok "the key is in a log"
