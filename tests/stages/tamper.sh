# shellcheck shell=bash
# Changes of what is on disk: named ones, then random ones for a minute; the seed is the date, and failures print theirs. BUILD comes from runtests.
seed=$(date +%Y%m%d)
"$BUILD/tests/tamper/tamper" named "$seed" 2>"$OUT/named.err"
named=$?
"$BUILD/tests/tamper/tamper" random 1000 150 "${seed}000" 60 && [ $named -eq 0 ]
