/* lock.h: mutexes with ranks. With --enable-developer each lock knows its rank and a thread that takes a
 * lock of a rank not above all those it holds aborts: an ABBA shows in one thread, no race needed.
 * Without, a struct lock is a pthread_mutex_t. The ranks stand in docs/internals.md, "Locks". Header only, but for lock_held. */
#ifndef COFFER_BASE_LOCK_H
#define COFFER_BASE_LOCK_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* Low ranks are taken first (outermost). */
enum lock_rank {
	LOCK_RANK_AGENT = 10,
	LOCK_RANK_CKPT = 40,          /* io: one checkpoint at a time */
	LOCK_RANK_FILE_SHAPE = 50,    /* io: a file's rwlock: truncate against reads and writes */
	LOCK_RANK_FLUSH = 55,         /* io: one flush of a file's home writes at a time */
	LOCK_RANK_RANGE = 60,         /* io: hashed group locks, taken in rising index order */
	LOCK_RANK_FILE = 70,          /* io: a file's maps and views */
	LOCK_RANK_STATE = 75,         /* io: the state slots */
	LOCK_RANK_COMMIT = 80,        /* io: who commits, who waits */
	LOCK_RANK_VOLUME = 90,        /* io: lists and counters of the volume */
	LOCK_RANK_POOL = 100,         /* leaves: buffer pools, fd cache, io queue */
	LOCK_RANK_FS = 110,           /* fs: the one lock of a volume's inodes, a leaf: also taken in callbacks of io */
};

struct lock {
	pthread_mutex_t m;
#if COFFER_DEVELOPER
	int rank;
#endif
};

#if COFFER_DEVELOPER
#define LOCK_HELD_MAX 64
struct lock_held {
	int rank[LOCK_HELD_MAX];
	int n;
};
extern __thread struct lock_held lock_held; /* base/lock.c */

static inline void lock_rank_push(int rank)
{
	assert(lock_held.n < LOCK_HELD_MAX);
	assert(lock_held.n == 0 || lock_held.rank[lock_held.n - 1] < rank ||
	       (rank == LOCK_RANK_RANGE && lock_held.rank[lock_held.n - 1] == rank));
	lock_held.rank[lock_held.n++] = rank;
}

static inline void lock_rank_pop(int rank)
{
	int i;

	for (i = lock_held.n - 1; i >= 0 && lock_held.rank[i] != rank; i--)
		;
	assert(i >= 0);
	for (lock_held.n--; i < lock_held.n; i++)
		lock_held.rank[i] = lock_held.rank[i + 1];
}
#else
static inline void lock_rank_push(int rank)
{
	(void)rank;
}

static inline void lock_rank_pop(int rank)
{
	(void)rank;
}
#endif

static inline void lock_init(struct lock *l, enum lock_rank rank)
{
	pthread_mutex_init(&l->m, NULL);
#if COFFER_DEVELOPER
	l->rank = (int)rank;
#else
	(void)rank;
#endif
}

static inline void lock_done(struct lock *l)
{
	pthread_mutex_destroy(&l->m);
}

static inline void lock_take(struct lock *l)
{
#if COFFER_DEVELOPER
	lock_rank_push(l->rank);
#endif
	pthread_mutex_lock(&l->m);
}

static inline void lock_drop(struct lock *l)
{
	pthread_mutex_unlock(&l->m);
#if COFFER_DEVELOPER
	lock_rank_pop(l->rank);
#endif
}

/* Wait on c with l held; l is dropped meanwhile and held again on return. */
static inline void lock_wait(struct lock *l, pthread_cond_t *c)
{
#if COFFER_DEVELOPER
	lock_rank_pop(l->rank);
#endif
	pthread_cond_wait(c, &l->m);
#if COFFER_DEVELOPER
	lock_rank_push(l->rank);
#endif
}

/* The same, at most until then (CLOCK_MONOTONIC; base/clock.h: clock_after_ms). false: it is then. */
static inline bool lock_wait_until(struct lock *l, pthread_cond_t *c, const struct timespec *until)
{
	int r;

#if COFFER_DEVELOPER
	lock_rank_pop(l->rank);
#endif
	r = pthread_cond_clockwait(c, &l->m, CLOCK_MONOTONIC, until);
#if COFFER_DEVELOPER
	lock_rank_push(l->rank);
#endif
	return r != ETIMEDOUT;
}

/* A rwlock at which a writer waits for those that hold it, not for those that come after: as it is made by default, readers who relieve each other keep it
 * out for ever. Nobody may take it twice. */
static inline void lock_rw_init(pthread_rwlock_t *l)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
#ifdef __GLIBC__
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	pthread_rwlock_init(l, &a);
	pthread_rwlockattr_destroy(&a);
}

static inline void lock_drop_p(struct lock **l)
{
	lock_drop(*l);
}

/* Hold l to the end of the scope: WITH_LOCK(&f->m); */
#define LOCK_NAME2(a, b) a##b
#define LOCK_NAME(a, b) LOCK_NAME2(a, b)
#define WITH_LOCK(l)                                                                        \
	__attribute__((cleanup(lock_drop_p), unused)) struct lock *LOCK_NAME(held_, __LINE__) = \
		(lock_take(l), (l))

#endif
