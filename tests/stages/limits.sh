# limits: the limits that docs/operations.md states. Bash; sourced by runtests.
cd "$BUILD" && check_tests "$(make_variable LIMITS_TESTS)"
