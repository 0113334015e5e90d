# generations: databases under load, backed up, restored and recovered a hundred times. Bash; sourced by runtests.
# shellcheck shell=bash
export COFFER_GENERATIONS=${COFFER_GENERATIONS:-100}
cd "$BUILD" && check_tests "tests/sh/78-backup-live.sh tests/sh/79-backup-postgres.sh"
