/* fault.h: a struct lower around another one that counts calls and lets some fail. Descriptors are those of the inner one, which is not
 * lower_real() for ioq any more (no io_uring), but may be lower_real() below. A scenario is run once to count its calls, then once for each n = 1..total:
 *
 *	struct fault *f = fault_new(inner);
 *	for (n = 1; ; n++) { fault_fail(f, FAULT_ALL, n, EIO, 1, 0); scenario(fault_lower(f)); if (!fault_happened(f)) break; }
 *
 * A call that fails is not made; but close(2) always closes. A flush that fails loses nothing here: for that there is simfs_fail_flush. Thread safe. */
#ifndef COFFER_TESTS_LIB_FAULT_H
#define COFFER_TESTS_LIB_FAULT_H

#include "io/lower.h"

#define FAULT_KINDS(X)                                                                                              \
	X(openat) X(reopen) X(close) X(preadv) X(pwritev) X(fdatasync) X(fsync) X(syncfs) X(ftruncate) X(fallocate)     \
	X(fstat) X(fstatat) X(statfs) X(futimens) X(utimensat) X(fchmod) X(fchownat) X(mkdirat) X(mknodat) X(symlinkat) \
	X(readlinkat) X(linkat) X(unlinkat) X(renameat2) X(readdir) X(name_to_handle) X(open_by_handle) X(lock) \
	X(fgetxattr) X(fsetxattr) X(flistxattr) X(fremovexattr)

enum fault_kind {
#define FAULT_ENUM(name) FAULT_KIND_##name,
	FAULT_KINDS(FAULT_ENUM)
#undef FAULT_ENUM
	FAULT_KIND_COUNT
};

/* Sets of kinds: FAULT_OF(pwritev) | FAULT_OF(ftruncate). */
#define FAULT_OF(name) (1ull << FAULT_KIND_##name)
#define FAULT_ALL ((1ull << FAULT_KIND_COUNT) - 1)
#define FAULT_WRITES (FAULT_OF(pwritev) | FAULT_OF(ftruncate) | FAULT_OF(fallocate))
#define FAULT_FLUSHES (FAULT_OF(fdatasync) | FAULT_OF(fsync) | FAULT_OF(syncfs))
#define FAULT_NAMES                                                                                                  \
	(FAULT_OF(mkdirat) | FAULT_OF(mknodat) | FAULT_OF(symlinkat) | FAULT_OF(linkat) | FAULT_OF(unlinkat) | FAULT_OF(renameat2))

struct fault;

/* inner is borrowed. NULL: out of memory. */
struct fault *fault_new(struct lower *inner);
void fault_free(struct fault *f);
struct lower *fault_lower(struct fault *f);

#define FAULT_FOREVER UINT64_MAX
#define FAULT_PARTIAL (1u << 0) /* a failing pwritev has written the first half (whole sectors), a failing preadv returns it */

/* From now on: of the calls of these kinds the n-th (1 is the next one) fails with err, and those after it up to `times` of them. Sets the counters
 * to 0. kinds 0: nothing fails. */
void fault_fail(struct fault *f, uint64_t kinds, uint64_t n, int err, uint64_t times, unsigned flags);
/* While it is paused nothing fails or is counted as one that may: the test looks around. */
void fault_pause(struct fault *f, bool paused);
/* Has anything failed since? */
bool fault_happened(struct fault *f);
/* Calls of these kinds since. */
uint64_t fault_calls(struct fault *f, uint64_t kinds);
/* The kind of the first call that failed, as text; "none". */
const char *fault_what(struct fault *f);

/* Told before and behind each pwritev, fdatasync, fsync, syncfs, ftruncate and fallocate that is not made to fail. NULL: nobody. */
typedef void fault_watch_fn(void *arg, enum fault_kind kind, int fd, bool before);
void fault_watch(struct fault *f, fault_watch_fn *fn, void *arg);

/* How deep this thread is in calls of inner layers: what they allocate is none of the scenario's business. But not in readdir's callback. */
extern __thread unsigned fault_below;

#endif
