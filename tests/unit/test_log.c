#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/env.h"

static int real_stderr = -1;

/* Standard error goes into a memory file; the returned text is what was written to it since. */
static int catch_stderr(void **state)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC);

	(void)state;
	real_stderr = dup(STDERR_FILENO);
	if (fd < 0 || real_stderr < 0 || dup2(fd, STDERR_FILENO) < 0)
		return -1;
	return close(fd);
}

static int release_stderr(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	log_set_ident(NULL);
	(void)unsetenv("JOURNAL_STREAM");
	if (dup2(real_stderr, STDERR_FILENO) < 0)
		return -1;
	return close(real_stderr);
}

static const char *caught(void)
{
	static char text[16384];
	ssize_t n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void lines_above_the_level_are_dropped(void **state)
{
	(void)state;
	log_debug("no");
	log_info("one %d", 1);
	log_set_level(LOG_LEVEL_ERR);
	log_warning("no");
	log_err("two");
	assert_string_equal(caught(), "one 1\ntwo\n");
}

static void log_ret_adds_the_reason_and_returns_the_error(void **state)
{
	(void)state;
	log_set_ident("coffer");
	errno = EINTR;
	assert_int_equal(log_ret(-EBADMSG, "block %d", 7), -EBADMSG);
	assert_int_equal(errno, EINTR);
	assert_string_equal(caught(), "coffer: block 7: does not authenticate\n");
}

static void held_errors_wait_and_the_first_is_handed_over(void **state)
{
	char first[32] = "";

	(void)state;
	log_hold();
	assert_false(log_release(first, sizeof(first)));
	log_hold();
	log_err("a");
	log_warning("b");
	log_err("c");
	assert_string_equal(caught(), "b\n");
	assert_true(log_release(first, sizeof(first)));
	assert_string_equal(first, "a");
	log_err("d");
	assert_string_equal(caught(), "b\nd\n");
}

static void held_errors_are_written_in_the_end_and_none_is_lost(void **state)
{
	char big[2000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_hold();
	log_err("a");
	for (int i = 0; i < 5; i++)
		log_err("%s", big); /* the last does not fit */
	assert_int_equal(strlen(caught()), sizeof(big));
	assert_true(log_release(NULL, 0));
	assert_int_equal(strlen(caught()), 2 + 5 * sizeof(big));
}

static void one_message_is_one_line_whatever_it_holds(void **state)
{
	(void)state;
	log_err("a\nb\x1b");
	assert_string_equal(caught(), "a\\x0ab\\x1b\n");
}

static void long_messages_are_cut_but_keep_reason_and_newline(void **state)
{
	char big[4096];
	const char *text;
	size_t n;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)log_ret(-ENOKEY, "%s", big);
	text = caught();
	n = strlen(text);
	assert_true(n > 1000 && n < 2200);
	assert_string_equal(text + n - strlen(": locked\n"), ": locked\n");
}

static const struct journal_field one = { "COFFER_EVENT", "test" };

static void the_journal_gets_the_level_as_prefix(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_set_ident("coffer");
	log_set_journal("/nowhere/socket");
	log_warning("w");
	log_fields(LOG_LEVEL_WARNING, &one, 1, "f");
	assert_true(log_is_journal());
	assert_int_equal(setenv("JOURNAL_STREAM", "1:1", 1), 0);
	assert_false(log_is_journal());
	log_warning("w");
	log_fields(LOG_LEVEL_WARNING, &one, 1, "f");
	log_fields(LOG_LEVEL_DEBUG, &one, 1, "no");
	assert_string_equal(caught(), "<4>w\n<4>f\ncoffer: w\ncoffer: f\n");
}

/* Last: what a process is for it stays. */
static void fields_go_to_the_journal_and_lines_that_have_none_to_its_stream(void **state)
{
	char dir[] = "/tmp/coffer-log-XXXXXX", at[64], stream[64], got[1024];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat st;
	ssize_t n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(at, sizeof(at), "%s/socket", dir);
	memcpy(a.sun_path, at, strlen(at) + 1);
	assert_int_equal(bind(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	log_set_journal(at);
	log_set_ident("coffer");
	log_fields(LOG_LEVEL_ERR, &one, 1, "on a terminal");
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_fields(LOG_LEVEL_ERR, &one, 1, "a\nb");
	log_warning("plain");
	log_set_volume("0123", "acme");
	log_warning("of a mount");
	assert_string_equal(caught(), "coffer: on a terminal\n<4>plain\n");
	n = recv(sock, got, sizeof(got) - 1, MSG_DONTWAIT);
	got[n < 0 ? 0 : n] = '\0';
	assert_string_equal(got, "PRIORITY=3\nSYSLOG_IDENTIFIER=coffer\nMESSAGE=a\\x0ab\nCOFFER_EVENT=test\n");
	n = recv(sock, got, sizeof(got) - 1, MSG_DONTWAIT);
	got[n < 0 ? 0 : n] = '\0';
	assert_string_equal(got, "PRIORITY=4\nSYSLOG_IDENTIFIER=coffer\nMESSAGE=of a mount\nCOFFER_VOLUME=0123\nCOFFER_TENANT=acme\n");
	(void)close(sock);
	(void)unlink(at);
	(void)rmdir(dir);
}

static void level_names_parse(void **state)
{
	enum log_level level = LOG_LEVEL_ERR;

	(void)state;
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("Debug", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void err_text_has_our_meanings_and_the_libc_ones(void **state)
{
	(void)state;
	assert_string_equal(err_text(-EKEYREJECTED), "wrong key");
	assert_string_equal(err_text(EUCLEAN), "malformed");
	assert_string_equal(err_text(-ENOSPC), "No space left on device");
	assert_non_null(strstr(err_text(-99999), "99999"));
}

static void each_errno_with_our_meaning_has_a_text_of_its_own(void **state)
{
	static const int ours[] = { EBADMSG, EUCLEAN, EKEYREJECTED, ENOKEY, EPROTO, EOPNOTSUPP, ESTALE, EXDEV };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		assert_string_not_equal(err_text(ours[i]), strerror(ours[i]));
		for (k = 0; k < i; k++)
			assert_string_not_equal(err_text(ours[i]), err_text(ours[k]));
	}
}

static void an_empty_variable_is_as_good_as_none(void **state)
{
	(void)state;
	assert_int_equal(setenv("COFFER_AGENT", "/x", 1), 0);
	assert_string_equal(env_get(ENV_COFFER_AGENT), "/x");
	assert_int_equal(setenv("COFFER_AGENT", "", 1), 0);
	assert_null(env_get(ENV_COFFER_AGENT));
	assert_int_equal(unsetenv("COFFER_AGENT"), 0);
	assert_null(env_get(ENV_COFFER_AGENT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_above_the_level_are_dropped, catch_stderr, release_stderr),
		cmocka_unit_test_setup_teardown(log_ret_adds_the_reason_and_returns_the_error, catch_stderr,
						release_stderr),
		cmocka_unit_test_setup_teardown(held_errors_wait_and_the_first_is_handed_over, catch_stderr,
						release_stderr),
		cmocka_unit_test_setup_teardown(held_errors_are_written_in_the_end_and_none_is_lost, catch_stderr,
						release_stderr),
		cmocka_unit_test_setup_teardown(one_message_is_one_line_whatever_it_holds, catch_stderr,
						release_stderr),
		cmocka_unit_test_setup_teardown(long_messages_are_cut_but_keep_reason_and_newline, catch_stderr,
						release_stderr),
		cmocka_unit_test_setup_teardown(the_journal_gets_the_level_as_prefix, catch_stderr, release_stderr),
		cmocka_unit_test(level_names_parse),
		cmocka_unit_test(err_text_has_our_meanings_and_the_libc_ones),
		cmocka_unit_test(each_errno_with_our_meaning_has_a_text_of_its_own),
		cmocka_unit_test(an_empty_variable_is_as_good_as_none),
		cmocka_unit_test_setup_teardown(fields_go_to_the_journal_and_lines_that_have_none_to_its_stream, catch_stderr, release_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
