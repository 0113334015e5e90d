/* xattr.c: extended attributes (xattr.h). Every call opens the lower inode anew: attributes are rare, descriptors dear.
 *
 * The encryption of a name is deterministic, so XATTR_CREATE and XATTR_REPLACE are the lower filesystem's to decide, in one step. Lower attributes
 * that are not called user.coffer.* are none of ours and stay as they are (labels of a security module, what a backup program wrote). */
#include "fs/xattr.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "fs/dirfd.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"

#define USER_PREFIX "user."
#define USER_PREFIX_LEN (sizeof(USER_PREFIX) - 1)

/* ---- what is common */

/* The lower name of a whole plain one. */
static int lower_name(struct volume *v, const char *name, char ret_lower[static LOWER_NAME_LEN_MAX + 1])
{
	if (strncmp(name, USER_PREFIX, USER_PREFIX_LEN) != 0)
		return -EOPNOTSUPP;
	name += USER_PREFIX_LEN;
	return namecrypt_xattr_name_encrypt(v->names, key_ring_names_epoch(v->ring), name, strlen(name), ret_lower);
}

static bool may_have(const struct inode *i)
{
	return S_ISREG(i->type) || S_ISDIR(i->type);
}

static int xattr_fd(struct volume *v, struct inode *i, int *ret_fd)
{
	if (S_ISDIR(i->type))
		return dirfd_get(v, i, ret_fd);
	return i->bad ? -EIO : reopen_inode(v, i, O_RDONLY, ret_fd);
}

static void xattr_fd_put(struct volume *v, struct inode *i, int fd)
{
	if (S_ISDIR(i->type))
		dirfd_put(v, i);
	else
		lower_close(v->lower, fd);
}

/* Its next fsync has something to do, and its ctime is now. (Of directories nothing is held, and fsync always flushes them.) */
static void changed(struct volume *v, struct inode *i)
{
	WITH_LOCK(&v->lock);

	i->attr_due = true;
	inode_now(&i->attr.ctime);
}

static void tell(struct volume *v, const struct inode *i, const char *what)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "inode %llu: %s", (unsigned long long)i->ino, what);
	log_warning("%s", text);
	if (v->events.event)
		v->events.event(v->events.ctx, VIO_EVENT_INTEGRITY, text);
}

/* ---- set and remove */

static int set_fd(struct volume *v, struct inode *i, const char *lower, const void *sealed, size_t len, int flags)
{
	int fd, r;

	r = xattr_fd(v, i, &fd);
	if (r < 0)
		return r;
	r = v->lower->ops->fsetxattr(v->lower, fd, lower, sealed, len, flags);
	xattr_fd_put(v, i, fd);
	return r;
}

int xattr_set(struct volume *v, struct inode *i, const char *name, const void *value, size_t len, int flags)
{
	AUTO_FREE uint8_t *sealed = NULL;
	char lower[LOWER_NAME_LEN_MAX + 1];
	int r;

	r = lower_name(v, name, lower);
	if (r < 0)
		return r;
	if (!may_have(i))
		return -EPERM;
	if (v->info.read_only)
		return -EROFS;
	if (len > XATTR_BYTES_MAX)
		return -E2BIG;
	sealed = malloc(len + XATTR_VALUE_EXTRA);
	if (!sealed)
		return -ENOMEM;
	r = namecrypt_xattr_value_encrypt(v->names, key_ring_names_epoch(v->ring), lower, value, len, sealed);
	if (r == 0)
		r = set_fd(v, i, lower, sealed, len + XATTR_VALUE_EXTRA, flags);
	if (r == 0)
		changed(v, i);
	return r;
}

int xattr_remove(struct volume *v, struct inode *i, const char *name)
{
	char lower[LOWER_NAME_LEN_MAX + 1];
	int fd, r;

	r = lower_name(v, name, lower);
	if (r == -ENAMETOOLONG)
		return -ENODATA;
	if (r < 0)
		return r;
	if (!may_have(i))
		return -EPERM;
	if (v->info.read_only)
		return -EROFS;
	r = xattr_fd(v, i, &fd);
	if (r < 0)
		return r;
	r = v->lower->ops->fremovexattr(v->lower, fd, lower);
	xattr_fd_put(v, i, fd);
	if (r == 0)
		changed(v, i);
	return r;
}

/* ---- get */

static ssize_t get_fd(struct volume *v, struct inode *i, const char *lower, void *sealed)
{
	ssize_t n;
	int fd, r;

	r = xattr_fd(v, i, &fd);
	if (r < 0)
		return r;
	n = v->lower->ops->fgetxattr(v->lower, fd, lower, sealed, XATTR_BYTES_MAX);
	xattr_fd_put(v, i, fd);
	return n;
}

ssize_t xattr_get(struct volume *v, struct inode *i, const char *name, void *buf, size_t size)
{
	AUTO_FREE uint8_t *sealed = NULL;
	char lower[LOWER_NAME_LEN_MAX + 1];
	ssize_t n;
	int r;

	r = lower_name(v, name, lower);
	if (r == -ENAMETOOLONG)
		return -ENODATA;
	if (r < 0)
		return r;
	if (!may_have(i))
		return -ENODATA;
	/* The plain value takes the place behind the sealed one. */
	sealed = malloc(2 * XATTR_BYTES_MAX);
	if (!sealed)
		return -ENOMEM;
	n = get_fd(v, i, lower, sealed);
	if (n < 0)
		return n;
	r = namecrypt_xattr_value_decrypt(v->names, key_ring_names_epoch(v->ring), lower, sealed, (size_t)n, sealed + XATTR_BYTES_MAX);
	if (r == -EBADMSG || r == -ENOKEY) {
		volume_count(v, METER_XATTR);
		tell(v, i, "the value of an extended attribute does not decrypt");
		return -EIO;
	}
	if (r < 0)
		return r;
	n -= XATTR_VALUE_EXTRA;
	if (size > 0 && (size_t)n > size)
		r = -ERANGE;
	else if (size > 0)
		memcpy(buf, sealed + XATTR_BYTES_MAX, (size_t)n);
	secret_wipe(sealed + XATTR_BYTES_MAX, (size_t)n); /* freed memory must not keep it: somebody may lock the volume */
	return r < 0 ? r : n;
}

/* ---- list */

static void undecryptable(struct volume *v, struct inode *i)
{
	bool told;

	volume_count(v, METER_XATTR);
	lock_take(&v->lock);
	v->undecryptable++;
	told = i->told;
	i->told = true;
	lock_drop(&v->lock);
	if (!told)
		tell(v, i, "the name of an extended attribute does not decrypt, skipped");
}

/* One lower name: its plain form into out, which has room for it; how long that is, with the NUL. 0: it is not shown. */
static ssize_t list_one(struct volume *v, struct inode *i, const char *lower, char *out)
{
	char plain[XATTR_PLAIN_NAME_MAX + 1];
	size_t len;
	int r;

	if (strncmp(lower, XATTR_LOWER_PREFIX, sizeof(XATTR_LOWER_PREFIX) - 1) != 0)
		return 0;
	r = namecrypt_xattr_name_decrypt(v->names, key_ring_names_epoch(v->ring), lower, plain, &len);
	if (r == -EBADMSG || r == -ENOKEY) {
		undecryptable(v, i);
		return 0;
	}
	if (r < 0)
		return r;
	memcpy(out, USER_PREFIX, USER_PREFIX_LEN);
	memcpy(out + USER_PREFIX_LEN, plain, len + 1);
	return (ssize_t)(USER_PREFIX_LEN + len + 1);
}

/* The lower list becomes the plain one in its own place: a plain name is shorter than its lower one. */
static ssize_t list_plain(struct volume *v, struct inode *i, char *list, size_t len)
{
	size_t at, out = 0, n;
	ssize_t got;

	for (at = 0; at < len; at += n) {
		n = strnlen(list + at, len - at) + 1;
		if (at + n > len)
			return -EIO;
		got = list_one(v, i, list + at, list + out);
		if (got < 0)
			return got;
		out += (size_t)got;
	}
	return (ssize_t)out;
}

ssize_t xattr_list(struct volume *v, struct inode *i, char *buf, size_t size)
{
	AUTO_FREE char *list = NULL;
	size_t len;
	ssize_t n;
	int fd, r;

	if (!may_have(i))
		return 0;
	list = malloc(XATTR_BYTES_MAX);
	if (!list)
		return -ENOMEM;
	r = xattr_fd(v, i, &fd);
	if (r < 0)
		return r;
	n = v->lower->ops->flistxattr(v->lower, fd, list, XATTR_BYTES_MAX);
	xattr_fd_put(v, i, fd);
	if (n == -EOPNOTSUPP)
		return 0;
	if (n <= 0)
		return n;
	len = (size_t)n;
	n = list_plain(v, i, list, len);
	if (n > 0 && size > 0) {
		if ((size_t)n > size)
			n = -ERANGE;
		else
			memcpy(buf, list, (size_t)n);
	}
	secret_wipe(list, len);
	return n;
}

/* ---- check */

/* -EBADMSG also for another epoch: there is only one. value has room for two. */
static int check_one(struct volume *v, int fd, const char *lower, uint8_t *value)
{
	uint16_t epoch = key_ring_names_epoch(v->ring);
	char plain[XATTR_PLAIN_NAME_MAX + 1];
	size_t len;
	ssize_t n;
	int r;

	if (strncmp(lower, XATTR_LOWER_PREFIX, sizeof(XATTR_LOWER_PREFIX) - 1) != 0)
		return 0;
	r = namecrypt_xattr_name_decrypt(v->names, epoch, lower, plain, &len);
	if (r == 0) {
		n = v->lower->ops->fgetxattr(v->lower, fd, lower, value, XATTR_BYTES_MAX);
		/* Without root's capabilities: what its user has closed to himself he cannot read on a mount either. */
		if (n == -EACCES)
			return 0;
		if (n < 0)
			return (int)n;
		r = namecrypt_xattr_value_decrypt(v->names, epoch, lower, value, (size_t)n, value + XATTR_BYTES_MAX);
	}
	return r == -ENOKEY ? -EBADMSG : r;
}

int xattr_check(struct volume *v, int fd, void (*bad)(void *ctx, int error), void *ctx)
{
	AUTO_FREE char *list = NULL;
	AUTO_FREE uint8_t *value = NULL;
	size_t at, n;
	ssize_t len;
	int r;

	len = v->lower->ops->flistxattr(v->lower, fd, NULL, 0);
	if (len == 0 || len == -EOPNOTSUPP)
		return 0;
	list = malloc(XATTR_BYTES_MAX);
	value = malloc(2 * XATTR_BYTES_MAX);
	if (!list || !value)
		return -ENOMEM;
	if (len > 0)
		len = v->lower->ops->flistxattr(v->lower, fd, list, XATTR_BYTES_MAX);
	if (len == -ENOMEM)
		return (int)len;
	if (len < 0) {
		bad(ctx, (int)len);
		return 0;
	}
	for (at = 0; at < (size_t)len; at += n) {
		n = strnlen(list + at, (size_t)len - at) + 1;
		r = at + n > (size_t)len ? -EIO : check_one(v, fd, list + at, value);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			bad(ctx, r);
	}
	return 0;
}
