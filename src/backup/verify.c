/* verify.c: see verify.h. The pieces of a snapshot are gathered, sorted by the object they lie in, and each object is fetched by some thread and held against
 * all of its pieces. */
#include "backup/verify.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include "crypt/digest.h"

#define WAIT_MS 200

struct verify {
	const struct verify_params *p;
	struct record_piece *pieces;
	size_t n, max;
	struct lock m;
	pthread_cond_t done;
	size_t next;                     /* lock: m, as is the rest */
	unsigned running;
	int error;
	struct store_error store_error;
	struct verify_counts counts;
};

static int on_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct verify *v = ctx;

	if (v->max - v->n < n) {
		size_t max = v->max ? v->max * 2 : 4096;
		void *more = reallocarray(v->pieces, max, sizeof(*v->pieces));

		if (!more)
			return -ENOMEM;
		v->pieces = more;
		v->max = max;
	}
	memcpy(v->pieces + v->n, pieces, n * sizeof(*pieces));
	v->n += n;
	return 0;
}

static const uint8_t *object_of(const struct record_piece *e)
{
	return e->packed ? e->pack : e->hash;
}

static bool same_object(const struct record_piece *a, const struct record_piece *b)
{
	return a->packed == b->packed && memcmp(object_of(a), object_of(b), RECORD_HASH_LEN) == 0;
}

static int by_object(const void *a, const void *b)
{
	const struct record_piece *x = a, *y = b;

	return x->packed != y->packed ? (int)x->packed - (int)y->packed : memcmp(object_of(x), object_of(y), RECORD_HASH_LEN);
}

static void problem(struct verify *v, const char *message)
{
	WITH_LOCK(&v->m);
	v->counts.problems++;
	if (v->p->problem)
		v->p->problem(v->p->ctx, message);
}

static int check_piece(struct verify *v, const struct record_piece *e, const uint8_t *p, size_t len)
{
	uint8_t hash[RECORD_HASH_LEN];
	char name[REPO_NAME_MAX], text[REPO_NAME_MAX + 64];
	bool ok = false;
	int r = 0;

	if (e->packed && e->at + (size_t)e->len <= len) {
		r = digest_sha256(p + e->at, e->len, hash);
		ok = r == 0 && memcmp(hash, e->hash, RECORD_HASH_LEN) == 0;
	} else if (!e->packed) {
		ok = e->len == len;
	}
	if (r == 0 && !ok) {
		repo_object_name(v->p->repo, e->packed ? REPO_PACK : REPO_SEGMENT, object_of(e), name);
		(void)snprintf(text, sizeof(text), "%s: has not the piece that the snapshot names", name);
		problem(v, text);
	}
	return r;
}

/* n pieces of one object. */
static int check_object(struct verify *v, const struct record_piece *e, size_t n)
{
	AUTO_FREE uint8_t *p = NULL;
	struct store_error err = { 0 };
	size_t len;
	int r;

	r = repo_get(v->p->repo, e->packed ? REPO_PACK : REPO_SEGMENT, object_of(e), &p, &len, &err);
	if (r == -ENOENT || r == -EBADMSG || r == -EUCLEAN) {
		problem(v, err.message);
		return 0;
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = check_piece(v, &e[i], p, len);
	WITH_LOCK(&v->m);
	if (r < 0 && v->error == 0) {
		v->error = r;
		v->store_error = err;
	}
	v->counts.objects_done++;
	v->counts.bytes += r < 0 ? 0 : len;
	return r;
}

static size_t take_object(struct verify *v, struct record_piece **ret_e)
{
	size_t n = 0;

	WITH_LOCK(&v->m);
	if (v->error < 0 || v->next == v->n)
		return 0;
	*ret_e = &v->pieces[v->next];
	while (v->next + n < v->n && same_object(*ret_e, *ret_e + n))
		n++;
	v->next += n;
	return n;
}

static void *work(void *arg)
{
	struct verify *v = arg;
	struct record_piece *e;
	size_t n;

	while ((n = take_object(v, &e)) > 0 && check_object(v, e, n) == 0)
		;
	WITH_LOCK(&v->m);
	v->running--;
	pthread_cond_broadcast(&v->done);
	return NULL;
}

/* Until the threads have ended. */
static void watch(struct verify *v)
{
	struct verify_counts counts;
	unsigned left = 1;

	while (left > 0) {
		const struct timespec until = clock_after_ms(WAIT_MS);

		lock_take(&v->m);
		left = v->running;
		if (left > 0)
			(void)lock_wait_until(&v->m, &v->done, &until);
		counts = v->counts;
		lock_drop(&v->m);
		if (v->p->progress && !v->p->progress(v->p->ctx, &counts)) {
			WITH_LOCK(&v->m);
			v->error = v->error ? v->error : -EINTR;
		}
	}
}

static int run_threads(struct verify *v)
{
	pthread_t threads[VERIFY_THREADS_MAX];
	unsigned n;
	int r = 0;

	for (n = 0; n < v->p->threads && n < VERIFY_THREADS_MAX && r == 0; n += r == 0) {
		lock_take(&v->m);
		v->running++;
		lock_drop(&v->m);
		r = thread_start(&threads[n], work, v);
		if (r < 0) {
			WITH_LOCK(&v->m);
			v->running--;
			v->error = r;
		}
	}
	watch(v);
	while (n > 0)
		(void)pthread_join(threads[--n], NULL);
	return v->error;
}

int verify_run(const struct verify_params *p, struct verify_counts *ret_c, struct store_error *ret_err)
{
	struct verify v = { .p = p };
	struct snapshot_walk w = { .ctx = &v, .pieces = on_pieces };
	int r;

	r = snapshot_walk(p->repo, p->m, &w, ret_err);
	if (r == 0) {
		if (v.n > 0)
			qsort(v.pieces, v.n, sizeof(*v.pieces), by_object);
		for (size_t i = 0; i < v.n; i++)
			v.counts.objects += i == 0 || !same_object(&v.pieces[i], &v.pieces[i - 1]);
		lock_init(&v.m, LOCK_RANK_POOL);
		pthread_cond_init(&v.done, NULL);
		r = run_threads(&v);
		if (r < 0)
			*ret_err = v.store_error;
		pthread_cond_destroy(&v.done);
		lock_done(&v.m);
	}
	*ret_c = v.counts;
	free(v.pieces);
	return r;
}
