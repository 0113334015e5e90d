/* vio.c: opening and closing a volume's I/O, the room that writers wait for, and the thread that commits and checkpoints in the background.
 *
 * Bounds (DESIGN section 5): what waits for the log (pend_blocks) starts a commit at pend_soft and makes writers commit themselves at pend_hard, so that the
 * pending changes of one file always fit the log; sealed blocks in memory and groups whose metadata is not home (dirty_blocks) start a checkpoint at half
 * the dirty bound and make writers checkpoint at the bound. */
#include "io/vio_impl.h"

#include "base/clock.h"
#include "io/freeze.h"
#include "io/quarantine.h"
#include "io/replay.h"
#include "io/state_remake.h"

#include "base/log.h"
#include "base/priv.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define CACHE_DEFAULT (64u << 20)
#define DIRTY_DEFAULT (128u << 20)
#define RESERVE_SLACK (16u << 20)
#define COMMIT_DEFAULT 5u
#define IDLE_CHECKPOINT_MS 30000u
#define IOQ_DEPTH 64u
#define ZERO_CHUNK (1u << 20)
#define RESERVE_TRIES 8u                 /* commits that fail and make no room, until a write fails with them */
#define PEND_SOFT_MAX 16384u             /* blocks: 64 MiB of changes are enough for one commit, however large the log is */

/* A transaction is closed when it has pend_hard blocks, and the last file of it can have as many; a quarter more for descriptors. */
_Static_assert(PEND_SOFT_MAX * 3 / 2 * 2 * 5 / 4 <= VIO_TX_BLOCKS_MAX, "every transaction can be written");

/* ---- what each thread has */

struct thread_own {
	uint8_t *scratch, *heads;
	struct ioq *q;
	struct lower *q_lower;
	bool q_real;             /* q_lower->real when q was made */
};

static pthread_key_t own_key;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;

static void own_free(void *p)
{
	struct thread_own *o = p;

	if (o->scratch)
		munmap(o->scratch, VIO_SCRATCH_LEN);
	if (o->heads)
		secret_wipe(o->heads, VIO_HEADS_LEN);
	free(o->heads);
	ioq_free(o->q);
	free(o);
}

static void own_make_key(void)
{
	(void)pthread_key_create(&own_key, own_free);
}

static struct thread_own *own_get(void)
{
	struct thread_own *o;

	pthread_once(&own_once, own_make_key);
	o = pthread_getspecific(own_key);
	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (o && pthread_setspecific(own_key, o) != 0) {
		free(o);
		return NULL;
	}
	return o;
}

uint8_t *vio_scratch(struct vio *v)
{
	struct thread_own *o = own_get();
	void *p;

	(void)v;
	if (!o || o->scratch)
		return o ? o->scratch : NULL;
	p = mmap(NULL, VIO_SCRATCH_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, VIO_SCRATCH_LEN, MADV_HUGEPAGE);
	(void)madvise(p, VIO_SCRATCH_LEN, MADV_DONTDUMP);
	o->scratch = p;
	return p;
}

uint8_t *vio_heads(struct vio *v)
{
	struct thread_own *o = own_get();

	(void)v;
	if (o && !o->heads)
		o->heads = aligned_alloc(BLOCK_SIZE, VIO_HEADS_LEN);
	return o ? o->heads : NULL;
}

void vio_forget_thread(void)
{
	struct thread_own *o;

	pthread_once(&own_once, own_make_key);
	o = pthread_getspecific(own_key);
	(void)pthread_setspecific(own_key, NULL);
	if (o)
		own_free(o);
	blockcrypt_drop();
	secret_wipe_stack();
}

struct ioq *vio_ioq(struct vio *v)
{
	struct thread_own *o = own_get();

	if (!o)
		return NULL;
	if (o->q && (o->q_lower != v->l || o->q_real != v->l->real)) {
		ioq_free(o->q);
		o->q = NULL;
	}
	if (!o->q && ioq_new(v->l, IOQ_DEPTH, &o->q) < 0)
		return NULL;
	o->q_lower = v->l;
	o->q_real = v->l->real;
	return o->q;
}

/* ---- telling */

void vio_event(struct vio *v, enum vio_event ev, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (v->p.cb.event)
		v->p.cb.event(v->p.cb.ctx, ev, text);
}

void vio_turn_read_only(struct vio *v, const char *why, int err)
{
	if (atomic_exchange(&v->read_only, true))
		return;
	log_err("volume is read-only from now on: %s: %s; unmount, look at the backing filesystem, mount again", why, err_text(err));
	vio_event(v, VIO_EVENT_READ_ONLY, "%s: %s", why, err_text(err));
	lock_take(&v->m);
	pthread_cond_broadcast(&v->room);
	lock_drop(&v->m);
}

bool vio_is_read_only(const struct vio *v)
{
	return atomic_load(&v->read_only);
}

struct lower *vio_lower(struct vio *v)
{
	return v->l;
}

/* ---- room */

void vio_pend(struct vio *v, int64_t pend, int64_t dirty)
{
	WITH_LOCK(&v->m);
	v->pend_blocks += (uint64_t)pend;
	v->dirty_blocks += (uint64_t)dirty;
}

void vio_kick(struct vio *v)
{
	WITH_LOCK(&v->timer_m);
	if (v->kick || !v->timer_runs)
		return;
	v->kick = true;
	pthread_cond_signal(&v->timer_cond);
}

static bool log_half_full(struct vio *v)
{
	return atomic_load(&v->head) - atomic_load(&v->tail) > v->log_blocks / 2;
}

/* lock: v->m */
static bool has_room(const struct vio *v, uint64_t n)
{
	return (v->pend_blocks == 0 || v->pend_blocks + n <= v->pend_hard) &&
	       (v->dirty_blocks == 0 || v->dirty_blocks + n <= v->dirty_max);
}

/* Reserve n, or wait: for writes under way alone if nothing else stands before us. 1: commit, and at the dirty bound checkpoint, then try again. */
static int try_reserve(struct vio *v, uint64_t n, uint64_t *ret_stand, bool *ret_checkpoint)
{
	WITH_LOCK(&v->m);
	while (!has_room(v, n) && v->pend_blocks == v->reserved && v->reserved > 0 &&
	       v->dirty_blocks + n <= v->dirty_max && !vio_is_read_only(v))
		lock_wait(&v->m, &v->room);
	*ret_stand = v->pend_blocks + v->dirty_blocks;
	*ret_checkpoint = v->dirty_blocks + n > v->dirty_max;
	if (!has_room(v, n))
		return 1;
	v->pend_blocks += n;
	v->reserved += n;
	return 0;
}

/* An error of the commit is some file's; it is the writer's only if because of it there is no room, again and again: others may have taken what it made.
 * Where nothing went away without an error, somebody still holds what will (a discarded file in a checkpoint's list, blocks of a write under way): look
 * again a little later. */
int vio_reserve(struct vio *v, uint64_t n)
{
	uint64_t stand, before = 0;
	unsigned stuck = 0;
	bool checkpoint;
	int r = 0, rc;

	for (;;) {
		if (vio_is_read_only(v))
			return -EROFS;
		rc = try_reserve(v, n, &stand, &checkpoint);
		if (rc == 0)
			return 0;
		if (before && stand >= before) {
			if (r < 0 && ++stuck == RESERVE_TRIES)
				return r;
			clock_pause_ms(1);
		}
		before = stand;
		r = log_commit(v, NULL);
		rc = checkpoint ? checkpoint_run(v) : 0;
		r = r == 0 ? rc : r;
	}
}

void vio_unreserve(struct vio *v, uint64_t n)
{
	bool kick;

	lock_take(&v->m);
	v->pend_blocks -= n;
	v->reserved -= n;
	kick = v->pend_blocks >= v->pend_soft || v->dirty_blocks >= v->dirty_max / 2;
	pthread_cond_broadcast(&v->room);
	lock_drop(&v->m);
	if (kick || log_half_full(v))
		vio_kick(v);
}

/* ---- the background thread */

static void background(struct vio *v, bool periodic, uint64_t *idle_since)
{
	uint64_t commits = atomic_load(&v->commits), now = clock_boot_ms();
	bool commit, checkpoint;

	lock_take(&v->m);
	commit = periodic || v->pend_blocks >= v->pend_soft;
	lock_drop(&v->m);
	if (commit && log_commit(v, NULL) < 0)
		log_warning("the periodic commit failed for some files; their next fsync says so");
	if (atomic_load(&v->commits) != commits)
		*idle_since = now;
	lock_take(&v->m);
	checkpoint = v->dirty_blocks >= v->dirty_max / 2 || log_half_full(v);
	lock_drop(&v->m);
	if (checkpoint || now - *idle_since >= IDLE_CHECKPOINT_MS) {
		if (checkpoint_run(v) < 0)
			return;
		*idle_since = now;
	}
	if (state_stamps_low(v->state) && state_reserve_stamps(v->state) < 0)
		log_warning("coffer.state: cannot reserve stamps ahead; trying again");
	/* While it is not whole nothing that needs space gets in, so no checkpoint with work to do may ever come. */
	if (!reserve_is_whole(v->reserve) && reserve_refill(v->reserve) == 0)
		vio_event(v, VIO_EVENT_RESERVE, "the ballast is whole again");
	vio_tell_seen(v);
	cache_trim(v, UINT64_MAX);
}

static void *timer_main(void *arg)
{
	struct vio *v = arg;
	uint64_t idle_since = clock_boot_ms();
	struct timespec until;
	bool kicked;

	priv_thread();
	for (;;) {
		until = clock_after_ms(v->p.commit_seconds * 1000ull);
		lock_take(&v->timer_m);
		while (!v->kick && !v->stopping && lock_wait_until(&v->timer_m, &v->timer_cond, &until))
			;
		kicked = v->kick;
		v->kick = false;
		if (v->stopping) {
			lock_drop(&v->timer_m);
			return NULL;
		}
		lock_drop(&v->timer_m);
		if (!vio_is_read_only(v))
			background(v, !kicked, &idle_since);
	}
}

static int timer_start(struct vio *v)
{
	int r;

	if (v->p.no_threads || v->p.read_only)
		return 0;
	r = pthread_create(&v->timer, NULL, timer_main, v);
	if (r != 0)
		return -r;
	v->timer_runs = true;
	return 0;
}

static void timer_stop(struct vio *v)
{
	lock_take(&v->timer_m);
	v->stopping = true;
	pthread_cond_signal(&v->timer_cond);
	lock_drop(&v->timer_m);
	if (v->timer_runs)
		pthread_join(v->timer, NULL);
	v->timer_runs = false;
}

/* ---- open and close */

static void init_lists(struct vio *v)
{
	v->dirty.dirty_prev = v->dirty.dirty_next = &v->dirty;
	v->home.home_prev = v->home.home_next = &v->home;
	v->fd_lru.fd_prev = v->fd_lru.fd_next = &v->fd_lru;
	v->fd_kept.fd_prev = v->fd_kept.fd_next = &v->fd_kept;
	cache_init(v);
	for (size_t i = 0; i < VIO_RANGE_LOCKS; i++)
		lock_rw_init(&v->range[i]);
	lock_init(&v->m, LOCK_RANK_VOLUME);
	lock_init(&v->commit_m, LOCK_RANK_COMMIT);
	lock_init(&v->ckpt_m, LOCK_RANK_CKPT);
	lock_init(&v->fd_m, LOCK_RANK_POOL);
	lock_init(&v->pool_m, LOCK_RANK_POOL);
	lock_init(&v->timer_m, LOCK_RANK_POOL);
	lock_init(&v->freeze.m, LOCK_RANK_POOL);
	pthread_cond_init(&v->commit_cond, NULL);
	pthread_cond_init(&v->room, NULL);
	pthread_cond_init(&v->timer_cond, NULL);
	pthread_cond_init(&v->freeze.cond, NULL);
	v->ticket_next = 1;
}

static void set_bounds(struct vio *v)
{
	struct rlimit rl;
	uint64_t dirty;

	if (!v->p.cache_bytes)
		v->p.cache_bytes = CACHE_DEFAULT;
	if (!v->p.dirty_bytes)
		v->p.dirty_bytes = DIRTY_DEFAULT;
	if (!v->p.commit_seconds)
		v->p.commit_seconds = COMMIT_DEFAULT;
	dirty = v->dirty_max = v->p.dirty_bytes / BLOCK_SIZE;
	v->pend_soft = dirty / 2 < v->log_blocks / 4 ? dirty / 2 : v->log_blocks / 4;
	if (v->pend_soft > PEND_SOFT_MAX)
		v->pend_soft = PEND_SOFT_MAX;
	v->pend_hard = v->pend_soft * 3 / 2;
	v->fds_max = 1024;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY)
		v->fds_max = rl.rlim_cur / 2 < 4096 ? (unsigned)(rl.rlim_cur / 2) : 4096;
}

static void vio_free(struct vio *v)
{
	replay_view_free(v->view);
	state_close(v->state);
	reserve_close(v->reserve);
	lower_close(v->l, v->log_fd);
	lower_close(v->l, v->ckpt_fd);
	cache_done(v);
	for (size_t i = 0; i < VIO_RANGE_LOCKS; i++)
		pthread_rwlock_destroy(&v->range[i]);
	lock_done(&v->m);
	lock_done(&v->commit_m);
	lock_done(&v->ckpt_m);
	lock_done(&v->fd_m);
	lock_done(&v->pool_m);
	lock_done(&v->timer_m);
	lock_done(&v->freeze.m);
	pthread_cond_destroy(&v->commit_cond);
	pthread_cond_destroy(&v->room);
	pthread_cond_destroy(&v->timer_cond);
	pthread_cond_destroy(&v->freeze.cond);
	free(v);
}

/* The log is empty. Larger: zeros first, then the state says so; smaller: the state first (the file keeps its length until then). */
static int resize_log(struct vio *v, uint64_t from, uint64_t to)
{
	uint8_t *zero = vio_scratch(v);
	uint64_t at = from * BLOCK_SIZE, end = to * BLOCK_SIZE;
	int r = 0;

	if (!zero)
		return -ENOMEM;
	memset(zero, 0, ZERO_CHUNK);
	for (; at < end && r == 0; at += ZERO_CHUNK)
		r = lower_pwrite(v->l, v->log_fd, zero, end - at < ZERO_CHUNK ? end - at : ZERO_CHUNK, at, false);
	return r < 0 ? r : v->l->ops->fsync(v->l, v->log_fd);
}

/* The log stays as it is, and what it holds of files is read through it. */
static int look_through(struct vio *v, const struct volume_state *st)
{
	struct replay *rp = NULL;
	struct replay_result res;
	int r;

	r = replay_look(&v->p, v->state, v->log_fd, &res, &rp);
	if (r < 0)
		return r;
	v->replayed = res.transactions;
	v->log_blocks = st->log_blocks;
	v->head = v->done_pos = res.head;
	v->seq = v->durable = v->done_seq = res.sequence;
	v->tail = st->tail;
	v->tail_seq = v->vouched = st->tail_sequence;
	if (res.transactions == 0) {
		replay_free(rp);
		return 0;
	}
	r = replay_view_new(&rp, &v->view);
	if (r == 0)
		replay_view_install(v->view, &v->ro);
	return r;
}

/* A log that is not there or too short, when what it held is given up: zeros in its place. */
static int mend_log(struct vio *v, uint64_t log_blocks)
{
	struct stat st;
	int r;

	v->log_fd = lower_open_regular(v->l, v->p.root_fd, NAME_LOG, O_RDWR | O_CREAT, 0600, &st);
	if (v->log_fd < 0)
		return v->log_fd;
	r = resize_log(v, (uint64_t)st.st_size / BLOCK_SIZE, log_blocks);
	if (r == 0)
		r = v->l->ops->fsync(v->l, v->p.root_fd);
	lower_close(v->l, v->log_fd);
	v->log_fd = -1;
	v->log_remade = r == 0;
	if (r == 0)
		log_warning("%s: was not there, or too short; made anew", NAME_LOG);
	return r;
}

static int open_log(struct vio *v, uint64_t log_blocks)
{
	int flags = v->p.read_only ? O_RDONLY : O_RDWR;
	struct stat st;
	int fd, direct;

	fd = lower_open_regular(v->l, v->p.root_fd, NAME_LOG, flags, 0, &st);
	if (v->p.accept_log_loss && (fd == -ENOENT || (fd >= 0 && (uint64_t)st.st_size < log_blocks * BLOCK_SIZE))) {
		lower_close(v->l, fd < 0 ? -1 : fd);
		fd = mend_log(v, log_blocks);
		if (fd == 0)
			fd = lower_open_regular(v->l, v->p.root_fd, NAME_LOG, flags, 0, &st);
	}
	if (fd < 0)
		return log_ret(fd, "%s", NAME_LOG);
	if ((uint64_t)st.st_size < log_blocks * BLOCK_SIZE) {
		lower_close(v->l, fd);
		return log_ret(-EUCLEAN, "%s: shorter than coffer.state says", NAME_LOG);
	}
	direct = v->l->ops->reopen(v->l, fd, flags | O_DIRECT);
	if (direct >= 0) {
		lower_close(v->l, fd);
		fd = direct;
	}
	v->log_fd = fd;
	return 0;
}

static int recover(struct vio *v, const struct volume_state *st)
{
	uint64_t want = v->p.log_blocks ? v->p.log_blocks : st->log_blocks;
	struct replay_result res;
	int r;

	if (v->p.read_only)
		return look_through(v, st);
	r = replay_run(&v->p, v->state, v->log_fd, v->p.accept_log_loss, false, &res);
	if (r == 0 && res.lost_first)
		r = quarantine_log(v->l, v->p.root_fd, v->log_fd, st->log_blocks, res.lost_first);
	if (r < 0)
		return r;
	v->replayed = res.transactions;
	v->lost_first = res.lost_first;
	v->lost_last = res.lost_last;
	v->log_blocks = want;
	r = want > st->log_blocks ? resize_log(v, st->log_blocks, want) : 0;
	if (r == 0)
		r = state_new_generation(v->state, want, res.head, res.sequence);
	if (r == 0 && want < st->log_blocks)
		(void)v->l->ops->ftruncate(v->l, v->log_fd, want * BLOCK_SIZE);
	if (r < 0)
		return log_ret(r, "%s", NAME_STATE);
	v->head = v->tail = v->done_pos = res.head;
	v->seq = v->durable = v->tail_seq = v->vouched = v->done_seq = res.sequence;
	return 0;
}

/* A clone that lived as long as the original has its stamps, but not its random bytes. */
static bool is_older(const struct vio *v, const struct volume_state *st)
{
	static const uint8_t none[GENERATION_LEN];
	const uint8_t *seen = v->p.seen_generation;
	uint64_t now_stamp, seen_stamp;

	if (st->stamp_limit < v->p.min_stamp_limit)
		return true;
	if (memcmp(seen, none, GENERATION_LEN) == 0)
		return false;
	now_stamp = layout_get64(st->generation);
	seen_stamp = layout_get64(seen);
	return now_stamp < seen_stamp || (now_stamp == seen_stamp && memcmp(st->generation, seen, GENERATION_LEN) != 0);
}

static int open_all(struct vio *v)
{
	struct volume_state st;
	int r;

	r = state_open(v->l, v->p.root_fd, v->p.ring, v->p.read_only, v->p.rules_off, &v->state);
	if (v->p.remake_state && (r == -EBADMSG || r == -EUCLEAN || r == -ENOENT)) {
		r = state_remake(&v->p);
		v->state_remade = r == 0;
		if (r == 0)
			r = state_open(v->l, v->p.root_fd, v->p.ring, false, v->p.rules_off, &v->state);
	}
	if (r < 0)
		return log_ret(r, "%s", NAME_STATE);
	state_get(v->state, &st);
	if (is_older(v, &st) && !v->p.accept_older)
		return log_ret(-ESTALE, "the volume is older than this host has seen it");
	if (v->p.accept_older)
		state_skip_to(v->state, v->p.min_stamp_limit);
	r = open_log(v, st.log_blocks);
	if (r < 0)
		return r;
	r = recover(v, &st);
	if (r < 0)
		return r;
	set_bounds(v);
	if (!v->p.read_only) {
		v->ckpt_fd = v->l->ops->openat(v->l, v->p.root_fd, ".", O_RDONLY | O_DIRECTORY, 0);
		if (v->ckpt_fd < 0)
			return log_ret(v->ckpt_fd, "the volume directory");
		r = reserve_open(v->l, v->p.root_fd, 2 * v->p.dirty_bytes + RESERVE_SLACK, &v->reserve);
		if (r < 0)
			return log_ret(r, "%s", NAME_RESERVE);
		if (!reserve_is_whole(v->reserve)) {
			log_warning("%s: not enough space for it; writes that need new space are refused", NAME_RESERVE);
			vio_event(v, VIO_EVENT_NO_RESERVE, "the ballast cannot be filled");
		}
	}
	if (!v->p.read_only) /* else nothing was stored, and what is there may not be durable */
		vio_tell_seen(v);
	return timer_start(v);
}

int vio_open(const struct vio_params *p, struct vio **ret_v)
{
	struct vio *v;
	int r;

	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->p = *p;
	v->l = p->lower;
	if (p->read_only) {
		lower_ro_init(&v->ro, p->lower);
		v->l = v->p.lower = &v->ro.l;
	}
	v->log_fd = v->ckpt_fd = -1;
	v->read_only = p->read_only;
	init_lists(v);
	r = open_all(v);
	if (r < 0) {
		vio_free(v);
		return r;
	}
	*ret_v = v;
	return 0;
}

int vio_close(struct vio *v)
{
	int r;

	r = freeze_end(v);
	if (r == -ETIMEDOUT) /* nobody came to end it */
		r = 0;
	timer_stop(v);
	if (!vio_is_read_only(v)) {
		r = log_commit(v, NULL);
		if (r == 0)
			r = checkpoint_run(v);
	}
	vio_free(v);
	return r;
}

void vio_abandon(struct vio *v)
{
	timer_stop(v);
	vio_free(v);
}

int vio_sync(struct vio *v)
{
	return v->p.read_only ? 0 : log_commit(v, NULL);
}

int vio_checkpoint(struct vio *v)
{
	return v->p.read_only ? 0 : checkpoint_run(v);
}

void vio_stats(struct vio *v, struct vio_stats *ret_s)
{
	struct vio_stats s = {
		.log_size_bytes = v->log_blocks * BLOCK_SIZE,
		.log_used_bytes = (atomic_load(&v->head) - atomic_load(&v->tail)) * BLOCK_SIZE,
		.read_bytes = atomic_load(&v->read_bytes),
		.write_bytes = atomic_load(&v->write_bytes),
		.replayed_transactions = v->replayed,
		.commits = atomic_load(&v->commits),
		.checkpoints = atomic_load(&v->checkpoints),
		.last_commit_ms = atomic_load(&v->last_commit_ms),
		.state_remade = v->state_remade,
		.log_remade = v->log_remade,
		.lost_first = v->lost_first,
		.lost_last = v->lost_last,
		.read_only = vio_is_read_only(v),
		.reserve_whole = v->reserve && reserve_is_whole(v->reserve),
	};

	for (unsigned k = 0; k < METER_KINDS; k++)
		s.integrity_failures += s.integrity[k] = atomic_load(&v->integrity[k]);
	meter_read(&v->commit_time, &s.commit);
	meter_read(&v->checkpoint_time, &s.checkpoint);
	lock_take(&v->m);
	s.dirty_bytes = v->dirty_blocks * BLOCK_SIZE;
	lock_drop(&v->m);
	*ret_s = s;
}
