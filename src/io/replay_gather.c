/* replay_gather.c: what the log says of each file: the three rules of "What replay computes", docs/format.md section 7.
 *
 *   FILE    the newest one counts; groups gathered so far that do not exist by it are dropped
 *   GROUP   EMPTY or FRESH starts the group anew; HOME goes on with what there is, or starts from home
 *   BLOCK   the newest one of an index counts
 *
 * Files are made while a transaction is still being checked (counts is false until one that names them does), because the check that
 * nothing is named twice wants a number for them. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "io/replay_impl.h"

#define TAB_MIN 64u
#define SEEN_KEEP 65536u         /* a larger set is freed after its transaction */

/* ---- files ---- */

static size_t file_bucket(const struct replay *rp, const uint8_t *file_id)
{
	return hash_bytes(file_id, FILE_ID_LEN) & (rp->tab_size - 1);
}

struct replay_file *replay_gather_find(struct replay *rp, const uint8_t file_id[static FILE_ID_LEN])
{
	struct replay_file *f;

	if (rp->tab_size == 0)
		return NULL;
	for (f = rp->tab[file_bucket(rp, file_id)]; f; f = f->next) {
		if (memcmp(f->file_id, file_id, FILE_ID_LEN) == 0)
			return f;
	}
	return NULL;
}

static int grow_files(struct replay *rp)
{
	size_t max = rp->files_max ? rp->files_max * 2 : TAB_MIN, i;
	struct replay_file **files, **tab;

	if (rp->nfiles < rp->files_max)
		return 0;
	files = reallocarray(rp->files, max, sizeof(struct replay_file *));
	if (!files)
		return -ENOMEM;
	rp->files = files;
	tab = calloc(max, sizeof(struct replay_file *));
	if (!tab)
		return -ENOMEM;
	free(rp->tab);
	rp->tab = tab;
	rp->tab_size = rp->files_max = max;
	for (i = 0; i < rp->nfiles; i++) {
		struct replay_file **at = &tab[file_bucket(rp, files[i]->file_id)];

		files[i]->next = *at;
		*at = files[i];
	}
	return 0;
}

int replay_gather_file(struct replay *rp, const uint8_t file_id[static FILE_ID_LEN], struct replay_file **ret_f)
{
	struct replay_file *f = replay_gather_find(rp, file_id), **at;
	int r;

	if (f) {
		*ret_f = f;
		return 0;
	}
	r = grow_files(rp);
	if (r < 0)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	memcpy(f->file_id, file_id, FILE_ID_LEN);
	f->no = (uint32_t)rp->nfiles;
	rp->files[rp->nfiles++] = f;
	at = &rp->tab[file_bucket(rp, file_id)];
	f->next = *at;
	*at = f;
	*ret_f = f;
	return 0;
}

/* ---- once in a transaction: an open-addressed set of numbers, none of them 0 ---- */

static void seen_put(uint64_t *set, size_t size, uint64_t key)
{
	size_t i = hash_u64x2(key, 0) & (size - 1);

	while (set[i])
		i = (i + 1) & (size - 1);
	set[i] = key;
}

static int seen_grow(struct replay *rp)
{
	size_t size = rp->seen_size ? rp->seen_size * 2 : TAB_MIN, i;
	uint64_t *set;

	if ((rp->nseen + 1) * 2 <= rp->seen_size)
		return 0;
	set = calloc(size, sizeof(*set));
	if (!set)
		return -ENOMEM;
	for (i = 0; i < rp->seen_size; i++) {
		if (rp->seen[i])
			seen_put(set, size, rp->seen[i]);
	}
	free(rp->seen);
	rp->seen = set;
	rp->seen_size = size;
	return 0;
}

int replay_gather_seen(struct replay *rp, const struct replay_file *f, uint32_t group)
{
	uint64_t key = ((uint64_t)f->no + 1) << 32 | group;
	size_t i;
	int r;

	r = seen_grow(rp);
	if (r < 0)
		return r;
	for (i = hash_u64x2(key, 0) & (rp->seen_size - 1); rp->seen[i]; i = (i + 1) & (rp->seen_size - 1)) {
		if (rp->seen[i] == key)
			return -EUCLEAN;
	}
	rp->seen[i] = key;
	rp->nseen++;
	return 0;
}

void replay_gather_forget_seen(struct replay *rp)
{
	if (rp->seen_size > SEEN_KEEP) {
		free(rp->seen);
		rp->seen = NULL;
		rp->seen_size = 0;
	} else if (rp->nseen) {
		memset(rp->seen, 0, rp->seen_size * sizeof(*rp->seen));
	}
	rp->nseen = 0;
}

/* ---- groups ---- */

static size_t group_bucket(const struct replay_file *f, uint32_t no)
{
	return hash_u64x2(no, 1) & (f->tab_size - 1);
}

static struct replay_group *group_find(const struct replay_file *f, uint32_t no)
{
	struct replay_group *g;

	if (f->tab_size == 0)
		return NULL;
	for (g = f->tab[group_bucket(f, no)]; g && g->no != no; g = g->next)
		;
	return g;
}

const struct replay_group *replay_gather_group(const struct replay_file *f, uint32_t no)
{
	return group_find(f, no);
}

const struct replay_block *replay_gather_logged(const struct replay_group *g, unsigned index)
{
	const struct replay_block *b = g && g->at[index] ? &g->blocks[g->at[index] - 1] : NULL;

	return b && b->pos != REPLAY_NO_POS ? b : NULL;
}

static void group_free(struct replay_group *g)
{
	free(g->blocks);
	free(g);
}

static int groups_grow(struct replay_file *f)
{
	size_t size = f->tab_size ? f->tab_size * 2 : 8, old = f->tab_size, i;
	struct replay_group **tab, **from = f->tab, *g, *next;

	if (f->groups < f->tab_size)
		return 0;
	tab = calloc(size, sizeof(struct replay_group *));
	if (!tab)
		return -ENOMEM;
	f->tab = tab;
	f->tab_size = size;
	for (i = 0; i < old; i++) {
		for (g = from[i]; g; g = next) {
			struct replay_group **at = &tab[group_bucket(f, g->no)];

			next = g->next;
			g->next = *at;
			*at = g;
		}
	}
	free(from);
	return 0;
}

static int group_add(struct replay_file *f, uint32_t no, struct replay_group **ret_g)
{
	struct replay_group *g, **at;
	int r;

	r = groups_grow(f);
	if (r < 0)
		return r;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->no = no;
	at = &f->tab[group_bucket(f, no)];
	g->next = *at;
	*at = g;
	f->groups++;
	*ret_g = g;
	return 0;
}

static int group_set(struct replay_group *g, const struct log_block *b, uint16_t epoch, uint64_t pos)
{
	struct replay_block *to;

	if (g->at[b->index] == 0) {
		if (g->n == g->max) {
			unsigned max = g->max ? g->max * 2 : 4;

			to = reallocarray(g->blocks, max, sizeof(*to));
			if (!to)
				return -ENOMEM;
			g->blocks = to;
			g->max = max;
		}
		g->at[b->index] = (uint8_t)++g->n;
	}
	to = &g->blocks[g->at[b->index] - 1];
	*to = (struct replay_block){ .entry = b->entry, .pos = pos, .epoch = epoch, .index = b->index };
	return 0;
}

/* ---- the rules ---- */

static void drop_gone(struct replay_file *f)
{
	size_t i;

	for (i = 0; i < f->tab_size; i++) {
		struct replay_group **at = &f->tab[i], *g;

		while ((g = *at)) {
			if (group_exists(&f->shape, g->no)) {
				at = &g->next;
				continue;
			}
			*at = g->next;
			f->groups--;
			group_free(g);
		}
	}
}

void replay_gather_apply_file(struct replay *rp, struct replay_file *f, const struct log_file *lf)
{
	f->counts = true;
	f->shape = lf->shape;
	f->header = lf->header;
	f->handle = lf->handle;
	if (rule_on(rp->p, dropgone))
		drop_gone(f);
}

int replay_gather_apply_group(struct replay *rp, struct replay_file *f, const struct log_group *lg, uint64_t pos)
{
	struct replay_group *g = group_find(f, lg->group);
	unsigned i;
	int r;

	(void)rp;
	if (!g) {
		r = group_add(f, lg->group, &g);
		if (r < 0)
			return r;
		g->base = lg->base;
	} else if (lg->base != LOG_BASE_HOME) {
		memset(g->at, 0, sizeof(g->at));
		g->n = 0;
		g->base = lg->base;
	}
	g->epoch = lg->epoch;
	g->entries = lg->entries;
	g->header = lg->header;
	for (i = 0; i < lg->block_count; i++) {
		const struct log_block *b = &lg->blocks[i];

		r = group_set(g, b, lg->epoch, b->where == LOG_WHERE_LOG ? pos++ : REPLAY_NO_POS);
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_falling_number(const void *a, const void *b)
{
	uint32_t x = (*(struct replay_group *const *)a)->no, y = (*(struct replay_group *const *)b)->no;

	return (x < y) - (x > y);
}

int replay_gather_sorted(const struct replay_file *f, struct replay_group ***ret_groups)
{
	struct replay_group **list, *g;
	size_t i, n = 0;

	list = calloc(f->groups + 1, sizeof(struct replay_group *));
	if (!list)
		return -ENOMEM;
	for (i = 0; i < f->tab_size; i++) {
		for (g = f->tab[i]; g; g = g->next)
			list[n++] = g;
	}
	qsort(list, n, sizeof(struct replay_group *), by_falling_number);
	*ret_groups = list;
	return 0;
}

void replay_gather_done(struct replay *rp)
{
	size_t i, k;

	for (i = 0; i < rp->nfiles; i++) {
		struct replay_file *f = rp->files[i];
		struct replay_group *g, *next;

		for (k = 0; k < f->tab_size; k++) {
			for (g = f->tab[k]; g; g = next) {
				next = g->next;
				group_free(g);
			}
		}
		free(f->tab);
		free(f->path);
		free(f);
	}
	free(rp->files);
	free(rp->tab);
	free(rp->seen);
}
