/* pick_survey.c: the first reading: directories and their ids, and where coffer.volume is. In memory that is some fifty bytes a directory. */
#include "backup/pick_impl.h"

#include <stdio.h>
#include <string.h>

#include "format/layout.h"
#include "format/volume_config.h"

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

static bool is_config(const struct record_entry *e, unsigned depth)
{
	return depth == 0 && e->type == RECORD_FILE && strcmp(e->name, NAME_VOLUME) == 0 && e->size <= VOLUME_CONFIG_MAX;
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

	p->in_config = in && is_config(e, depth) && !p->have_config;
	if (p->in_config) {
		p->have_config = true;
		p->config_len = e->size;
	}
	if (in && strcmp(e->name, DIR_LINK) == 0)
		add_id(in, e);
	else if (in)
		in->filled = true;
	return e->type == RECORD_DIR ? add_dir(p, no, depth, e) : 0;
}

static int survey_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct pick *p = ctx;

	if (!p->in_config)
		return 0;
	if (p->config) /* so small a file has its pieces in one record */
		return -EUCLEAN;
	p->config = calloc(n, sizeof(*p->config));
	if (!p->config)
		return -ENOMEM;
	memcpy(p->config, pieces, n * sizeof(*pieces));
	p->nconfig = n;
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
	AUTO_FREE uint8_t *config = p->have_config ? calloc(1, p->config_len + 1) : NULL;
	int e = 0;

	if (!p->have_config) {
		(void)snprintf(err->message, sizeof(err->message), NAME_VOLUME ": is not in the snapshot");
		return -EUCLEAN;
	}
	if (!config)
		return -ENOMEM;
	for (size_t i = 0; i < p->nconfig && e == 0; i++) {
		AUTO_FREE uint8_t *piece = NULL;

		e = repo_get_piece(r, &p->config[i], &piece, err);
		if (e == 0)
			memcpy(config + p->config[i].off, piece, p->config[i].len);
	}
	if (e < 0)
		return e;
	*ret_config = take_ptr(config);
	*ret_len = p->config_len;
	return 0;
}
