#include "base/secret.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Exit status of f() in a child; 256 when a signal ended it. */
static int in_child(int (*f)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on with the tests */
		(void)signal(SIGBUS, SIG_DFL);
		_exit(f());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

static void new_is_zeroed_and_holds_its_length(void **state)
{
	static const size_t lens[] = { 1, 15, 16, 17, 32, 4095, 4096, 4097, SECRET_LEN_MAX };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		AUTO_SECRET struct secret *s = NULL;

		assert_int_equal(secret_new(lens[i], &s), 0);
		assert_int_equal(secret_len(s), lens[i]);
		assert_int_equal((uintptr_t)secret_bytes(s) % 16, 0);
		for (k = 0; k < lens[i]; k++)
			assert_int_equal(secret_bytes(s)[k], 0);
		memset(secret_bytes(s), 0xa5, lens[i]);
	}
}

static void new_refuses_nothing_and_too_much(void **state)
{
	struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_new(0, &s), -EINVAL);
	assert_int_equal(secret_new(SECRET_LEN_MAX + 1, &s), -EINVAL);
	assert_null(s);
	secret_free(NULL);
}

static int write_behind(void)
{
	struct secret *s;

	if (secret_new(32, &s) < 0)
		return 1;
	*(volatile uint8_t *)(secret_bytes(s) + 32) = 1;
	return 0;
}

static int write_before(void)
{
	struct secret *s;

	if (secret_new(4096, &s) < 0)
		return 1;
	*(volatile uint8_t *)(secret_bytes(s) - 1) = 1;
	return 0;
}

static void running_over_either_end_faults(void **state)
{
	(void)state;
	assert_int_equal(in_child(write_behind), 256);
	assert_int_equal(in_child(write_before), 256);
}

/* 0 when a secret makes the way over a descriptor; shared with the child that has no memfd_secret. */
static int hand_over(void)
{
	AUTO_SECRET struct secret *s = NULL;
	AUTO_SECRET struct secret *t = NULL;
	AUTO_CLOSE int fd = -1;
	char c;

	if (secret_new_copy("0123456789abcdef0123456789abcdef", 32, &s) < 0)
		return 1;
	if (secret_to_fd(s, &fd) < 0)
		return 2;
	if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		return 3;
	if (secret_from_fd(fd, 32, &t) < 0)
		return 4;
	if (!secret_equal(secret_bytes_const(s), secret_bytes_const(t), 32))
		return 5;
	if (secret_from_fd(fd, 31, &t) != -EPROTO || secret_from_fd(fd, 33, &t) != -EPROTO)
		return 6;
	/* Nobody can change or cut it any more: a memfd is sealed, secretmem takes neither call. */
	if (ftruncate(fd, 0) == 0 || write(fd, "x", 1) >= 0)
		return 7;
	return fcntl(fd, F_GET_SEALS) < 0 && pread(fd, &c, 1, 0) >= 0 ? 8 : 0;
}

static int hand_over_without_secretmem(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 447 /* memfd_secret, on every architecture */, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return 100;
	return hand_over();
}

static void a_secret_makes_the_way_over_a_descriptor(void **state)
{
	(void)state;
	assert_int_equal(hand_over(), 0);
}

static void and_so_it_does_where_the_kernel_has_no_secretmem(void **state)
{
	(void)state;
	assert_int_equal(in_child(hand_over_without_secretmem), 0);
}

static void from_fd_refuses_what_could_be_cut_short(void **state)
{
	AUTO_CLOSE int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct secret *s = NULL;
	int p[2];

	(void)state;
	assert_int_equal(ftruncate(fd, 32), 0);
	assert_int_equal(secret_from_fd(fd, 32, &s), -EPROTO);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE), 0);
	assert_int_equal(secret_from_fd(fd, 32, &s), -EPROTO);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL), 0);
	assert_int_equal(secret_from_fd(fd, 32, &s), 0);
	secret_free(s);

	assert_int_equal(pipe(p), 0);
	assert_int_equal(secret_from_fd(p[0], 32, &s), -EPROTO);
	(void)close(p[0]);
	(void)close(p[1]);
	assert_int_equal(secret_from_fd(-1, 32, &s), -EBADF);
	assert_int_equal(secret_from_fd(fd, 0, &s), -EINVAL);
}

static void equal_sees_each_single_bit(void **state)
{
	uint8_t a[33], b[33];
	size_t i;

	(void)state;
	assert_int_equal(secret_random(a, sizeof(a)), 0);
	memcpy(b, a, sizeof(a));
	assert_true(secret_equal(a, b, sizeof(a)));
	for (i = 0; i < 8 * sizeof(a); i++) {
		b[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_false(secret_equal(a, b, sizeof(a)));
		b[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(secret_equal(a, b, 0));
}

static void wipe_leaves_zeros_and_only_there(void **state)
{
	uint8_t a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint8_t want[8] = { 1, 0, 0, 0, 0, 6, 7, 8 };

	(void)state;
	secret_wipe(a + 1, 4);
	secret_wipe(NULL, 0);
	assert_memory_equal(a, want, sizeof(a));
}

static void random_fills_to_the_last_byte(void **state)
{
	static uint8_t big[65536]; /* more than one getrandom(2) gives at once when interrupted */
	size_t i, zeros = 0;

	(void)state;
	assert_int_equal(secret_random(big, sizeof(big)), 0);
	for (i = 0; i < sizeof(big); i++)
		zeros += big[i] == 0;
	assert_true(zeros > 64 && zeros < 1024); /* 256 expected; missing by this much: below 2^-200 */
}

static int harden(void)
{
	struct rlimit core;

	if (secret_harden_process() < 0)
		return 1;
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 2;
	return getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur != 0 || core.rlim_max != 0 ? 3 : 0;
}

static void a_hardened_process_dumps_nothing(void **state)
{
	(void)state;
	assert_int_equal(in_child(harden), 0);
}

/* Would a core dump hold this byte? */
static bool is_dumped(const void *p)
{
	unsigned long from, to, at = (unsigned long)p;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool here = false, dumped = false;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = at >= from && at < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			dumped = !strstr(line, " dd");
	}
	(void)fclose(f);
	return dumped;
}

static void a_hidden_stack_is_left_out_of_dumps(void **state)
{
	const void *here = __builtin_frame_address(0); /* the stack's own: a local may be elsewhere under a sanitizer */

	(void)state;
	assert_true(is_dumped(here));
	secret_hide_stack();
	assert_false(is_dumped(here));
}

#if defined(__SANITIZE_ADDRESS__)
/* It looks at frames of calls that returned, on a stack that the sanitizer laid elsewhere. */
static void a_wiped_stack_has_nothing_of_calls_that_returned(void **state)
{
	(void)state;
	skip();
}
#else
static uintptr_t left_at;

static __attribute__((noinline)) void leave_behind(uint8_t what)
{
	volatile uint8_t here[1024]; /* the gap of a frame at its top is not wiped */

	for (size_t k = 0; k < sizeof(here); k++)
		here[k] = what;
	left_at = (uintptr_t)here;
}

static void a_wiped_stack_has_nothing_of_calls_that_returned(void **state)
{
	const volatile uint8_t *was;
	size_t left = 0;

	(void)state;
	leave_behind(0x5a);
	was = (const volatile uint8_t *)left_at; /* NOLINT: of a frame that is gone */
	secret_wipe_stack();
	for (size_t k = 0; k < 64; k++)
		left += was[k] == 0x5a;
	assert_int_equal(left, 0);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_is_zeroed_and_holds_its_length),
		cmocka_unit_test(new_refuses_nothing_and_too_much),
		cmocka_unit_test(running_over_either_end_faults),
		cmocka_unit_test(a_secret_makes_the_way_over_a_descriptor),
		cmocka_unit_test(and_so_it_does_where_the_kernel_has_no_secretmem),
		cmocka_unit_test(from_fd_refuses_what_could_be_cut_short),
		cmocka_unit_test(equal_sees_each_single_bit),
		cmocka_unit_test(wipe_leaves_zeros_and_only_there),
		cmocka_unit_test(random_fills_to_the_last_byte),
		cmocka_unit_test(a_hardened_process_dumps_nothing),
		cmocka_unit_test(a_wiped_stack_has_nothing_of_calls_that_returned),
		cmocka_unit_test(a_hidden_stack_is_left_out_of_dumps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
