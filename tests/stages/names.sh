# names: the long forms of the scripts about names: a million operations by four processes, and 100,000 entries in a directory. Bash; sourced by runtests.
cd "$BUILD" || exit 1
export NAMES_OPERATIONS=250000 NAMES_SEED=1 MANY_ENTRIES=100000
check_tests "tests/sh/44-names-stress.sh tests/sh/46-many-entries.sh"
