/* state.c: see state.h; docs/format.md section 4 has the bytes, docs/internals.md the rules.
 *
 * Invariants
 *   disk    at any instant at least one slot is whole, and holds what was stored last or the store before it
 *   durable the slot (index) whose content is known to be on disk; a store never goes over it
 *   limit   raised in memory only when both slots hold it: should the newer slot rot, the older one must not hand out a stamp twice
 *   serial  rises with every slot that is written, also with one whose write failed: what is on disk then is unknown
 *
 * Two locks: store_m is held over the writes and flushes, so that stores go one after the other; m guards the copy in memory and is
 * never held over I/O, because every commit takes a copy. Stamps need neither until they run out.
 *
 * Slots are read past the page cache: after a failed flush and a kill the cache shows what the disk does not have. */
#include "io/state.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

#include "base/lock.h"
#include "base/secret.h"
#include "io/rules.h"

struct state {
	struct lower *l;                 /* constant, as are the next five */
	const struct key_ring *ring;
	int fd;
	unsigned rules_off;
	struct lower_handle here;        /* of the directory, as found at open */
	uint64_t here_fsid;
	bool copy;

	struct lock store_m;
	unsigned durable_slot;           /* lock: store_m */
	uint64_t serial;                 /* lock: store_m. the last one written, or tried */

	struct lock m;
	struct volume_state cur;         /* lock: m; changed with store_m held too */

	_Atomic uint64_t next, limit;    /* stamps next .. limit - 1 are reserved and not used */
};

/* ---- slots ---- */

static int slot_put(struct state *s, unsigned slot, const struct volume_state *v)
{
	uint8_t p[STATE_SLOT_LEN];
	struct blockcrypt *bc = blockcrypt_get();
	uint64_t nonce;
	int r;

	if (!bc)
		return -ENOMEM;
	r = secret_random(&nonce, sizeof(nonce));
	if (r < 0)
		return r;
	r = volume_state_seal(bc, s->ring, v, slot, nonce, p);
	if (r < 0)
		return r;
	return lower_pwrite(s->l, s->fd, p, sizeof(p), (uint64_t)slot * STATE_SLOT_LEN, false);
}

/* Write v into the slot that is not the one known durable. lock: store_m */
static int slot_write(struct state *s, struct volume_state *v)
{
	if (__builtin_add_overflow(s->serial, 1, &s->serial))
		return -EOVERFLOW;
	v->serial = s->serial;
	return slot_put(s, !s->durable_slot, v);
}

/* The slot just written counts. */
static void slot_counts(struct state *s, const struct volume_state *v)
{
	s->durable_slot = !s->durable_slot;
	lock_take(&s->m);
	s->cur = *v;
	lock_drop(&s->m);
}

/* lock: store_m */
static int store_one(struct state *s, struct volume_state *v)
{
	int r;

	r = slot_write(s, v);
	if (r == 0)
		r = s->l->ops->fdatasync(s->l, s->fd);
	if (r < 0)
		return r;
	slot_counts(s, v);
	return 0;
}

/* lock: store_m. With slotorder switched off: both are written, then flushed at once. */
static int store_both(struct state *s, struct volume_state *v)
{
	int r;

	if (!rule_on(s, slotorder)) {
		r = slot_write(s, v);
		if (r < 0)
			return r;
		slot_counts(s, v);
		return store_one(s, v);
	}
	r = store_one(s, v);
	if (r < 0)
		return r;
	return rule_on(s, bothslots) ? store_one(s, v) : 0;
}

/* ---- stamps ---- */

static uint64_t stamps_left(struct state *s)
{
	uint64_t limit = atomic_load(&s->limit), next = atomic_load(&s->next);

	return next < limit ? limit - next : 0;
}

/* lock: store_m. v: what to store, but for the limit. */
static int store_with_stamps(struct state *s, struct volume_state *v)
{
	int r;

	if (__builtin_add_overflow(v->stamp_limit, STATE_STAMP_RANGE, &v->stamp_limit))
		return -EOVERFLOW;
	r = store_both(s, v);
	if (r < 0)
		return r;
	atomic_store(&s->limit, v->stamp_limit);
	return 0;
}

static int reserve_more(struct state *s)
{
	struct volume_state v;

	state_get(s, &v);
	return store_with_stamps(s, &v);
}

int state_reserve_stamps(struct state *s)
{
	WITH_LOCK(&s->store_m);
	return stamps_left(s) > STATE_STAMP_RANGE / 2 ? 0 : reserve_more(s);
}

bool state_stamp_is_ahead(const struct state *s, uint64_t stamp)
{
	return stamp >= atomic_load(&s->next);
}

void state_skip_to(struct state *s, uint64_t limit)
{
	WITH_LOCK(&s->m);
	if (limit <= s->cur.stamp_limit)
		return;
	s->cur.stamp_limit = limit;
	atomic_store(&s->next, limit);
	atomic_store(&s->limit, limit);
}

bool state_stamps_low(struct state *s)
{
	return stamps_left(s) < STATE_STAMP_RANGE / 2;
}

/* Never takes a stamp at or above the limit, so nothing is lost when they run out. */
static bool stamps_take(struct state *s, uint64_t n, uint64_t *ret_first)
{
	uint64_t first = atomic_load(&s->next);

	do {
		uint64_t limit = atomic_load(&s->limit);

		if (first > limit || limit - first < n)
			return false;
	} while (!atomic_compare_exchange_weak(&s->next, &first, first + n));
	*ret_first = first;
	return true;
}

int state_stamps(struct state *s, uint64_t n, uint64_t *ret_first)
{
	int r;

	if (n == 0 || n > STATE_STAMP_RANGE / 2)
		return -EINVAL;
	if (stamps_take(s, n, ret_first))
		return 0;
	WITH_LOCK(&s->store_m);
	while (!stamps_take(s, n, ret_first)) { /* somebody may have been here before us, or take all of it meanwhile */
		r = reserve_more(s);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what is stored ---- */

void state_get(struct state *s, struct volume_state *ret_v)
{
	WITH_LOCK(&s->m);
	*ret_v = s->cur;
}

bool state_is_copy(struct state *s)
{
	return s->copy;
}

int state_store(struct state *s, uint64_t tail, uint64_t tail_sequence, uint64_t durable, bool clean)
{
	struct volume_state v;

	WITH_LOCK(&s->store_m);
	state_get(s, &v);
	v.tail = tail;
	v.tail_sequence = tail_sequence;
	v.durable = durable;
	v.flags = clean ? STATE_FLAG_CLEAN : 0;
	return store_one(s, &v);
}

static int generation_new(uint64_t stamp, uint8_t ret_generation[static GENERATION_LEN])
{
	uint8_t g[GENERATION_LEN];
	int r;

	layout_put64(g, stamp);
	r = secret_random(g + 8, GENERATION_LEN - 8);
	if (r < 0)
		return r;
	memcpy(ret_generation, g, sizeof(g));
	return 0;
}

int state_new_generation(struct state *s, uint64_t log_blocks, uint64_t tail, uint64_t tail_sequence)
{
	struct volume_state v;
	uint64_t stamp;
	int r;

	WITH_LOCK(&s->store_m);
	state_get(s, &v);
	/* The first stamp that nothing has reserved: it is below the limit that is stored with it. */
	stamp = v.stamp_limit;
	r = generation_new(stamp, v.generation);
	if (r < 0)
		return r;
	if (log_blocks)
		v.log_blocks = log_blocks;
	v.tail = tail;
	v.tail_sequence = tail_sequence;
	v.durable = tail_sequence;
	v.flags = 0;
	v.root_handle = s->here;
	v.fsid = s->here_fsid;
	r = store_with_stamps(s, &v);
	if (r < 0)
		return r;
	atomic_store(&s->next, stamp + 1);
	return 0;
}

/* ---- making and opening ---- */

/* Where we are. A backing without handles has none, which agrees with a state that holds none. */
static int find_here(struct lower *l, int root_fd, struct lower_handle *ret_h, uint64_t *ret_fsid)
{
	struct lower_handle h = { 0 };
	struct statvfs st;
	uint64_t magic;
	int r;

	r = l->ops->name_to_handle(l, root_fd, &h);
	if (r < 0)
		h.len = 0;
	r = l->ops->statfs(l, root_fd, &st, ret_fsid, &magic);
	if (r < 0)
		return r;
	*ret_h = h;
	return 0;
}

static bool same_handle(const struct lower_handle *a, const struct lower_handle *b)
{
	return a->len == b->len && (a->len == 0 || (a->type == b->type && memcmp(a->bytes, b->bytes, a->len) == 0));
}

int state_format(struct lower *l, int root_fd, const struct key_ring *ring, uint64_t log_blocks)
{
	/* Stamp 1 is the generation's, so the limit is 2. Slot 1 is written last and has the higher serial. */
	struct volume_state v = { .stamp_limit = 2, .log_blocks = log_blocks, .flags = STATE_FLAG_CLEAN };
	struct state s = { .l = l, .ring = ring };
	struct stat st;
	unsigned slot;
	int r;

	r = generation_new(1, v.generation);
	if (r < 0)
		return r;
	r = find_here(l, root_fd, &v.root_handle, &v.fsid);
	if (r < 0)
		return r;
	s.fd = lower_open_regular(l, root_fd, NAME_STATE, O_RDWR | O_CREAT | O_EXCL, 0600, &st);
	if (s.fd < 0)
		return s.fd;
	for (slot = 0; slot < STATE_SLOTS && r == 0; slot++) {
		v.serial++;
		r = slot_put(&s, slot, &v);
	}
	if (r == 0)
		r = l->ops->fsync(l, s.fd);
	lower_close(l, s.fd);
	return r;
}

int state_put_both(struct lower *l, int root_fd, const struct key_ring *ring, const struct volume_state *v)
{
	struct state s = { .l = l, .ring = ring };
	struct volume_state slot = *v;
	struct stat st;
	unsigned i;
	int r = 0;

	s.fd = lower_open_regular(l, root_fd, NAME_STATE, O_RDWR | O_CREAT, 0600, &st);
	if (s.fd < 0)
		return s.fd;
	for (i = 0; i < STATE_SLOTS && r == 0; i++) {
		slot.serial++;
		r = slot_put(&s, i, &slot);
		if (r == 0)
			r = l->ops->fsync(l, s.fd);
	}
	lower_close(l, s.fd);
	return r < 0 ? r : l->ops->fsync(l, root_fd);
}

/* Both slots into p, past the page cache where the backing can; the number of bytes there are. */
static ssize_t slots_read(struct state *s, uint8_t *p)
{
	int direct = -EINVAL;
	ssize_t n = -EINVAL;

	if (rule_on(s, directlog))
		direct = s->l->ops->reopen(s->l, s->fd, O_RDONLY | O_DIRECT);
	if (direct < 0 && direct != -EINVAL && direct != -EOPNOTSUPP)
		return direct;
	if (direct >= 0) {
		n = lower_pread(s->l, direct, p, STATE_SLOTS * STATE_SLOT_LEN, 0);
		lower_close(s->l, direct);
	}
	if (n == -EINVAL)
		n = lower_pread(s->l, s->fd, p, STATE_SLOTS * STATE_SLOT_LEN, 0);
	return n;
}

/* The valid slot with the highest serial, of those that are whole in n bytes. */
static int slots_choose(struct state *s, const uint8_t *p, size_t n)
{
	struct blockcrypt *bc = blockcrypt_get();
	int why = -EBADMSG;
	bool found = false;
	unsigned slot;

	if (!bc)
		return -ENOMEM;
	for (slot = 0; slot < STATE_SLOTS && (slot + 1) * (size_t)STATE_SLOT_LEN <= n; slot++) {
		struct volume_state v;
		int r;

		r = volume_state_open(bc, s->ring, slot, p + (size_t)slot * STATE_SLOT_LEN, &v);
		if (r == -EOPNOTSUPP)
			why = r;
		if (r == -ENOMEM || r == -EIO)
			return r;
		if (r < 0 || (found && v.serial <= s->cur.serial))
			continue;
		s->cur = v;
		s->durable_slot = slot;
		found = true;
	}
	return found ? 0 : why;
}

static int state_load(struct state *s, int root_fd, bool read_only)
{
	AUTO_FREE uint8_t *p = NULL;
	struct stat st;
	ssize_t n;
	int r;

	s->fd = lower_open_regular(s->l, root_fd, NAME_STATE, read_only ? O_RDONLY : O_RDWR, 0, &st);
	if (s->fd < 0)
		return s->fd;
	if (!read_only && rule_on(s, mountsync)) {
		r = s->l->ops->fsync(s->l, s->fd);
		if (r < 0)
			return r;
	}
	p = aligned_alloc(STATE_SLOT_LEN, STATE_SLOTS * STATE_SLOT_LEN);
	if (!p)
		return -ENOMEM;
	n = slots_read(s, p);
	if (n < 0)
		return (int)n;
	r = slots_choose(s, p, (size_t)n);
	if (r < 0)
		return r;
	s->serial = s->cur.serial;
	atomic_store(&s->next, s->cur.stamp_limit); /* some below it may be unused: nobody knows which */
	atomic_store(&s->limit, s->cur.stamp_limit);
	r = find_here(s->l, root_fd, &s->here, &s->here_fsid);
	if (r < 0)
		return r;
	s->copy = s->here_fsid != s->cur.fsid || !same_handle(&s->here, &s->cur.root_handle);
	return 0;
}

int state_open(struct lower *l, int root_fd, const struct key_ring *ring, bool read_only, unsigned rules_off,
	       struct state **ret_s)
{
	struct state *s;
	int r;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->l = l;
	s->ring = ring;
	s->fd = -1;
	s->rules_off = rules_off;
	lock_init(&s->store_m, LOCK_RANK_STATE);
	lock_init(&s->m, LOCK_RANK_POOL);
	r = state_load(s, root_fd, read_only);
	if (r < 0) {
		state_close(s);
		return r;
	}
	*ret_s = s;
	return 0;
}

void state_close(struct state *s)
{
	if (!s)
		return;
	lower_close(s->l, s->fd);
	lock_done(&s->store_m);
	lock_done(&s->m);
	free(s);
}
