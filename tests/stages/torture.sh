# torture: each lower call of a scenario fails in its turn, and disks that are full. Bash; sourced by runtests.
cd "$BUILD" || exit 1
tests/torture/torture 2>"$OUT/err" || { tail -n 20 "$OUT/err" && exit 1; }
