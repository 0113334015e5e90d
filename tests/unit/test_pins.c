/* test_pins.c: what the host believes about volumes, on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pins.h"
#include "base/fileio.h"

static struct pin in, out;
static char path[64];
static int dirfd_of;

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/coffer-pins-XXXXXX");
	assert_non_null(mkdtemp(path));
	dirfd_of = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd_of >= 0);
	memset(&in, 0, sizeof(in));
	memset(&out, 0, sizeof(out));
	memset(in.instance.uuid, 0x5a, UUID_LEN);
	in.instance.handle_type = 1;
	in.instance.handle_len = 12;
	memset(in.instance.handle, 0xee, 12);
	in.instance.fsid = UINT64_MAX;
	strcpy(in.tenant, "acme");
	in.kms_count = 2;
	strcpy(in.kms[0], "local:a");
	strcpy(in.kms[1], "hcvault://vault.example/transit/keys/b");
	strcpy(in.created, "2026-01-01T00:00:00Z");
	in.seen.config_version = 4;
	in.seen.stamp_limit = 1 << 20;
	return 0;
}

/* The one file with this suffix; NULL: none. */
static const char *file_with(const char *suffix)
{
	static char name[256];
	DIR *d = opendir(path);
	const struct dirent *e;
	const char *found = NULL;

	while ((e = readdir(d)))
		if (strlen(e->d_name) > strlen(suffix) &&
		    strcmp(e->d_name + strlen(e->d_name) - strlen(suffix), suffix) == 0)
			found = strcpy(name, e->d_name);
	(void)closedir(d);
	return found;
}

static int teardown(void **state)
{
	const char *name;

	(void)state;
	while ((name = file_with(".json")) || (name = file_with(".volume")))
		assert_int_equal(unlinkat(dirfd_of, name, 0), 0);
	(void)close(dirfd_of);
	assert_int_equal(rmdir(path), 0);
	return 0;
}

static void a_pin_comes_back_as_it_was_stored(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), -ENOENT);
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(fstatat(dirfd_of, file_with(".json"), &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	in.seen.older_ok = true;
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), 0);
	assert_true(out.seen.older_ok);
}

static void another_handle_or_filesystem_is_another_instance(void **state)
{
	struct proto_instance other = in.instance;
	bool there = true;

	(void)state;
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	assert_int_equal(pins_has_other(dirfd_of, &in.instance, &there), 0);
	assert_false(there);
	other.handle[0] ^= 1;
	assert_int_equal(pins_load(dirfd_of, &other, &out), -ENOENT);
	assert_int_equal(pins_has_other(dirfd_of, &other, &there), 0);
	assert_true(there);
	other = in.instance;
	other.fsid = 7;
	assert_int_equal(pins_load(dirfd_of, &other, &out), -ENOENT);
	other = in.instance;
	other.handle_len--;
	assert_int_equal(pins_load(dirfd_of, &other, &out), -ENOENT);
	other = in.instance;
	other.uuid[0] ^= 1;
	assert_int_equal(pins_load(dirfd_of, &other, &out), -ENOENT);
	assert_int_equal(pins_has_other(dirfd_of, &other, &there), 0);
	assert_false(there);
}

static void the_name_of_the_file_is_not_believed(void **state)
{
	struct proto_instance other = in.instance;
	char mine[256];

	(void)state;
	other.fsid = 7;
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	strcpy(mine, file_with(".json"));
	in.instance = other;
	assert_int_equal(unlinkat(dirfd_of, mine, 0), 0);
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	assert_int_equal(renameat(dirfd_of, file_with(".json"), dirfd_of, mine), 0);
	other.fsid = UINT64_MAX; /* the instance whose file was exchanged */
	assert_int_equal(pins_load(dirfd_of, &other, &out), -EUCLEAN);
}

static void a_damaged_pin_is_an_error_and_not_an_absence(void **state)
{
	uint8_t *p = NULL;
	size_t len, cut;
	char name[256];

	(void)state;
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	strcpy(name, file_with(".json"));
	assert_int_equal(fileio_read_at(dirfd_of, name, 65536, &p, &len), 0);
	for (cut = 0; cut < len; cut++) {
		assert_int_equal(fileio_replace_at(dirfd_of, name, p, cut, 0600), 0);
		assert_int_equal(pins_load(dirfd_of, &in.instance, &out), -EUCLEAN);
	}
	free(p);
}

static void a_copy_of_the_config_is_kept_and_replaced_only_when_it_differs(void **state)
{
	struct stat a, b;

	(void)state;
	assert_int_equal(pins_store_config(dirfd_of, &in.instance, "one", 3), 0);
	assert_int_equal(fstatat(dirfd_of, file_with(".volume"), &a, 0), 0);
	assert_int_equal(pins_store_config(dirfd_of, &in.instance, "one", 3), 0);
	assert_int_equal(fstatat(dirfd_of, file_with(".volume"), &b, 0), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(pins_store_config(dirfd_of, &in.instance, "two", 3), 0);
	assert_int_equal(fstatat(dirfd_of, file_with(".volume"), &b, 0), 0);
	assert_int_not_equal(a.st_ino, b.st_ino);
}

static void a_scratch_pin_is_forgotten_and_any_other_stays(void **state)
{
	(void)state;
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	assert_int_equal(pins_store_config(dirfd_of, &in.instance, "one", 3), 0);
	assert_int_equal(pins_forget_scratch(dirfd_of, &in.instance), 0);
	assert_int_equal(pins_sweep_scratch(dirfd_of), 0);
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), 0);
	assert_false(out.scratch);
	in.scratch = true;
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), 0);
	assert_true(out.scratch);
	assert_int_equal(pins_forget_scratch(dirfd_of, &in.instance), 0);
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), -ENOENT);
	assert_null(file_with(".volume"));
	assert_int_equal(pins_forget_scratch(dirfd_of, &in.instance), 0);
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	in.scratch = false;
	in.instance.fsid = 7;
	assert_int_equal(pins_store(dirfd_of, &in), 0);
	assert_int_equal(pins_sweep_scratch(dirfd_of), 0);
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), 0);
	in.instance.fsid = UINT64_MAX;
	assert_int_equal(pins_load(dirfd_of, &in.instance, &out), -ENOENT);
}

static void the_instances_of_a_volume_are_found_but_for_scratch_ones(void **state)
{
	struct proto_instance *list;
	uint8_t other[UUID_LEN] = { 1 };
	size_t n;

	(void)state;
	for (in.instance.fsid = 1; in.instance.fsid <= 3; in.instance.fsid++) {
		in.scratch = in.instance.fsid == 2;
		assert_int_equal(pins_store(dirfd_of, &in), 0);
	}
	assert_int_equal(pins_instances(dirfd_of, in.instance.uuid, &list, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(list[0].fsid + list[1].fsid, 4);
	free(list);
	assert_int_equal(pins_instances(dirfd_of, other, &list, &n), 0);
	assert_int_equal(n, 0);
	free(list);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pin_comes_back_as_it_was_stored),
		TEST(another_handle_or_filesystem_is_another_instance),
		TEST(the_name_of_the_file_is_not_believed),
		TEST(a_damaged_pin_is_an_error_and_not_an_absence),
		TEST(a_copy_of_the_config_is_kept_and_replaced_only_when_it_differs),
		TEST(a_scratch_pin_is_forgotten_and_any_other_stays),
		TEST(the_instances_of_a_volume_are_found_but_for_scratch_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
