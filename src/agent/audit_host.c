/* audit_host.c: the key that signs for this host: 32 random bytes, host.key in the state directory, made at the first start and never replaced. Who
 * has it is this host as far as its audit log goes, so it is held to what a key file of kms_local.c is held to. */
#include "agent/audit_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/secret.h"
#include "base/text.h"

#define HOST_KEY "host.key"
#define HOST_KEY_NEW ".host.key.new"

static int key_read(int dirfd, struct secret **ret_seed)
{
	AUTO_SECRET struct secret *seed = NULL;
	AUTO_CLOSE int fd = openat(dirfd, HOST_KEY, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
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
static int key_make(int dirfd)
{
	AUTO_SECRET struct secret *seed = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	if (unlinkat(dirfd, HOST_KEY_NEW, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dirfd, HOST_KEY_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = secret_new(SIGN_SEED_LEN, &seed);
	if (r >= 0)
		r = secret_random(secret_bytes(seed), SIGN_SEED_LEN);
	if (r >= 0)
		r = fileio_write_full(fd, secret_bytes_const(seed), SIGN_SEED_LEN);
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	if (r >= 0 && renameat2(dirfd, HOST_KEY_NEW, dirfd, HOST_KEY, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r >= 0 && fsync(dirfd) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, HOST_KEY_NEW, 0);
	return r;
}

int audit_host_key(int state_dirfd, bool make, struct secret **ret_seed)
{
	int r;

	r = key_read(state_dirfd, ret_seed);
	if (r != -ENOENT || !make)
		return r;
	r = key_make(state_dirfd);
	return r < 0 ? r : key_read(state_dirfd, ret_seed);
}

int audit_host_boot_id(char ret_id[static AUDIT_ID_LEN])
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	uint8_t check[AUDIT_ID_LEN / 2];
	size_t n = 0, i;
	char text[36];
	int r;

	if (fd < 0)
		return -errno;
	r = fileio_read_full(fd, text, sizeof(text));
	if (r < 0)
		return r;
	for (i = 0; i < sizeof(text) && n < AUDIT_ID_LEN - 1; i++)
		if (text[i] != '-')
			ret_id[n++] = text[i];
	ret_id[n] = '\0';
	return text_hex_parse(ret_id, strlen(ret_id), sizeof(check), check);
}
