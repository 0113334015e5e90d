# shellcheck shell=bash
# explore: random programs for the crash prover and random changes of what is on disk, which no run has tried before; failures print their seed.
seed=$(date +%s) status=0
"$BUILD/tests/crash/crash" random 1000000 "$seed" 300 2>"$OUT/err" || status=1
"$BUILD/tests/crash/copies" random 1000000 "$seed" 60 2>"$OUT/err" || status=1
"$BUILD/tests/tamper/tamper" random 1000 150 "${seed}000" 300 || status=1
[ "$status" = 0 ]
