/* pick_survey.c: the first reading: directories and their ids, and where coffer.volume is. In memory that is some fifty bytes a directory. */
#include "backup/pick_impl.h"

#include <stdio.h>
#include <string.h>

#include "format/layout.h"

static int add_dir(struct pick *p, uint64_t no, unsigned depth, const struct record_entry *e)
{
	struct pick_dir *d;
	int r;

	if (p->ndirs >= UINT32_MAX || depth + 1 >= RECORD_DEPTH_MAX)
		return -EUCLEAN;
	r = pick_room(&p->dirs, p->ndirs, &p->dirs_max, sizeof(*p->dirs));
	if (r < 0)
		return r;
	d = &p->dirs[p->ndirs];
	*d = (struct pick_dir){ .no = no, .parent = no > 0 ? p->open[depth] : 0 };
	r = pick_mark(e->name, d->name);
	if (r == 0)
		p->open[no > 0 ? depth + 1 : 0] = (uint32_t)p->ndirs++;
	return r;
}

static void add_id(struct pick_dir *d, const struct record_entry *e)
{
	if (e->type != RECORD_SYMLINK || namecrypt_dir_link_parse(e->target, strlen(e->target), d->id, &d->epoch) < 0)
		d->epoch = 0;
}

static int survey_entry(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e)
{
	struct pick *p = ctx;
	struct pick_dir *in = no > 0 ? &p->dirs[p->open[depth]] : NULL;

	snapshot_config_entry(&p->config, no, e);
	if (in && strcmp(e->name, DIR_LINK) == 0)
		add_id(in, e);
	else if (in)
		in->filled = true;
	return e->type == RECORD_DIR ? add_dir(p, no, depth, e) : 0;
}

static int survey_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct pick *p = ctx;

	snapshot_config_pieces(&p->config, pieces, n);
	return 0;
}

int pick_survey(struct pick *p, const struct repo *r, const struct manifest *m, struct snapshot_spool *spool, struct store_error *err)
{
	struct snapshot_walk w = { .ctx = p, .entry = survey_entry, .pieces = survey_pieces, .spool = spool };
	int e;

	e = snapshot_walk(r, m, &w, err);
	if (e == -EUCLEAN && !err->message[0])
		(void)snprintf(err->message, sizeof(err->message), "the snapshot: no backing directory is so large or so deep");
	return e;
}

int pick_config(const struct pick *p, const struct repo *r, uint8_t **ret_config, size_t *ret_len, struct store_error *err)
{
	int e = snapshot_config_get(r, &p->config, ret_config, ret_len, err);

	return p->config.found || e != -ENOENT ? e : -EUCLEAN; /* a volume without is none */
}
