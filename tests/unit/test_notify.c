#include "base/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#if HAVE_LIBSYSTEMD
static void readiness_status_and_stopping_reach_the_socket(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sa_family_t);
	char name[128], got[128] = "";

	(void)state;
	assert_true(fd >= 0);
	/* Autobind: an abstract name nobody else has. */
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	len = sizeof(addr);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	(void)snprintf(name, sizeof(name), "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
		       addr.sun_path + 1);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);

	notify_ready();
	assert_true(recv(fd, got, sizeof(got), 0) > 0);
	assert_string_equal(got, "READY=1");
	memset(got, 0, sizeof(got));
	notify_status("serving 3\nREADY=0");
	assert_true(recv(fd, got, sizeof(got), 0) > 0);
	assert_string_equal(got, "STATUS=serving 3\\x0aREADY=0");
	memset(got, 0, sizeof(got));
	notify_stopping();
	assert_true(recv(fd, got, sizeof(got), 0) > 0);
	assert_string_equal(got, "STOPPING=1");
	memset(got, 0, sizeof(got));
	assert_true(notify_extend(60));
	assert_true(recv(fd, got, sizeof(got), 0) > 0);
	assert_string_equal(got, "EXTEND_TIMEOUT_USEC=60000000");
	memset(got, 0, sizeof(got));
	notify_reloading();
	assert_true(recv(fd, got, sizeof(got), 0) > 0);
	assert_int_equal(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	assert_true(strtoull(got + 27, NULL, 10) > 0);
	memset(got, 0, sizeof(got));
	notify_alive();
	assert_true(recv(fd, got, sizeof(got), 0) > 0);
	assert_string_equal(got, "WATCHDOG=1");
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
}

static void a_watchdog_is_this_process_own(void **state)
{
	char pid[32];
	uint64_t usec = 1;

	(void)state;
	assert_false(notify_watched(&usec));
	assert_false(notify_extend(1)); /* nobody listens */
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(setenv("WATCHDOG_USEC", "3000000", 1) | setenv("WATCHDOG_PID", pid, 1), 0);
	assert_true(notify_watched(&usec));
	assert_int_equal(usec, 3000000);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	assert_false(notify_watched(&usec));
	assert_int_equal(unsetenv("WATCHDOG_PID") | unsetenv("WATCHDOG_USEC"), 0);
}

static void as_many_sockets_as_are_wanted_are_taken_over(void **state)
{
	char pid[32];
	int fd[2] = { -1, -1 };

	(void)state;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(notify_listen_fds(fd, 2), -ENOENT);
	assert_int_equal(setenv("LISTEN_PID", pid, 1) | setenv("LISTEN_FDS", "1", 1), 0);
	assert_int_equal(dup2(STDERR_FILENO, 3), 3);
	assert_int_equal(notify_listen_fds(fd, 2), 1);
	assert_int_equal(fd[0], 3);
	assert_null(getenv("LISTEN_FDS"));

	assert_int_equal(dup2(STDERR_FILENO, 4), 4);
	assert_int_equal(setenv("LISTEN_PID", pid, 1) | setenv("LISTEN_FDS", "2", 1), 0);
	assert_int_equal(notify_listen_fds(fd, 2), 2);
	assert_int_equal(fd[1], 4);
	assert_int_equal(setenv("LISTEN_PID", pid, 1) | setenv("LISTEN_FDS", "2", 1), 0);
	fd[0] = -1;
	assert_int_equal(notify_listen_fds(fd, 1), -EINVAL);
	assert_int_equal(fd[0], -1);
	(void)close(3);
	(void)close(4);
}

static void a_process_that_is_not_has_no_unit(void **state)
{
	char unit[256] = "";

	(void)state;
	assert_int_equal(notify_unit_of_pid(0x7fffffff, unit, sizeof(unit)), -ENOENT);
	assert_string_equal(unit, "");
}
#else
static void without_libsystemd_nobody_is_in_a_unit(void **state)
{
	char unit[256] = "";
	int fd = -1;

	(void)state;
	notify_ready();
	notify_status("x");
	notify_stopping();
	assert_int_equal(notify_listen_fds(&fd, 1), -ENOENT);
	assert_int_equal(notify_unit_of_pid(getpid(), unit, sizeof(unit)), -EOPNOTSUPP);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#if HAVE_LIBSYSTEMD
		cmocka_unit_test(readiness_status_and_stopping_reach_the_socket),
		cmocka_unit_test(a_watchdog_is_this_process_own),
		cmocka_unit_test(as_many_sockets_as_are_wanted_are_taken_over),
		cmocka_unit_test(a_process_that_is_not_has_no_unit),
#else
		cmocka_unit_test(without_libsystemd_nobody_is_in_a_unit),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
