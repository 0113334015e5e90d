/* meter.c: buckets from what memory answers in to what a slow disk or a far key service takes. */
#include "base/meter.h"

const uint32_t meter_bound_us[METER_BOUNDS] = {
	10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000, 300000, 1000000, 3000000, 10000000,
};

static const char *const ops[METER_OPS] = {
	[METER_READ] = "read",     [METER_WRITE] = "write",   [METER_SYNC] = "sync",     [METER_LOOKUP] = "lookup",   [METER_LIST] = "list",
	[METER_CREATE] = "create", [METER_REMOVE] = "remove", [METER_RENAME] = "rename", [METER_SETATTR] = "setattr", [METER_OTHER] = "other",
};

static const char *const kinds[METER_KINDS] = {
	[METER_BLOCK] = "block", [METER_GROUP] = "group",         [METER_HEADER] = "header",
	[METER_NAME] = "name",   [METER_DIRECTORY] = "directory", [METER_XATTR] = "xattr",
};

void meter_add(struct meter *m, uint64_t ns)
{
	unsigned i = 0;

	while (i < METER_BOUNDS && ns > meter_bound_us[i] * UINT64_C(1000))
		i++;
	atomic_fetch_add_explicit(&m->count[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->sum_ns, ns, memory_order_relaxed);
}

void meter_read(const struct meter *m, struct meter_sum *sum)
{
	for (unsigned i = 0; i < METER_BUCKETS; i++)
		sum->count[i] += atomic_load_explicit(&m->count[i], memory_order_relaxed);
	sum->sum_ns += atomic_load_explicit(&m->sum_ns, memory_order_relaxed);
}

void meter_sum_add(struct meter_sum *sum, const struct meter_sum *more)
{
	for (unsigned i = 0; i < METER_BUCKETS; i++)
		sum->count[i] += more->count[i];
	sum->sum_ns += more->sum_ns;
}

uint64_t meter_sum_count(const struct meter_sum *sum)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < METER_BUCKETS; i++)
		n += sum->count[i];
	return n;
}

const char *meter_op_text(enum meter_op op)
{
	return op < METER_OPS ? ops[op] : "?";
}

const char *meter_kind_text(enum meter_kind kind)
{
	return kind < METER_KINDS ? kinds[kind] : "?";
}
