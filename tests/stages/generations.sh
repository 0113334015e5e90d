# generations: databases under load, backed up, restored and recovered a hundred times; and 100,000 small files. Bash; sourced by runtests.
# shellcheck shell=bash
export COFFER_GENERATIONS=${COFFER_GENERATIONS:-100} COFFER_FILES=100000
cd "$BUILD" && check_tests "tests/sh/76-backup-many.sh tests/sh/78-backup-live.sh tests/sh/79-backup-postgres.sh"
