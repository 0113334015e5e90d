/* backup_live.c: a snapshot of a volume that is mounted, without stopping it for longer than a moment (docs/backup.md section 4).
 *
 * Rounds: each walks the volume and copies what has changed since the one before; what is in the store after it is right or is known not to be, because a window
 * counts only if it verified, and is told from its later states by its metadata. When a round has little left to do, the mount is asked to hold still: all that
 * is committed is home, the log holds nothing, and nothing committed changes. The last round, then, copies the rest into memory, and what it has seen is the
 * state of that moment if three things hold to its end: the mount's promise, the directories (names are changed without the commit), and coffer.state.
 *
 * Where files can be cloned (backup_clone.c) the last round clones what it would read, the mount goes on as soon as the walk is done, and the clones are read then.
 *
 * A round that did not see such a state is no snapshot; then the mount goes on, and after another round without holding it is tried again. */
#include "backup/backup_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "format/volume_state.h"

#define ROUNDS_MAX 5u                    /* without holding, before each time of it */
#define HOLDS_MAX 6u
#define PASSES_MAX 4u                    /* in one hold */
#define LITTLE (64u << 20)               /* bytes that a round has read: small enough to hold the mount for */
#define TICK_MS 50                       /* no clock of inodes is coarser */
#define HOLD_MS 5000u                    /* after which a mount goes on by itself: whoever holds on longer may have ended somebody else's hold, and had none */
#define BUSY_MS 900
#define BUSY_MAX 20u                     /* others' holds: a scrub's, or that of a run that was killed, each of 5 s at most */
#define STATE_LEN ((size_t)STATE_SLOTS * STATE_SLOT_LEN)
#define PATH_PART 4000u

/* ---- directories */

int backup_live_dir(struct backup *b, const char *path, const struct stat *st)
{
	struct backup_seen *s;

	if (!b->frozen)
		return 0;
	if (b->nseen == b->seen_max) {
		size_t max = b->seen_max ? b->seen_max * 2 : 256;
		void *more = reallocarray(b->seen, max, sizeof(*b->seen));

		if (!more)
			return -ENOMEM;
		b->seen = more;
		b->seen_max = max;
	}
	s = &b->seen[b->nseen];
	*s = (struct backup_seen){ .path = strdup(path), .ino = st->st_ino, .ctime = st->st_ctim };
	b->nseen += s->path != NULL;
	return s->path ? 0 : -ENOMEM;
}

static void forget_dirs(struct backup *b)
{
	while (b->nseen > 0)
		free(b->seen[--b->nseen].path);
}

/* Of a path of any length, through no link. */
static int stat_path(int root_fd, char *path, struct stat *ret_st)
{
	int fd = root_fd, next, r = 0;

	while (strlen(path) > PATH_PART && r == 0) {
		char *cut = path + PATH_PART;

		while (*cut != '/')
			cut--;
		*cut = '\0';
		next = openat(fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		*cut = '/';
		r = next < 0 ? -errno : 0;
		if (fd != root_fd)
			(void)close(fd);
		fd = next;
		path = cut + 1;
	}
	if (r == 0)
		r = fstatat(fd, path, ret_st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0 ? -errno : 0;
	if (fd != root_fd && fd >= 0)
		(void)close(fd);
	return r;
}

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* No directory has changed since it was read, nor so shortly before that the clock would not tell. */
static bool dirs_are_steady(struct backup *b, const struct timespec *since)
{
	struct stat st;

	for (size_t i = 0; i < b->nseen; i++) {
		const struct backup_seen *s = &b->seen[i];

		if (!before(&s->ctime, since) || stat_path(b->p->root_fd, s->path, &st) < 0 || st.st_ino != s->ino ||
		    st.st_ctim.tv_sec != s->ctime.tv_sec || st.st_ctim.tv_nsec != s->ctime.tv_nsec)
			return false;
	}
	return true;
}

/* ---- the state */

static int read_state(const struct backup *b, uint8_t p[static STATE_LEN])
{
	AUTO_CLOSE int fd = openat(b->p->root_fd, NAME_STATE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, p, STATE_LEN, 0);

	return n < 0 ? -errno : n == (ssize_t)STATE_LEN ? 0 : -EUCLEAN;
}

/* ---- rounds */

static void reset(struct backup *b)
{
	struct manifest *m = &b->manifest;

	forget_dirs(b);
	b->list.len = 0;
	b->list_records = 0;
	b->merkle = (struct merkle){ 0 };
	b->entries = 0;
	b->nlinks = 0;
	if (b->links)
		memset(b->links, 0, b->links_max * sizeof(*b->links));
	m->nlists = 0;
	m->entries = m->bytes = 0;
	b->cloned = 0;
	b->clone_bytes = 0;
	lock_take(&b->pool.m);
	b->counts.files = b->counts.skipped = b->counts.problems = b->counts.bytes_kept = 0;
	b->unsteady = false;
	backup_spool_rots_drop(b);
	lock_drop(&b->pool.m);
}

/* What the round has learnt is what the next one knows. */
static int learn(struct backup *b)
{
	struct backup_cache *c;
	int fd, r;

	r = backup_cache_end(&b->writer, &b->id);
	fd = b->writer.fd;
	b->writer.fd = -1;
	backup_cache_writer_done(&b->writer);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	r = backup_cache_open(&fd, &b->id, &c);
	if (r < 0)
		return r;
	backup_cache_close(b->cache);
	b->cache = c;
	return 0;
}

/* The walk; the threads may be at work behind it. */
static int round_walk(struct backup *b)
{
	int r;

	reset(b);
	b->manifest.rounds++;
	if (b->writer.fd >= 0)
		(void)close(b->writer.fd);
	backup_cache_writer_done(&b->writer);
	backup_cache_begin(&b->writer, memfd_create("coffer-backup", MFD_CLOEXEC));
	if (b->writer.fd < 0)
		return -errno;
	r = backup_walk(b);
	return r == 0 ? backup_plan_flush(b) : r;
}

static int round_end(struct backup *b)
{
	int r = backup_emit_end(b);

	return r == 0 ? learn(b) : r;
}

static int round_of(struct backup *b, uint64_t *ret_read)
{
	uint64_t read = b->counts.bytes_read;
	int r;

	r = round_walk(b);
	if (r == 0)
		r = round_end(b);
	*ret_read = b->counts.bytes_read - read;
	return r;
}

/* No file went or became shorter so far; threads may still read. */
static bool files_are_steady(struct backup *b)
{
	WITH_LOCK(&b->pool.m);

	return !b->unsteady;
}

/* Whether what the round reads is a state, by what can be seen of it: 1. Of clones nothing more is to be known. */
static int frozen_pass(struct backup *b, uint8_t state[static 2 * STATE_LEN], bool *ret_ended)
{
	struct timespec since;
	bool steady;
	int r;

	clock_gettime(CLOCK_REALTIME_COARSE, &since);
	clock_pause_ms(TICK_MS);
	r = read_state(b, state);
	if (r == 0)
		r = round_walk(b);
	*ret_ended = r == 0 && !atomic_load(&b->cloning);
	if (*ret_ended)
		r = round_end(b);
	if (r == 0)
		r = read_state(b, state + STATE_LEN);
	if (r < 0)
		return r;
	steady = files_are_steady(b) && memcmp(state, state + STATE_LEN, STATE_LEN) == 0 && dirs_are_steady(b, &since);
	if (!steady && !*ret_ended)
		r = round_end(b);
	return r < 0 ? r : steady;
}

/* While the mount holds still. 1: what was seen is a state; *ret_ended: and all of it is read. */
static int frozen_passes(struct backup *b, bool *ret_ended)
{
	AUTO_FREE uint8_t *state = malloc(2 * STATE_LEN);
	int r = 0;

	if (!state)
		return -ENOMEM;
	for (unsigned pass = 0; pass < PASSES_MAX && r == 0; pass++)
		r = frozen_pass(b, state, ret_ended);
	return r;
}

/* The mount is at work again; clones are read. 0: one was not what it should be. */
static int read_clones(struct backup *b)
{
	int r = round_end(b);

	return r < 0 ? r : files_are_steady(b);
}

static int hold_once(struct backup *b)
{
	bool ended = true;
	uint64_t start;
	int r, rr;

	r = b->p->hold(b->p->ctx);
	if (r == -EBUSY) /* somebody else holds it, for seconds at most */
		clock_pause_ms(BUSY_MS);
	if (r < 0)
		return r;
	start = clock_boot_ms();
	b->frozen = true;
	(void)snprintf(b->manifest.way, sizeof(b->manifest.way), "frozen");
	backup_clone_begin(b);
	r = frozen_passes(b, &ended);
	b->manifest.frozen_ms = clock_boot_ms() - start;
	rr = b->p->release(b->p->ctx);
	if (rr == 0 && clock_boot_ms() - start >= HOLD_MS)
		rr = -ETIMEDOUT;
	if (r == 1 && !ended)
		r = read_clones(b);
	if (r == 1 && !ended && b->cloned > 0)
		(void)snprintf(b->manifest.way, sizeof(b->manifest.way), "cloned");
	b->frozen = false;
	atomic_store(&b->cloning, false);
	if (r < 0)
		return r;
	return rr == -ETIMEDOUT ? 0 : rr < 0 ? rr : r;
}

int backup_live(struct backup *b)
{
	uint64_t read = UINT64_MAX;
	unsigned busy = 0;
	int r = 0;

	for (unsigned hold = 0; hold < HOLDS_MAX && r == 0;) {
		for (unsigned i = 0; i < ROUNDS_MAX && r == 0 && (i == 0 || read > LITTLE); i++)
			r = round_of(b, &read);
		if (r == 0)
			r = hold_once(b);
		if (r == -EBUSY && busy++ < BUSY_MAX)
			r = 0; /* that was none of ours */
		else
			hold++;
		if (r == 0)
			r = backup_spool_send(b, false); /* what was copied is of use all the same */
	}
	forget_dirs(b);
	return r == 0 ? -EAGAIN : r < 0 ? r : backup_spool_send(b, true);
}
