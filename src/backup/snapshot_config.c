/* snapshot_config.c: one small file out of a snapshot, without a restore: who wants to know whose key opens a backup needs no more of it (snapshot.h). */
#include "backup/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "format/layout.h"

void snapshot_config_entry(struct snapshot_config *c, uint64_t no, const struct record_entry *e)
{
	c->here = no > 0 && e->parent == 0 && strcmp(e->name, NAME_VOLUME) == 0;
	if (!c->here)
		return;
	c->bad = c->bad || c->found || e->type != RECORD_FILE || (e->flags & RECORD_FLAG_SPACE) || e->size == 0 || e->size > VOLUME_CONFIG_MAX;
	c->found = true;
	c->size = e->size;
}

void snapshot_config_pieces(struct snapshot_config *c, const struct record_piece *pieces, size_t n)
{
	if (!c->here)
		return;
	if (n > SNAPSHOT_CONFIG_PIECES - c->n) {
		c->bad = true;
		return;
	}
	memcpy(c->pieces + c->n, pieces, n * sizeof(*pieces));
	c->n += n;
}

static int fail(struct store_error *err, int q, const char *why)
{
	*err = (struct store_error){ 0 };
	(void)snprintf(err->message, sizeof(err->message), "the snapshot's %s: %s", NAME_VOLUME, why);
	return q;
}

/* That pieces lie within the size is the order's to look at (record.h). */
static int fetch(const struct repo *r, const struct record_piece *e, uint8_t *ret_at, struct store_error *err)
{
	AUTO_FREE uint8_t *p = NULL;
	int q = repo_get_piece(r, e, &p, err);

	if (q == 0)
		memcpy(ret_at, p, e->len);
	return q;
}

int snapshot_config_get(const struct repo *r, const struct snapshot_config *c, uint8_t **ret_p, size_t *ret_len, struct store_error *err)
{
	AUTO_FREE uint8_t *p = NULL;
	int q = 0;

	if (!c->found)
		return fail(err, -ENOENT, "is not there");
	if (c->bad)
		return fail(err, -EUCLEAN, "is none that a volume has");
	p = calloc(1, (size_t)c->size);
	if (!p)
		return fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < c->n && q == 0; i++)
		q = fetch(r, &c->pieces[i], p + c->pieces[i].off, err);
	if (q < 0)
		return err->message[0] ? q : fail(err, q, err_text(q));
	*ret_p = take_ptr(p);
	*ret_len = (size_t)c->size;
	return 0;
}

static int on_entry(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e)
{
	(void)depth;
	snapshot_config_entry(ctx, no, e);
	return 0;
}

static int on_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	snapshot_config_pieces(ctx, pieces, n);
	return 0;
}

int snapshot_config(const struct repo *r, const struct manifest *m, uint8_t **ret_p, size_t *ret_len, struct store_error *err)
{
	AUTO_FREE struct snapshot_config *c = calloc(1, sizeof(*c));
	const struct snapshot_walk walk = { .ctx = c, .entry = on_entry, .pieces = on_pieces };
	int q;

	if (!c)
		return fail(err, -ENOMEM, "out of memory");
	q = snapshot_walk(r, m, &walk, err);
	if (q < 0)
		return err->message[0] ? q : fail(err, q, err_text(q));
	return snapshot_config_get(r, c, ret_p, ret_len, err);
}
