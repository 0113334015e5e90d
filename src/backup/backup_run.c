/* backup_run.c: see backup.h. In this order: what the store has; the walk; the manifest, last. So a run that is cut anywhere leaves objects that no manifest names,
 * which the next run finds and does not send again, and never a manifest whose objects are missing. */
#include "backup/backup_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backup/prune.h"
#include "backup/snapshot.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/text.h"
#include "crypt/digest.h"

#define CACHE_NAME_MAX 160

/* ---- what the store has */

struct listing {
	struct backup *b;
	enum repo_kind kind;
	struct backup_set *set;
};

static int known_object(void *arg, const char *name, uint64_t size, int64_t mtime_s)
{
	struct listing *l = arg;
	uint8_t hash[RECORD_HASH_LEN];

	(void)mtime_s;
	if (size == 0 || size > repo_object_max(l->kind) || !repo_object_hash(&l->b->repo, l->kind, name, hash))
		return 0;
	return backup_set_add(l->set, hash, NULL);
}

static int list_objects(struct backup *b, enum repo_kind kind, struct backup_set *set, struct store_error *err)
{
	struct listing l = { b, kind, set };

	return repo_list(&b->repo, kind, known_object, &l, err);
}

static int list_pieces(struct backup *b, struct store_error *err)
{
	int r;

	r = list_objects(b, REPO_SEGMENT, &b->segments, err);
	return r < 0 ? r : list_objects(b, REPO_PACK, &b->packs, err);
}

/* Where objects are locked, each list is put again, which is what holds it for longer (repo.c): what is there is not asked for. */
static int list_all(struct backup *b, struct store_error *err)
{
	int r;

	r = list_pieces(b, err);
	return r < 0 || store_locks(b->p->store) ? r : list_objects(b, REPO_LIST, &b->lists, err);
}

static int remember_slice(struct backup *b, const struct record_piece *e)
{
	struct backup_set_item *i;
	int r;

	if (!backup_set_find(&b->packs, e->pack))
		return 0;
	if (b->nslice_packs == 0 || memcmp(b->slice_packs[b->nslice_packs - 1], e->pack, RECORD_HASH_LEN) != 0) {
		if (b->nslice_packs == b->slice_packs_max) {
			size_t max = b->slice_packs_max ? b->slice_packs_max * 2 : 64;
			void *more = max < UINT32_MAX ? reallocarray(b->slice_packs, max, RECORD_HASH_LEN) : NULL;

			if (!more)
				return -ENOMEM;
			b->slice_packs = more;
			b->slice_packs_max = max;
		}
		memcpy(b->slice_packs[b->nslice_packs++], e->pack, RECORD_HASH_LEN);
	}
	r = backup_set_add(&b->slices, e->hash, &i);
	if (r < 0)
		return r;
	i->at = e->at;
	i->pack = (uint32_t)b->nslice_packs - 1;
	return 0;
}

static int remember_pieces(void *arg, const struct record_piece *pieces, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		if (pieces[i].packed)
			r = remember_slice(arg, &pieces[i]);
	return r;
}

static int set_time(struct manifest *m)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return text_time(now.tv_sec, sizeof(m->time), m->time);
}

/* Snapshots are in the order of their names, so no two are of one second. */
static int later_than(struct manifest *m, const char *time)
{
	int r = 0;

	while (r == 0 && strcmp(m->time, time) == 0) {
		clock_pause_ms(100);
		r = set_time(m);
	}
	return r;
}

/* The newest snapshot: what this one comes behind, and, where the cache does not know it, in which packs small pieces lie. One that cannot be read, or whose lists cannot, helps nothing;
 * a store that cannot be asked stops us. */
static int previous(struct backup *b, struct store_error *err)
{
	struct snapshot_walk walk = { .ctx = b, .pieces = remember_pieces };
	AUTO_FREE struct repo_snapshot *list = NULL;
	AUTO_MANIFEST struct manifest m = { 0 };
	struct manifest *own = &b->manifest;
	size_t n;
	int r;

	r = repo_snapshots(&b->repo, &list, &n, err);
	if (r < 0)
		return r;
	own->serial = 1;
	if (n == 0)
		return 0;
	r = repo_manifest(&b->repo, list[n - 1].name, &m, own->previous, err);
	if (r == 0) {
		own->serial = m.serial + 1;
		own->has_previous = true;
		r = later_than(own, m.time);
	}
	if (r == 0 && own->has_previous)
		r = b->cache ? backup_cache_each(b->cache, remember_pieces, b) : snapshot_walk(&b->repo, &m, &walk, err);
	if (r == -EBADMSG || r == -EUCLEAN || r == -EOPNOTSUPP || r == -ENOENT) {
		log_warning("%s", err->message);
		r = 0;
	}
	return r;
}

/* ---- what the last run has left */

static void cache_name(const struct backup *b, char ret_name[static CACHE_NAME_MAX])
{
	char hex[2 * RECORD_HASH_LEN + 1];

	text_hex(b->id.store, RECORD_HASH_LEN, hex);
	(void)snprintf(ret_name, CACHE_NAME_MAX, "backup-%s-%.16s", b->repo.uuid_text, hex);
}

/* Nothing here fails a backup. */
static void cache_read(struct backup *b)
{
	char name[CACHE_NAME_MAX];
	struct stat st;
	int dirfd, fd;

	if (!b->p->cache_dir || b->p->force)
		return;
	cache_name(b, name);
	dirfd = open(b->p->cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = dirfd < 0 ? -1 : openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (dirfd >= 0)
		(void)close(dirfd);
	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		(void)close(fd);
		return;
	}
	(void)!backup_cache_open(&fd, &b->id, &b->cache);
}

static void cache_begin(struct backup *b)
{
	int fd = -1;

	if (b->p->cache_dir && !b->p->dry_run && !b->p->hold)
		fd = open(b->p->cache_dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	backup_cache_begin(&b->writer, fd);
}

/* What the last round of a mounted volume has learnt, into a file. */
static int cache_copy(struct backup *b)
{
	const void *p;
	size_t len;

	b->writer.fd = open(b->p->cache_dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (b->writer.fd < 0)
		return -errno;
	backup_cache_bytes(b->cache, &p, &len);
	return fileio_write_full(b->writer.fd, p, len);
}

static void cache_write(struct backup *b)
{
	char name[CACHE_NAME_MAX], temp[CACHE_NAME_MAX + 8], self[64];
	AUTO_CLOSE int dirfd = -1;
	int r;

	if (!b->p->cache_dir || (!b->p->hold && b->writer.fd < 0))
		return;
	r = b->p->hold ? cache_copy(b) : backup_cache_end(&b->writer, &b->id);
	cache_name(b, name);
	(void)snprintf(temp, sizeof(temp), "%s.new", name);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", b->writer.fd);
	dirfd = open(b->p->cache_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && dirfd < 0)
		r = -errno;
	if (r == 0 && unlinkat(dirfd, temp, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && fsync(b->writer.fd) < 0)
		r = -errno;
	if (r == 0 && linkat(AT_FDCWD, self, dirfd, temp, AT_SYMLINK_FOLLOW) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		log_warning("%s: not written, so the next backup reads everything: %s", b->p->cache_dir, err_text(r));
}

/* ---- the run */

static int begin(struct backup *b, struct store_error *err)
{
	struct manifest *m = &b->manifest;
	struct stat st;
	const char *label = store_label(b->p->store);
	int r;

	repo_open(&b->repo, b->p->store, b->p->uuid);
	b->items_end = &b->items;
	if (fstat(b->p->root_fd, &st) < 0)
		return -errno;
	b->started_s = time(NULL);
	memcpy(b->id.uuid, b->p->uuid, UUID_LEN);
	memcpy(m->uuid, b->p->uuid, UUID_LEN);
	b->id.root_ino = st.st_ino;
	r = digest_sha256(label, strlen(label), b->id.store);
	if (r < 0)
		return r;
	r = set_time(m);
	if (r < 0)
		return r;
	(void)snprintf(m->way, sizeof(m->way), b->p->hold ? "frozen" : "unmounted");
	m->clean = b->p->clean || b->p->hold;
	m->rounds = b->p->hold ? 0 : 1;
	r = b->p->dry_run ? 0 : store_lock_check(b->p->store, err);
	if (r == 0)
		r = prune_mark(&b->repo, &b->mark, err);
	if (r == 0)
		r = list_all(b, err);
	if (r < 0)
		return r;
	cache_read(b);
	cache_begin(b);
	return previous(b, err);
}

static int still_there(void *arg, const struct record_piece *pieces, size_t n)
{
	struct backup *b = arg;

	for (size_t i = 0; i < n; i++)
		if (!(pieces[i].packed ? backup_set_find(&b->packs, pieces[i].pack) : backup_set_find(&b->segments, pieces[i].hash)))
			return -ESTALE;
	return 0;
}

/* Somebody prunes, or has pruned while we relied on what was there: when he is done, is all of this snapshot there? If not it is taken back. */
static int behind_prune(struct backup *b, const char *snapshot, struct store_error *err)
{
	struct snapshot_walk walk = { .ctx = b, .pieces = still_there };
	char name[REPO_NAME_MAX];
	int r;

	while ((r = prune_is_locked(&b->repo, err)) == 1) {
		clock_pause_ms(1000);
		r = backup_work_poll(b);
		if (r < 0)
			return r;
	}
	backup_set_done(&b->segments);
	backup_set_done(&b->packs);
	if (r == 0)
		r = list_pieces(b, err);
	if (r == 0)
		r = snapshot_walk(&b->repo, &b->manifest, &walk, err);
	if (r != -ESTALE && r != -ENOENT)
		return r;
	(void)snprintf(name, sizeof(name), "%s/snapshots/%s", b->repo.uuid_text, snapshot);
	r = store_delete(b->p->store, name, err);
	return r < 0 ? r : -ESTALE;
}

static int finish(struct backup *b, struct backup_result *ret_r, struct store_error *err)
{
	struct manifest *m = &b->manifest;
	AUTO_FREE char *json = NULL;
	int r;

	m->problems = b->counts.problems;
	b->counts.bytes = m->bytes;
	r = manifest_put_json(m, &json);
	if (r == 0 && b->p->sign && !b->p->dry_run)
		r = b->p->sign(b->p->ctx, m);
	if (r == 0 && b->p->tag && !b->p->dry_run)
		r = b->p->tag(b->p->ctx, m);
	if (r == 0)
		r = backup_lock_hold(b, err);
	if (r == 0 && !b->p->dry_run)
		r = repo_manifest_put(&b->repo, m, json, ret_r->snapshot, ret_r->hash, err);
	if (r == 0 && !b->p->dry_run)
		r = repo_volume_put(&b->repo, err);
	if (r == 0 && !b->p->dry_run)
		r = prune_look(&b->repo, &b->mark, err);
	if (r == 1)
		r = behind_prune(b, ret_r->snapshot, err);
	if (r == 0 && !b->p->dry_run)
		cache_write(b);
	return r;
}

static void done(struct backup *b)
{
	struct backup_item *item;

	pool_stop(&b->pool);
	backup_job_free(b->batch);
	while ((item = b->items)) {
		b->items = item->next;
		backup_item_free(b, item);
	}
	pool_done(&b->pool);
	backup_cache_close(b->cache);
	if (b->writer.fd >= 0)
		(void)close(b->writer.fd);
	backup_cache_writer_done(&b->writer);
	backup_set_done(&b->segments);
	backup_set_done(&b->packs);
	backup_set_done(&b->lists);
	backup_set_done(&b->slices);
	backup_set_done(&b->fresh[0]);
	backup_set_done(&b->fresh[1]);
	backup_spool_done(b);
	free(b->slice_packs);
	free(b->links);
	free(b->xattrs);
	record_buf_done(&b->list);
	record_buf_done(&b->record);
	manifest_done(&b->manifest);
}

int backup_run(const struct backup_params *p, struct backup_result *ret_r, struct store_error *ret_err)
{
	AUTO_FREE struct backup *b = calloc(1, sizeof(*b));
	struct backup_result res = { 0 };
	int r;

	*ret_err = (struct store_error){ 0 };
	if (!b)
		return -ENOMEM;
	b->p = p;
	b->writer.fd = -1;
	r = backup_work_start(b);
	if (r == 0)
		r = begin(b, ret_err);
	if (r == 0 && p->hold) {
		r = backup_live(b);
	} else if (r == 0) {
		r = backup_walk(b);
		if (r == 0)
			r = backup_emit_end(b);
	}
	if (r == 0 && p->hold)
		backup_spool_rots_tell(b);
	if (r == 0)
		r = finish(b, &res, ret_err);
	if (r < 0)
		pool_fail(&b->pool, r, ret_err);
	pool_stop(&b->pool); /* what follows is theirs, too */
	if (b->pool.error < 0) {
		r = b->pool.error;
		*ret_err = b->pool.store_error;
	}
	res.serial = b->manifest.serial;
	res.is_signed = b->manifest.is_signed;
	res.has_tag = b->manifest.has_tag;
	res.rounds = b->manifest.rounds;
	res.frozen_ms = b->manifest.frozen_ms;
	res.counts = b->counts;
	done(b);
	if (r == 0)
		*ret_r = res;
	return r;
}
