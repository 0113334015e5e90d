/* state_remake.c: see state_remake.h. Handles are marked as another directory's: whether this is a copy is not known any more, and a copy's handles open the
 * original's files. */
#include "io/state_remake.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "io/replay_impl.h"

#define CHUNK_BLOCKS 256u
#define RECORD_SUFFIX ".state"
#define BLOCKS_DEFAULT 16384u           /* 64 MiB, as of a new volume */
#define STAMP_MAX (1ull << 63)

struct part {                    /* a descriptor that verifies */
	uint64_t sequence, index, durable;
	uint32_t part, data_blocks;
	bool last;
};

struct scan {
	const struct vio_params *p;
	struct lower *l;
	struct blockcrypt *bc;
	int log_fd;
	uint64_t blocks;
	uint8_t generation[GENERATION_LEN]; /* the newest in parts */
	bool any;
	struct part *parts;
	size_t n, max;
	uint64_t stamp;          /* the highest seen */
	struct log_desc d;
	struct volume_state st;
};

static void stamp_seen(struct scan *s, uint64_t stamp)
{
	if (stamp > s->stamp)
		s->stamp = stamp;
}

/* ---- the ring */

static int add_part(struct scan *s, uint64_t index)
{
	struct part *list;

	if (s->n == s->max) {
		size_t max = s->max ? s->max * 2 : 256;

		list = reallocarray(s->parts, max, sizeof(*list));
		if (!list)
			return -ENOMEM;
		s->parts = list;
		s->max = max;
	}
	s->parts[s->n++] = (struct part){ .sequence = s->d.sequence, .index = index, .durable = s->d.durable, .part = s->d.part,
					  .data_blocks = s->d.data_blocks, .last = s->d.last };
	return 0;
}

static int look_at_block(struct scan *s, uint64_t index, const uint8_t *p)
{
	uint64_t mine, newest = layout_get64(s->generation);
	int r;

	if (memcmp(p, "CFRL", 4) != 0)
		return 0;
	r = log_desc_open(s->bc, s->p->ring, p, &s->d);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	mine = layout_get64(s->d.generation);
	stamp_seen(s, s->d.stamp);
	stamp_seen(s, mine);
	if (s->any && mine < newest)
		return 0;
	if (!s->any || mine > newest) {
		memcpy(s->generation, s->d.generation, GENERATION_LEN);
		s->any = true;
		s->n = 0;
	}
	return memcmp(s->generation, s->d.generation, GENERATION_LEN) == 0 ? add_part(s, index) : 0;
}

static int scan_ring(struct scan *s)
{
	AUTO_FREE uint8_t *p = aligned_alloc(BLOCK_SIZE, CHUNK_BLOCKS * BLOCK_SIZE);
	uint64_t at, i;
	int r = p ? 0 : -ENOMEM;

	for (at = 0; at < s->blocks && r == 0; at += CHUNK_BLOCKS) {
		uint64_t n = s->blocks - at < CHUNK_BLOCKS ? s->blocks - at : CHUNK_BLOCKS;
		ssize_t got = lower_pread(s->l, s->log_fd, p, n * BLOCK_SIZE, at * BLOCK_SIZE);

		if (got < 0) {
			log_warning("%s: blocks from %llu on cannot be read", NAME_LOG, (unsigned long long)at);
			continue;
		}
		for (i = 0; i < (uint64_t)got / BLOCK_SIZE && r == 0; i++)
			r = look_at_block(s, at + i, p + i * BLOCK_SIZE);
	}
	return r;
}

static int by_place(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return (x->part > y->part) - (x->part < y->part);
}

static uint64_t behind(const struct scan *s, const struct part *p)
{
	return (p->index + 1 + p->data_blocks) % s->blocks;
}

/* Is part i the next of the same transaction or the first of the next one, and where i - 1 ends? */
static bool follows(const struct scan *s, size_t i)
{
	const struct part *a = &s->parts[i - 1], *b = &s->parts[i];

	if (behind(s, a) != b->index)
		return false;
	return a->last ? b->sequence == a->sequence + 1 && b->part == 0 : b->sequence == a->sequence && b->part == a->part + 1;
}

/* From the oldest of the run on, the first transaction that is whole to its last block. 1: found, and s->st names it. */
static int first_whole(struct scan *s, size_t from)
{
	AUTO_FREE struct replay *rp = calloc(1, sizeof(*rp));
	int r;

	if (!rp)
		return -ENOMEM;
	rp->p = s->p;
	rp->l = s->l;
	rp->bc = s->bc;
	rp->log_direct = -1;
	rp->accept_log_loss = true;
	r = replay_log_init(rp, s->log_fd);
	for (; r == 0 && from < s->n; from++) {
		const struct part *p = &s->parts[from];

		if (p->part != 0)
			continue;
		s->st.tail = p->index;
		s->st.tail_sequence = p->sequence - 1;
		rp->st = s->st;
		rp->chunk_n = 0;
		r = replay_log_is_whole(rp);
	}
	replay_log_done(rp);
	replay_gather_done(rp);
	return r;
}

/* What the new state says of the log. */
static int find_run(struct scan *s)
{
	uint64_t seen = layout_get64(s->p->seen_generation), durable = 0, highest = 0;
	size_t i;
	int r;

	if (s->n > 0)
		qsort(s->parts, s->n, sizeof(*s->parts), by_place);
	for (i = 0; i < s->n; i++) {
		durable = s->parts[i].durable > durable ? s->parts[i].durable : durable;
		highest = s->parts[i].sequence;
	}
	memcpy(s->st.generation, s->generation, GENERATION_LEN);
	if (!s->any || seen > layout_get64(s->generation)) {
		/* The host has seen a newer generation, which wrote nothing: all that is here is home. */
		memcpy(s->st.generation, s->p->seen_generation, GENERATION_LEN);
		s->n = 0;
	}
	for (i = s->n; i > 1 && follows(s, i - 1); i--)
		;
	r = s->n > 0 ? first_whole(s, i - 1) : 0;
	if (r < 0)
		return r;
	s->st.durable = r ? durable : highest;
	if (r == 0)
		s->st.tail_sequence = highest;
	return 0;
}

/* ---- records of earlier ones, and this one's */

static int look_at_record(void *arg, const struct lower_dirent *e)
{
	struct scan *s = arg;
	unsigned long long limit;
	char *end;

	errno = 0;
	limit = strtoull(e->name, &end, 10);
	if (errno == 0 && end != e->name && strcmp(end, RECORD_SUFFIX) == 0)
		stamp_seen(s, limit);
	return 0;
}

static int save_record(struct scan *s, int dirfd)
{
	AUTO_FREE uint8_t *p = calloc(STATE_SLOTS, STATE_SLOT_LEN);
	char name[64];
	struct stat st;
	ssize_t n = 0;
	int fd, r;

	if (!p)
		return -ENOMEM;
	fd = lower_open_regular(s->l, s->p->root_fd, NAME_STATE, O_RDONLY, 0, &st);
	if (fd >= 0) {
		n = lower_pread(s->l, fd, p, STATE_SLOTS * STATE_SLOT_LEN, 0);
		lower_close(s->l, fd);
	}
	(void)snprintf(name, sizeof(name), "%llu" RECORD_SUFFIX, (unsigned long long)s->st.stamp_limit);
	fd = lower_open_regular(s->l, dirfd, name, O_RDWR | O_CREAT, 0600, &st);
	if (fd < 0)
		return fd;
	r = n > 0 ? lower_pwrite(s->l, fd, p, (size_t)n, 0, false) : 0;
	if (r == 0)
		r = s->l->ops->fsync(s->l, fd);
	lower_close(s->l, fd);
	return r < 0 ? r : s->l->ops->fsync(s->l, dirfd);
}

/* The new limit, recorded before it is used. */
static int set_limit(struct scan *s)
{
	int dirfd, r;

	r = s->l->ops->mkdirat(s->l, s->p->root_fd, NAME_QUARANTINE, 0700);
	if (r < 0 && r != -EEXIST)
		return r;
	dirfd = s->l->ops->openat(s->l, s->p->root_fd, NAME_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
	if (dirfd < 0)
		return dirfd;
	r = s->l->ops->readdir(s->l, dirfd, 0, look_at_record, s);
	if (r == 0 && s->stamp >= STAMP_MAX)
		r = -EOVERFLOW;
	if (r == 0) {
		s->st.stamp_limit = s->stamp + STATE_REMAKE_JUMP;
		s->st.serial = s->st.stamp_limit; /* above that of any slot of before */
		r = save_record(s, dirfd);
	}
	lower_close(s->l, dirfd);
	return r < 0 ? r : s->l->ops->fsync(s->l, s->p->root_fd);
}

static int remake(struct scan *s)
{
	struct stat st;
	int r;

	s->log_fd = lower_open_regular(s->l, s->p->root_fd, NAME_LOG, O_RDONLY, 0, &st);
	if (s->log_fd < 0 && s->log_fd != -ENOENT)
		return s->log_fd;
	s->blocks = s->log_fd < 0 ? 0 : (uint64_t)st.st_size / BLOCK_SIZE;
	if (s->blocks < LOG_BLOCKS_MIN) /* nothing in it counts; opening makes it anew */
		s->blocks = BLOCKS_DEFAULT;
	if (s->blocks > LOG_BLOCKS_MAX)
		return -EUCLEAN;
	s->st.log_blocks = s->blocks;
	stamp_seen(s, s->p->min_stamp_limit);
	stamp_seen(s, layout_get64(s->p->seen_generation));
	r = s->log_fd < 0 ? 0 : scan_ring(s);
	if (r == 0)
		r = find_run(s);
	return r < 0 ? r : set_limit(s);
}

int state_remake(const struct vio_params *p)
{
	AUTO_FREE struct scan *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->p = p;
	s->l = p->lower;
	s->log_fd = -1;
	s->bc = blockcrypt_get();
	s->st.fsid = UINT64_MAX;
	r = s->bc ? remake(s) : -ENOMEM;
	if (r == 0)
		r = state_put_both(p->lower, p->root_fd, p->ring, &s->st);
	lower_close(p->lower, s->log_fd < 0 ? -1 : s->log_fd);
	free(s->parts);
	if (r < 0)
		return log_ret(r, NAME_STATE " cannot be made anew");
	log_warning(NAME_STATE ": no slot verified; made anew from the log, stamps from %llu on", (unsigned long long)s->st.stamp_limit);
	return 0;
}
