/* torture.h: scenarios in which one lower call or allocation fails, one run for each. */
#ifndef COFFER_TESTS_TORTURE_H
#define COFFER_TESTS_TORTURE_H

#include "tests/crash/crash.h"
#include "tests/lib/fault.h"

/* What fails. */
struct how {
	const char *name;
	uint64_t kinds;          /* of lower calls (fault.h) */
	int err;
	uint64_t times;
	unsigned flags;
	unsigned stride;         /* only each so many-th n; 0: all */
};

struct tally {
	uint64_t runs, states, refused, read_only, quarantined, told;
};

struct torture {
	struct fault *fault;     /* around the disk of the world under test */
	struct simfs_rng rng;
	struct tally n;
	const char *scenario;
	const struct how *how;
	uint64_t at;             /* the n-th call */
	const char *failed;      /* what was wrong */
};

extern struct torture t;

/* Note what is wrong (copied); false. */
bool torture_wrong(const char *where, const char *what);
/* The wrapper for world_wrap; the fault is t.fault from then on. */
struct lower *torture_wrap(struct lower *inner);
void torture_arm(uint64_t n);
/* Ends the fault. Did it happen? */
bool torture_lift(void);
/* An error that the planned one may become. */
bool torture_is_legal(int r);

/* For n = 1, 2, … until a run meets no failure. run returns false when something was wrong. */
typedef bool torture_run_fn(void *arg, uint64_t n, bool *ret_happened);
bool torture_all(const char *scenario, const struct how *how, torture_run_fn *run, void *arg);


#endif
