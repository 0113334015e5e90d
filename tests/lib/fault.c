/* fault.c: each function asks hit() whether this call fails, and else passes it on. */
#include "fault.h"

#include <pthread.h>

__thread unsigned fault_below;

struct fault {
	struct lower l;          /* first */
	struct lower *inner;
	pthread_mutex_t m;
	uint64_t kinds;
	unsigned flags;
	uint64_t n, times, seen; /* seen: calls of these kinds */
	int err;
	uint64_t calls[FAULT_KIND_COUNT];
	int first;               /* kind of the first that failed; -1 */
	bool paused;
	fault_watch_fn *watch;
	void *watch_arg;
};

static struct lower *inner_of(struct lower *l)
{
	return ((struct fault *)l)->inner;
}

/* 0, or -errno when this call is to fail. */
static int hit(struct lower *l, enum fault_kind kind)
{
	struct fault *f = (struct fault *)l;
	int r = 0;

	pthread_mutex_lock(&f->m);
	f->calls[kind]++;
	if (f->kinds & 1ull << kind && !f->paused) {
		f->seen++;
		if (f->seen >= f->n && f->seen - f->n < f->times) {
			r = -f->err;
			if (f->first < 0)
				f->first = (int)kind;
		}
	}
	pthread_mutex_unlock(&f->m);
	return r;
}

/* The value of a call of the inner layer. */
#define BELOW(call)                                                                                                 \
	__extension__({                                                                                             \
		__typeof__(call) below_;                                                                            \
                                                                                                                    \
		fault_below++;                                                                                      \
		below_ = (call);                                                                                    \
		fault_below--;                                                                                      \
		below_;                                                                                             \
	})

#define IOV_PART_MAX 1024

/* The first half of what iov holds, in whole sectors. */
static int half_of(const struct iovec *iov, int n, struct iovec part[static IOV_PART_MAX])
{
	size_t sum = 0;
	int k;

	for (k = 0; k < n; k++)
		sum += iov[k].iov_len;
	sum = sum / 2 / 512 * 512;
	for (k = 0; k < n && k < IOV_PART_MAX && sum > 0; k++) {
		part[k] = iov[k];
		if (part[k].iov_len > sum)
			part[k].iov_len = sum;
		sum -= part[k].iov_len;
	}
	return k;
}

static void watch(struct lower *l, enum fault_kind kind, int fd, bool before)
{
	struct fault *f = (struct fault *)l;

	if (f->watch)
		f->watch(f->watch_arg, kind, fd, before);
}
static ssize_t fault_preadv(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off)
{
	struct lower *in = inner_of(l);
	int r = hit(l, FAULT_KIND_preadv), k;

	if (r < 0 && (((struct fault *)l)->flags & FAULT_PARTIAL)) {
		AUTO_FREE struct iovec *part = calloc(IOV_PART_MAX, sizeof(*part));

		k = part ? half_of(iov, n, part) : 0;
		return k > 0 ? in->ops->preadv(in, fd, part, k, off) : r;
	}
	return r < 0 ? r : BELOW(in->ops->preadv(in, fd, iov, n, off));
}

static ssize_t fault_pwritev(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off, bool dsync)
{
	struct lower *in = inner_of(l);
	int r = hit(l, FAULT_KIND_pwritev), k;
	ssize_t done;

	if (r < 0 && (((struct fault *)l)->flags & FAULT_PARTIAL)) {
		AUTO_FREE struct iovec *part = calloc(IOV_PART_MAX, sizeof(*part));

		k = part ? half_of(iov, n, part) : 0;
		if (k > 0)
			(void)in->ops->pwritev(in, fd, part, k, off, false);
	}
	if (r < 0)
		return r;
	watch(l, FAULT_KIND_pwritev, fd, true);
	done = BELOW(in->ops->pwritev(in, fd, iov, n, off, dsync));
	watch(l, FAULT_KIND_pwritev, fd, false);
	return done;
}

static int fault_close(struct lower *l, int fd)
{
	struct lower *in = inner_of(l);
	int r = hit(l, FAULT_KIND_close), r2 = BELOW(in->ops->close(in, fd));

	return r < 0 ? r : r2;
}

/* The others: name, type of the result, parameters, what is passed on. */
#define PASS(name, type, params, ...)                                                                               \
	static type fault_##name params                                                                             \
	{                                                                                                           \
		struct lower *in = inner_of(l);                                                                     \
		int r = hit(l, FAULT_KIND_##name);                                                                  \
                                                                                                                    \
		return r < 0 ? r : BELOW(in->ops->name(in, __VA_ARGS__));                                              \
	}

/* The same, and the watcher is told. */
#define WATCHED(name, params, ...)                                                                                  \
	static int fault_##name params                                                                              \
	{                                                                                                           \
		struct lower *in = inner_of(l);                                                                     \
		int r = hit(l, FAULT_KIND_##name);                                                                  \
                                                                                                                    \
		if (r < 0)                                                                                          \
			return r;                                                                                   \
		watch(l, FAULT_KIND_##name, fd, true);                                                              \
		r = BELOW(in->ops->name(in, __VA_ARGS__));                                                          \
		watch(l, FAULT_KIND_##name, fd, false);                                                             \
		return r;                                                                                           \
	}

PASS(openat, int, (struct lower *l, int dirfd, const char *name, int flags, mode_t mode), dirfd, name, flags, mode)
PASS(reopen, int, (struct lower *l, int fd, int flags), fd, flags)
WATCHED(fdatasync, (struct lower *l, int fd), fd)
WATCHED(fsync, (struct lower *l, int fd), fd)
WATCHED(syncfs, (struct lower *l, int fd), fd)
WATCHED(ftruncate, (struct lower *l, int fd, uint64_t len), fd, len)
WATCHED(fallocate, (struct lower *l, int fd, int mode, uint64_t off, uint64_t len), fd, mode, off, len)
PASS(fstat, int, (struct lower *l, int fd, struct stat *ret_st), fd, ret_st)
PASS(fstatat, int, (struct lower *l, int dirfd, const char *name, struct stat *ret_st), dirfd, name, ret_st)
PASS(statfs, int, (struct lower *l, int fd, struct statvfs *ret_st, uint64_t *ret_fsid, uint64_t *ret_magic), fd, ret_st, ret_fsid, ret_magic)
PASS(futimens, int, (struct lower *l, int fd, const struct timespec ts[2]), fd, ts)
PASS(utimensat, int, (struct lower *l, int dirfd, const char *name, const struct timespec ts[2]), dirfd, name, ts)
PASS(fchmod, int, (struct lower *l, int fd, mode_t mode), fd, mode)
PASS(fchownat, int, (struct lower *l, int dirfd, const char *name, uid_t uid, gid_t gid), dirfd, name, uid, gid)
PASS(mkdirat, int, (struct lower *l, int dirfd, const char *name, mode_t mode), dirfd, name, mode)
PASS(mknodat, int, (struct lower *l, int dirfd, const char *name, mode_t mode, dev_t dev), dirfd, name, mode, dev)
PASS(symlinkat, int, (struct lower *l, const char *target, int dirfd, const char *name), target, dirfd, name)
PASS(readlinkat, ssize_t, (struct lower *l, int dirfd, const char *name, char *buf, size_t max), dirfd, name, buf, max)
PASS(linkat, int, (struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new), olddirfd, old, newdirfd, new)
PASS(unlinkat, int, (struct lower *l, int dirfd, const char *name, int flags), dirfd, name, flags)
PASS(renameat2, int, (struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new, unsigned flags), olddirfd, old, newdirfd, new, flags)
PASS(readdir, int, (struct lower *l, int dirfd, int64_t off, lower_dirent_fn *fn, void *arg), dirfd, off, fn, arg)
PASS(name_to_handle, int, (struct lower *l, int fd, struct lower_handle *ret_h), fd, ret_h)
PASS(open_by_handle, int, (struct lower *l, int anyfd, const struct lower_handle *h, int flags), anyfd, h, flags)
PASS(fgetxattr, ssize_t, (struct lower *l, int fd, const char *name, void *value, size_t max), fd, name, value, max)
PASS(fsetxattr, int, (struct lower *l, int fd, const char *name, const void *value, size_t len, int flags), fd, name, value, len, flags)
PASS(flistxattr, ssize_t, (struct lower *l, int fd, char *list, size_t max), fd, list, max)
PASS(fremovexattr, int, (struct lower *l, int fd, const char *name), fd, name)
PASS(lock, int, (struct lower *l, int fd, bool exclusive), fd, exclusive)

struct fault *fault_new(struct lower *inner)
{
	static const struct lower_ops ops = {
#define FAULT_OP(name) .name = fault_##name,
		FAULT_KINDS(FAULT_OP)
#undef FAULT_OP
	};
	struct fault *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->l = (struct lower){ .ops = &ops, .real = false };
	f->inner = inner;
	f->first = -1;
	pthread_mutex_init(&f->m, NULL);
	return f;
}

void fault_free(struct fault *f)
{
	if (!f)
		return;
	pthread_mutex_destroy(&f->m);
	free(f);
}

struct lower *fault_lower(struct fault *f)
{
	return &f->l;
}

void fault_fail(struct fault *f, uint64_t kinds, uint64_t n, int err, uint64_t times, unsigned flags)
{
	pthread_mutex_lock(&f->m);
	f->kinds = kinds;
	f->n = n;
	f->err = err;
	f->times = times;
	f->flags = flags;
	f->seen = 0;
	f->first = -1;
	for (int k = 0; k < FAULT_KIND_COUNT; k++)
		f->calls[k] = 0;
	pthread_mutex_unlock(&f->m);
}

void fault_pause(struct fault *f, bool paused)
{
	pthread_mutex_lock(&f->m);
	f->paused = paused;
	pthread_mutex_unlock(&f->m);
}

void fault_watch(struct fault *f, fault_watch_fn *fn, void *arg)
{
	f->watch = fn;
	f->watch_arg = arg;
}

bool fault_happened(struct fault *f)
{
	bool happened;

	pthread_mutex_lock(&f->m);
	happened = f->first >= 0;
	pthread_mutex_unlock(&f->m);
	return happened;
}

uint64_t fault_calls(struct fault *f, uint64_t kinds)
{
	uint64_t n = 0;

	pthread_mutex_lock(&f->m);
	for (int k = 0; k < FAULT_KIND_COUNT; k++)
		if (kinds & 1ull << k)
			n += f->calls[k];
	pthread_mutex_unlock(&f->m);
	return n;
}

const char *fault_what(struct fault *f)
{
	static const char *const names[] = {
#define FAULT_NAME(name) #name,
		FAULT_KINDS(FAULT_NAME)
#undef FAULT_NAME
	};
	const char *what;

	pthread_mutex_lock(&f->m);
	what = f->first < 0 ? "none" : names[f->first];
	pthread_mutex_unlock(&f->m);
	return what;
}
