/* reserve.c: see reserve.h.
 *
 * Whole means that the file has its length and fallocate has said yes to all of it (or, where fallocate is missing, that all of it was
 * written). fallocate over what is allocated already costs nothing, so it is asked again at every open instead of believing the length.
 *
 * Filling must not take the last space of the backing for a reserve that then is not whole: it looks at the free space first, and gives
 * back what a failed attempt took. Space reserved for root by the backing is not counted as free.
 *
 * A file that has a length but is not whole is still worth spending. */
#include "io/reserve.h"

#include <fcntl.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "base/secret.h"
#include "format/layout.h"

#define FILL_CHUNK (1u << 20)

struct reserve {
	struct lower *l;                 /* constant, as are the next two */
	int fd;
	uint64_t bytes;
	struct lock m;
	uint64_t held;                   /* lock: m. length of the file */
	atomic_bool whole;               /* changed with m held */
};

/* Where the backing cannot allocate ahead. Random, so that compression and detection of zeros below do not make it smaller. */
static int fill_random(struct lower *l, int fd, uint64_t from, uint64_t to)
{
	AUTO_FREE uint8_t *p = NULL;
	uint64_t at;
	int r = 0;

	p = malloc(FILL_CHUNK);
	if (!p)
		return -ENOMEM;
	for (at = from; at < to && r == 0; at += FILL_CHUNK) {
		r = secret_random(p, FILL_CHUNK);
		if (r == 0)
			r = lower_pwrite(l, fd, p, to - at < FILL_CHUNK ? (size_t)(to - at) : FILL_CHUNK, at, false);
	}
	return r;
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

/* Is there room for what is missing? */
static bool room_for(struct lower *l, int fd, uint64_t missing)
{
	struct statvfs st;
	uint64_t fsid, magic, unit;

	if (missing == 0 || l->ops->statfs(l, fd, &st, &fsid, &magic) < 0)
		return true;
	unit = st.f_frsize ? st.f_frsize : st.f_bsize;
	return st.f_blocks == 0 || unit == 0 || missing / unit < st.f_bavail;
}

/* lock: m. 0 whole, -ENOSPC (as much is held as before), another error. */
static int fill(struct reserve *r)
{
	int e;

	if (!room_for(r->l, r->fd, r->bytes - r->held))
		return -ENOSPC;
	e = r->l->ops->fallocate(r->l, r->fd, 0, 0, r->bytes);
	if (e == -EOPNOTSUPP || e == -ENOSYS)
		e = fill_random(r->l, r->fd, r->held, r->bytes);
	if (e == 0)
		e = r->l->ops->fsync(r->l, r->fd);
	if (e < 0) {
		(void)r->l->ops->ftruncate(r->l, r->fd, r->held);
		return is_full(e) ? -ENOSPC : e;
	}
	r->held = r->bytes;
	atomic_store(&r->whole, true);
	return 0;
}

static int adopt(struct reserve *r, int root_fd)
{
	struct stat st;
	int e;

	r->fd = lower_open_regular(r->l, root_fd, NAME_RESERVE, O_RDWR | O_CREAT, 0600, &st);
	if (r->fd < 0)
		return r->fd;
	r->held = (uint64_t)st.st_size;
	if (r->held > r->bytes) {
		e = r->l->ops->ftruncate(r->l, r->fd, r->bytes);
		if (e < 0)
			return e;
		r->held = r->bytes;
	}
	e = fill(r);
	return e == -ENOSPC ? 0 : e;
}

int reserve_open(struct lower *l, int root_fd, uint64_t bytes, struct reserve **ret_r)
{
	struct reserve *r;
	int e;

	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->l = l;
	r->fd = -1;
	r->bytes = bytes;
	lock_init(&r->m, LOCK_RANK_POOL);
	e = adopt(r, root_fd);
	if (e < 0) {
		reserve_close(r);
		return e;
	}
	*ret_r = r;
	return 0;
}

void reserve_close(struct reserve *r)
{
	if (!r)
		return;
	lower_close(r->l, r->fd);
	lock_done(&r->m);
	free(r);
}

bool reserve_is_whole(struct reserve *r)
{
	return atomic_load(&r->whole);
}

/* Free it, and flush: journalling filesystems give freed space out only after the commit that freed it. */
static int cut_to_zero(struct lower *l, int fd)
{
	int r;

	r = l->ops->ftruncate(l, fd, 0);
	return r < 0 ? r : l->ops->fsync(l, fd);
}

int reserve_spend(struct reserve *r)
{
	int e;

	WITH_LOCK(&r->m);
	if (r->held == 0)
		return -ENOSPC;
	atomic_store(&r->whole, false);
	e = cut_to_zero(r->l, r->fd);
	if (e == 0)
		r->held = 0;
	return e;
}

int reserve_refill(struct reserve *r)
{
	WITH_LOCK(&r->m);
	return atomic_load(&r->whole) ? 0 : fill(r);
}

int reserve_spend_closed(struct lower *l, int root_fd)
{
	struct stat st;
	int fd, r;

	fd = lower_open_regular(l, root_fd, NAME_RESERVE, O_RDWR, 0, &st);
	if (fd < 0)
		return fd == -ENOENT ? -ENOSPC : fd;
	r = st.st_size == 0 ? -ENOSPC : cut_to_zero(l, fd);
	lower_close(l, fd);
	return r;
}
