/* live.c: iofiles of inodes (live.h).
 *
 *   state     who may act                    in the LRU       leads to
 *   NONE      the first live_get             no               OPENING
 *   OPENING   that thread; others wait       no               LIVE, NONE (error)
 *   LIVE      users count themselves         if no users      CLOSING (no users)
 *   CLOSING   the thread that closes         no               NONE, LIVE (something was pending)
 *
 * An iofile with something pending cannot be closed; it stays, beyond the bound if need be, until the I/O floor says idle.
 *
 * Times: the kernel owns mtime (writeback cache) and tells it by SETATTR. Home writes change the lower mtime, so it is set back behind them
 * (live_home_written), and once more when the iofile ends if it was told later. */
#include "fs/live.h"

#include "base/log.h"
#include "fs/dirfd.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"

#define EVICT_TRIES 4

/* ---- owners */

void *live_owner(const struct inode *i)
{
	return (void *)(uintptr_t)i->id;
}

struct inode *live_inode(struct volume *v, const void *owner)
{
	return inode_get(v, (uintptr_t)owner);
}

/* ---- times */

static int store_times_fd(struct volume *v, struct inode *i, int fd)
{
	struct timespec ts[2];
	int r;

	lock_take(&v->lock);
	ts[0] = i->attr.atime;
	ts[1] = i->attr.mtime;
	i->times_due = false;
	lock_drop(&v->lock);
	r = v->lower->ops->futimens(v->lower, fd, ts);
	if (r < 0) {
		lock_take(&v->lock);
		i->times_due = true;
		lock_drop(&v->lock);
	}
	return r;
}

static int store_times_at(struct volume *v, struct inode *i, int fd, const char *name)
{
	struct timespec ts[2];

	lock_take(&v->lock);
	ts[0] = i->attr.atime;
	ts[1] = i->attr.mtime;
	i->times_due = false;
	lock_drop(&v->lock);
	return v->lower->ops->utimensat(v->lower, fd, name, ts);
}

/* Symbolic links, FIFOs and sockets are not opened: by name. Other links may be left when the name that was known has gone: then by
 * a descriptor that only refers to it. */
static int store_times_name(struct volume *v, struct inode *i)
{
	char name[LOWER_NAME_LEN_MAX + 1];
	struct inode *parent;
	int fd = -1, r;

	r = reopen_name(v, i, &parent, &fd, name);
	if (r == 0) {
		r = store_times_at(v, i, fd, name);
		dirfd_put(v, parent);
		inode_put(v, parent);
	} else if (r == -ENOENT) {
		r = reopen_inode(v, i, O_PATH, &fd);
		if (r == 0)
			r = store_times_at(v, i, fd, "");
		lower_close(v->lower, fd);
	}
	return r;
}

int live_store_times(struct volume *v, struct inode *i)
{
	bool due;
	int fd = -1, r;

	lock_take(&v->lock);
	due = i->times_due && i->attr.nlink > 0 && !v->info.read_only;
	lock_drop(&v->lock);
	if (!due)
		return 0;
	if (!S_ISREG(i->type))
		return store_times_name(v, i);
	r = reopen_inode(v, i, O_RDONLY, &fd);
	if (r < 0)
		return r;
	r = store_times_fd(v, i, fd);
	lower_close(v->lower, fd);
	return r;
}

void live_home_written(void *ctx, void *owner, int fd)
{
	struct volume *v = ctx;
	struct inode *i = live_inode(v, owner);
	int r;

	if (!i)
		return;
	r = store_times_fd(v, i, fd);
	if (r < 0)
		log_debug("inode: times are not stored: %s", err_text(r));
	inode_put(v, i);
}

/* ---- closing */

/* Close or discard; state is CLOSING and the caller has a reference. True when it is gone. Without the lock. */
static bool close_file(struct volume *v, struct inode *i, struct iofile *f)
{
	bool gone = true, discard;

	lock_take(&v->lock);
	discard = i->attr.nlink == 0 && i->nlookup == 0;
	lock_drop(&v->lock);
	if (discard) {
		iofile_discard(f);
	} else if (!iofile_is_idle(f)) {
		gone = false;
	} else {
		uint64_t size = iofile_size(f);

		if (live_store_times(v, i) < 0)
			log_debug("inode: times are not stored");
		gone = iofile_close(f) == 0;
		if (gone) {
			lock_take(&v->lock);
			i->attr.size = size;
			lock_drop(&v->lock);
		}
	}
	return gone;
}

/* With the lock, which is dropped and taken. LIVE without users before; NONE (true) or LIVE after. */
static bool try_close(struct volume *v, struct inode *i)
{
	struct iofile *f = i->file;
	bool gone;

	assert(i->file_state == INODE_FILE_LIVE && i->file_users == 0);
	i->file_state = INODE_FILE_CLOSING;
	inode_link_remove(&i->file_lru);
	lock_drop(&v->lock);
	gone = close_file(v, i, f);
	lock_take(&v->lock);
	if (gone) {
		i->file = NULL;
		i->file_state = INODE_FILE_NONE;
		v->file_count--;
		v->file_closes++;
	} else {
		i->file_state = INODE_FILE_LIVE;
		inode_link_push(&v->files, &i->file_lru);
	}
	pthread_cond_broadcast(&v->changed);
	return gone;
}

bool live_retire(struct volume *v, struct inode *i)
{
	if (!S_ISREG(i->type) || i->file_state == INODE_FILE_NONE)
		return true;
	if (i->file_state == INODE_FILE_LIVE && i->file_users == 0 && try_close(v, i))
		return true;
	i->refs--;
	return false;
}

static struct inode *oldest_file(struct volume *v)
{
	struct inode_link *l = v->files.next;

	if (l == &v->files)
		return NULL;
	return (struct inode *)(void *)((char *)l - offsetof(struct inode, file_lru));
}

/* Close idle iofiles beyond the bound. Without the lock. */
static void evict(struct volume *v)
{
	int tries;

	for (tries = 0; tries < EVICT_TRIES; tries++) {
		struct inode *i = NULL;

		lock_take(&v->lock);
		if (v->file_count > v->files_max)
			i = oldest_file(v);
		if (i) {
			i->refs++;
			(void)try_close(v, i);
		}
		lock_drop(&v->lock);
		if (!i)
			return;
		inode_put(v, i);
	}
}

/* All that was written is home and what was freed is given back: the lower inode's blocks are the file's. */
static void take_blocks(struct volume *v, struct inode *i)
{
	struct iofile *f = live_peek(v, i);
	bool stale = false;
	struct stat st;
	int fd;

	if (!f)
		return;
	if (iofile_pin(f, &fd) == 0) {
		if (v->lower->ops->fstat(v->lower, fd, &st) == 0 && iofile_is_idle(f)) {
			lock_take(&v->lock);
			stale = i->attr.blocks != (uint64_t)st.st_blocks || i->blocks_home != (uint64_t)st.st_blocks;
			i->attr.blocks = i->blocks_home = (uint64_t)st.st_blocks;
			lock_drop(&v->lock);
		}
		iofile_unpin(f);
	}
	live_put(v, i);
	if (!stale)
		return;
	pthread_mutex_lock(&v->watch_m);
	if (v->watch)
		v->watch(v->watch_ctx, i->id);
	pthread_mutex_unlock(&v->watch_m);
}

void live_idle(void *ctx, void *owner)
{
	struct volume *v = ctx;
	struct inode *i = live_inode(v, owner);

	if (!i)
		return;
	take_blocks(v, i);
	if (live_store_times(v, i) < 0)
		log_debug("inode: times are not stored");
	/* If the kernel has forgotten it, dropping this reference ends it. */
	inode_put(v, i);
}

/* ---- use */

/* With the lock: wait until the state is NONE or LIVE. */
static void settle(struct volume *v, struct inode *i)
{
	while (i->file_state == INODE_FILE_OPENING || i->file_state == INODE_FILE_CLOSING)
		lock_wait(&v->lock, &v->changed);
}

static void use(struct inode *i)
{
	i->file_users++;
	inode_link_remove(&i->file_lru);
}

/* state is OPENING; fd is consumed. */
static int open_file(struct volume *v, struct inode *i, int fd, const struct stat *st, bool created)
{
	struct iofile *f = NULL;
	int r;

	r = iofile_open(v->vio, fd, st, live_owner(i), created, &f);
	lock_take(&v->lock);
	if (r == 0) {
		i->file = f;
		i->file_state = INODE_FILE_LIVE;
		v->file_count++;
		use(i);
	} else {
		i->file_state = INODE_FILE_NONE;
	}
	pthread_cond_broadcast(&v->changed);
	lock_drop(&v->lock);
	return r;
}

static void open_failed(struct volume *v, struct inode *i)
{
	lock_take(&v->lock);
	i->file_state = INODE_FILE_NONE;
	pthread_cond_broadcast(&v->changed);
	lock_drop(&v->lock);
}

int live_get(struct volume *v, struct inode *i, struct iofile **ret_f)
{
	bool created, bad;
	struct stat st;
	int fd = -1, r;

	if (!S_ISREG(i->type))
		return S_ISDIR(i->type) ? -EISDIR : -EINVAL;
	lock_take(&v->lock);
	settle(v, i);
	bad = i->bad;
	if (bad || i->file_state == INODE_FILE_LIVE) {
		if (!bad) {
			use(i);
			*ret_f = i->file;
		}
		lock_drop(&v->lock);
		return bad ? -EIO : 0;
	}
	i->file_state = INODE_FILE_OPENING;
	created = i->created;
	lock_drop(&v->lock);

	r = reopen_inode(v, i, v->info.read_only ? O_RDONLY : O_RDWR, &fd);
	if (r == 0)
		r = v->lower->ops->fstat(v->lower, fd, &st);
	if (r < 0) {
		lower_close(v->lower, fd);
		open_failed(v, i);
		return r;
	}
	r = open_file(v, i, fd, &st, created);
	if (r < 0)
		return r;
	*ret_f = i->file;
	evict(v);
	return 0;
}

struct iofile *live_peek(struct volume *v, struct inode *i)
{
	struct iofile *f = NULL;
	WITH_LOCK(&v->lock);

	if (!S_ISREG(i->type))
		return NULL;
	settle(v, i);
	if (i->file_state == INODE_FILE_LIVE) {
		use(i);
		f = i->file;
	}
	return f;
}

int live_created(struct volume *v, struct inode *i, int fd, const struct stat *st)
{
	int r;

	lock_take(&v->lock);
	settle(v, i);
	if (i->file_state != INODE_FILE_NONE) {
		lock_drop(&v->lock);
		lower_close(v->lower, fd);
		return 0;
	}
	i->file_state = INODE_FILE_OPENING;
	i->created = true;
	lock_drop(&v->lock);
	r = open_file(v, i, fd, st, true);
	if (r < 0)
		return r;
	live_put(v, i);
	evict(v);
	return 0;
}

void live_put(struct volume *v, struct inode *i)
{
	WITH_LOCK(&v->lock);

	assert(i->file_users > 0);
	if (--i->file_users > 0)
		return;
	inode_link_push(&v->files, &i->file_lru);
	pthread_cond_broadcast(&v->changed);
}

/* With the lock. Each once: what cannot be closed becomes the youngest. */
static int close_each(struct volume *v, bool discard)
{
	size_t n;
	int r = 0;

	for (n = v->file_count; n > 0 && v->files.next != &v->files; n--) {
		struct inode *i = oldest_file(v);
		struct iofile *f = NULL;

		i->refs++;
		if (!try_close(v, i)) {
			if (discard) {
				inode_link_remove(&i->file_lru);
				i->file_state = INODE_FILE_NONE;
				v->file_count--;
				f = take_ptr(i->file);
			} else {
				r = -EBUSY;
			}
		}
		lock_drop(&v->lock);
		if (f)
			iofile_discard(f);
		inode_put(v, i);
		lock_take(&v->lock);
	}
	return r;
}

int live_close_all(struct volume *v, bool discard)
{
	int r;
	WITH_LOCK(&v->lock);

	r = close_each(v, discard);
	while (r == 0 && v->file_count > 0) {
		/* In use: the kernel is forgetting it just now, or the I/O floor tells of it. */
		while (v->file_count > 0 && v->files.next == &v->files)
			lock_wait(&v->lock, &v->changed);
		r = close_each(v, discard);
	}
	return r;
}
