/* lower.h: the only way to the backing filesystem. Everything that reads or changes a volume goes through a struct lower, so
 * that tests can put a recorder, a fault injector or a simulated disk below (tests/lib/). lower_real() is the kernel.
 *
 * All functions return 0 (or a count, or a descriptor) or -errno; EINTR is retried inside. Descriptors are numbers that mean
 * something to this lower only. A lower never follows a symbolic link in the last component: O_NOFOLLOW | O_CLOEXEC are added
 * to every open, O_NONBLOCK too. Thread safe. */
#ifndef COFFER_IO_LOWER_H
#define COFFER_IO_LOWER_H

#include "base/err.h"
#include "format/volume_state.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>

struct lower;

struct lower_dirent {
	uint64_t ino;
	uint8_t type;            /* DT_* */
	const char *name;        /* NUL-terminated; valid until the callback returns */
	int64_t off;             /* where to go on behind this entry (lseek(2) cookie of the directory) */
};
/* Return 0 to go on, > 0 to stop before this entry is consumed (lower_readdir returns 0 then), < 0 to stop with that. */
typedef int lower_dirent_fn(void *arg, const struct lower_dirent *e);

struct lower_ops {
	int (*openat)(struct lower *l, int dirfd, const char *name, int flags, mode_t mode);
	/* A second descriptor of the same file with other O_DIRECT/access flags. */
	int (*reopen)(struct lower *l, int fd, int flags);
	int (*close)(struct lower *l, int fd);
	/* Up to the sum of iov; short only at end of file or on error after progress. */
	ssize_t (*preadv)(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off);
	/* dsync: what this call writes is durable when it returns (RWF_DSYNC). All or -errno (-EIO for a short write without a reason). */
	ssize_t (*pwritev)(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off, bool dsync);
	int (*fdatasync)(struct lower *l, int fd);
	int (*fsync)(struct lower *l, int fd);           /* files and directories */
	int (*syncfs)(struct lower *l, int fd);
	int (*ftruncate)(struct lower *l, int fd, uint64_t len);
	int (*fallocate)(struct lower *l, int fd, int mode, uint64_t off, uint64_t len);
	int (*fstat)(struct lower *l, int fd, struct stat *ret_st);
	/* AT_SYMLINK_NOFOLLOW. A directory that something is mounted on has st_dev LOWER_DEV_FOREIGN, also for a bind mount of the same filesystem. */
	int (*fstatat)(struct lower *l, int dirfd, const char *name, struct stat *ret_st);
	int (*statfs)(struct lower *l, int fd, struct statvfs *ret_st, uint64_t *ret_fsid, uint64_t *ret_magic);
	int (*futimens)(struct lower *l, int fd, const struct timespec ts[2]);
	int (*utimensat)(struct lower *l, int dirfd, const char *name, const struct timespec ts[2]); /* nofollow; name "" = dirfd itself */
	int (*fchmod)(struct lower *l, int fd, mode_t mode);
	int (*fchownat)(struct lower *l, int dirfd, const char *name, uid_t uid, gid_t gid); /* nofollow; name "" = dirfd itself */
	int (*mkdirat)(struct lower *l, int dirfd, const char *name, mode_t mode);
	int (*mknodat)(struct lower *l, int dirfd, const char *name, mode_t mode, dev_t dev);
	int (*symlinkat)(struct lower *l, const char *target, int dirfd, const char *name);
	ssize_t (*readlinkat)(struct lower *l, int dirfd, const char *name, char *buf, size_t max);
	/* old "" = olddirfd itself, a file with at least one link. */
	int (*linkat)(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new);
	int (*unlinkat)(struct lower *l, int dirfd, const char *name, int flags);
	int (*renameat2)(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new, unsigned flags);
	/* Entries from off on, "." and ".." left out. */
	int (*readdir)(struct lower *l, int dirfd, int64_t off, lower_dirent_fn *fn, void *arg);
	/* -EOPNOTSUPP where there are none, -EPERM without CAP_DAC_READ_SEARCH for open_by_handle. */
	int (*name_to_handle)(struct lower *l, int fd, struct lower_handle *ret_h);
	int (*open_by_handle)(struct lower *l, int anyfd, const struct lower_handle *h, int flags);
	/* Extended attributes of an open file or directory. getxattr, listxattr: the length (max 0: what it would be), -ENODATA, -ERANGE. */
	ssize_t (*fgetxattr)(struct lower *l, int fd, const char *name, void *value, size_t max);
	int (*fsetxattr)(struct lower *l, int fd, const char *name, const void *value, size_t len, int flags);
	ssize_t (*flistxattr)(struct lower *l, int fd, char *list, size_t max);
	int (*fremovexattr)(struct lower *l, int fd, const char *name);
	/* OFD write lock on the whole file: 0, or -EAGAIN when somebody has it. */
	int (*lock)(struct lower *l, int fd, bool exclusive);
};

struct lower {
	const struct lower_ops *ops;
	bool real;               /* descriptors are the kernel's: io_uring may be used on them */
};

#define LOWER_DEV_FOREIGN ((dev_t)-1)

/* The kernel. One static object. */
struct lower *lower_real(void);

/* lower_pread(l, …) is l->ops->pread(l, …), with the helpers below. */
ssize_t lower_pread(struct lower *l, int fd, void *p, size_t len, uint64_t off) must_check;
/* Exactly len bytes; -ENODATA at a premature end of file. */
int lower_pread_full(struct lower *l, int fd, void *p, size_t len, uint64_t off) must_check;
int lower_pwrite(struct lower *l, int fd, const void *p, size_t len, uint64_t off, bool dsync) must_check;
/* openat + fstat: a regular file, else -EUCLEAN (and nothing stays open). Never blocks on a FIFO; opens no device but in a race. */
int lower_open_regular(struct lower *l, int dirfd, const char *name, int flags, mode_t mode, struct stat *ret_st) must_check;
void lower_close(struct lower *l, int fd); /* -1 is fine */

#endif
