/* snapshot_config.c: one small file out of a snapshot, without a restore: who wants to know whose key opens a backup needs no more of it (snapshot.h). */
#include "backup/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "format/layout.h"

#define PIECES_MAX 16                    /* of a file of 256 KiB there is one; with holes, a few */

struct finding {
	bool here, found;                /* here: the pieces that come are its */
	uint64_t size;
	struct record_piece pieces[PIECES_MAX];
	size_t n;
};

static int on_entry(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e)
{
	struct finding *f = ctx;

	(void)depth;
	f->here = no > 0 && e->parent == 0 && strcmp(e->name, NAME_VOLUME) == 0;
	if (!f->here)
		return 0;
	if (f->found || e->type != RECORD_FILE || (e->flags & RECORD_FLAG_SPACE) || e->size == 0 || e->size > VOLUME_CONFIG_MAX)
		return -EUCLEAN;
	f->found = true;
	f->size = e->size;
	return 0;
}

static int on_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct finding *f = ctx;

	if (!f->here)
		return 0;
	if (n > PIECES_MAX - f->n)
		return -EUCLEAN;
	memcpy(f->pieces + f->n, pieces, n * sizeof(*pieces));
	f->n += n;
	return 0;
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

int snapshot_config(const struct repo *r, const struct manifest *m, uint8_t **ret_p, size_t *ret_len, struct store_error *err)
{
	AUTO_FREE struct finding *f = calloc(1, sizeof(*f));
	const struct snapshot_walk walk = { .ctx = f, .entry = on_entry, .pieces = on_pieces };
	AUTO_FREE uint8_t *p = NULL;
	int q;

	if (!f)
		return -ENOMEM;
	q = snapshot_walk(r, m, &walk, err);
	if (q == 0 && !f->found)
		q = -ENOENT;
	if (q == 0) {
		p = calloc(1, (size_t)f->size);
		q = p ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < f->n && q == 0; i++)
		q = fetch(r, &f->pieces[i], p + f->pieces[i].off, err);
	if (q < 0) {
		if (!err->message[0])
			(void)snprintf(err->message, sizeof(err->message), "the snapshot's %s: %s", NAME_VOLUME,
				       q == -ENOENT ? "is not there" : q == -ENOMEM ? "out of memory" : "is none that a volume has");
		return q;
	}
	*ret_p = take_ptr(p);
	*ret_len = (size_t)f->size;
	return 0;
}
