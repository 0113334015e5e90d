/* test_audit.c: the audit log's chain, over restarts, torn lines and a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/audit.h"
#include "base/fileio.h"
#include "base/json.h"
#include "crypt/digest.h"

static char path[64];
static int dirfd_of;
static struct audit *log_of;

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/coffer-audit-XXXXXX");
	assert_non_null(mkdtemp(path));
	dirfd_of = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd_of >= 0);
	assert_int_equal(audit_open(dirfd_of, &log_of), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	audit_free(log_of);
	(void)unlinkat(dirfd_of, "audit.log", 0);
	(void)close(dirfd_of);
	assert_int_equal(rmdir(path), 0);
	return 0;
}

static void reopen(void)
{
	audit_free(log_of);
	log_of = NULL;
	assert_int_equal(audit_open(dirfd_of, &log_of), 0);
}

static void append(const char *what)
{
	struct audit_event e = { .what = what, .tenant = "acme", .detail = "a \"b\" \\ c" };

	assert_int_equal(audit_append(log_of, &e), 0);
}

static void raw_append(const char *text)
{
	int fd = openat(dirfd_of, "audit.log", O_WRONLY | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static char *whole(void)
{
	uint8_t *p = NULL;
	size_t len;

	assert_int_equal(fileio_read_at(dirfd_of, "audit.log", 1 << 20, &p, &len), 0);
	return (char *)p;
}

/* Lines whose prev is right; lines that do not parse count for the chain, but have no prev of their own. *ret_last: seq of the last. */
static unsigned chain(int64_t *ret_last)
{
	char want[2 * DIGEST_SHA256_LEN + 1], *text = whole(), *line = text, *end;
	uint8_t digest[DIGEST_SHA256_LEN];
	const char *prev;
	struct json *o;
	unsigned n = 0, i;

	memset(want, '0', sizeof(want) - 1);
	want[sizeof(want) - 1] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		if (json_parse(line, (size_t)(end - line), 65536, &o) == 0) {
			assert_int_equal(json_get_str(o, "prev", &prev), 0);
			assert_string_equal(prev, want);
			assert_int_equal(json_get_int(o, "seq", ret_last), 0);
			json_free(o);
			n++;
		}
		assert_int_equal(digest_sha256(line, (size_t)(end + 1 - line), digest), 0);
		for (i = 0; i < DIGEST_SHA256_LEN; i++)
			(void)sprintf(want + 2 * i, "%02x", digest[i]);
	}
	assert_int_equal(*line, '\0');
	free(text);
	return n;
}

static void lines_are_numbered_and_chained_over_restarts(void **state)
{
	int64_t last = 0;

	(void)state;
	append("one");
	append("two");
	reopen();
	append("three");
	reopen();
	reopen();
	append("four");
	assert_int_equal(chain(&last), 4);
	assert_int_equal(last, 4);
}

static void a_torn_line_stays_and_is_chained_on(void **state)
{
	int64_t last = 0;
	char *text;

	(void)state;
	append("one");
	raw_append("{\"seq\":2,\"time\":\"20");
	reopen();
	append("three");
	assert_int_equal(chain(&last), 2);
	assert_int_equal(last, 3);
	text = whole();
	assert_non_null(strstr(text, "\n{\"seq\":2,\"time\":\"20\n{\"seq\":3"));
	free(text);
}

static void a_log_that_begins_torn_is_gone_on_with(void **state)
{
	int64_t last = 0;

	(void)state;
	raw_append("{\"se");
	reopen();
	append("one");
	assert_int_equal(chain(&last), 1);
}

static void what_is_no_audit_log_is_refused(void **state)
{
	struct audit *a = NULL;

	(void)state;
	raw_append("hello\n");
	assert_int_equal(audit_open(dirfd_of, &a), -EUCLEAN);
	assert_int_equal(unlinkat(dirfd_of, "audit.log", 0), 0);
	assert_int_equal(symlinkat("/dev/null", dirfd_of, "audit.log"), 0);
	assert_int_equal(audit_open(dirfd_of, &a), -ELOOP);
	assert_null(a);
}

static void a_line_cut_by_a_full_disk_is_an_error_and_closed_off(void **state)
{
	struct audit_event e = { .what = "two" };
	struct rlimit lim, old;
	int64_t last = 0;
	off_t size;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	append("one");
	size = lseek(openat(dirfd_of, "audit.log", O_RDONLY | O_CLOEXEC), 0, SEEK_END);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	lim = old;
	lim.rlim_cur = (rlim_t)size + 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	assert_int_equal(audit_append(log_of, &e), -EIO);
	assert_true(audit_append(log_of, &e) < 0); /* no room for the line feed either */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	append("three");
	append("four");
	assert_int_equal(chain(&last), 3);
	reopen();
	append("five");
	assert_int_equal(chain(&last), 4);
}

static void refusals_beyond_the_rate_are_counted(void **state)
{
	struct audit_event e = { .what = "deny" };
	int64_t last = 0;
	char *text;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_equal(audit_append_refusal(log_of, &e), 0);
	/* a minute may begin anew while this runs */
	assert_in_range(chain(&last), AUDIT_REFUSALS, 2 * AUDIT_REFUSALS);
	append("unlock");
	text = whole();
	assert_non_null(strstr(text, "\"suppressed\":"));
	free(text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_are_numbered_and_chained_over_restarts),
		TEST(a_torn_line_stays_and_is_chained_on),
		TEST(a_log_that_begins_torn_is_gone_on_with),
		TEST(what_is_no_audit_log_is_refused),
		TEST(a_line_cut_by_a_full_disk_is_an_error_and_closed_off),
		TEST(refusals_beyond_the_rate_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
