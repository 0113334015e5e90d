#!/bin/sh
# Goals:
# 1. DuckDB with a database file, Parquet (read again by another library, also mapped) and a sort and a join that spill: every query gives what
#    it gives on a plain directory; so does the database after the mount was mounted again.
# 2. The mount, then the program, is killed under transactions: it opens again, with every acknowledged one, whole.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
python=$("$top_srcdir/tests/apps/python" -n) || requires false the packages of tests/apps/requirements.txt

duck() {
	"$python" "$top_srcdir/tests/mount/duck.py" "$@"
}

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
mkdir "$tmp/plain" "$mnt/q"
expect 0 duck queries "$tmp/plain" && sed '/^#/d' "$tmp/out" >"$tmp/want" || exit 1
rm -rf "$tmp/plain"
expect 0 duck queries "$mnt/q" && sed '/^#/d' "$tmp/out" >"$tmp/got" || exit 1
cmp "$tmp/want" "$tmp/got" && ok "$(wc -l <"$tmp/got") results as on a plain directory;$(sed -n 's/^#//p' "$tmp/out")" || not_ok "results differ"
[ -z "$(ls "$mnt/q/spill")" ] && ok "nothing is left of the spill" || not_ok "left of the spill: $(ls "$mnt/q/spill")"
mkdir "$mnt/a"
for victim in mount program mount program; do
	"$python" "$top_srcdir/tests/mount/duck.py" load "$mnt/a/a.duckdb" >>"$tmp/said" 2>"$tmp/err" &
	load=$!
	sleep 4
	if [ $victim = mount ]; then
		kill_mount v
		wait_for 20 sh -c "! kill -0 $load"
		coffer mount "$tmp/v" "$mnt"
	else
		kill -KILL $load
	fi
	wait $load || :
	expect 0 duck audit "$mnt/a/a.duckdb" "$tmp/said" && ok "the $victim was killed: $(cat "$tmp/out")" || not_ok "the $victim was killed: $(cat "$tmp/out")"
done
coffer umount "$mnt"
expect 0 coffer fsck "$tmp/v" && ok "fsck" || not_ok "fsck"
