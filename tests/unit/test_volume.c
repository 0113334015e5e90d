#include "fs_fixture.h"

#include "fs/backing.h"

/* A sum over names, sizes and contents of the volume's directory. */
static uint64_t fingerprint_sum;

static int fingerprint_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	uint64_t h = 1469598103934665603u ^ (uint64_t)st->st_size;
	uint8_t buf[4096];
	ssize_t n;
	int fd;

	(void)ftw;
	for (const char *p = path; *p; p++)
		h = (h ^ (uint8_t)*p) * 1099511628211u;
	if (flag == FTW_F && !strstr(path, NAME_LOG) && !strstr(path, NAME_RESERVE)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		while ((n = read(fd, buf, sizeof(buf))) > 0) {
			for (ssize_t k = 0; k < n; k++)
				h = (h ^ buf[k]) * 1099511628211u;
		}
		(void)close(fd);
	}
	fingerprint_sum += h;
	return 0;
}

static uint64_t fingerprint(void)
{
	fingerprint_sum = 0;
	assert_int_equal(nftw(fixture_path, fingerprint_file, 16, FTW_PHYS), 0);
	return fingerprint_sum;
}

static void a_wrong_key_is_refused_and_nothing_has_changed(void **state)
{
	struct volume_options o = { .unsafe_backing = true };
	struct volume *v = NULL;
	uint64_t before;

	(void)state;
	fixture_close();
	before = fingerprint();
	assert_int_equal(fixture_open_with(&o, 2, &v), -EKEYREJECTED);
	assert_null(v);
	assert_int_equal(fingerprint(), before);
}

static void a_changed_config_is_refused_and_nothing_has_changed(void **state)
{
	struct volume_options o = { .unsafe_backing = true };
	struct volume *v = NULL;
	uint64_t before;
	size_t k;

	(void)state;
	fixture_close();
	before = fingerprint();
	for (k = 0; k < fixture_config_len; k += 7) {
		int r;

		fixture_config[k] ^= 0x20;
		r = fixture_open_with(&o, 1, &v);
		assert_true(r == -EKEYREJECTED || r == -EUCLEAN || r == -EOPNOTSUPP);
		fixture_config[k] ^= 0x20;
	}
	assert_int_equal(fingerprint(), before);
}

static void a_second_writer_is_refused_and_told_who_has_it(void **state)
{
	struct volume_options o = { .unsafe_backing = true, .lock_wait_ms = 60 };
	char pid[32];
	struct volume *v = NULL;

	(void)state;
	assert_int_equal(fixture_open_with(&o, 1, &v), -EBUSY);
	assert_null(v);
	(void)snprintf(pid, sizeof(pid), " pid %ld", (long)getpid());
	assert_non_null(strstr(fixture_holder, pid));
	assert_non_null(strstr(fixture_holder, "host "));
	assert_non_null(strstr(fixture_holder, "boot "));
	fixture_close();
	assert_int_equal(fixture_open_with(&o, 1, &v), 0);
	assert_int_equal(volume_close(v), 0);
}

static void a_volume_is_not_made_over_another_or_among_other_files(void **state)
{
	struct volume_options o = { .unsafe_backing = true };
	struct secret *root = fixture_key(1);
	char path[128];
	uint64_t before;
	int fd;

	(void)state;
	fixture_close();
	before = fingerprint();
	fd = fixture_root();
	assert_int_equal(volume_create(lower_real(), fd, fixture_config, fixture_config_len, &root, FIXTURE_LOG_BLOCKS, &o), -EEXIST);
	assert_null(root);
	assert_int_equal(fingerprint(), before);
	(void)snprintf(path, sizeof(path), "%s/" NAME_VOLUME, fixture_path);
	assert_int_equal(unlink(path), 0);
	root = fixture_key(1);
	assert_int_equal(volume_create(lower_real(), fd, fixture_config, fixture_config_len, &root, FIXTURE_LOG_BLOCKS, &o), -ENOTEMPTY);
	(void)close(fd);
}

static void info_and_stats_say_what_is_there(void **state)
{
	struct volume_info info;
	struct volume_stats st;
	struct inode *f = make_file(fixture_v->root, "f");

	(void)state;
	volume_info(fixture_v, &info);
	assert_string_equal(info.tenant, "demo");
	assert_int_equal(info.uuid[0], 7);
	assert_false(info.read_only);
	volume_stats(fixture_v, &st);
	assert_int_equal(st.inodes, 2);
	assert_int_equal(st.files, 1);
	drop(f);
}

static void a_read_only_volume_serves_and_refuses_changes(void **state)
{
	struct volume_options o = { .unsafe_backing = true, .read_only = true, .no_threads = true };
	struct inode *f = make_file(fixture_v->root, "f");
	struct inode_attr a = { .size = 0 };
	struct dir_result d;
	uint64_t before;

	(void)state;
	put_text(f, "content");
	drop(f);
	fixture_close();
	before = fingerprint();
	assert_int_equal(fixture_open_with(&o, 1, &fixture_v), 0);
	f = find(fixture_v->root, "f");
	assert_text(f, "content");
	assert_int_equal(file_write(fixture_v, f, "x", 1, 0, false), -EROFS);
	assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_SIZE, &a), -EROFS);
	assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_MODE, &a), -EROFS);
	assert_int_equal(dir_create(fixture_v, fixture_v->root, "g", 0600, fixture_me, &d), -EROFS);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "f"), -EROFS);
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, "f", fixture_v->root, "g", 0), -EROFS);
	drop(f);
	fixture_close();
	assert_int_equal(fingerprint(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(a_wrong_key_is_refused_and_nothing_has_changed),
		fixture_test(a_changed_config_is_refused_and_nothing_has_changed),
		fixture_test(a_second_writer_is_refused_and_told_who_has_it),
		fixture_test(a_volume_is_not_made_over_another_or_among_other_files),
		fixture_test(info_and_stats_say_what_is_there),
		fixture_test(a_read_only_volume_serves_and_refuses_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
