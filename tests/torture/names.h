/* names.h: the scenario with names (names.c). */
#ifndef COFFER_TESTS_TORTURE_NAMES_H
#define COFFER_TESTS_TORTURE_NAMES_H

#include "tests/torture/torture.h"

/* A new volume on a disk. */
struct simfs *names_base(void);
/* arg: that disk. */
torture_run_fn names_run;

#endif
