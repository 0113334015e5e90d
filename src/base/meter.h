/* meter.h: what is counted for metrics (docs/operations.md, "Metrics"): how long things took, in fixed buckets, and the names that both towers use for them.
 * Counting is two relaxed additions to memory that the counting thread shares with few others; nothing is locked. Reading may run beside it: each number is whole, and one
 * behind its neighbour at most by what is under way. */
#ifndef COFFER_BASE_METER_H
#define COFFER_BASE_METER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define METER_BOUNDS 13
#define METER_BUCKETS (METER_BOUNDS + 1) /* the last: longer than all bounds */

/* What is asked of a mount. */
enum meter_op {
	METER_READ,
	METER_WRITE,
	METER_SYNC,
	METER_LOOKUP,  /* and getattr */
	METER_LIST,    /* readdir */
	METER_CREATE,  /* files, directories, links, nodes */
	METER_REMOVE,
	METER_RENAME,
	METER_SETATTR, /* and truncate, allocate, xattr */
	METER_OTHER,
	METER_OPS,
};

/* What did not verify. */
enum meter_kind {
	METER_BLOCK,
	METER_GROUP,
	METER_HEADER,
	METER_NAME,
	METER_DIRECTORY,
	METER_XATTR,
	METER_KINDS,
};

struct meter {
	_Atomic uint64_t count[METER_BUCKETS], sum_ns;
};

/* A meter as it was read. */
struct meter_sum {
	uint64_t count[METER_BUCKETS], sum_ns; /* count: of that bucket alone */
};

/* Upper bounds in microseconds, inclusive, rising. */
extern const uint32_t meter_bound_us[METER_BOUNDS];

static inline uint64_t meter_now_ns(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void meter_add(struct meter *m, uint64_t ns);
static inline void meter_since(struct meter *m, uint64_t began_ns)
{
	meter_add(m, meter_now_ns() - began_ns);
}
/* Adds to *sum. */
void meter_read(const struct meter *m, struct meter_sum *sum);
void meter_sum_add(struct meter_sum *sum, const struct meter_sum *more);
uint64_t meter_sum_count(const struct meter_sum *sum);

const char *meter_op_text(enum meter_op op);
const char *meter_kind_text(enum meter_kind kind);

#endif
