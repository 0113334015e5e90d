/* shape.h: a file's size, alloc_groups and gaps (struct file_shape, docs/format.md section 5) under writes and cuts. Pure.
 * Invariant kept by all: group_shape_check() passes, and the last gap ends before alloc_groups - 1 (no gap at the end: alloc_groups shrinks instead). */
#ifndef COFFER_IO_SHAPE_H
#define COFFER_IO_SHAPE_H

#include "format/group.h"

/* How many gaps the shape has after shape_add. */
uint32_t shape_gaps_after(const struct file_shape *s, uint32_t first, uint32_t last);
/* Make groups first..last exist; what lies between alloc_groups and first becomes a gap. shape_gaps_after() <= GAPS_MAX by contract. */
void shape_add(struct file_shape *s, uint32_t first, uint32_t last);
/* Keep groups below n (at least group 0). The size is the caller's. */
void shape_cut(struct file_shape *s, uint32_t n);
/* The first group from g on that exists; UINT32_MAX: none. */
uint32_t shape_next(const struct file_shape *s, uint32_t g);
/* The gap with the fewest groups; gap_count > 0 by contract. */
struct gap shape_smallest_gap(const struct file_shape *s);

#endif
