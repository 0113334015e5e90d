# apps: PostgreSQL, DuckDB, git, tar, rsync and an index of segments at work on mounts. Bash; sourced by runtests.
cd "$BUILD" && check_tests "$(make_variable APPS_TESTS)"
