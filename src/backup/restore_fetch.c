/* restore_fetch.c: the threads of a restore: pieces out of the store into files. A pack is fetched once for all pieces of it that come together. */
#include "backup/restore_impl.h"

#include <string.h>
#include <sys/stat.h>

#include "base/bulk.h"
#include "base/log.h"
#include "crypt/digest.h"
#include "format/layout.h"

#define JOBS_PER_THREAD 4u

/* ---- files */

int restore_file_unref(struct restore *s, struct restore_file *f)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, f->mtime };
	bool last;
	int r = 0;

	lock_take(&s->pool.m);
	last = --f->work == 0;
	lock_drop(&s->pool.m);
	if (!last)
		return 0;
	if (fchown(f->fd, f->uid, f->gid) < 0 && errno != EPERM) /* without root's rights all is the caller's */
		r = -errno;
	if (r == 0 && fchmod(f->fd, f->mode) < 0)
		r = -errno;
	if (r == 0 && futimens(f->fd, times) < 0)
		r = -errno;
	(void)close(f->fd);
	free(f);
	return r;
}

/* ---- packs */

static struct restore_pack *pack_find(struct restore *s, const uint8_t hash[static RECORD_HASH_LEN])
{
	for (unsigned i = 0; i < RESTORE_PACKS; i++)
		if ((s->packs[i].p || s->packs[i].loading) && memcmp(s->packs[i].hash, hash, RECORD_HASH_LEN) == 0)
			return &s->packs[i];
	return NULL;
}

static struct restore_pack *pack_room(struct restore *s)
{
	struct restore_pack *best = NULL;

	for (unsigned i = 0; i < RESTORE_PACKS; i++) {
		struct restore_pack *k = &s->packs[i];

		if (k->refs == 0 && !k->loading && (!best || k->used < best->used))
			best = k;
	}
	return best;
}

/* The pack, held until pack_drop. */
static int pack_take(struct restore *s, const uint8_t hash[static RECORD_HASH_LEN], struct restore_pack **ret_k, struct store_error *err)
{
	struct restore_pack *k;
	uint8_t *p = NULL;
	size_t len = 0;
	int r;

	lock_take(&s->pool.m);
	for (;;) {
		k = pack_find(s, hash);
		if (k && !k->loading)
			break;
		if (!k)
			k = pack_room(s);
		else
			k = NULL;
		if (k)
			break;
		lock_wait(&s->pool.m, &s->packed);
	}
	k->refs++;
	k->used = ++s->clock;
	if (k->p && memcmp(k->hash, hash, RECORD_HASH_LEN) == 0) {
		lock_drop(&s->pool.m);
		*ret_k = k;
		return 0;
	}
	free(k->p);
	k->p = NULL;
	k->loading = true;
	memcpy(k->hash, hash, RECORD_HASH_LEN);
	lock_drop(&s->pool.m);
	r = repo_get(s->p->repo, REPO_PACK, hash, &p, &len, err);
	WITH_LOCK(&s->pool.m);
	k->loading = false;
	k->p = p;
	k->len = len;
	k->refs -= r < 0;
	pthread_cond_broadcast(&s->packed);
	if (r == 0)
		*ret_k = k;
	return r;
}

static void pack_drop(struct restore *s, struct restore_pack *k)
{
	WITH_LOCK(&s->pool.m);
	k->refs--;
	pthread_cond_broadcast(&s->packed);
}

static int slice(struct restore *s, const struct record_piece *e, uint8_t *ret_p, struct store_error *err)
{
	uint8_t hash[RECORD_HASH_LEN];
	struct restore_pack *k;
	int r;

	r = pack_take(s, e->pack, &k, err);
	if (r < 0)
		return r;
	r = e->at + (size_t)e->len <= k->len ? digest_sha256(k->p + e->at, e->len, hash) : -EBADMSG;
	if (r == 0)
		r = memcmp(hash, e->hash, RECORD_HASH_LEN) == 0 ? 0 : -EBADMSG;
	if (r == 0)
		memcpy(ret_p, k->p + e->at, e->len);
	pack_drop(s, k);
	return r;
}

int restore_fetch_now(struct restore *s, const struct record_piece *e, uint8_t **ret_p, struct store_error *err)
{
	AUTO_FREE uint8_t *p = NULL;
	size_t len = e->len;
	int r;

	if (e->packed && s->p->pick && !pick_whole_pack(s->p->pick, e->pack)) {
		r = repo_get_piece(s->p->repo, e, &p, err);
	} else if (e->packed) {
		p = malloc(e->len);
		r = p ? slice(s, e, p, err) : -ENOMEM;
	} else {
		r = repo_get(s->p->repo, REPO_SEGMENT, e->hash, &p, &len, err);
		if (r == 0 && len != e->len)
			r = -EBADMSG;
	}
	if (r == -EBADMSG && !err->message[0])
		memcpy(err->message, "a piece is not what its record says", sizeof("a piece is not what its record says"));
	if (r == 0)
		*ret_p = take_ptr(p);
	return r;
}

/* ---- jobs */

static bool is_there(const struct restore_file *f, const struct record_piece *e)
{
	AUTO_FREE uint8_t *p = malloc(e->len);
	uint8_t hash[RECORD_HASH_LEN];

	return p && pread(f->fd, p, e->len, (off_t)e->off) == (ssize_t)e->len && digest_sha256(p, e->len, hash) == 0 &&
	       memcmp(hash, e->hash, RECORD_HASH_LEN) == 0;
}

static size_t block_at(size_t at, size_t len)
{
	return len - at < BLOCK_SIZE ? len - at : BLOCK_SIZE;
}

/* Blocks of zeros stay holes. */
static int write_piece(const struct restore_file *f, const struct record_piece *e, const uint8_t *p)
{
	size_t from = 0, at;
	int r = 0;

	if (f->solid)
		return bulk_write_at(f->fd, p, e->len, e->off);
	for (at = 0; at < e->len && r == 0; at += block_at(at, e->len)) {
		if (!layout_is_zero(p + at, block_at(at, e->len)))
			continue;
		if (at > from)
			r = bulk_write_at(f->fd, p + from, at - from, e->off + from);
		from = at + block_at(at, e->len);
	}
	return r == 0 && from < e->len ? bulk_write_at(f->fd, p + from, e->len - from, e->off + from) : r;
}

static int do_job(struct restore *s, const struct restore_job *job, struct store_error *err)
{
	bool kept = s->p->resume && is_there(job->file, &job->piece);
	AUTO_FREE uint8_t *p = NULL;
	int r = 0;

	if (!kept) {
		r = restore_fetch_now(s, &job->piece, &p, err);
		if (r == 0) {
			r = write_piece(job->file, &job->piece, p);
			if (r < 0)
				(void)log_ret(r, "a file of the restored volume");
		}
	}
	WITH_LOCK(&s->pool.m);
	s->counts.bytes += r == 0 ? job->piece.len : 0;
	s->counts.bytes_kept += kept ? job->piece.len : 0;
	return r;
}

static void *work(void *arg)
{
	struct restore *s = arg;
	struct restore_job *job;
	struct store_error err;
	int r, rr;

	while ((job = pool_next(&s->pool))) {
		err = (struct store_error){ 0 };
		r = pool_error(&s->pool);
		if (r == 0)
			r = do_job(s, job, &err);
		rr = restore_file_unref(s, job->file);
		if (r < 0 || rr < 0)
			pool_fail(&s->pool, r < 0 ? r : rr, r < 0 ? &err : NULL);
		free(job);
		pool_ended(&s->pool);
	}
	return NULL;
}

/* ---- from the walk */

int restore_fetch_start(struct restore *s)
{
	pool_init(&s->pool);
	pthread_cond_init(&s->packed, NULL);
	return pool_start(&s->pool, s->p->threads, work, s);
}

void restore_fetch_stop(struct restore *s)
{
	pool_stop(&s->pool);
	for (unsigned i = 0; i < RESTORE_PACKS; i++)
		free(s->packs[i].p);
	pthread_cond_destroy(&s->packed);
	pool_done(&s->pool);
}

/* A moment; says how far it is. */
static int wait_some(struct restore *s)
{
	struct restore_counts counts;
	int r;

	pool_pause(&s->pool);
	lock_take(&s->pool.m);
	r = s->pool.error;
	counts = s->counts;
	lock_drop(&s->pool.m);
	if (r == 0 && s->p->progress && !s->p->progress(s->p->ctx, &counts)) {
		r = -EINTR;
		pool_fail(&s->pool, r, NULL);
	}
	return r;
}

/* A piece more, or one less, that a file waits for. */
static void work_count(struct restore *s, struct restore_file *f, int n)
{
	WITH_LOCK(&s->pool.m);
	f->work += (unsigned)n;
}

int restore_fetch_add(struct restore *s, struct restore_file *f, const struct record_piece *e)
{
	struct restore_job *job = calloc(1, sizeof(*job));
	int r = job ? pool_error(&s->pool) : -ENOMEM;

	if (r == 0) {
		*job = (struct restore_job){ .file = f, .piece = *e };
		work_count(s, f, 1);
		while (r == 0 && !pool_put(&s->pool, job, s->p->threads * JOBS_PER_THREAD))
			r = wait_some(s);
		if (r < 0)
			work_count(s, f, -1);
	}
	if (r < 0)
		free(job);
	return r;
}

int restore_fetch_wait(struct restore *s)
{
	int r = pool_error(&s->pool);

	while (r == 0 && !pool_idle(&s->pool))
		r = wait_some(s);
	return r < 0 ? r : pool_error(&s->pool);
}
