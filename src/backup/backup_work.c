/* backup_work.c: the threads of a run. Each takes a job, reads its windows, holds them against their checksums, and sends what the store does not have: pieces of
 * a MiB and more as they are, the small ones of a job in one pack.
 *
 * An object counts as being in the store when the put has returned. Two threads may send the same one at the same time; that costs the sending. */
#include "backup/backup_impl.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "crypt/digest.h"

struct worker {
	struct backup *b;
	uint8_t *window;                 /* BACKUP_WINDOW_LEN, aligned */
	uint8_t *pack;                   /* RECORD_PACK_MAX */
	uint8_t *first;                  /* BLOCK_SIZE, aligned */
	uint8_t *metas;                  /* BACKUP_METAS_LEN, aligned */
	size_t pack_len;
	struct store_error error;
};

void backup_job_free(struct backup_job *job)
{
	if (!job)
		return;
	free(job->units);
	free(job);
}

/* ---- reading */

/* len bytes at off; what the file does not have is zeros, *ret_short then. Falls back from O_DIRECT. */
static int read_part(int *fd, uint8_t *p, size_t len, uint64_t off, bool *ret_short)
{
	size_t have = 0, want = (len + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
	ssize_t n;

	while (have < len) {
		n = pread(*fd, p + have, want - have, (off_t)(off + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && fcntl(*fd, F_GETFL) & O_DIRECT) {
			if (fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) & ~O_DIRECT) < 0)
				return -errno;
			continue;
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	if (have < len) {
		memset(p + have, 0, len - have);
		*ret_short = true;
	}
	return 0;
}

/* The unit's window, zeros where no piece is; *ret_len of it lie in the file. */
static int read_window(struct worker *w, int *fd, const struct backup_unit *u, size_t *ret_len, bool *ret_short)
{
	const struct backup_item *item = u->item;
	uint64_t base = u->window * BACKUP_WINDOW_LEN;
	size_t len = item->key.size - base < BACKUP_WINDOW_LEN ? (size_t)(item->key.size - base) : BACKUP_WINDOW_LEN, at = 0;
	int r = 0;

	for (uint64_t i = u->first; i < u->first + u->n && r == 0; i++) {
		const struct record_piece *e = &item->now.pieces[i];
		size_t from = (size_t)(e->off - base);

		memset(w->window + at, 0, from - at);
		r = read_part(fd, w->window + from, e->len, e->off, ret_short);
		at = from + e->len;
	}
	memset(w->window + at, 0, len - at);
	*ret_len = len;
	return r;
}

static int tell_rot(struct backup *b, struct backup_item *item, const struct backup_rot *rot)
{
	AUTO_FREE char *path = backup_item_path(item);

	if (!path)
		return -ENOMEM;
	WITH_LOCK(&b->pool.m);
	b->counts.problems += rot->count;
	item->rotten = true;
	if (b->p->hold) /* not certain yet */
		return backup_spool_rot(b, path, rot);
	if (b->p->problem)
		b->p->problem(b->p->ctx, path, rot);
	return 0;
}

static int check_window(struct worker *w, int *fd, const struct backup_unit *u, size_t len)
{
	struct backup_rot rot = { 0 };
	const uint8_t *first = w->window;
	struct backup *b = w->b;
	bool cut = false;
	int r = 0;

	if (u->window != 0) {
		first = w->first;
		r = read_part(fd, w->first, BLOCK_SIZE, 0, &cut);
	} else if (len < BLOCK_SIZE) {
		memset(w->window + len, 0, BLOCK_SIZE - len);
	}
	if (r == 0)
		r = backup_check_window(&b->p->check, first, u->item->key.size, u->window, w->window, len, &rot);
	if (r < 0)
		return r;
	if (rot.count == 0) { /* of this the next run, or round, can be sure */
		uint64_t meta = backup_reuse_meta(w->metas, w->window, len);

		for (uint64_t i = 0; i < u->n; i++)
			u->item->now.metas[u->first + i] = meta;
		return 0;
	}
	return tell_rot(b, u->item, &rot);
}

/* ---- sending */

static bool in_store(struct backup *b, const struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN])
{
	WITH_LOCK(&b->pool.m);
	return backup_set_find(s, hash);
}

static int sent(struct worker *w, enum repo_kind kind, struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN], size_t len)
{
	int r;

	WITH_LOCK(&w->b->pool.m);
	w->b->counts.bytes_sent += len;
	w->b->counts.objects_sent++;
	r = backup_lock_sent(w->b, kind, hash);
	return r < 0 ? r : backup_set_add(s, hash, NULL);
}

static int send_object(struct worker *w, enum repo_kind kind, struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN], const void *p, size_t len)
{
	int r;

	if (in_store(w->b, s, hash))
		return 0;
	if (w->b->frozen && !atomic_load(&w->b->cloning)) {
		lock_take(&w->b->pool.m);
		r = backup_spool_add(w->b, kind, hash, p, len);
		lock_drop(&w->b->pool.m);
		if (r != -ENOBUFS)
			return r < 0 ? r : sent(w, kind, s, hash, len);
	}
	r = w->b->p->dry_run ? 0 : repo_put(&w->b->repo, kind, hash, p, len, &w->error);
	return r < 0 ? r : sent(w, kind, s, hash, len);
}

/* A small piece: it lies in a pack that is there, or goes into the one of this job. */
static void place_small(struct worker *w, struct record_piece *e, const uint8_t *p)
{
	struct backup *b = w->b;
	struct backup_set_item *i;

	e->packed = true;
	lock_take(&b->pool.m);
	i = backup_set_find(&b->slices, e->hash);
	if (i) {
		e->at = i->at;
		memcpy(e->pack, b->slice_packs[i->pack], RECORD_HASH_LEN);
	}
	lock_drop(&b->pool.m);
	if (i)
		return;
	e->at = (uint32_t)w->pack_len;
	memset(e->pack, 0, RECORD_HASH_LEN); /* not known yet */
	memcpy(w->pack + w->pack_len, p, e->len);
	w->pack_len += e->len;
}

static int send_pieces(struct worker *w, const struct backup_unit *u)
{
	struct record_piece *pieces = u->item->now.pieces;
	int r = 0;

	for (uint64_t i = u->first; i < u->first + u->n && r == 0; i++) {
		const uint8_t *p = w->window + (pieces[i].off - u->window * BACKUP_WINDOW_LEN);

		r = digest_sha256(p, pieces[i].len, pieces[i].hash);
		if (r == 0 && pieces[i].len >= RECORD_PACKED_BELOW)
			r = send_object(w, REPO_SEGMENT, &w->b->segments, pieces[i].hash, p, pieces[i].len);
		else if (r == 0)
			place_small(w, &pieces[i], p);
	}
	return r;
}

static int send_pack(struct worker *w, const struct backup_job *job)
{
	static const uint8_t unknown[RECORD_HASH_LEN];
	uint8_t hash[RECORD_HASH_LEN];
	int r;

	if (w->pack_len == 0)
		return 0;
	r = digest_sha256(w->pack, w->pack_len, hash);
	if (r == 0)
		r = send_object(w, REPO_PACK, &w->b->packs, hash, w->pack, w->pack_len);
	for (size_t k = 0; k < job->n && r == 0; k++) {
		struct record_piece *e = job->units[k].item->now.pieces + job->units[k].first;

		for (uint64_t i = 0; i < job->units[k].n; i++)
			if (e[i].packed && memcmp(e[i].pack, unknown, sizeof(unknown)) == 0)
				memcpy(e[i].pack, hash, RECORD_HASH_LEN);
	}
	return r;
}

/* ---- jobs */

static int open_item(const struct backup_item *item, int *ret_fd)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME | (item->key.size >= BACKUP_DIRECT_FROM ? O_DIRECT : 0), fd;
	struct stat st;

	if (item->clone_fd >= 0) {
		*ret_fd = fcntl(item->clone_fd, F_DUPFD_CLOEXEC, 0);
		return *ret_fd < 0 ? -errno : 0;
	}
	fd = openat(item->dir->fd, item->name, flags);
	if (fd < 0 && errno == EPERM)
		fd = openat(item->dir->fd, item->name, flags & ~O_NOATIME);
	if (fd < 0 && errno == EINVAL)
		fd = openat(item->dir->fd, item->name, flags & ~(O_DIRECT | O_NOATIME));
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != item->key.ino) {
		(void)close(fd);
		return -ETXTBSY;
	}
	*ret_fd = fd;
	return 0;
}

/* A file of a mounted volume went, or became shorter: this round is no snapshot. */
static int unsteady(struct backup *b, struct backup_item *item)
{
	WITH_LOCK(&b->pool.m);
	b->unsteady = true;
	item->rotten = true;
	return 0;
}

static int failed(const struct backup_item *item, int r)
{
	AUTO_FREE char *path = backup_item_path(item);

	return log_ret(r, "%s", path ? path : item->name);
}

static int do_unit(struct worker *w, const struct backup_unit *u)
{
	bool is_short = false;
	size_t len = 0;
	int fd = -1, r;

	r = open_item(u->item, &fd);
	if (r == 0)
		r = backup_reuse_window(w->b, fd, w->metas, u);
	if (r == 0)
		r = read_window(w, &fd, u, &len, &is_short);
	if (r == 0 && u->item->checked && !is_short)
		r = check_window(w, &fd, u, len);
	if (fd >= 0)
		(void)close(fd);
	if (r == 1)
		return 0;
	if (r == 0 && is_short)
		r = -ETXTBSY;
	if ((r == -ETXTBSY || r == -ENOENT) && w->b->p->hold)
		return unsteady(w->b, u->item);
	if (r < 0)
		return failed(u->item, r);
	r = send_pieces(w, u);
	lock_take(&w->b->pool.m);
	w->b->counts.bytes_read += len;
	lock_drop(&w->b->pool.m);
	return r;
}

static int do_job(struct worker *w, const struct backup_job *job)
{
	int r = 0;

	w->pack_len = 0;
	for (size_t i = 0; i < job->n && r == 0; i++) {
		r = pool_error(&w->b->pool);
		if (r == 0)
			r = do_unit(w, &job->units[i]);
	}
	return r < 0 ? r : send_pack(w, job);
}

static void job_end(struct backup *b, struct backup_job *job)
{
	for (size_t i = 0; i < job->n; i++) {
		struct backup_item *item = job->units[i].item;

		lock_take(&b->pool.m);
		item->work--;
		lock_drop(&b->pool.m);
	}
	backup_job_free(job);
	pool_ended(&b->pool);
}

static void *work(void *arg)
{
	struct worker w = { .b = arg };
	struct backup_job *job;
	int r = 0;

	if (posix_memalign((void **)&w.window, BLOCK_SIZE, BACKUP_WINDOW_LEN) != 0 || posix_memalign((void **)&w.first, BLOCK_SIZE, BLOCK_SIZE) != 0 ||
	    posix_memalign((void **)&w.metas, BLOCK_SIZE, BACKUP_METAS_LEN) != 0)
		r = -ENOMEM;
	w.pack = malloc(RECORD_PACK_MAX);
	if (!w.pack)
		r = -ENOMEM;
	while ((job = pool_next(&w.b->pool))) {
		w.error.message[0] = '\0';
		if (r == 0)
			r = do_job(&w, job);
		if (r < 0)
			pool_fail(&w.b->pool, r, &w.error);
		job_end(w.b, job);
	}
	free(w.window);
	free(w.first);
	free(w.metas);
	free(w.pack);
	return NULL;
}

/* ---- from the walk */

int backup_work_start(struct backup *b)
{
	pool_init(&b->pool);
	return pool_start(&b->pool, b->p->threads, work, b);
}

int backup_work_poll(struct backup *b)
{
	struct backup_counts counts;
	int r;

	lock_take(&b->pool.m);
	r = b->pool.error;
	counts = b->counts;
	lock_drop(&b->pool.m);
	if (r == 0 && b->p->progress && !b->p->progress(b->p->ctx, &counts)) {
		r = -EINTR;
		pool_fail(&b->pool, r, NULL);
	}
	return r;
}

int backup_work_wait(struct backup *b)
{
	pool_pause(&b->pool);
	return backup_work_poll(b);
}

int backup_work_add(struct backup *b, struct backup_job **job)
{
	int r;

	for (;;) {
		r = pool_error(&b->pool);
		if (r < 0)
			return r;
		if (pool_put(&b->pool, *job, atomic_load(&b->cloning) ? UINT_MAX : b->p->threads)) { /* the mount does not wait for threads */
			*job = NULL;
			return 0;
		}
		r = backup_work_wait(b);
		if (r < 0)
			return r;
	}
}
