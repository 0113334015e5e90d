/* store_rate.c: see the header. Who takes is served in the order of taking: a debt is waited for by the next one, and all after it wait longer. */
#include "backup/store_rate.h"

#define MOST ((int64_t)1 << 40) /* of one fill, so that nothing overflows */

void store_rate_init(struct store_rate *b, uint64_t rate, uint64_t now_ms)
{
	*b = (struct store_rate){ .rate = rate, .have = rate > (uint64_t)MOST ? MOST : (int64_t)rate, .filled_ms = now_ms };
}

static void fill(struct store_rate *b, uint64_t now_ms)
{
	uint64_t ms = now_ms > b->filled_ms ? now_ms - b->filled_ms : 0, more;
	int64_t full = b->rate > (uint64_t)MOST ? MOST : (int64_t)b->rate;

	if (__builtin_mul_overflow(ms, b->rate, &more) || more / 1000 > (uint64_t)MOST * 2)
		more = (uint64_t)MOST * 2000;
	if (more < 1000)
		return; /* less than a byte: let it grow */
	b->have += (int64_t)(more / 1000);
	if (b->have > full)
		b->have = full;
	b->filled_ms = now_ms;
}

uint64_t store_rate_take(struct store_rate *b, uint64_t n, uint64_t now_ms)
{
	uint64_t wait = 0;

	if (b->rate == 0)
		return 0;
	fill(b, now_ms);
	if (b->have < 0)
		wait = ((uint64_t)-b->have * 1000 + b->rate - 1) / b->rate;
	b->have -= n > (uint64_t)MOST ? MOST : (int64_t)n;
	return wait;
}
