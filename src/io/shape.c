/* shape.c: see shape.h. */
#include "io/shape.h"

#include <assert.h>
#include <string.h>

/* The gaps that stay of s->gaps when first..last begin to exist, and the new one behind alloc_groups. */
static uint32_t gaps_with(const struct file_shape *s, uint32_t first, uint32_t last, struct gap ret_gaps[static GAPS_MAX + 2])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->gap_count; i++) {
		uint32_t lo = s->gaps[i].first, hi = lo + s->gaps[i].count; /* behind the end */

		if (last < lo || first >= hi) {
			ret_gaps[n++] = s->gaps[i];
			continue;
		}
		if (lo < first)
			ret_gaps[n++] = (struct gap){ lo, first - lo };
		if (last + 1 < hi)
			ret_gaps[n++] = (struct gap){ last + 1, hi - last - 1 };
	}
	if (first > s->alloc_groups)
		ret_gaps[n++] = (struct gap){ s->alloc_groups, first - s->alloc_groups };
	return n;
}

uint32_t shape_gaps_after(const struct file_shape *s, uint32_t first, uint32_t last)
{
	struct gap gaps[GAPS_MAX + 2];

	return gaps_with(s, first, last, gaps);
}

void shape_add(struct file_shape *s, uint32_t first, uint32_t last)
{
	struct gap gaps[GAPS_MAX + 2];
	uint32_t n = gaps_with(s, first, last, gaps);

	assert(n <= GAPS_MAX);
	memset(s->gaps, 0, sizeof(s->gaps));
	memcpy(s->gaps, gaps, n * sizeof(gaps[0]));
	s->gap_count = n;
	if (last >= s->alloc_groups)
		s->alloc_groups = last + 1;
}

void shape_cut(struct file_shape *s, uint32_t n)
{
	uint32_t i;

	if (n < 1)
		n = 1;
	if (n > s->alloc_groups)
		return;
	s->alloc_groups = n;
	for (i = s->gap_count; i > 0 && s->gaps[i - 1].first + s->gaps[i - 1].count >= n; i--)
		if (s->gaps[i - 1].first < n) {
			n = s->alloc_groups = s->gaps[i - 1].first;
			i--;
			break;
		}
	memset(&s->gaps[i], 0, (GAPS_MAX - i) * sizeof(s->gaps[0]));
	s->gap_count = i;
}

uint32_t shape_next(const struct file_shape *s, uint32_t g)
{
	for (uint32_t i = 0; i < s->gap_count; i++)
		if (g >= s->gaps[i].first && g - s->gaps[i].first < s->gaps[i].count)
			g = s->gaps[i].first + s->gaps[i].count;
	return g < s->alloc_groups ? g : UINT32_MAX;
}

struct gap shape_smallest_gap(const struct file_shape *s)
{
	struct gap best = s->gaps[0];

	for (uint32_t i = 1; i < s->gap_count; i++)
		if (s->gaps[i].count < best.count)
			best = s->gaps[i];
	return best;
}
