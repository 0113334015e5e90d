#include "base/fileio.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int fileio_read_full(int fd, void *p, size_t len)
{
	uint8_t *at = p;
	ssize_t n;

	while (len > 0) {
		n = read(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int fileio_write_full(int fd, const void *p, size_t len)
{
	const uint8_t *at = p;
	ssize_t n;

	while (len > 0) {
		n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* not for len > 0; but never loop on it */
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Read up to cap bytes, to the end of the file. */
static int read_to_end(int fd, uint8_t *buf, size_t cap, size_t *ret_len)
{
	size_t at = 0;
	ssize_t n;

	while (at < cap) {
		n = read(fd, buf + at, cap - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*ret_len = at;
	return 0;
}

int fileio_read_at(int dirfd, const char *name, size_t max, uint8_t **ret_buf, size_t *ret_len)
{
	AUTO_CLOSE int fd = -1;
	uint8_t *buf;
	struct stat st;
	size_t cap, len;
	int r;

	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EUCLEAN;
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EFBIG;

	/* One byte more than there should be finds a file that grows; size 0 is also what /proc says. */
	cap = st.st_size > 0 ? (size_t)st.st_size : max;
	if (__builtin_add_overflow(cap, 1, &cap))
		return -EFBIG;
	buf = malloc(cap);
	if (!buf)
		return -ENOMEM;
	r = read_to_end(fd, buf, cap, &len);
	if (r == 0 && len == cap)
		r = len > max ? -EFBIG : -EAGAIN;
	if (r < 0) {
		explicit_bzero(buf, cap);
		free(buf);
		return r;
	}
	buf[len] = '\0';
	*ret_buf = buf;
	*ret_len = len;
	return 0;
}

static int open_tmp(int dirfd, const char *tmp)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dirfd, tmp, flags, 0600);

	/* One is left of a crash: ours to remove, by the name. */
	if (fd < 0 && errno == EEXIST && unlinkat(dirfd, tmp, 0) == 0)
		fd = openat(dirfd, tmp, flags, 0600);
	return fd < 0 ? -errno : fd;
}

static int write_tmp(int fd, const void *p, size_t len, mode_t mode)
{
	int r;

	/* Now, not at open: the mode asked for, whatever the umask. */
	if (fchmod(fd, mode) < 0)
		return -errno;
	r = fileio_write_full(fd, p, len);
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

/* The directory itself, for fsync: dirfd may be AT_FDCWD or O_PATH, and name may have a '/'. */
static int open_parent(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	AUTO_FREE char *dir = NULL;
	int fd;

	if (slash)
		dir = slash == name ? strdup("/") : strndup(name, (size_t)(slash - name));
	else
		dir = strdup(".");
	if (!dir)
		return -ENOMEM;
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int fileio_replace_at(int dirfd, const char *name, const void *p, size_t len, mode_t mode)
{
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int fd = -1;
	AUTO_FREE char *tmp = NULL;
	int r;

	dir = open_parent(dirfd, name);
	if (dir < 0)
		return dir;
	if (asprintf(&tmp, "%s.tmp", name) < 0) {
		tmp = NULL;
		return -ENOMEM;
	}
	fd = open_tmp(dirfd, tmp);
	if (fd < 0)
		return fd;
	r = write_tmp(fd, p, len, mode);
	if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dirfd, tmp, 0);
		return r;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

int fileio_mkdirs(const char *path, mode_t mode)
{
	AUTO_FREE char *p = strdup(path);
	struct stat st;
	char *at;

	if (!p)
		return -ENOMEM;
	for (at = p; *at; at++) {
		if (at == p || *at != '/' || at[-1] == '/')
			continue;
		*at = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	if (mkdir(p, mode) < 0 && errno != EEXIST)
		return -errno;
	if (stat(p, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

bool fileio_first_line(const char *path, char *ret_text, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(ret_text, (int)size, f);

	if (f)
		(void)fclose(f);
	if (ok)
		ret_text[strcspn(ret_text, "\n")] = '\0';
	return ok;
}
