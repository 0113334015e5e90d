#include "base/bulk.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ROOM (4u << 20)

static uint8_t *bytes; /* ROOM of them and a block, aligned */
static char path[64];

static int make(void **state)
{
	(void)state;
	bytes = aligned_alloc(BULK_BLOCK, ROOM + BULK_BLOCK);
	if (!bytes)
		return -1;
	for (size_t k = 0; k < ROOM + BULK_BLOCK; k++)
		bytes[k] = (uint8_t)(k * 2654435761u >> 13);
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	free(bytes);
	return 0;
}

static int new_file(void)
{
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/coffer-test-bulk.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static void check(int fd, const uint8_t *p, size_t len, uint64_t off)
{
	AUTO_FREE uint8_t *got = malloc(len + 1);
	struct stat st;

	assert_non_null(got);
	assert_int_equal(pread(fd, got, len + 1, (off_t)off), len);
	assert_memory_equal(got, p, len);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, off + len);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, 0);
}

static void any_length_place_and_alignment_is_written(void **state)
{
	static const size_t lens[] = { 0, 1, 4095, 4096, BULK_FROM - 1, BULK_FROM, BULK_FROM + 1, (1u << 20) + 5, (3u << 20) + 4096, ROOM };
	static const uint64_t offs[] = { 0, 1, 4096, 1u << 20, (1u << 20) + 512 };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (size_t j = 0; j < sizeof(offs) / sizeof(offs[0]); j++) {
			for (size_t shift = 0; shift < 32; shift += 16) {
				AUTO_CLOSE int fd = new_file();

				assert_int_equal(bulk_write_at(fd, bytes + shift, lens[i], offs[j]), 0);
				if (lens[i] > 0)
					check(fd, bytes + shift, lens[i], offs[j]);
			}
		}
	}
}

/* Not in /tmp, which may be a tmpfs; the directory of the build is on a disk where that is to be had at all. */
static void a_large_write_leaves_nothing_in_the_page_cache(void **state)
{
	char here[] = "./coffer-test-bulk.XXXXXX";
	AUTO_CLOSE int fd = mkstemp(here), direct = -1;
	unsigned char in[ROOM / BULK_BLOCK];
	void *map;

	(void)state;
	assert_true(fd >= 0);
	direct = open(here, O_WRONLY | O_DIRECT | O_CLOEXEC);
	assert_int_equal(unlink(here), 0);
	if (direct < 0)
		skip();
	assert_int_equal(bulk_write_at(fd, bytes, ROOM, 0), 0);
	map = mmap(NULL, ROOM, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mincore(map, ROOM, in), 0);
	for (size_t k = 0; k < sizeof(in); k++)
		assert_int_equal(in[k] & 1, 0);
	assert_int_equal(munmap(map, ROOM), 0);
}

static void memory_files_are_written_too(void **state)
{
	AUTO_CLOSE int fd = memfd_create("bulk", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(bulk_write_at(fd, bytes + 1, ROOM, 0), 0);
	check(fd, bytes + 1, ROOM, 0);
}

static void what_stops_it_is_said(void **state)
{
	const struct rlimit small = { 1u << 20, RLIM_INFINITY };
	AUTO_CLOSE int fd = new_file(), none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit before;

	(void)state;
	assert_int_equal(bulk_write_at(none, bytes, ROOM, 0), -EBADF);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(bulk_write_at(fd, bytes, ROOM, 0), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	check(fd, bytes, 1u << 20, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_length_place_and_alignment_is_written),
		cmocka_unit_test(a_large_write_leaves_nothing_in_the_page_cache),
		cmocka_unit_test(memory_files_are_written_too),
		cmocka_unit_test(what_stops_it_is_said),
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
