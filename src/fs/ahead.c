/* ahead.c: reading ahead below (ahead.h).
 *
 * When: some of a directory's files were waited for (SLOW_FIRST; one is enough while the last window in a directory was of use), and if there was a window
 * before, it was of use: HITS_MIN lookups since did not wait. So what is read in vain is one window a directory, and no entry is read ahead twice, but for a
 * directory that has been read whole and is waited for again (SLOW_AGAIN): then the cache below has dropped it. */
#include "fs/ahead.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include "fs/dirfd.h"
#include "fs/name.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"

#define SLOW_FIRST 3u
#define SLOW_AGAIN 64u
#define HITS_MIN 32u
#define HITS_FEW 4u
#define CHUNK 32u

uint64_t ahead_disk(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) == 0 ? (uint64_t)u.ru_inblock : 0;
}

/* ---- when */

static bool due(const struct volume *v, const struct inode_ahead *a)
{
	if (a->over)
		return a->slow >= SLOW_AGAIN;
	if (a->off == 0)
		return a->slow >= (v->ahead_useful ? 1 : SLOW_FIRST);
	return a->slow > 0 && a->hits >= HITS_MIN;
}

bool ahead_looked(struct volume *v, struct inode *dir, bool waited)
{
	struct inode_ahead *a = &dir->ahead;
	WITH_LOCK(&v->lock);

	if (waited && a->slow < UINT16_MAX)
		a->slow++;
	if (!waited && a->hits < UINT16_MAX)
		a->hits++;
	if (a->off != 0 || a->over)
		v->ahead_useful = a->hits >= HITS_FEW && a->hits > a->slow;
	return due(v, a);
}

/* ---- what */

struct window {
	struct volume *v;
	int fd;
	int64_t off;
	size_t n;
	char name[AHEAD_WINDOW][LOWER_NAME_LEN_MAX + 1];
};

static int collect(void *arg, const struct lower_dirent *e)
{
	struct window *w = arg;
	size_t len = strlen(e->name);

	if (w->n == AHEAD_WINDOW)
		return 1;
	w->off = e->off;
	if ((e->type == DT_REG || e->type == DT_UNKNOWN) && len <= LOWER_NAME_LEN_MAX && !name_is_hidden(e->name))
		memcpy(w->name[w->n++], e->name, len + 1);
	return 0;
}

/* A descriptor of what is worth reading, -1: it is not. As in a listing, nothing but a regular file is opened. */
static int open_one(struct volume *v, int dirfd, const char *name)
{
	struct inode *held;
	struct stat st;
	int fd;

	if (v->lower->ops->fstatat(v->lower, dirfd, name, &st) < 0 || !S_ISREG(st.st_mode) || st.st_dev != v->dev || st.st_size == 0)
		return -1;
	held = inode_get_ino(v, st.st_ino);
	inode_put(v, held);
	return !held && reopen_peek(v, dirfd, name, &fd) == 0 ? fd : -1;
}

static void read_chunk(struct window *w, size_t *k)
{
	int fds[CHUNK];
	size_t n = 0;

	while (*k < w->n && n < CHUNK && n < w->v->batch_max) {
		int fd = open_one(w->v, w->fd, w->name[(*k)++]);

		if (fd >= 0)
			fds[n++] = fd;
	}
	vio_peek_ahead(w->v->vio, fds, n);
	while (n > 0)
		lower_close(w->v->lower, fds[--n]);
}

/* Begin a window, or do not: another is under way. */
static bool begin(struct volume *v, struct inode *dir, int64_t *ret_off)
{
	struct inode_ahead *a = &dir->ahead;
	WITH_LOCK(&v->lock);

	if (v->ahead_runs)
		return false;
	v->ahead_runs = true;
	*ret_off = a->over ? 0 : a->off;
	a->over = false;
	a->slow = a->hits = 0;
	return true;
}

static void end(struct volume *v, struct inode *dir, int64_t off, bool over)
{
	WITH_LOCK(&v->lock);

	v->ahead_runs = false;
	dir->ahead.off = off;
	dir->ahead.over = over;
}

void ahead_run(struct volume *v, struct inode *dir, bool (*go_on)(void *ctx), void *ctx)
{
	AUTO_FREE struct window *w = NULL;
	size_t k = 0;
	int64_t off;
	int r;

	if (!begin(v, dir, &off))
		return;
	w = malloc(sizeof(*w));
	r = w ? dirfd_own(v, dir, &w->fd) : -ENOMEM;
	if (r == 0) {
		w->v = v;
		w->off = off;
		w->n = 0;
		r = v->lower->ops->readdir(v->lower, w->fd, off, collect, w);
		while (r == 0 && k < w->n && go_on(ctx))
			read_chunk(w, &k);
		lower_close(v->lower, w->fd);
		off = w->off;
	}
	end(v, dir, off, r < 0 || w->n < AHEAD_WINDOW);
}
