/* test_kms_local.c: key files of this host, and what each defect of one means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/kms.h"

struct fixture {
	char path[64];
	struct kms_host host;
	struct kms_uri uri;
	struct secret *kek;
	struct kms_error err;
	struct kms_wrapped wrapped;
};

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3 };
static const struct kms_context acme = { .tenant = "acme", .uuid = uuid };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->path, "/tmp/coffer-kms-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->host.key_dirfd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->host.key_owner = geteuid();
	assert_true(f->host.key_dirfd >= 0);
	assert_int_equal(kms_uri_parse("local:acme", &f->uri), 0);
	assert_int_equal(secret_new(KEY_LEN, &f->kek), 0);
	assert_int_equal(secret_random(secret_bytes(f->kek), KEY_LEN), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)unlinkat(f->host.key_dirfd, "acme", 0);
	(void)unlinkat(f->host.key_dirfd, "acme", AT_REMOVEDIR);
	(void)unlinkat(f->host.key_dirfd, "other", 0);
	(void)close(f->host.key_dirfd);
	assert_int_equal(rmdir(f->path), 0);
	secret_free(f->kek);
	free(f);
	return 0;
}

static void prepared(struct fixture *f)
{
	assert_int_equal(kms_prepare(&f->host, &f->uri, &f->err), 0);
	assert_int_equal(kms_wrap(&f->host, &f->uri, &acme, f->kek, &f->err, &f->wrapped), 0);
}

static int unwrap_as(struct fixture *f, const struct kms_context *ctx)
{
	struct secret *kek = NULL;
	int r;

	memset(&f->err, 0, sizeof(f->err));
	r = kms_unwrap(&f->host, &f->uri, ctx, f->wrapped.bytes, f->wrapped.len, &f->err, &kek);
	if (r >= 0)
		assert_true(secret_equal(secret_bytes(kek), secret_bytes(f->kek), KEY_LEN));
	else
		assert_null(kek);
	secret_free(kek);
	return r;
}

static void refused(struct fixture *f, enum kms_class class)
{
	assert_int_equal(unwrap_as(f, &acme), kms_class_errno(class));
	assert_int_equal(f->err.class, class);
	assert_non_null(strstr(f->err.message, "local:acme"));
}

static void make(struct fixture *f, const char *name, size_t len, mode_t mode)
{
	int fd = openat(f->host.key_dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef0123456789", len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void a_key_that_was_made_wraps_and_unwraps(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	prepared(f);
	assert_int_equal(fstatat(f->host.key_dirfd, "acme", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, KEY_LEN);
	assert_int_equal(f->wrapped.len, SEALED_ROOT_LEN);
	assert_int_equal(unwrap_as(f, &acme), 0);
}

static void a_key_that_is_there_is_never_written_again(void **state)
{
	struct fixture *f = *state;

	prepared(f);
	assert_int_equal(kms_prepare(&f->host, &f->uri, &f->err), 0);
	assert_int_equal(unwrap_as(f, &acme), 0);
	make(f, "acme", 31, 0600);
	assert_int_equal(kms_prepare(&f->host, &f->uri, &f->err), -EINVAL);
	assert_int_equal(f->err.class, KMS_CONFIG);
}

static void another_tenant_or_volume_does_not_unwrap(void **state)
{
	static const uint8_t other_uuid[UUID_LEN] = { 9 };
	const struct kms_context tenant = { .tenant = "acme2", .uuid = uuid };
	const struct kms_context volume = { .tenant = "acme", .uuid = other_uuid };
	struct fixture *f = *state;

	prepared(f);
	assert_int_equal(unwrap_as(f, &tenant), -EKEYREJECTED);
	assert_int_equal(f->err.class, KMS_CORRUPT);
	assert_int_equal(unwrap_as(f, &volume), -EKEYREJECTED);
}

static void a_deleted_key_file_is_a_revoked_key(void **state)
{
	struct fixture *f = *state;

	prepared(f);
	assert_int_equal(unlinkat(f->host.key_dirfd, "acme", 0), 0);
	refused(f, KMS_REVOKED);
}

static void a_key_file_others_may_read_is_refused(void **state)
{
	static const mode_t modes[] = { 0640, 0604, 0660, 0700, 0644, 04600 };
	struct fixture *f = *state;
	size_t i;

	prepared(f);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(fchmodat(f->host.key_dirfd, "acme", modes[i], 0), 0);
		refused(f, KMS_CONFIG);
	}
	assert_int_equal(fchmodat(f->host.key_dirfd, "acme", 0400, 0), 0);
	assert_int_equal(unwrap_as(f, &acme), 0);
}

static void a_key_file_of_another_size_is_refused(void **state)
{
	struct fixture *f = *state;

	prepared(f);
	make(f, "acme", 31, 0600);
	refused(f, KMS_CONFIG);
	make(f, "acme", 33, 0600);
	refused(f, KMS_CONFIG);
	make(f, "acme", 0, 0600);
	refused(f, KMS_CONFIG);
}

static void a_key_file_of_another_owner_is_refused(void **state)
{
	struct fixture *f = *state;

	prepared(f);
	f->host.key_owner = geteuid() + 1;
	refused(f, KMS_CONFIG);
}

static void links_directories_and_fifos_are_refused(void **state)
{
	struct fixture *f = *state;

	prepared(f);
	assert_int_equal(renameat(f->host.key_dirfd, "acme", f->host.key_dirfd, "other"), 0);
	assert_int_equal(symlinkat("other", f->host.key_dirfd, "acme"), 0);
	refused(f, KMS_CONFIG);
	assert_int_equal(unlinkat(f->host.key_dirfd, "acme", 0), 0);
	assert_int_equal(mkfifoat(f->host.key_dirfd, "acme", 0600), 0);
	refused(f, KMS_CONFIG);
	assert_int_equal(unlinkat(f->host.key_dirfd, "acme", 0), 0);
	assert_int_equal(mkdirat(f->host.key_dirfd, "acme", 0700), 0);
	refused(f, KMS_CONFIG);
}

static void another_key_and_damage_do_not_open(void **state)
{
	struct fixture *f = *state;
	size_t i;

	prepared(f);
	for (i = 0; i < f->wrapped.len; i++) {
		f->wrapped.bytes[i] ^= 1;
		refused(f, KMS_CORRUPT);
		f->wrapped.bytes[i] ^= 1;
	}
	f->wrapped.len--;
	refused(f, KMS_CORRUPT);
	f->wrapped.len++;
	make(f, "acme", 32, 0600);
	refused(f, KMS_CORRUPT);
}

static void without_a_key_directory_the_host_is_to_blame(void **state)
{
	struct fixture *f = *state;
	int fd = f->host.key_dirfd;

	prepared(f);
	f->host.key_dirfd = -1;
	refused(f, KMS_CONFIG);
	assert_int_equal(kms_prepare(&f->host, &f->uri, &f->err), -EINVAL);
	f->host.key_dirfd = fd;
}

#if COFFER_TEST_HOOKS
static void a_failing_key_fails_in_its_class(void **state)
{
	struct fixture *f = *state;
	char text[32];
	int c;

	for (c = KMS_OK + 1; c < KMS_CLASSES; c++) {
		(void)snprintf(text, sizeof(text), "fail:%s", kms_class_text((enum kms_class)c));
		assert_int_equal(kms_uri_parse(text, &f->uri), 0);
		prepared(f);
		assert_int_equal(unwrap_as(f, &acme), kms_class_errno((enum kms_class)c));
		assert_int_equal(f->err.class, c);
	}
	assert_int_equal(kms_uri_parse("fail:OK", &f->uri), -EINVAL);
	assert_int_equal(kms_uri_parse("fail:nonsense", &f->uri), -EINVAL);
}
#else
static void a_failing_key_is_unknown_outside_test_builds(void **state)
{
	struct kms_uri uri;

	(void)state;
	assert_int_equal(kms_uri_parse("fail:REVOKED", &uri), -EOPNOTSUPP);
}
#endif

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_that_was_made_wraps_and_unwraps),
		TEST(a_key_that_is_there_is_never_written_again),
		TEST(another_tenant_or_volume_does_not_unwrap),
		TEST(a_deleted_key_file_is_a_revoked_key),
		TEST(a_key_file_others_may_read_is_refused),
		TEST(a_key_file_of_another_size_is_refused),
		TEST(a_key_file_of_another_owner_is_refused),
		TEST(links_directories_and_fifos_are_refused),
		TEST(another_key_and_damage_do_not_open),
		TEST(without_a_key_directory_the_host_is_to_blame),
#if COFFER_TEST_HOOKS
		TEST(a_failing_key_fails_in_its_class),
#else
		TEST(a_failing_key_is_unknown_outside_test_builds),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
