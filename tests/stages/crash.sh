# crash: the prover of the crash rule on a simulated disk, the crash table row by row, copies of a running volume in every order, and the model it follows. Bash; sourced by runtests. The same
# programs in each run; stage "explore" tries new ones.
cd "$BUILD" || exit 1
status=0
for part in directed "off all" "random 100000 20261125 40"; do
	# shellcheck disable=SC2086 # words
	tests/crash/crash $part 2>"$OUT/err" || { status=1 && tail -n 20 "$OUT/err"; }
done
for part in "off all" "random 100000 20261125 10"; do
	# shellcheck disable=SC2086 # words
	tests/crash/copies $part 2>"$OUT/err" || { status=1 && tail -n 20 "$OUT/err"; }
done
tests/crash/steps 2>"$OUT/err" || { status=1 && tail -n 20 "$OUT/err"; }
cd "$SRC/tests/model" || exit 1
python3 logdirected.py >"$OUT/model" || { status=1 && cat "$OUT/model"; }
if tail -n 1 "$OUT/model" | grep -q '^wrong: 0$'; then echo "ok - each rule of the model has a trace that fails without it"; else echo "not ok - the model"; fi
if python3 logmodel.py random 1200 1 t=20 >"$OUT/model"; then
	echo "ok - $(tail -n 1 "$OUT/model")"
else
	cat "$OUT/model"
	echo "not ok - random programs of the model"
	status=1
fi
exit $status
