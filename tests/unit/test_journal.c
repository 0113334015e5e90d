/* test_journal.c: entries for the journal, received by a socket of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/journal.h"

static char dir[64], at[96];
static int sock = -1;

static int setup(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)state;
	strcpy(dir, "/tmp/coffer-journal-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(at, sizeof(at), "%s/socket", dir);
	strcpy(a.sun_path, at);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(sock >= 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(sock);
	(void)unlink(at);
	return rmdir(dir);
}

static void an_entry_is_one_datagram_with_a_field_a_line(void **state)
{
	static const struct journal_field fields[] = { { "COFFER_ANCHOR", "{\"a\":1}" }, { "COFFER_EVENT", "" } };
	char buf[512];
	ssize_t n;

	(void)state;
	assert_int_equal(journal_send(at, "coffer-agent", 6, "audit anchor: {}", fields, 2), 0);
	n = recv(sock, buf, sizeof(buf) - 1, 0);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_string_equal(buf, "PRIORITY=6\nSYSLOG_IDENTIFIER=coffer-agent\nMESSAGE=audit anchor: {}\nCOFFER_ANCHOR={\"a\":1}\nCOFFER_EVENT=\n");
}

static void a_line_feed_cannot_add_a_field(void **state)
{
	(void)state;
	assert_int_equal(journal_send(at, "x", 6, "a\nFIELD=b", NULL, 0), -EINVAL);
	assert_int_equal(journal_send(at, "x", 6, "a", &(struct journal_field){ "F", "v\nFIELD=b" }, 1), -EINVAL);
	assert_int_equal(journal_send(at, "x", 6, "a", (struct journal_field[JOURNAL_FIELDS_MAX + 1]){ { "F", "v" } }, JOURNAL_FIELDS_MAX + 1), -EINVAL);
	assert_int_equal(recv(sock, at, 0, MSG_DONTWAIT), -1);
}

static void without_a_journal_or_room_in_it_the_caller_hears(void **state)
{
	char longer[200];
	int r = 0, i;

	(void)state;
	for (i = 0; r == 0 && i < 10000; i++)
		r = journal_send(at, "x", 6, "a", NULL, 0);
	assert_int_equal(r, -EAGAIN);
	(void)close(sock);
	assert_int_equal(journal_send(at, "x", 6, "a", NULL, 0), -ECONNREFUSED);
	(void)unlink(at);
	assert_int_equal(journal_send(at, "x", 6, "a", NULL, 0), -ENOENT);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(journal_send(longer, "x", 6, "a", NULL, 0), -EINVAL);
	sock = -1;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_entry_is_one_datagram_with_a_field_a_line),
		TEST(a_line_feed_cannot_add_a_field),
		TEST(without_a_journal_or_room_in_it_the_caller_hears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
