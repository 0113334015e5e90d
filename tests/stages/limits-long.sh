# limits-long: a million files, what an operation costs among them, and a file of 200 GiB. Alone, because it measures. Bash; sourced by runtests.
export COFFER_FILES=1000000 COFFER_COSTS=1 COFFER_ISLANDS=100000 COFFER_GIB=200
JOBS=1
cd "$BUILD" && check_tests "tests/sh/61-sparse.sh tests/sh/62-many.sh"
