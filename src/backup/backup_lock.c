/* backup_lock.c: object lock and objects that were in the store before (docs/backup.md section 6). A snapshot whose manifest is held while objects that it names
 * are not would be hollow: so each of them is held for at least as long, before the manifest is put. Those that this run has sent were put so; of the others the store is
 * asked, each by itself, by several threads. */
#include "backup/backup_impl.h"

#include <string.h>
#include <time.h>

#include "backup/snapshot.h"

#define LATE_S 43200             /* a run that takes longer asks about all: of what it sent first half a day of the surplus is over */

struct holding {
	struct backup *b;
	struct pool pool;
	struct backup_set seen[2];       /* by the walk alone: segments, packs */
	bool all;
};

struct object {
	struct pool_job queued;          /* first */
	enum repo_kind kind;
	uint8_t hash[RECORD_HASH_LEN];
};

int backup_lock_sent(struct backup *b, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN])
{
	return store_locks(b->p->store) ? backup_set_add(&b->fresh[kind == REPO_PACK], hash, NULL) : 0;
}

static void *hold_objects(void *arg)
{
	struct holding *h = arg;
	struct store_error err;
	char name[REPO_NAME_MAX];
	struct object *o;
	int r;

	while ((o = pool_next(&h->pool))) {
		repo_object_name(&h->b->repo, o->kind, o->hash, name);
		r = pool_error(&h->pool);
		if (r == 0) {
			r = store_lock_extend(h->b->p->store, name, &err);
			if (r < 0)
				pool_fail(&h->pool, r, &err);
		}
		free(o);
		pool_ended(&h->pool);
	}
	return NULL;
}

static int poll_both(struct holding *h)
{
	int r = pool_error(&h->pool);

	return r < 0 ? r : backup_work_poll(h->b);
}

static int hold_one(struct holding *h, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN])
{
	struct backup_set *seen = &h->seen[kind == REPO_PACK];
	struct object *o;
	int r;

	if (backup_set_find(seen, hash) || (!h->all && backup_set_find(&h->b->fresh[kind == REPO_PACK], hash)))
		return 0;
	r = backup_set_add(seen, hash, NULL);
	o = r == 0 ? calloc(1, sizeof(*o)) : NULL;
	if (!o)
		return -ENOMEM;
	o->kind = kind;
	memcpy(o->hash, hash, RECORD_HASH_LEN);
	while (r == 0 && !pool_put(&h->pool, o, 4 * h->b->p->threads)) {
		pool_pause(&h->pool);
		r = poll_both(h);
	}
	if (r < 0)
		free(o);
	return r;
}

static int hold_pieces(void *arg, const struct record_piece *pieces, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = hold_one(arg, pieces[i].packed ? REPO_PACK : REPO_SEGMENT, pieces[i].packed ? pieces[i].pack : pieces[i].hash);
	return r;
}

int backup_lock_hold(struct backup *b, struct store_error *err)
{
	struct holding h = { .b = b, .all = time(NULL) - b->started_s > LATE_S };
	struct snapshot_walk walk = { .ctx = &h, .pieces = hold_pieces };
	int r;

	if (!store_locks(b->p->store) || b->p->dry_run)
		return 0;
	pool_init(&h.pool);
	r = pool_start(&h.pool, b->p->threads, hold_objects, &h);
	for (size_t i = 0; i < b->manifest.nlists && r == 0 && h.all; i++)
		r = hold_one(&h, REPO_LIST, b->manifest.lists[i].hash);
	if (r == 0)
		r = snapshot_walk(&b->repo, &b->manifest, &walk, err);
	while (r == 0 && !pool_idle(&h.pool)) {
		pool_pause(&h.pool);
		r = poll_both(&h);
	}
	pool_stop(&h.pool);
	if (pool_error(&h.pool) < 0) {
		r = pool_error(&h.pool);
		*err = h.pool.store_error;
	}
	pool_done(&h.pool);
	backup_set_done(&h.seen[0]);
	backup_set_done(&h.seen[1]);
	return r;
}
