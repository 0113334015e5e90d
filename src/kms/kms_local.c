/* kms_local.c: keys that are files of 32 bytes in a directory of this host, for development and for hosts without a KMS.
 * Read this provider first: it is the smallest.
 *
 * A key is believed only as the host's administrator left it: a regular file (no link is followed), owned by the agent's
 * user, with no permission for anybody else, of exactly 32 bytes. What a defect means:
 *
 *	the file is gone                       REVOKED   deleting the key file is how its owner withdraws it
 *	it may not be read                     AUTH      our own permission, not the owner's wish
 *	wrong owner, mode, size or type        CONFIG    somebody must repair the host
 *	no key directory                       CONFIG
 *	it is another key                      CORRUPT   the wrapped KEK does not open
 *	EIO, no descriptors, no memory         TRANSIENT
 *
 * Key files are made only by kms_prepare at init, and never written again or removed. */
#include "kms/kms.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fileio.h"

static const char *name_of(const struct kms_uri *uri)
{
	return kms_uri_component(uri, 0);
}

/* One path component, no leading dot: such a name can be no path, and no temporary of ours. */
static int local_check(const struct kms_uri *uri)
{
	const char *name;
	size_t n;

	if (uri->hierarchical || uri->component_count != 1)
		return -EINVAL;
	name = name_of(uri);
	n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (name[0] == '.' || name[n] != '\0' || n > KMS_LOCAL_NAME_MAX)
		return -EINVAL;
	return 0;
}

static int open_failed(int e, const char *name, struct kms_error *err)
{
	switch (e) {
	case ENOENT:
		return kms_fail(err, KMS_REVOKED, "local:%s: the key file is gone", name);
	case EACCES:
	case EPERM:
		return kms_fail(err, KMS_AUTH, "local:%s: the agent may not read the key file", name);
	case ELOOP:
		return kms_fail(err, KMS_CONFIG, "local:%s: the key file is a symbolic link", name);
	case ENXIO:
		return kms_fail(err, KMS_CONFIG, "local:%s: the key file is not a regular file", name);
	default:
		return kms_fail(err, KMS_TRANSIENT, "local:%s: %s", name, strerror(e));
	}
}

static int file_check(const struct stat *st, uid_t owner, const char *name, struct kms_error *err)
{
	if (!S_ISREG(st->st_mode))
		return kms_fail(err, KMS_CONFIG, "local:%s: the key file is not a regular file", name);
	if (st->st_uid != owner)
		return kms_fail(err, KMS_CONFIG, "local:%s: the key file belongs to uid %lu, not to %lu", name,
				(unsigned long)st->st_uid, (unsigned long)owner);
	if ((st->st_mode & 07777 & ~(mode_t)0600) != 0)
		return kms_fail(err, KMS_CONFIG, "local:%s: the key file has mode %04o, not 0600", name,
				(unsigned)(st->st_mode & 07777));
	if (st->st_size != KEY_LEN)
		return kms_fail(err, KMS_CONFIG, "local:%s: the key file has %lld bytes, not 32", name,
				(long long)st->st_size);
	return 0;
}

static int file_read(const struct kms_host *host, const char *name, struct kms_error *err,
		     struct secret **ret_key)
{
	AUTO_SECRET struct secret *key = NULL;
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	if (host->key_dirfd < 0)
		return kms_fail(err, KMS_CONFIG, "local:%s: there is no key directory", name);
	fd = openat(host->key_dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return open_failed(errno, name, err);
	if (fstat(fd, &st) < 0)
		return open_failed(errno, name, err);
	r = file_check(&st, host->key_owner, name, err);
	if (r < 0)
		return r;
	r = secret_new(KEY_LEN, &key);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "local:%s: no locked memory", name);
	r = fileio_read_full(fd, secret_bytes(key), KEY_LEN);
	if (r < 0)
		return open_failed(-r, name, err);
	*ret_key = take_ptr(key);
	return 0;
}

/* Write 32 fresh bytes under a name that no key can have, then give it its name without replacing anything. */
static int file_make(const struct kms_host *host, const char *name)
{
	AUTO_SECRET struct secret *key = NULL;
	AUTO_CLOSE int fd = -1;
	char tmp[KMS_LOCAL_NAME_MAX + 8];
	int r;

	(void)snprintf(tmp, sizeof(tmp), ".%s.new", name);
	if (unlinkat(host->key_dirfd, tmp, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(host->key_dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = secret_new(KEY_LEN, &key);
	if (r >= 0)
		r = secret_random(secret_bytes(key), KEY_LEN);
	if (r >= 0)
		r = fileio_write_full(fd, secret_bytes_const(key), KEY_LEN);
	if (r >= 0 && fchmod(fd, 0600) < 0)
		r = -errno;
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	if (r >= 0 && renameat2(host->key_dirfd, tmp, host->key_dirfd, name, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r >= 0 && fsync(host->key_dirfd) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(host->key_dirfd, tmp, 0);
	return r == -EEXIST ? 0 : r;
}

static int local_prepare(const struct kms_host *host, const struct kms_uri *uri, struct kms_error *err)
{
	AUTO_SECRET struct secret *key = NULL;
	int r;

	r = file_read(host, name_of(uri), err, &key);
	if (r >= 0 || err->class != KMS_REVOKED)
		return r;
	r = file_make(host, name_of(uri));
	if (r < 0)
		return kms_fail(err, KMS_CONFIG, "local:%s: the key file cannot be made: %s", name_of(uri),
				strerror(-r));
	return 0;
}

static int local_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
		      const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	AUTO_SECRET struct secret *key = NULL;
	int r;

	r = file_read(host, name_of(uri), err, &key);
	if (r < 0)
		return r;
	r = keys_kek_wrap(key, ctx->tenant, ctx->uuid, kek, ret_wrapped->bytes);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "local:%s: cannot wrap: %s", name_of(uri), strerror(-r));
	ret_wrapped->len = SEALED_ROOT_LEN;
	ret_wrapped->key_version[0] = '\0';
	return 0;
}

static int local_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err,
			struct secret **ret_kek)
{
	AUTO_SECRET struct secret *key = NULL;
	int r;

	r = file_read(host, name_of(uri), err, &key);
	if (r < 0)
		return r;
	if (wrapped_len != SEALED_ROOT_LEN)
		return kms_fail(err, KMS_CORRUPT, "local:%s: the wrapped key has a wrong length", name_of(uri));
	r = keys_kek_unwrap(key, ctx->tenant, ctx->uuid, wrapped, ret_kek);
	if (r == -EKEYREJECTED)
		return kms_fail(err, KMS_CORRUPT, "local:%s: the wrapped key does not open with this key file",
				name_of(uri));
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "local:%s: cannot unwrap: %s", name_of(uri), strerror(-r));
	return 0;
}

const struct kms_ops kms_local = {
	.scheme = "local",
	.check = local_check,
	.prepare = local_prepare,
	.wrap = local_wrap,
	.unwrap = local_unwrap,
};
