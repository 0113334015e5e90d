#include "fs_fixture.h"

#include <sys/resource.h>
#include <time.h>

#include "fs/live.h"
#include "fs/reopen.h"

static uint8_t page[4 * BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));

static void an_unlinked_file_can_be_used_until_it_is_forgotten(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f");
	uint64_t id = f->id;

	(void)state;
	put_text(f, "before");
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "f"), 0);
	put_text(f, "behind");
	assert_text(f, "behind");
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	assert_int_equal(f->attr.nlink, 0);
	drop(f);
	assert_null(inode_get(fixture_v, id));
}

static void an_idle_unlinked_file_can_be_opened_again(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f");

	(void)state;
	put_text(f, "content");
	drop(f);
	fixture_close();
	fixture_open();
	f = find(fixture_v->root, "f");
	assert_int_equal(f->file_state, INODE_FILE_NONE);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "f"), 0);
	assert_text(f, "content");
	drop(f);
}

static void a_replaced_file_can_be_used_until_it_is_forgotten(void **state)
{
	struct inode *a = make_file(fixture_v->root, "a"), *b = make_file(fixture_v->root, "b");

	(void)state;
	put_text(a, "old");
	put_text(b, "new");
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, "b", fixture_v->root, "a", 0), 0);
	assert_text(a, "old");
	put_text(a, "OLD");
	assert_text(a, "OLD");
	assert_text(b, "new");
	drop(a);
	drop(b);
}

/* Of what is not opened: the name that was known has gone, another is left. */
static void times_of_a_nameless_symbolic_link_can_be_set(void **state)
{
	struct inode_attr a = { .atime = { .tv_sec = 11 }, .mtime = { .tv_sec = 22, .tv_nsec = 3 } };
	struct dir_result one, two;
	struct stat st;

	(void)state;
	assert_int_equal(dir_symlink(fixture_v, fixture_v->root, "one", "target", fixture_me, &one), 0);
	assert_int_equal(dir_link(fixture_v, one.inode, fixture_v->root, "two", &two), 0);
	assert_ptr_equal(one.inode, two.inode);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "two"), 0);
	assert_null(one.inode->parent);
	assert_int_equal(file_setattr(fixture_v, one.inode, &a, FILE_SET_ATIME | FILE_SET_MTIME, &a), 0);
	drop(two.inode);
	drop(one.inode);
	one.inode = find(fixture_v->root, "one");
	assert_int_equal(lstat(lower_path(one.inode), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 22);
	assert_int_equal(st.st_mtim.tv_nsec, 3);
	drop(one.inode);
}

static void a_link_removed_under_its_known_name_leaves_the_file_usable(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f");
	struct dir_result d;

	(void)state;
	put_text(f, "content");
	assert_int_equal(dir_link(fixture_v, f, fixture_v->root, "g", &d), 0);
	inode_put(fixture_v, d.inode);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "g"), 0);
	assert_null(f->parent);
	assert_int_equal(f->attr.nlink, 1);
	assert_int_equal(volume_sync(fixture_v), 0);
	assert_int_equal(vio_checkpoint(fixture_v->vio), 0);
	assert_int_equal(live_close_all(fixture_v, false), 0);
	assert_text(f, "content");
	assert_int_equal(dir_link(fixture_v, f, fixture_v->root, "h", &d), 0);
	assert_ptr_equal(d.inode, f);
	inode_put(fixture_v, d.inode);
	assert_int_equal(f->attr.nlink, 2);
	inode_forget(fixture_v, f->id, 2);
	drop(f);
	f = find(fixture_v->root, "h");
	assert_text(f, "content");
	drop(f);
}

static void contents_and_times_outlive_the_volume_being_closed(void **state)
{
	struct inode_attr a = { .mtime = { 1000000000, 123456789 }, .atime = { 5, 6 } };
	struct inode *f = make_file(fixture_v->root, "f");

	(void)state;
	put_text(f, "content");
	/* As the kernel tells its own mtime, and as a user sets times while data is pending. */
	assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_MTIME | FILE_SET_CTIME, &a), 0);
	a.mtime.tv_nsec = 42;
	a.atime.tv_sec = 5;
	assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_MTIME | FILE_SET_ATIME, &a), 0);
	drop(f);
	fixture_close();
	fixture_open();
	f = find(fixture_v->root, "f");
	assert_text(f, "content");
	assert_int_equal(f->attr.mtime.tv_sec, 1000000000);
	assert_int_equal(f->attr.mtime.tv_nsec, 42);
	assert_int_equal(f->attr.atime.tv_sec, 5);
	drop(f);
}

/* Replaces the lower file of f by what make(path) makes, with nothing of f open. */
static void replace_lower(struct inode *f, void (*make)(const char *path))
{
	char path[4096];

	assert_int_equal(volume_sync(fixture_v), 0);
	assert_int_equal(vio_checkpoint(fixture_v->vio), 0);
	assert_int_equal(live_close_all(fixture_v, false), 0);
	memcpy(path, lower_path(f), sizeof(path));
	assert_int_equal(rename(path, "/tmp/coffer-test-fs.away"), 0);
	make(path);
}

static void as_fifo(const char *path)
{
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void as_link(const char *path)
{
	assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void as_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "forged", 6), 6);
	(void)close(fd);
}

static void something_else_in_the_place_of_a_file_is_an_error_and_never_hangs(void **state)
{
	void (*make[])(const char *) = { as_fifo, as_link, as_file };
	size_t k;

	(void)state;
	for (k = 0; k < 3; k++) {
		struct inode *f = make_file(fixture_v->root, "f");

		put_text(f, "content");
		replace_lower(f, make[k]);
		assert_int_equal(file_read(fixture_v, f, page, BLOCK_SIZE, 0), -EIO);
		assert_int_equal(file_write(fixture_v, f, "x", 1, 0, false), -EIO);
		(void)unlink("/tmp/coffer-test-fs.away");
		assert_int_equal(remove_file(fixture_v, fixture_v->root, "f"), 0);
		drop(f);
	}
}

/* The kernel remembers it, nothing holds it below, and what is made next may get its number. */
static void a_file_removed_unpinned_does_not_become_the_next_one_with_its_number(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f"), *next;
	struct inode_attr attr = { .ino = f->ino, .mode = S_IFREG | 0600, .nlink = 1, .size = 5 };
	struct dir_result d;

	(void)state;
	put_text(f, "content");
	assert_int_equal(dir_link(fixture_v, f, fixture_v->root, "g", &d), 0);
	inode_put(fixture_v, d.inode);
	inode_forget(fixture_v, f->id, 1);
	replace_lower(f, as_file); /* as the name it is known by says */
	assert_int_equal(unlink("/tmp/coffer-test-fs.away"), 0);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "f"), 0);
	assert_int_equal(f->pin_fd, -1);
	assert_int_equal(inode_remember(fixture_v, fixture_v->root, "h", &attr, false, inode_closes(fixture_v), &next), 0);
	assert_ptr_not_equal(next, f);
	assert_int_equal(next->attr.size, 5);
	drop(next);
	assert_int_equal(file_read(fixture_v, f, page, BLOCK_SIZE, 0), -EIO);
	drop(f);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "g"), 0);
}

static void a_damaged_header_is_found_by_name_fails_all_use_and_can_be_removed(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f");
	struct inode_attr a = { .size = 0 };
	struct dir_result d;
	char path[4096];
	int fd;

	(void)state;
	put_text(f, "content");
	memcpy(path, lower_path(f), sizeof(path));
	drop(f);
	fixture_close();
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, 100), 1);
	(void)close(fd);
	fixture_open();
	assert_int_equal(dir_lookup(fixture_v, fixture_v->root, "f", &d), 0);
	assert_true(d.bad);
	assert_int_equal(file_getattr(fixture_v, d.inode, &a), -EIO);
	assert_int_equal(file_read(fixture_v, d.inode, page, BLOCK_SIZE, 0), -EIO);
	assert_int_equal(file_write(fixture_v, d.inode, "x", 1, 0, false), -EIO);
	a.size = 0;
	assert_int_equal(file_setattr(fixture_v, d.inode, &a, FILE_SET_SIZE, &a), -EIO);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "f"), 0);
	drop(d.inode);
}

static void few_descriptors_are_enough(void **state)
{
	struct rlimit old, few = { 96, 96 };
	struct inode *f[300], *d[300];
	char name[16];
	size_t k;

	(void)state;
	fixture_close();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fixture_open();
	for (k = 0; k < 300; k++) {
		(void)snprintf(name, sizeof(name), "d%zu", k);
		d[k] = make_dir(fixture_v->root, name);
		f[k] = make_file(d[k], "f");
		put_text(f[k], name);
		if (k % 16 == 15) {
			assert_int_equal(volume_sync(fixture_v), 0);
			assert_int_equal(vio_checkpoint(fixture_v->vio), 0);
		}
	}
	for (k = 0; k < 300; k++) {
		(void)snprintf(name, sizeof(name), "d%zu", k);
		assert_text(f[k], name);
		drop(f[k]);
		drop(d[k]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void names_of_new_directories_are_flushed_once(void **state)
{
	struct inode *a = make_dir(fixture_v->root, "a"), *b = make_dir(a, "b"), *f = make_file(b, "f");

	(void)state;
	assert_true(a->names_made > a->names_synced && b->names_made > b->names_synced);
	put_text(f, "x");
	assert_int_equal(file_fsync(fixture_v, f, true), 0);
	assert_true(a->names_made == a->names_synced && b->names_made == b->names_synced);
	assert_false(f->created);
	drop(f);
	drop(b);
	drop(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(an_unlinked_file_can_be_used_until_it_is_forgotten),
		fixture_test(an_idle_unlinked_file_can_be_opened_again),
		fixture_test(a_replaced_file_can_be_used_until_it_is_forgotten),
		fixture_test(times_of_a_nameless_symbolic_link_can_be_set),
		fixture_test(a_link_removed_under_its_known_name_leaves_the_file_usable),
		fixture_test(contents_and_times_outlive_the_volume_being_closed),
		fixture_test(something_else_in_the_place_of_a_file_is_an_error_and_never_hangs),
		fixture_test(a_file_removed_unpinned_does_not_become_the_next_one_with_its_number),
		fixture_test(a_damaged_header_is_found_by_name_fails_all_use_and_can_be_removed),
		fixture_test(few_descriptors_are_enough),
		fixture_test(names_of_new_directories_are_flushed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
