/* The contract of ioq.h, the same tests for both engines. */
#include "io/ioq.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define DEPTH 8

struct fixture {
	struct ioq *q;
	int fd;
};

static struct fixture fx;
static bool with_uring;

static int set_up(void **state)
{
	struct lower *l = lower_real();
	char path[] = "/tmp/coffer-test-ioq.XXXXXX";
	int r;

	*state = &fx;
	fx.fd = mkstemp(path);
	if (fx.fd < 0)
		return -1;
	(void)unlink(path);
	/* As descriptors of the lower layer are. */
	(void)fcntl(fx.fd, F_SETFL, fcntl(fx.fd, F_GETFL) | O_NONBLOCK);
	r = with_uring ? ioq_new_uring(l, DEPTH, &fx.q) : ioq_new_sync(l, &fx.q);
	return r < 0 || ioq_is_uring(fx.q) != with_uring ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	ioq_free(fx.q);
	return close(fx.fd);
}

static struct ioq_req req(enum ioq_op op, int fd, struct iovec *iov, int n, uint64_t off)
{
	return (struct ioq_req){ .op = op, .fd = fd, .iov = iov, .iovcnt = n, .off = off };
}

static void what_is_written_is_read(void **state)
{
	char out[6] = "coffer", in[6] = { 0 };
	struct iovec w[2] = { { out, 2 }, { out + 2, 4 } }, r[2] = { { in, 5 }, { in + 5, 1 } };
	struct ioq_req q = req(IOQ_WRITE, fx.fd, w, 2, 4096);

	(void)state;
	assert_int_equal(ioq_submit(fx.q, &q), 0);
	assert_ptr_equal(ioq_wait(fx.q), &q);
	assert_int_equal(q.result, 6);
	assert_null(ioq_wait(fx.q));
	q = req(IOQ_READ, fx.fd, r, 2, 4096);
	assert_int_equal(ioq_submit(fx.q, &q), 0);
	assert_ptr_equal(ioq_wait(fx.q), &q);
	assert_int_equal(q.result, 6);
	assert_memory_equal(in, "coffer", 6);
}

#define MANY 500

static void far_more_requests_than_the_queue_is_deep_all_come_back_once(void **state)
{
	static uint32_t v[MANY];
	static struct iovec iov[MANY];
	static struct ioq_req q[MANY];
	bool seen[MANY] = { false };
	struct ioq_req *r;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		v[i] = i * 2654435761u;
		iov[i] = (struct iovec){ &v[i], sizeof(v[i]) };
		q[i] = req(i % 3 ? IOQ_WRITE : IOQ_WRITE_DSYNC, fx.fd, &iov[i], 1, i * 4096ull);
		q[i].user = &seen[i];
		assert_int_equal(ioq_submit(fx.q, &q[i]), 0);
	}
	for (int i = 0; i < MANY; i++) {
		r = ioq_wait(fx.q);
		assert_non_null(r);
		assert_int_equal(r->result, 4);
		assert_false(*(bool *)r->user);
		*(bool *)r->user = true;
	}
	assert_null(ioq_wait(fx.q));
	memset(v, 0, sizeof(v));
	for (uint32_t i = 0; i < MANY; i++) {
		iov[i] = (struct iovec){ &v[i], sizeof(v[i]) };
		q[i] = req(IOQ_READ, fx.fd, &iov[i], 1, i * 4096ull);
	}
	assert_int_equal(ioq_run(fx.q, q, MANY), 0);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(v[i], i * 2654435761u);
}

static void a_read_at_the_end_of_the_file_is_short(void **state)
{
	char buf[3][8] = { 0 }; /* memcheck does not know that io_uring fills it */
	struct iovec iov[3] = { { buf[0], 8 }, { buf[1], 8 }, { buf[2], 8 } };
	struct ioq_req q[3] = { req(IOQ_READ, fx.fd, &iov[0], 1, 0), req(IOQ_READ, fx.fd, &iov[1], 1, 5), req(IOQ_READ, fx.fd, &iov[2], 1, 9) };

	(void)state;
	assert_int_equal(pwrite(fx.fd, "123456789", 9, 0), 9);
	assert_int_equal(ioq_run(fx.q, q, 3), 0);
	assert_int_equal(q[0].result, 8);
	assert_int_equal(q[1].result, 4);
	assert_memory_equal(buf[1], "6789", 4);
	assert_int_equal(q[2].result, 0);
}

static void an_error_is_the_request_s_own(void **state)
{
	char c = 'x', d = 0;
	struct iovec iov[3] = { { &c, 1 }, { &d, 1 }, { &c, 1 } };
	struct ioq_req q[4] = { req(IOQ_WRITE, fx.fd, &iov[0], 1, 0), req(IOQ_READ, -1, &iov[1], 1, 0), req(IOQ_WRITE, fx.fd, &iov[2], 1, 1),
				req(IOQ_FSYNC, -1, NULL, 0, 0) };

	(void)state;
	assert_int_equal(ioq_run(fx.q, q, 4), -EBADF);
	assert_int_equal(q[0].result, 1);
	assert_int_equal(q[1].result, -EBADF);
	assert_int_equal(q[2].result, 1);
	assert_int_equal(q[3].result, -EBADF);
	q[0] = req(IOQ_READ, -1, &iov[1], 1, 0);
	assert_int_equal(ioq_run(fx.q, q, 1), -EBADF);
}

static void a_full_device_is_enospc(void **state)
{
	char c[2] = "xx";
	struct iovec iov[2] = { { c, 1 }, { c + 1, 1 } };
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct ioq_req q[2] = { req(IOQ_WRITE, fd, &iov[0], 1, 0), req(IOQ_WRITE, fx.fd, &iov[1], 1, 0) };

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ioq_run(fx.q, q, 2), -ENOSPC);
	assert_int_equal(q[0].result, -ENOSPC);
	assert_int_equal(q[1].result, 1);
	(void)close(fd);
}

/* The first call is short (up to the limit), the next one says why: a write is whole or failed. */
static void a_write_that_is_cut_short_fails_as_a_whole(void **state)
{
	static uint8_t big[3][4096];
	const struct rlimit limit = { 6000, RLIM_INFINITY };
	struct iovec iov[4] = { { big[0], 4096 }, { big[1], 4096 }, { big[2], 10 }, { big[2], 10 } };
	struct ioq_req q[2] = { req(IOQ_WRITE, fx.fd, iov, 3, 0), req(IOQ_READ, fx.fd, iov + 3, 1, 0) };
	struct rlimit before;
	int r;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	r = ioq_run(fx.q, q, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(q[0].result, -EFBIG);
}

static void a_thousand_vectors_are_one_request(void **state)
{
	static uint8_t out[1000][64], in[1000][64];
	static struct iovec w[2][1000];
	struct ioq_req q[2];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		memset(out[i], i & 255, 64);
		w[0][i] = (struct iovec){ out[i], 64 };
	}
	memcpy(w[1], w[0], sizeof(w[0]));
	q[0] = req(IOQ_WRITE, fx.fd, w[0], 1000, 100);
	q[1] = req(IOQ_WRITE_DSYNC, fx.fd, w[1], 1000, 1 << 20);
	assert_int_equal(ioq_run(fx.q, q, 2), 0);
	assert_int_equal(q[0].result, 64000);
	assert_int_equal(q[1].result, 64000);
	for (int i = 0; i < 1000; i++)
		w[1][i] = w[0][i] = (struct iovec){ in[i], 64 };
	q[0] = req(IOQ_READ, fx.fd, w[0], 1000, 100);
	q[1] = req(IOQ_FDATASYNC, fx.fd, NULL, 0, 0);
	assert_int_equal(ioq_run(fx.q, q, 2), 0);
	assert_int_equal(q[0].result, 64000);
	assert_memory_equal(in, out, sizeof(out));
	q[0] = req(IOQ_READ, fx.fd, w[1], 1000, (1 << 20) + 64000 - 100);
	q[1] = req(IOQ_FSYNC, fx.fd, NULL, 0, 0);
	assert_int_equal(ioq_run(fx.q, q, 2), 0);
	assert_int_equal(q[0].result, 100);
}

static void empty_vectors_are_passed_over(void **state)
{
	char a[4] = "abcd", b[4] = { 0 };
	struct iovec w[5] = { { a, 0 }, { a, 2 }, { a, 0 }, { a + 2, 2 }, { a, 0 } }, r[2] = { { b, 0 }, { b, 4 } }, none = { b, 0 };
	struct ioq_req q[2] = { req(IOQ_WRITE, fx.fd, w, 5, 0), req(IOQ_WRITE, fx.fd, &none, 1, 0) };

	(void)state;
	assert_int_equal(ioq_run(fx.q, q, 2), 0);
	assert_int_equal(q[0].result, 4);
	assert_int_equal(q[1].result, 0);
	q[0] = req(IOQ_READ, fx.fd, r, 2, 0);
	q[1] = req(IOQ_READ, fx.fd, NULL, 0, 0);
	assert_int_equal(ioq_run(fx.q, q, 2), 0);
	assert_int_equal(q[0].result, 4);
	assert_int_equal(q[1].result, 0);
	assert_memory_equal(b, "abcd", 4);
}

static void nonsense_is_refused_and_not_queued(void **state)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct ioq_req q[2] = { req(IOQ_READ, fx.fd, &iov, IOV_MAX + 1, 0), req((enum ioq_op)77, fx.fd, &iov, 1, 0) };

	(void)state;
	assert_int_equal(ioq_submit(fx.q, &q[0]), -EINVAL);
	assert_int_equal(ioq_submit(fx.q, &q[1]), -EINVAL);
	assert_null(ioq_wait(fx.q));
	assert_int_equal(ioq_run(fx.q, q, 2), -EINVAL);
	assert_int_equal(ioq_run(fx.q, q, 1), -EINVAL);
	assert_int_equal(ioq_run(fx.q, q, 0), 0);
}

static void a_queue_with_requests_in_it_can_be_freed(void **state)
{
	static char buf[DEPTH * 3][512];
	static struct iovec iov[DEPTH * 3];
	static struct ioq_req q[DEPTH * 3];

	(void)state;
	for (unsigned i = 0; i < DEPTH * 3; i++) {
		iov[i] = (struct iovec){ buf[i], 512 };
		q[i] = req(IOQ_WRITE, fx.fd, &iov[i], 1, i * 512);
		assert_int_equal(ioq_submit(fx.q, &q[i]), 0);
	}
	assert_non_null(ioq_wait(fx.q));
	/* tear_down frees it: what the kernel has must have ended by then. */
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static const struct CMUnitTest contract[] = {
	T(what_is_written_is_read),
	T(far_more_requests_than_the_queue_is_deep_all_come_back_once),
	T(a_read_at_the_end_of_the_file_is_short),
	T(an_error_is_the_request_s_own),
	T(a_full_device_is_enospc),
	T(a_write_that_is_cut_short_fails_as_a_whole),
	T(a_thousand_vectors_are_one_request),
	T(empty_vectors_are_passed_over),
	T(nonsense_is_refused_and_not_queued),
	T(a_queue_with_requests_in_it_can_be_freed),
};

static void depth_has_bounds_and_a_ring_wants_the_kernel_below(void **state)
{
	struct lower not_real = { .ops = lower_real()->ops, .real = false };
	struct ioq *q = NULL;

	(void)state;
	assert_int_equal(ioq_new_uring(lower_real(), 0, &q), -EINVAL);
	assert_int_equal(ioq_new_uring(lower_real(), IOQ_DEPTH_MAX + 1, &q), -EINVAL);
	assert_int_equal(ioq_new_uring(&not_real, 8, &q), -EOPNOTSUPP);
	assert_int_equal(ioq_new(&not_real, 8, &q), 0);
	assert_false(ioq_is_uring(q));
	ioq_free(q);
	ioq_free(NULL);
}

#if COFFER_TEST_HOOKS
static void the_environment_forces_the_synchronous_engine(void **state)
{
	struct ioq *q = NULL;

	(void)state;
	assert_int_equal(setenv("COFFER_IOQ", "sync", 1), 0);
	assert_int_equal(ioq_new(lower_real(), 8, &q), 0);
	assert_int_equal(unsetenv("COFFER_IOQ"), 0);
	assert_false(ioq_is_uring(q));
	ioq_free(q);
}
#endif

int main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test(depth_has_bounds_and_a_ring_wants_the_kernel_below),
#if COFFER_TEST_HOOKS
		cmocka_unit_test(the_environment_forces_the_synchronous_engine),
#endif
	};
	struct ioq *probe = NULL;
	int r = 0;

	with_uring = false;
	r |= cmocka_run_group_tests_name("sync", contract, NULL, NULL);
	if (ioq_new_uring(lower_real(), DEPTH, &probe) == 0) {
		ioq_free(probe);
		with_uring = true;
		r |= cmocka_run_group_tests_name("uring", contract, NULL, NULL);
	} else {
		(void)fprintf(stderr, "io_uring is refused here: its engine is not tested\n");
		r |= getenv("COFFER_TEST_STRICT") ? 1 : 0;
	}
	r |= cmocka_run_group_tests_name("both", others, NULL, NULL);
	return r;
}
