/* kms_failing.c: test builds only: keys that everybody knows, whose answers are made to order. In other builds this file is empty.
 *
 *	fail:CLASS        wraps, so that a volume can be made, and never unwraps: each attempt is refused with that class
 *	fail:file-NAME    the file NAME of the key directory says what is answered to an unwrap, each time anew: "CLASS [MILLISECONDS]", CLASS may be OK. Each unwrap adds a
 *	                  byte to NAME.calls. Without the file: OK at once. */
#include "kms/kms.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/fileio.h"

#if COFFER_TEST_HOOKS
static enum kms_class class_of(const struct kms_uri *uri)
{
	int c;

	for (c = KMS_OK + 1; c < KMS_CLASSES; c++)
		if (strcmp(kms_class_text((enum kms_class)c), kms_uri_component(uri, 0)) == 0)
			return (enum kms_class)c;
	return KMS_OK;
}

#define FILE_PREFIX "file-"

static bool is_file(const struct kms_uri *uri)
{
	const char *name = kms_uri_component(uri, 0);

	return strncmp(name, FILE_PREFIX, strlen(FILE_PREFIX)) == 0 && name[strlen(FILE_PREFIX)] != '\0' && !strchr(name, '.');
}

/* What is answered now, after the time it takes. */
static enum kms_class answer_of(const struct kms_host *host, const struct kms_uri *uri)
{
	const char *name = kms_uri_component(uri, 0) + strlen(FILE_PREFIX);
	AUTO_FREE uint8_t *text = NULL;
	char calls[160], word[16] = "OK";
	AUTO_CLOSE int fd = -1;
	size_t len = 0;
	int ms = 0, c;

	if (!is_file(uri))
		return class_of(uri);
	(void)snprintf(calls, sizeof(calls), "%.120s.calls", name);
	fd = openat(host->key_dirfd, calls, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)!fileio_write_full(fd, "x", 1);
	if (fileio_read_at(host->key_dirfd, name, 64, &text, &len) >= 0) {
		char line[65] = "";

		memcpy(line, text, len);
		(void)sscanf(line, "%15s %d", word, &ms);
	}
	(void)poll(NULL, 0, ms);
	for (c = KMS_OK; c < KMS_CLASSES; c++)
		if (strcmp(kms_class_text((enum kms_class)c), word) == 0)
			return (enum kms_class)c;
	return KMS_CONFIG;
}

static int failing_check(const struct kms_uri *uri)
{
	if (uri->hierarchical || uri->component_count != 1 || (class_of(uri) == KMS_OK && !is_file(uri)))
		return -EINVAL;
	return 0;
}

static int failing_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	AUTO_SECRET struct secret *key = NULL;
	int r;

	(void)host;
	r = secret_new(KEY_LEN, &key);
	if (r >= 0)
		r = keys_kek_wrap(key, ctx->tenant, ctx->uuid, kek, ret_wrapped->bytes);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "fail:%s: cannot wrap", kms_uri_component(uri, 0));
	ret_wrapped->len = SEALED_ROOT_LEN;
	ret_wrapped->key_version[0] = '\0';
	return 0;
}

static int failing_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			  const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err,
			  struct secret **ret_kek)
{
	enum kms_class class = answer_of(host, uri);
	AUTO_SECRET struct secret *key = NULL;

	if (class != KMS_OK)
		return kms_fail(err, class, "fail:%s: refused as asked", kms_uri_component(uri, 0));
	if (wrapped_len != SEALED_ROOT_LEN || secret_new(KEY_LEN, &key) < 0 ||
	    keys_kek_unwrap(key, ctx->tenant, ctx->uuid, wrapped, ret_kek) < 0)
		return kms_fail(err, KMS_CORRUPT, "fail:%s: does not open", kms_uri_component(uri, 0));
	return 0;
}

const struct kms_ops kms_failing = {
	.scheme = "fail",
	.check = failing_check,
	.wrap = failing_wrap,
	.unwrap = failing_unwrap,
};
#endif
