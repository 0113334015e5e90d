/* backup_spool.c: what a run keeps back while a mount holds still for it: objects, because a store may be far away, and what did not verify, because the hold
 * may turn out to have ended. */
#include "backup/backup_impl.h"

#include <string.h>

#define SPOOL_MAX (384u << 20)
#define ROTS_MAX 10000u

struct backup_kept {
	struct backup_kept *next;
	enum repo_kind kind;
	uint8_t hash[RECORD_HASH_LEN];
	size_t len;
	uint8_t p[];
};

/* lock: b->pool.m, as below */
int backup_spool_add(struct backup *b, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], const void *p, size_t len)
{
	struct backup_kept *k;

	if (b->spooled + len > SPOOL_MAX)
		return -ENOBUFS;
	k = malloc(sizeof(*k) + len);
	if (!k)
		return -ENOMEM;
	*k = (struct backup_kept){ .next = b->spool, .kind = kind, .len = len };
	memcpy(k->hash, hash, RECORD_HASH_LEN);
	memcpy(k->p, p, len);
	b->spool = k;
	b->spooled += len;
	return 0;
}

int backup_spool_send(struct backup *b, bool lists)
{
	struct backup_kept *k;
	struct store_error err = { 0 };
	int r = 0;

	while ((k = b->spool)) {
		if (r == 0 && !b->p->dry_run && (lists || k->kind != REPO_LIST))
			r = repo_put(&b->repo, k->kind, k->hash, k->p, k->len, &err);
		b->spool = k->next;
		free(k);
		if (r == 0)
			r = backup_work_poll(b);
	}
	b->spooled = 0;
	if (r < 0)
		pool_fail(&b->pool, r, &err);
	return r;
}

/* ---- what did not verify */

int backup_spool_rot(struct backup *b, const char *path, const struct backup_rot *rot)
{
	if (b->nrots == ROTS_MAX)
		return 0;
	if (!b->rots)
		b->rots = calloc(ROTS_MAX, sizeof(*b->rots));
	if (!b->rots)
		return -ENOMEM;
	b->rots[b->nrots] = (struct backup_told){ .path = strdup(path), .rot = *rot };
	return b->rots[b->nrots++].path ? 0 : -ENOMEM;
}

void backup_spool_rots_drop(struct backup *b)
{
	while (b->nrots > 0)
		free(b->rots[--b->nrots].path);
}

void backup_spool_rots_tell(struct backup *b)
{
	for (size_t i = 0; i < b->nrots; i++)
		if (b->p->problem)
			b->p->problem(b->p->ctx, b->rots[i].path, &b->rots[i].rot);
}

void backup_spool_done(struct backup *b)
{
	struct backup_kept *k;

	while ((k = b->spool)) {
		b->spool = k->next;
		free(k);
	}
	backup_spool_rots_drop(b);
	free(b->rots);
	free(b->seen);
}
