/* test_agent_credsock.c: credentials.sock without systemd: whoever is in no unit gets nothing, and can hold nothing up. (Who gets what: tests/systemd/credentials.sh.) */
#include "agent_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypt/credential.h"

static void path_of(const struct agent_fixture *f, struct sockaddr_un *sa)
{
	int dir = (int)(strrchr(f->socket, '/') - f->socket);

	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_true((size_t)snprintf(sa->sun_path, sizeof(sa->sun_path), "%.*s/credentials.sock", dir, f->socket) < sizeof(sa->sun_path));
}

/* Connected, from an abstract address unless that is NULL. */
static int line(const struct agent_fixture *f, const char *from)
{
	struct sockaddr_un to, own = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = 60 };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	path_of(f, &to);
	assert_true(s >= 0);
	if (from) {
		memcpy(own.sun_path + 1, from, strlen(from));
		assert_int_equal(bind(s, (struct sockaddr *)&own, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(from))), 0);
	}
	assert_int_equal(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(connect(s, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(shutdown(s, SHUT_WR), 0);
	return s;
}

/* One byte more than a credential may have, all zero: systemd refuses that, and would not refuse the end of the connection. */
static void refused(int s)
{
	static uint8_t p[65536];
	size_t len = 0;
	ssize_t n;

	while ((n = read(s, p, sizeof(p))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		len += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(len, CREDENTIAL_MAX + 1);
	(void)close(s);
}

static void whoever_is_in_no_unit_that_he_names_gets_nothing(void **state)
{
	struct agent_fixture *f = *state;
	struct sockaddr_un sa;
	struct stat st;

	path_of(f, &sa);
	assert_int_equal(stat(sa.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	refused(line(f, NULL));
	assert_int_equal(agent_fixture_audited(f, "names no unit and credential"), 1);
	refused(line(f, "1f/unit/acme.service/db"));
	assert_int_equal(agent_fixture_audited(f, "names another unit"), 1);
	assert_int_equal(agent_fixture_audited(f, "peer.denied"), 2);
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	assert_int_equal(stat(sa.sun_path, &st), -1);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	refused(line(f, NULL));
}

static void map_write(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(77);
	(void)close(fd);
}

/* Its number is root's, outside too; its rights are not. */
static void root_of_another_user_namespace_is_not_root(void **state)
{
	struct agent_fixture *f = *state;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			_exit(77);
		map_write("/proc/self/uid_map", "0 0 1");
		refused(line(f, "1f/unit/acme.service/db"));
		_exit(geteuid() == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
	assert_int_equal(agent_fixture_audited(f, "root of another user namespace"), 1);
	assert_int_equal(agent_fixture_audited(f, "names another unit"), 0);
}

static void refusals_cannot_fill_the_audit_log(void **state)
{
	struct agent_fixture *f = *state;
	uint64_t minute;
	int before;

	/* Of a minute; on a slow machine a turn may fall in between, so until one does not. */
	do {
		minute = clock_boot_ms() / 60000;
		before = (int)agent_fixture_audited(f, "names no unit and credential");
		for (int i = 0; i < 40; i++)
			refused(line(f, NULL));
	} while (clock_boot_ms() / 60000 != minute);
	assert_true((int)agent_fixture_audited(f, "names no unit and credential") - before <= 30);
}

/* More than may be served at once, none of whom reads: the agent serves others, and whoever reads in the end gets his answer. */
static void whoever_hangs_holds_nobody_up(void **state)
{
	struct agent_fixture *f = *state;
	uint64_t began;
	int s[300];
	char *text;

	for (size_t i = 0; i < 300; i++)
		s[i] = line(f, NULL);
	began = clock_boot_ms();
	assert_int_equal(client_status(f->c, &text), 0);
	free(text);
	assert_true(clock_boot_ms() - began < 20000);
	for (size_t i = 0; i < 300; i++)
		refused(s[i]);
}

/* At its end the agent finishes the answers of those who read, and does not wait long for the others. */
static void those_who_hang_do_not_keep_the_agent_from_ending(void **state)
{
	struct agent_fixture *f = *state;
	int hangs = line(f, NULL);

	refused(line(f, NULL)); /* it is behind the other, which so has been accepted */
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	(void)close(hangs);
	agent_fixture_start(f);
	agent_fixture_connect(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agent_fixture_setup, agent_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whoever_is_in_no_unit_that_he_names_gets_nothing),
		TEST(root_of_another_user_namespace_is_not_root),
		TEST(refusals_cannot_fill_the_audit_log),
		TEST(whoever_hangs_holds_nobody_up),
		TEST(those_who_hang_do_not_keep_the_agent_from_ending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
