# shellcheck shell=bash
# Changes of what is on disk: named ones, then random ones for a minute, the same in each run; stage "explore" tries new ones. Failures print their seed. BUILD comes from runtests.
seed=20261125
"$BUILD/tests/tamper/tamper" named "$seed" 2>"$OUT/named.err"
named=$?
"$BUILD/tests/tamper/tamper" random 1000 150 "${seed}000" 60 && [ $named -eq 0 ]
