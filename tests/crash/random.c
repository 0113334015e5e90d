/* random.c: operations of random programs. */
#include "tests/crash/crash.h"

#define B 4096ull
#define G (128ull * 4096)

/* An operation on a range. */
static struct op random_range(struct simfs_rng *rng, char name)
{
	static const enum what whats[] = { OP_PUNCH, OP_PUNCH, OP_PUNCH, OP_ZERO, OP_ALLOCATE, OP_COPY };
	struct op op = { whats[simfs_rng_below(rng, 6)], name, 0, 0 };

	switch (simfs_rng_below(rng, 4)) {
	case 0: /* whole groups */
		op.off = simfs_rng_below(rng, 4) * G;
		op.len = (1 + simfs_rng_below(rng, 2)) * G;
		break;
	case 1: /* blocks */
		op.off = simfs_rng_below(rng, 4) * G + simfs_rng_below(rng, 20) * B;
		op.len = (1 + simfs_rng_below(rng, 12)) * B;
		break;
	case 2: /* bytes, at a group's edge */
		op.off = (1 + simfs_rng_below(rng, 3)) * G - simfs_rng_below(rng, 5 * B);
		op.len = 1 + simfs_rng_below(rng, 9 * B);
		break;
	default:
		op.off = simfs_rng_below(rng, 12) * 1700;
		op.len = 1 + simfs_rng_below(rng, 4 * B);
	}
	return op;
}

struct op op_random(struct simfs_rng *rng, char name, bool names)
{
	static const uint64_t sizes[] = { 0, 1, 100, B, B + 1, 3 * B, 10 * B, G - B, G, G + 1, G + 3 * B, 2 * G, 3 * G, 5 * G + 7 };
	uint64_t pick = simfs_rng_below(rng, names ? 34 : 26);
	struct op op = { OP_FSYNC, name, 0, 0 };

	if (pick < 4) {
		op = random_range(rng, name);
	} else if ((pick -= 4) < 5) {
		op = (struct op){ OP_WRITE, name, simfs_rng_below(rng, 12) * 1700, 1 + simfs_rng_below(rng, 3 * B) };
	} else if (pick < 7) {
		op = (struct op){ OP_WRITE, name, sizes[simfs_rng_below(rng, 13)], 1 + simfs_rng_below(rng, 9 * B) };
	} else if (pick < 9) {
		op = (struct op){ OP_WRITE, name, simfs_rng_below(rng, 4) * G, G };
	} else if (pick < 10) {
		op = (struct op){ OP_WRITE, name, simfs_rng_below(rng, 8) * 40 * B, 33 * B + simfs_rng_below(rng, 60 * B) };
	} else if (pick < 12) {
		op = (struct op){ OP_APPEND, name, 0, simfs_rng_below(rng, 3) ? 1 + simfs_rng_below(rng, 2 * B) : 40 * B };
	} else if (pick < 15) {
		op = (struct op){ OP_TRUNCATE, name, sizes[simfs_rng_below(rng, 14)], 0 };
	} else if (pick < 18) {
		op = (struct op){ OP_FSYNC, name, 0, 0 };
	} else if (pick < 19) {
		op = (struct op){ OP_COMMIT_ALL, 0, 0, 0 };
	} else if (pick < 22) {
		op = (struct op){ OP_CHECKPOINT, 0, 0, 0 };
	} else if (pick < 25) {
		op = (struct op){ OP_CREATE, (char)('a' + simfs_rng_below(rng, NAMES)), 0, 0 };
	} else if (pick < 26) {
		op = (struct op){ OP_UNLINK, name, 0, 0 };
	} else if (pick < 28) {
		op = (struct op){ OP_RENAME, name, simfs_rng_below(rng, NAMES), 0 };
	} else if (pick < 29) {
		op = (struct op){ OP_KILL, 0, 0, 0 };
	} else {
		op = (struct op){ simfs_rng_below(rng, 2) ? OP_FAIL_LOG : OP_FAIL_HOME, 0, 0, 0 };
	}
	return op;
}
