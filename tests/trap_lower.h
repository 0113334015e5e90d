/* trap_lower.h: a lower above lower_real() that notes what changes or flushes a file, and lets chosen calls fail. For unit tests; one at a
 * time, one thread. Each call is a letter and what it is about, in trap.text: W fd-name offset length, S (fdatasync), F (fsync), Y (syncfs),
 * T (ftruncate) length. */
#ifndef COFFER_TESTS_TRAP_LOWER_H
#define COFFER_TESTS_TRAP_LOWER_H

#include "io/lower.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TRAP_FD_MAX 1024

static struct {
	struct lower l;
	struct lower_ops ops;
	char name[TRAP_FD_MAX][64];
	char text[1 << 16];
	size_t len;
	/* n > 0: the n-th call from now fails with error, once (forever: each from there on) */
	struct trap_fail {
		int n, error;
		bool forever;
	} write, sync, fallocate, read;
	char only[64];           /* write, sync and read fail on this name alone, if set */
	bool no_direct, no_handles, no_open_by_handle;
	uint64_t free_blocks;    /* what statfs says, if have_free */
	bool have_free;
} trap;

static inline struct lower *trap_real(void)
{
	return lower_real();
}

static void trap_note(char what, int fd, const char *more)
{
	const char *name = fd >= 0 && fd < TRAP_FD_MAX ? trap.name[fd] : "?";

	if (trap.len + 128 < sizeof(trap.text))
		trap.len += (size_t)snprintf(trap.text + trap.len, 128, "%c %s%s\n", what, name, more);
}

static int trap_due(struct trap_fail *f, int fd)
{
	if (f->n == 0 || (trap.only[0] && strcmp(trap.only, trap.name[fd % TRAP_FD_MAX]) != 0))
		return 0;
	if (f->n > 1) {
		f->n--;
		return 0;
	}
	if (!f->forever)
		f->n = 0;
	return f->error;
}

static int trap_name_fd(int fd, const char *name)
{
	if (fd >= 0 && fd < TRAP_FD_MAX)
		snprintf(trap.name[fd], sizeof(trap.name[fd]), "%s", name);
	return fd;
}

static int trap_openat(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	(void)l;
	return trap_name_fd(trap_real()->ops->openat(trap_real(), dirfd, name, flags, mode), name);
}

static int trap_reopen(struct lower *l, int fd, int flags)
{
	char name[sizeof(trap.name[0])];

	(void)l;
	if (trap.no_direct && flags & O_DIRECT)
		return -EINVAL;
	memcpy(name, trap.name[fd], sizeof(name));
	return trap_name_fd(trap_real()->ops->reopen(trap_real(), fd, flags), name);
}

static ssize_t trap_preadv(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off)
{
	int r = trap_due(&trap.read, fd);

	(void)l;
	return r ? r : trap_real()->ops->preadv(trap_real(), fd, iov, n, off);
}

static ssize_t trap_pwritev(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off, bool dsync)
{
	int r = trap_due(&trap.write, fd), i;
	size_t len = 0;
	char more[64];

	(void)l;
	for (i = 0; i < n; i++)
		len += iov[i].iov_len;
	snprintf(more, sizeof(more), " %llu %zu%s", (unsigned long long)off, len, r ? " failed" : "");
	trap_note('W', fd, more);
	return r ? r : trap_real()->ops->pwritev(trap_real(), fd, iov, n, off, dsync);
}

static int trap_flush(char what, int fd)
{
	int r = trap_due(&trap.sync, fd);

	trap_note(what, fd, r ? " failed" : "");
	return r;
}

static int trap_fdatasync(struct lower *l, int fd)
{
	int r = trap_flush('S', fd);

	(void)l;
	return r ? r : trap_real()->ops->fdatasync(trap_real(), fd);
}

static int trap_fsync(struct lower *l, int fd)
{
	int r = trap_flush('F', fd);

	(void)l;
	return r ? r : trap_real()->ops->fsync(trap_real(), fd);
}

/* Not the whole filesystem of whoever runs the tests. */
static int trap_syncfs(struct lower *l, int fd)
{
	(void)l;
	return trap_flush('Y', fd);
}

static int trap_ftruncate(struct lower *l, int fd, uint64_t len)
{
	char more[32];

	(void)l;
	snprintf(more, sizeof(more), " %llu", (unsigned long long)len);
	trap_note('T', fd, more);
	return trap_real()->ops->ftruncate(trap_real(), fd, len);
}

static int trap_fallocate(struct lower *l, int fd, int mode, uint64_t off, uint64_t len)
{
	int r = trap_due(&trap.fallocate, fd);

	(void)l;
	return r ? r : trap_real()->ops->fallocate(trap_real(), fd, mode, off, len);
}

static int trap_statfs(struct lower *l, int fd, struct statvfs *st, uint64_t *fsid, uint64_t *magic)
{
	int r;

	(void)l;
	r = trap_real()->ops->statfs(trap_real(), fd, st, fsid, magic);
	if (r == 0 && trap.have_free)
		st->f_bavail = trap.free_blocks;
	return r;
}

static int trap_name_to_handle(struct lower *l, int fd, struct lower_handle *h)
{
	(void)l;
	return trap.no_handles ? -EOPNOTSUPP : trap_real()->ops->name_to_handle(trap_real(), fd, h);
}

static int trap_open_by_handle(struct lower *l, int anyfd, const struct lower_handle *h, int flags)
{
	(void)l;
	if (trap.no_handles || trap.no_open_by_handle)
		return -EPERM;
	return trap_name_fd(trap_real()->ops->open_by_handle(trap_real(), anyfd, h, flags), "by-handle");
}

static inline struct lower *trap_lower(void)
{
	memset(&trap, 0, sizeof(trap));
	trap.ops = *trap_real()->ops;
	trap.ops.openat = trap_openat;
	trap.ops.reopen = trap_reopen;
	trap.ops.preadv = trap_preadv;
	trap.ops.pwritev = trap_pwritev;
	trap.ops.fdatasync = trap_fdatasync;
	trap.ops.fsync = trap_fsync;
	trap.ops.syncfs = trap_syncfs;
	trap.ops.ftruncate = trap_ftruncate;
	trap.ops.fallocate = trap_fallocate;
	trap.ops.statfs = trap_statfs;
	trap.ops.name_to_handle = trap_name_to_handle;
	trap.ops.open_by_handle = trap_open_by_handle;
	trap.l.ops = &trap.ops;
	return &trap.l;
}

static inline void trap_forget(void)
{
	trap.len = 0;
	trap.text[0] = '\0';
}

#endif
