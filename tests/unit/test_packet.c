/* test_packet.c: packets with descriptors, and sealed memory files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/packet.h"

#include "base/clock.h"

static int pair[2];

static int setup(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}

static void a_packet_comes_whole_with_its_descriptor(void **state)
{
	struct packet_from from;
	char buf[64], c = 0;
	int fds[2], fd = -1;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(packet_send(pair[0], "hello", fds[1]), 0);
	assert_int_equal(packet_recv(pair[1], buf, sizeof(buf), true, &fd, &from), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	(void)close(fd);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void the_kernel_names_the_sender(void **state)
{
	struct packet_from from = { 0 };
	int one = 1, fd = -1;
	char buf[8];

	(void)state;
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	assert_int_equal(packet_send(pair[0], "x", -1), 0);
	assert_int_equal(packet_recv(pair[1], buf, sizeof(buf), false, &fd, &from), 1);
	assert_true(from.known);
	assert_int_equal(from.pid, getpid());
	assert_int_equal(fd, -1);
}

static void unwanted_descriptors_stay_nowhere(void **state)
{
	struct packet_from from;
	int one = 1, fd = -1, fds[2];
	char buf[8], c;

	(void)state;
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(packet_send(pair[0], "x", fds[1]), 0);
	(void)close(fds[1]);
	assert_int_equal(packet_recv(pair[1], buf, sizeof(buf), false, &fd, &from), 1);
	assert_int_equal(fd, -1);
	assert_int_equal(read(fds[0], &c, 1), 0); /* nobody has the writing end any more */
	(void)close(fds[0]);
}

static void too_long_a_packet_and_the_end_are_told_apart(void **state)
{
	struct packet_from from;
	char buf[4];
	int fd = -1;

	(void)state;
	assert_int_equal(packet_recv(pair[1], buf, sizeof(buf), true, &fd, &from), -EAGAIN);
	assert_int_equal(packet_send(pair[0], "12345", -1), 0);
	assert_int_equal(packet_recv(pair[1], buf, sizeof(buf), true, &fd, &from), -EMSGSIZE);
	assert_int_equal(packet_wait(pair[1], false, clock_boot_ms() + 10), -ETIMEDOUT);
	(void)close(pair[0]);
	assert_int_equal(packet_wait(pair[1], false, clock_boot_ms() + 1000), 0);
	assert_int_equal(packet_recv(pair[1], buf, sizeof(buf), true, &fd, &from), 0);
	pair[0] = dup(pair[1]);
}

static void a_peer_that_does_not_read_is_noticed(void **state)
{
	int i, r = 0;

	(void)state;
	for (i = 0; i < 100000 && r == 0; i++)
		r = packet_send(pair[0], "0123456789abcdef", -1);
	assert_int_equal(r, -EAGAIN);
	(void)close(pair[1]);
	r = packet_send(pair[0], "x", -1);
	assert_true(r == -EPIPE || r == -ECONNRESET);
	pair[1] = dup(pair[0]);
}

static void a_sealed_file_comes_back_and_cannot_be_changed(void **state)
{
	uint8_t *p = NULL;
	size_t len = 0;
	int fd = -1;

	(void)state;
	assert_int_equal(packet_seal("bytes", 5, &fd), 0);
	assert_int_equal(packet_read_sealed(fd, 5, &p, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal((char *)p, "bytes");
	assert_int_equal(packet_read_sealed(fd, 4, &p, &len), -EPROTO);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 9), -1);
	free(p);
	(void)close(fd);
}

static void what_is_not_wholly_sealed_is_refused(void **state)
{
	static const int some[] = { 0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
				    F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_WRITE };
	uint8_t *p = NULL;
	size_t len, i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		fd = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, some[i]), 0);
		assert_int_equal(packet_read_sealed(fd, 100, &p, &len), -EPROTO);
		(void)close(fd);
	}
	assert_int_equal(packet_read_sealed(pair[0], 100, &p, &len), -EPROTO);
	assert_int_equal(packet_read_sealed(-1, 100, &p, &len), -EPROTO);
	assert_null(p);
}

static void a_secret_is_taken_over_and_wiped_and_nothing_else_is_one(void **state)
{
	const uint8_t key[32] = "0123456789abcdef0123456789abcde";
	struct secret *in, *out = NULL;
	int fd = -1;

	(void)state;
	assert_int_equal(secret_new_copy(key, sizeof(key), &in), 0);
	assert_int_equal(secret_to_fd(in, &fd), 0);
	assert_int_equal(packet_read_secret(fd, sizeof(key) - 1, &out), -EPROTO);
	assert_int_equal(packet_read_secret(fd, sizeof(key), &out), 0);
	assert_memory_equal(secret_bytes(out), key, sizeof(key));
	secret_free(out);
	out = NULL;
	if (fcntl(fd, F_GET_SEALS) < 0) { /* secretmem: nobody finds it there again */
		assert_int_equal(packet_read_secret(fd, sizeof(key), &out), 0);
		assert_memory_not_equal(secret_bytes(out), key, sizeof(key));
		secret_free(out);
		out = NULL;
	}
	(void)close(fd);
	fd = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 32), 0);
	assert_int_equal(packet_read_secret(fd, 32, &out), -EPROTO);
	(void)close(fd);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(packet_read_secret(fd, 32, &out), -EPROTO);
	(void)close(fd);
	assert_int_equal(packet_read_secret(pair[0], 32, &out), -EPROTO);
	assert_int_equal(packet_read_secret(-1, 32, &out), -EPROTO);
	assert_null(out);
	secret_free(in);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_packet_comes_whole_with_its_descriptor),
		TEST(the_kernel_names_the_sender),
		TEST(unwanted_descriptors_stay_nowhere),
		TEST(too_long_a_packet_and_the_end_are_told_apart),
		TEST(a_peer_that_does_not_read_is_noticed),
		TEST(a_sealed_file_comes_back_and_cannot_be_changed),
		TEST(what_is_not_wholly_sealed_is_refused),
		TEST(a_secret_is_taken_over_and_wiped_and_nothing_else_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
