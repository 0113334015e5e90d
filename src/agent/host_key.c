/* host_key.c: see host_key.h. Who has such a key is this host as far as its audit log, or its backups, go, so it is held to what a key file of kms_local.c is
 * held to. */
#include "agent/host_key.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "crypt/sign.h"

#define NEW_MAX 32

static int key_read(int dirfd, const char *name, struct secret **ret_seed)
{
	AUTO_SECRET struct secret *seed = NULL;
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777 & ~(mode_t)0600) != 0 || st.st_size != SIGN_SEED_LEN)
		return -EUCLEAN;
	r = secret_new(SIGN_SEED_LEN, &seed);
	if (r >= 0)
		r = fileio_read_full(fd, secret_bytes(seed), SIGN_SEED_LEN);
	if (r >= 0)
		*ret_seed = take_ptr(seed);
	return r;
}

/* Durable before its first use: a signature by a key that is gone after a power cut would look forged. */
static int key_make(int dirfd, const char *name)
{
	char temporary[NEW_MAX];
	AUTO_SECRET struct secret *seed = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	(void)snprintf(temporary, sizeof(temporary), ".%s.new", name);
	if (unlinkat(dirfd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = secret_new(SIGN_SEED_LEN, &seed);
	if (r >= 0)
		r = secret_random(secret_bytes(seed), SIGN_SEED_LEN);
	if (r >= 0)
		r = fileio_write_full(fd, secret_bytes_const(seed), SIGN_SEED_LEN);
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	if (r >= 0 && renameat2(dirfd, temporary, dirfd, name, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r >= 0 && fsync(dirfd) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, temporary, 0);
	return r;
}

int host_key(int state_dirfd, const char *name, bool make, struct secret **ret_seed)
{
	int r;

	r = key_read(state_dirfd, name, ret_seed);
	if (r != -ENOENT || !make)
		return r;
	r = key_make(state_dirfd, name);
	return r < 0 ? r : key_read(state_dirfd, name, ret_seed);
}
