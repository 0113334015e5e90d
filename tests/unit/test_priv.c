/* Each case in a child: what is given up does not come back. */
#include "base/priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <linux/capability.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVING 0x1fu /* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID */
#define PTRACE (1u << CAP_SYS_PTRACE)
#define MKNOD (1u << CAP_MKNOD)
#define ADMIN (1u << CAP_SYS_ADMIN)
#define IPC_LOCK (1u << CAP_IPC_LOCK)

#define NEEDED (SERVING | PTRACE | MKNOD | ADMIN | 1u << CAP_SETUID)

struct got {
	uint32_t effective, permitted, high;
};

static struct got caps(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		_exit(99);
	return (struct got){ d[0].effective, d[0].permitted, d[1].effective | d[1].permitted };
}

static bool are(uint32_t effective, uint32_t permitted)
{
	struct got g = caps();

	if (g.effective == effective && g.permitted == permitted && g.high == 0)
		return true;
	(void)fprintf(stderr, "effective %#x, permitted %#x, above %#x\n", g.effective, g.permitted, g.high);
	return false;
}

static void *thread(void *arg)
{
	uint32_t *want = arg;

	priv_thread();
	priv_mounting(true); /* nothing is left to raise */
	return are(*want, *want) ? arg : NULL;
}

static bool thread_has(uint32_t want)
{
	void *r = NULL;
	pthread_t t;

	return pthread_create(&t, NULL, thread, &want) == 0 && pthread_join(t, &r) == 0 && r;
}

/* Locked memory is not bounded now: by capability or by limit. IPC_LOCK is what may be left where the limit could not be lifted. */
static uint32_t locking(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
		_exit(99);
	return l.rlim_cur == RLIM_INFINITY ? 0 : IPC_LOCK;
}

static int serves_all(void)
{
	uint32_t lock;

	if (priv_for_mount(NULL, false) < 0)
		return 1;
	lock = locking();
	if (!are(SERVING | PTRACE | lock, SERVING | PTRACE | lock | ADMIN) || !thread_has(SERVING | lock))
		return 6;
	priv_opened();
	if (!are(SERVING | lock, SERVING | lock | ADMIN) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	priv_mounting(true);
	if (!are(SERVING | lock | ADMIN, SERVING | lock | ADMIN))
		return 3;
	priv_mounting(false);
	if (!are(SERVING | lock, SERVING | lock | ADMIN))
		return 4;
	return thread_has(SERVING | lock) && are(SERVING | lock, SERVING | lock | ADMIN) ? 0 : 5;
}

static int serves_devices(void)
{
	if (priv_for_mount(NULL, true) < 0)
		return 1;
	priv_opened();
	return are(SERVING | MKNOD | locking(), SERVING | MKNOD | locking() | ADMIN) ? 0 : 2;
}

static int serves_one_user(void)
{
	uid_t r, e, s;

	if (priv_for_mount("daemon", true) < 0)
		return 1;
	if (getresuid(&r, &e, &s) < 0 || r == 0 || r != e || e != s || getgid() == 0 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 2;
	if (!are(locking(), locking() | ADMIN))
		return 3;
	if (setresuid(0, 0, 0) == 0 || !thread_has(locking()))
		return 4;
	return 0;
}

static int nobody_else_may(void)
{
	if (priv_for_mount("no-such-user", false) != -ENOENT)
		return 1;
	if (setresgid(1, 1, 1) < 0 || setresuid(1, 1, 1) < 0)
		return 2;
	if (priv_for_mount("nobody", false) != -EPERM)
		return 3;
	/* Who has nothing keeps nothing, and can mount by a setuid helper. */
	if (priv_for_mount("daemon", false) != 0 || priv_for_mount(NULL, false) != 0)
		return 4;
	priv_mounting(true);
	return are(0, 0) && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 && thread_has(0) ? 0 : 5;
}

static void in_child(int (*fn)(void))
{
	pid_t pid;
	int status;

	if (geteuid() != 0 || (caps().permitted & NEEDED) != NEEDED)
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_mount_keeps_what_serving_needs(void **state)
{
	(void)state;
	in_child(serves_all);
}

static void device_nodes_need_one_more(void **state)
{
	(void)state;
	in_child(serves_devices);
}

static void a_user_keeps_nothing_but_the_way_to_unmount(void **state)
{
	(void)state;
	in_child(serves_one_user);
}

static void only_root_becomes_another(void **state)
{
	(void)state;
	in_child(nobody_else_may);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_keeps_what_serving_needs),
		cmocka_unit_test(device_nodes_need_one_more),
		cmocka_unit_test(a_user_keeps_nothing_but_the_way_to_unmount),
		cmocka_unit_test(only_root_becomes_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
