/* kms_file.c: the credentials that a tenant's configuration or the agent's environment names: read anew whenever they are needed, so that they may be
 * replaced at any time, straight into secret memory. A file that others could have written, or that everybody can read, is refused. */
#include "kms/kms_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fileio.h"

static int file_check(int fd, const char *path, size_t max, bool readable, struct kms_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return kms_fail(err, KMS_AUTH, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return kms_fail(err, KMS_CONFIG, "%s: not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return kms_fail(err, KMS_CONFIG, "%s: belongs neither to root nor to the agent's user", path);
	if (st.st_mode & (S_IWGRP | S_IWOTH) || (st.st_mode & S_IROTH && !readable))
		return kms_fail(err, KMS_CONFIG, "%s: has mode %04o; others may not %s it", path, (unsigned)(st.st_mode & 07777),
				readable ? "write" : "read or write");
	if (st.st_size <= 0 || (size_t)st.st_size > max)
		return kms_fail(err, KMS_CONFIG, "%s: has %lld bytes, not 1 to %zu", path, (long long)st.st_size, max);
	return (int)st.st_size;
}

int kms_file_read(const char *path, size_t max, bool readable, struct kms_error *err, struct secret **ret_text, size_t *ret_len)
{
	AUTO_SECRET struct secret *s = NULL;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int len, r;

	if (fd < 0)
		return kms_fail(err, KMS_AUTH, "%s: %s", path, strerror(errno));
	len = file_check(fd, path, max, readable, err);
	if (len < 0)
		return len;
	r = secret_new((size_t)len + 1, &s);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "%s: no locked memory", path);
	r = fileio_read_full(fd, secret_bytes(s), (size_t)len);
	if (r < 0)
		return kms_fail(err, KMS_AUTH, "%s: %s", path, r == -ENODATA ? "is being replaced" : strerror(-r));
	*ret_text = take_ptr(s);
	*ret_len = (size_t)len;
	return 0;
}

/* One word that needs no escapes in a JSON string or a header, blanks and line ends around it cut; with a NUL. */
static int word_check(struct secret *s, size_t len, const char *what, struct kms_error *err)
{
	char *p = (char *)secret_bytes(s);
	size_t i;

	while (len > 0 && strchr(" \t\r\n", p[len - 1]))
		p[--len] = '\0';
	for (i = 0; i < len; i++)
		if (p[i] <= 0x20 || p[i] > 0x7e || p[i] == '"' || p[i] == '\\')
			return kms_fail(err, KMS_CONFIG, "%s: holds more than one word, or one that cannot be a credential", what);
	return len > 0 ? 0 : kms_fail(err, KMS_CONFIG, "%s: is empty", what);
}

int kms_file_word(const char *path, size_t max, bool readable, struct kms_error *err, struct secret **ret_word)
{
	AUTO_SECRET struct secret *s = NULL;
	size_t len;
	int r;

	r = kms_file_read(path, max, readable, err, &s, &len);
	if (r < 0)
		return r;
	r = word_check(s, len, path, err);
	if (r < 0)
		return r;
	*ret_word = take_ptr(s);
	return 0;
}

int kms_file_word_of(const char *name, const char *text, size_t max, struct kms_error *err, struct secret **ret_word)
{
	AUTO_SECRET struct secret *s = NULL;
	int r;

	if (strlen(text) > max)
		return kms_fail(err, KMS_CONFIG, "%s: is too long", name);
	r = secret_new_copy(text, strlen(text) + 1, &s);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "%s: no locked memory", name);
	r = word_check(s, strlen(text), name, err);
	if (r < 0)
		return r;
	*ret_word = take_ptr(s);
	return 0;
}
