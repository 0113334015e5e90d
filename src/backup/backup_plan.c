/* backup_plan.c: which parts of a file are pieces, and which windows make a job. Windows whose pieces are all small go together, in the order of the walk, so that
 * a run that was cut makes the same packs again. */
#include "backup/backup_impl.h"

#include <string.h>

struct plan {
	struct record_piece *pieces;
	uint64_t n, max;
};

static int add_piece(struct plan *l, uint64_t from, uint64_t to)
{
	struct record_piece *last = l->n > 0 ? &l->pieces[l->n - 1] : NULL;

	if (last && last->off / BACKUP_WINDOW_LEN == from / BACKUP_WINDOW_LEN && from - (last->off + last->len) < BACKUP_MERGE_GAP) {
		last->len = (uint32_t)(to - last->off);
		return 0;
	}
	if (l->n == l->max) {
		uint64_t max = l->max ? l->max * 2 : 4;
		void *more = reallocarray(l->pieces, max, sizeof(*l->pieces));

		if (!more)
			return -ENOMEM;
		l->pieces = more;
		l->max = max;
	}
	l->pieces[l->n++] = (struct record_piece){ .off = from, .len = (uint32_t)(to - from) };
	return 0;
}

/* Data from..to, cut at windows. */
static int add_data(struct plan *l, uint64_t from, uint64_t to)
{
	uint64_t end;
	int r = 0;

	for (; from < to && r == 0; from = end) {
		end = (from / BACKUP_WINDOW_LEN + 1) * BACKUP_WINDOW_LEN;
		end = end < to ? end : to;
		r = add_piece(l, from, end);
	}
	return r;
}

int backup_plan(int fd, uint64_t size, struct record_piece **ret_pieces, uint64_t *ret_n)
{
	struct plan l = { 0 };
	uint64_t at = 0, done = 0;
	int r = 0;

	while (at < size && r == 0) {
		off_t from = lseek(fd, (off_t)at, SEEK_DATA), to;

		if (from < 0 && errno == ENXIO)
			break;
		if (from < 0) /* no such question here: all of it is data */
			from = (off_t)at;
		to = lseek(fd, from, SEEK_HOLE);
		at = to <= from || (uint64_t)to > size ? size : (uint64_t)to;
		from = from / BLOCK_SIZE * BLOCK_SIZE;
		done = (uint64_t)from > done ? (uint64_t)from : done;
		to = (off_t)((at + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE);
		if ((uint64_t)to > size)
			to = (off_t)size;
		if ((uint64_t)to > done)
			r = add_data(&l, done, (uint64_t)to);
		done = (uint64_t)to > done ? (uint64_t)to : done;
	}
	if (r < 0) {
		free(l.pieces);
		return r;
	}
	*ret_pieces = l.pieces;
	*ret_n = l.n;
	return 0;
}

/* ---- jobs */

static int job_add(struct backup_job **job, const struct backup_unit *unit)
{
	struct backup_job *j = *job;

	if (!j) {
		j = *job = calloc(1, sizeof(*j));
		if (!j)
			return -ENOMEM;
	}
	if (j->n == j->max) {
		size_t max = j->max ? j->max * 2 : 4;
		void *more = reallocarray(j->units, max, sizeof(*j->units));

		if (!more)
			return -ENOMEM;
		j->units = more;
		j->max = max;
	}
	j->units[j->n++] = *unit;
	if (j->last_dir != unit->item->dir)
		j->dirs++;
	j->last_dir = unit->item->dir;
	return 0;
}

int backup_plan_flush(struct backup *b)
{
	return b->batch ? backup_work_add(b, &b->batch) : 0;
}

static int add_unit(struct backup *b, const struct backup_unit *unit, uint64_t small, bool all_small)
{
	struct backup_job *alone = NULL;
	int r = 0;

	if (!all_small) {
		r = job_add(&alone, unit);
		if (r == 0)
			r = backup_work_add(b, &alone);
		backup_job_free(alone);
		return r;
	}
	if (b->batch && (b->batch->packed + small > RECORD_PACK_MAX || b->batch->n >= BACKUP_BATCH_FILES || b->batch->dirs >= BACKUP_BATCH_DIRS))
		r = backup_plan_flush(b);
	if (r == 0)
		r = job_add(&b->batch, unit);
	if (r == 0)
		b->batch->packed += small;
	return r;
}

/* The pieces from i on that lie in one window. */
static struct backup_unit unit_at(struct backup_item *item, uint64_t i, uint64_t *ret_small, bool *ret_all_small)
{
	struct backup_unit u = { .item = item, .window = item->now.pieces[i].off / BACKUP_WINDOW_LEN, .first = i };

	*ret_small = 0;
	*ret_all_small = true;
	for (; i < item->now.n && item->now.pieces[i].off / BACKUP_WINDOW_LEN == u.window; i++, u.n++) {
		if (item->now.pieces[i].len >= RECORD_PACKED_BELOW)
			*ret_all_small = false;
		else
			*ret_small += item->now.pieces[i].len;
	}
	return u;
}

int backup_plan_jobs(struct backup *b, struct backup_item *item)
{
	uint64_t i = 0, small;
	bool all_small;
	int r = 0;

	/* Held by this thread until all have been handed over, so that the item is not taken for done between two of them. */
	item->work = 1;
	while (i < item->now.n && r == 0) {
		struct backup_unit u = unit_at(item, i, &small, &all_small);

		lock_take(&b->pool.m);
		item->work++;
		lock_drop(&b->pool.m);
		r = add_unit(b, &u, small, all_small);
		i += u.n;
	}
	lock_take(&b->pool.m);
	item->work--;
	lock_drop(&b->pool.m);
	return r;
}
