#!/bin/sh
# Goals:
# 1. Four processes that make, move, exchange, link and remove names in shared directories, each with names of its own, see below a mount what they see in
#    a plain directory, and leave the same tree, also after unmounting. With NAMES_OPERATIONS each and seed NAMES_SEED (by hand).
# 2. When all fight over the same names nothing hangs, no error comes that names cannot explain, and the tree has as many names as it says.
# 3. Then the volume is whole, and all of it can be removed.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
stress=$top_builddir/tests/stress/namestress
requires [ -x "$stress" ]
operations=${NAMES_OPERATIONS:-8000} seed=${NAMES_SEED:-20261125}

agent_start
volume v
expect 0 coffer mount "$tmp/v" "$mnt"
mkdir "$tmp/plain" "$mnt/own" "$mnt/fight"
"$stress" "$tmp/plain" -n "$operations" -s "$seed" >"$tmp/model" || not_ok "plain directory: $(tail -n 3 "$tmp/model")"
"$stress" "$mnt/own" -n "$operations" -s "$seed" >"$tmp/said" || not_ok "mount: $(tail -n 3 "$tmp/said")"
cmp "$tmp/model" "$tmp/said" && ok "the same results: $(tr '\n' ';' <"$tmp/said")" || not_ok "results differ: $(diff "$tmp/model" "$tmp/said")"
names_of() { # no sizes of directories, no inode numbers
	(cd "$1" && find . -type d -printf '%p %m %n\n' -o -printf '%p %y %m %n %s %l\n' | LC_ALL=C sort)
}
names_of "$tmp/plain" >"$tmp/model"
names_of "$mnt/own" >"$tmp/said"
cmp "$tmp/model" "$tmp/said" && ok "the same tree of $(wc -l <"$tmp/said") names" || not_ok "the trees differ: $(diff "$tmp/model" "$tmp/said" | head -n 4)"
"$stress" "$mnt/fight" -r -n "$operations" -s "$seed" >"$tmp/out" && ok "a fight over the same names" || not_ok "the fight: $(head -n 5 "$tmp/out")"
expect 0 coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
expect 0 coffer mount "$tmp/v" "$mnt"
names_of "$mnt/own" >"$tmp/said"
cmp "$tmp/model" "$tmp/said" && ok "the same tree after unmounting" || not_ok "the trees differ: $(diff "$tmp/model" "$tmp/said" | head -n 4)"
rm -r "$mnt/own" "$mnt/fight" && [ -z "$(ls -A "$mnt")" ] && ok "all removed" || not_ok "something could not be removed"
expect 0 coffer umount "$mnt"
[ -z "$(cd "$tmp/v" && find . -name 'coffer.long*' -o -name 'coffer.name*' -o -name coffer.dir)" ] && ok "nothing is left below" || not_ok "left: $(ls "$tmp/v")"
