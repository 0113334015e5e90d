#include "fs_fixture.h"

#include <stdatomic.h>
#include <unistd.h>

#include "fs/dirfd.h"
#include "fs/reopen.h"

static const char *long_name(char c)
{
	static char name[2][PLAIN_NAME_MAX + 1];
	static unsigned which;

	which ^= 1;
	memset(name[which], c, PLAIN_NAME_MAX);
	return name[which];
}

static bool below(const struct inode *dir, const char *entry)
{
	char path[2048];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", lower_path(dir), entry);
	return lstat(path, &st) == 0;
}

static void plant(const struct inode *dir, const char *entry)
{
	char path[2048];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", lower_path(dir), entry);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void a_directory_gets_its_id_with_the_first_entry(void **state)
{
	struct inode *d = make_dir(fixture_v->root, "d");

	(void)state;
	assert_false(below(d, DIR_LINK));
	assert_int_equal(lookup_error(d, "x"), -ENOENT);
	assert_int_equal(count_entries(d), 0);
	assert_false(below(d, DIR_LINK));
	drop(make_file(d, "x"));
	assert_true(below(d, DIR_LINK));
	assert_int_equal(count_entries(d), 1);
	drop(d);
}

static void a_lost_directory_id_is_an_error_and_never_made_anew(void **state)
{
	struct inode *d = make_dir(fixture_v->root, "d");
	struct dir_result r;
	char path[2048];

	(void)state;
	drop(make_file(d, "x"));
	(void)snprintf(path, sizeof(path), "%s/" DIR_LINK, lower_path(d));
	assert_int_equal(unlink(path), 0);
	name_dir_id_forget(fixture_v, d);
	assert_int_equal(lookup_error(d, "x"), -EIO);
	assert_int_equal(count_entries(d), -EIO);
	assert_int_equal(dir_create(fixture_v, d, "y", 0600, fixture_me, &r), -EIO);
	assert_false(below(d, DIR_LINK));
	assert_int_equal(symlink("not an id", path), 0);
	assert_int_equal(lookup_error(d, "x"), -EIO);
	assert_true(fixture_events > 0);
	drop(d);
}

static void a_directory_without_id_can_be_removed_and_is_kept_in_quarantine(void **state)
{
	char path[2048], kept[2048];

	(void)state;
	for (unsigned turn = 0; turn < 2; turn++) {
		struct inode *d = make_dir(fixture_v->root, "d");
		struct stat st;

		drop(make_file(d, "x"));
		(void)snprintf(path, sizeof(path), "%s", lower_path(d));
		assert_int_equal(stat(path, &st), 0);
		(void)snprintf(path, sizeof(path), "%s/" DIR_LINK, lower_path(d));
		assert_int_equal(unlink(path), 0);
		if (turn)
			assert_int_equal(mkfifo(path, 0600), 0);
		name_dir_id_forget(fixture_v, d);
		assert_int_equal(remove_file(fixture_v, fixture_v->root, "d"), -EISDIR);
		assert_int_equal(remove_dir(fixture_v, fixture_v->root, "d"), 0);
		assert_int_equal(lookup_error(fixture_v->root, "d"), -ENOENT);
		assert_int_equal(count_entries(fixture_v->root), 0);
		(void)snprintf(kept, sizeof(kept), "%s/" NAME_QUARANTINE "/%llu.0.lost", lower_path(fixture_v->root), (unsigned long long)st.st_ino);
		assert_int_equal(access(kept, F_OK), 0);
		assert_int_equal(rmdir(kept), -1); /* not empty */
		drop(d);
	}
}

static void without_a_quarantine_a_directory_without_id_stays(void **state)
{
	struct inode *d = make_dir(fixture_v->root, "d");
	char path[2048];

	(void)state;
	drop(make_file(d, "x"));
	(void)snprintf(path, sizeof(path), "%s/" DIR_LINK, lower_path(d));
	assert_int_equal(unlink(path), 0);
	name_dir_id_forget(fixture_v, d);
	(void)snprintf(path, sizeof(path), "%s/" NAME_QUARANTINE, lower_path(fixture_v->root));
	assert_int_equal(symlink("/", path), 0);
	assert_int_equal(remove_dir(fixture_v, fixture_v->root, "d"), -EIO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(remove_dir(fixture_v, fixture_v->root, "d"), 0);
	drop(d);
}

static void garbage_of_any_depth_is_removed(void **state)
{
	struct inode *d = make_dir(fixture_v->root, "d");
	int fd, next;

	(void)state;
	drop(make_file(d, "x"));
	fd = open(lower_path(d), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned k = 0; k < 400; k++) {
		assert_int_equal(mkdirat(fd, "coffer.deep.7", 0700), 0);
		assert_int_equal(mkdirat(fd, "beside", 0700), 0);
		next = openat(fd, "coffer.deep.7", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(remove_file(fixture_v, d, "x"), 0);
	assert_int_equal(remove_dir(fixture_v, fixture_v->root, "d"), 0);
	drop(d);
}

static void a_long_name_has_its_link_as_long_as_the_entry(void **state)
{
	struct inode *f = make_file(fixture_v->root, long_name('l'));
	uint8_t id[DIR_ID_LEN] = { 0 };
	struct name n;

	(void)state;
	assert_int_equal(name_encrypt(fixture_v, id, long_name('l'), &n), 0);
	assert_true(n.is_long);
	assert_true(below(fixture_v->root, n.entry) && below(fixture_v->root, n.link));
	assert_int_equal(count_entries(fixture_v->root), 1);
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, long_name('l'), fixture_v->root, "short", 0), 0);
	assert_false(below(fixture_v->root, n.entry) || below(fixture_v->root, n.link));
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, "short", fixture_v->root, long_name('l'), 0), 0);
	assert_true(below(fixture_v->root, n.entry) && below(fixture_v->root, n.link));
	assert_int_equal(remove_file(fixture_v, fixture_v->root, long_name('l')), 0);
	assert_false(below(fixture_v->root, n.entry) || below(fixture_v->root, n.link));
	drop(f);
}

static void a_failed_create_leaves_the_link_of_the_entry_that_exists(void **state)
{
	uint8_t id[DIR_ID_LEN] = { 0 };
	struct dir_result d;
	struct name n;

	(void)state;
	drop(make_file(fixture_v->root, long_name('l')));
	assert_int_equal(dir_create(fixture_v, fixture_v->root, long_name('l'), 0600, fixture_me, &d), -EEXIST);
	assert_int_equal(name_encrypt(fixture_v, id, long_name('l'), &n), 0);
	assert_true(below(fixture_v->root, n.link));
	assert_int_equal(dir_mknod(fixture_v, fixture_v->root, long_name('d'), S_IFCHR | 0600, 1, fixture_me, &d), -EPERM);
	assert_int_equal(name_encrypt(fixture_v, id, long_name('d'), &n), 0);
	assert_false(below(fixture_v->root, n.link));
	assert_int_equal(count_entries(fixture_v->root), 1);
}

static void what_does_not_decrypt_is_skipped_counted_and_removed_with_its_directory(void **state)
{
	struct inode *d = make_dir(fixture_v->root, "d");
	struct volume_stats st;
	char path[2048];

	(void)state;
	drop(make_file(d, "x"));
	plant(d, "garbage");
	plant(d, "coffer.long.x");
	plant(d, "coffer.name.stray");
	(void)snprintf(path, sizeof(path), "%s/deep", lower_path(d));
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/deep/link", lower_path(d));
	assert_int_equal(symlink("/", path), 0);
	assert_int_equal(count_entries(d), 1);
	volume_stats(fixture_v, &st);
	assert_int_equal(st.undecryptable, 3);
	assert_int_equal(fixture_events, 1);
	/* A visible entry protects all of it. */
	assert_int_equal(remove_dir(fixture_v, fixture_v->root, "d"), -ENOTEMPTY);
	assert_true(below(d, "garbage") && below(d, "deep/link") && below(d, DIR_LINK));
	assert_int_equal(remove_file(fixture_v, d, "x"), 0);
	assert_int_equal(remove_dir(fixture_v, fixture_v->root, "d"), 0);
	assert_int_equal(lookup_error(fixture_v->root, "d"), -ENOENT);
	assert_int_equal(access("/", F_OK), 0);
	drop(d);
}

static void rename_over_a_directory_that_was_used_works_and_over_a_full_one_does_not(void **state)
{
	struct inode *a = make_dir(fixture_v->root, "a"), *b = make_dir(fixture_v->root, "b"), *f;

	(void)state;
	drop(make_file(a, "f"));
	drop(make_file(b, "g"));
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, "a", fixture_v->root, "b", 0), -ENOTEMPTY);
	assert_true(below(b, DIR_LINK));
	assert_int_equal(lookup_error(b, "g"), 0);
	assert_int_equal(remove_file(fixture_v, b, "g"), 0);
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, "a", fixture_v->root, "b", 0), 0);
	f = find(a, "f");
	drop(f);
	assert_int_equal(lookup_error(fixture_v->root, "a"), -ENOENT);
	drop(a);
	drop(b);
}

static void names_move_between_directories_and_keep_their_inode(void **state)
{
	struct inode *a = make_dir(fixture_v->root, "a"), *b = make_dir(fixture_v->root, "b"), *f = make_file(a, "f"), *g;

	(void)state;
	put_text(f, "content");
	assert_int_equal(rename_entry(fixture_v, a, "f", b, long_name('x'), 0), 0);
	assert_int_equal(lookup_error(a, "f"), -ENOENT);
	g = find(b, long_name('x'));
	assert_ptr_equal(f, g);
	assert_text(g, "content");
	drop(g);
	assert_int_equal(rename_entry(fixture_v, b, long_name('x'), a, "f", 2), -ENOENT);
	assert_int_equal(rename_entry(fixture_v, b, long_name('x'), a, "f", 4), -EINVAL);
	drop(f);
	drop(a);
	drop(b);
}

static void listings_go_on_at_any_offset(void **state)
{
	struct readdir_list l, rest;
	char name[16];
	size_t k;
	int n;

	(void)state;
	for (n = 0; n < 300; n++) {
		(void)snprintf(name, sizeof(name), "f%d", n);
		drop(make_file(fixture_v->root, name));
	}
	assert_int_equal(readdir_list(fixture_v, fixture_v->root, 0, 1 << 20, fixture_entry_size, false, &l), 0);
	assert_int_equal(l.n, 302);
	for (k = 0; k < l.n; k += 37) {
		assert_int_equal(readdir_list(fixture_v, fixture_v->root, l.e[k].off, 1 << 20, fixture_entry_size, false, &rest), 0);
		assert_int_equal(rest.n, l.n - k - 1);
		if (rest.n > 0)
			assert_string_equal(rest.e[0].name, l.e[k + 1].name);
		readdir_done(fixture_v, &rest, 0);
	}
	assert_int_equal(readdir_list(fixture_v, fixture_v->root, 0, 100, fixture_entry_size, true, &rest), 0);
	assert_true(rest.n >= 2 && rest.n < 5);
	readdir_done(fixture_v, &rest, 0);
	readdir_done(fixture_v, &l, 0);
}

/* Its header is read, but a stat is no access. Only the owner of a lower file may ask for that. */
static void looking_leaves_the_access_time_of_the_lower_file_alone(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000001 } };
	struct inode *i = make_file(fixture_v->root, "a");
	char path[4096];
	struct stat st;

	(void)state;
	put_text(i, "text");
	(void)snprintf(path, sizeof(path), "%s", lower_path(i));
	drop(i);
	fixture_close();
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	fixture_open();
	assert_int_equal(count_entries(fixture_v->root), 1);
	i = find(fixture_v->root, "a");
	assert_int_equal(i->attr.size, 4);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, old[0].tv_sec);
	drop(i);
}

static void symbolic_links_keep_their_target_and_length(void **state)
{
	char target[SYMLINK_PLAIN_MAX + 2], back[SYMLINK_PLAIN_MAX + 1];
	struct dir_result d;
	struct inode *i;

	(void)state;
	memset(target, 't', sizeof(target));
	target[SYMLINK_PLAIN_MAX + 1] = '\0';
	assert_int_equal(dir_symlink(fixture_v, fixture_v->root, "l", target, fixture_me, &d), -ENAMETOOLONG);
	target[SYMLINK_PLAIN_MAX] = '\0';
	assert_int_equal(dir_symlink(fixture_v, fixture_v->root, "l", target, fixture_me, &d), 0);
	drop(d.inode);
	i = find(fixture_v->root, "l");
	assert_int_equal(i->attr.size, SYMLINK_PLAIN_MAX);
	assert_int_equal(dir_readlink(fixture_v, i, back), 0);
	assert_string_equal(back, target);
	drop(i);
}

static void a_link_target_that_does_not_decrypt_is_an_error_but_can_be_removed(void **state)
{
	char back[SYMLINK_PLAIN_MAX + 1];
	struct dir_result d;
	struct inode *i;
	char path[2048];

	(void)state;
	assert_int_equal(dir_symlink(fixture_v, fixture_v->root, "l", "target", fixture_me, &d), 0);
	(void)snprintf(path, sizeof(path), "%s", lower_path(d.inode));
	drop(d.inode);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	i = find(fixture_v->root, "l");
	assert_int_equal(dir_readlink(fixture_v, i, back), -EIO);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "l"), 0);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	drop(i);
}

static void what_is_due_to_a_file_is_still_due_when_it_was_forgotten_and_looked_up_again(void **state)
{
	struct inode *i = make_file(fixture_v->root, "a");
	uint64_t id = i->id;

	(void)state;
	drop(i);
	i = find(fixture_v->root, "a");
	assert_int_not_equal(i->id, id);
	assert_true(i->created);
	assert_int_equal(file_fsync(fixture_v, i, false), 0);
	assert_false(i->created);
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, "a", fixture_v->root, "b", 0), 0);
	drop(i);
	i = find(fixture_v->root, "b");
	assert_true(i->attr_due);
	drop(i);
}

/* ---- a directory that is opened again while it moves */

static struct {
	const struct lower_ops *real;
	struct inode *dir;
	pthread_t looker;
	atomic_int looks;        /* of the looker's, that found nothing */
	int found;
} moving;

static void *look_inside(void *arg)
{
	(void)arg;
	moving.found = lookup_error(moving.dir, "f");
	return NULL;
}

static int open_and_tell(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = moving.real->openat(l, dirfd, name, flags, mode);

	if (fd == -ENOENT || fd == -ENOTDIR)
		atomic_fetch_add(&moving.looks, 1);
	return fd;
}

/* Somebody looks for the directory at its old place when it has moved below, before anybody here knows it. */
static int rename_and_wait(struct lower *l, int from, const char *old, int to, const char *new, unsigned flags)
{
	int r = moving.real->renameat2(l, from, old, to, new, flags);
	unsigned ms;

	while (dirfd_shrink(fixture_v))
		;
	assert_int_equal(pthread_create(&moving.looker, NULL, look_inside, NULL), 0);
	for (ms = 0; ms < 10000 && atomic_load(&moving.looks) == 0; ms++)
		(void)usleep(1000);
	(void)usleep(20000);
	return r;
}

static void looks_while_it_moves(struct inode *dir, const char *old, const char *new, unsigned flags)
{
	struct lower_ops ops = *fixture_v->lower->ops;

	moving.real = fixture_v->lower->ops;
	moving.dir = dir;
	atomic_store(&moving.looks, 0);
	ops.openat = open_and_tell;
	ops.renameat2 = rename_and_wait;
	fixture_v->lower->ops = &ops;
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, old, fixture_v->root, new, flags), 0);
	pthread_join(moving.looker, NULL);
	fixture_v->lower->ops = moving.real;
	assert_int_not_equal(atomic_load(&moving.looks), 0);
	assert_int_equal(moving.found, 0);
}

static void a_directory_that_moves_is_found_at_its_new_place(void **state)
{
	struct inode *a = make_dir(fixture_v->root, "a"), *b = make_dir(fixture_v->root, "b"), *c;

	(void)state;
	drop(make_file(a, "f"));
	looks_while_it_moves(a, "a", "c", 0);
	looks_while_it_moves(a, "c", "b", 0);
	drop(b);
	c = make_file(fixture_v->root, "c");
	looks_while_it_moves(a, "b", "c", RENAME_EXCHANGE);
	looks_while_it_moves(a, "b", "c", RENAME_EXCHANGE);
	drop(c);
	drop(a);
}

/* ---- what is removed while somebody opens it */

static const char *victim;

/* Who opens by a name finds that it has just been removed. */
static int remove_and_open(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	const char *now = victim;

	if (now) {
		victim = NULL;
		assert_int_equal(remove_file(fixture_v, fixture_v->root, now), 0);
	}
	return moving.real->openat(l, dirfd, name, flags, mode);
}

static void what_is_removed_while_it_is_opened_is_opened(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f"), *s;
	struct lower_ops ops = *fixture_v->lower->ops;
	char target[SYMLINK_LOWER_MAX + 1];
	struct dir_result d;
	int fd;

	(void)state;
	assert_int_equal(dir_symlink(fixture_v, fixture_v->root, "s", "where", fixture_me, &d), 0);
	s = d.inode;
	moving.real = fixture_v->lower->ops;
	ops.openat = remove_and_open;
	fixture_v->lower->ops = &ops;
	victim = "f";
	assert_int_equal(reopen_inode(fixture_v, f, O_RDONLY, &fd), 0);
	assert_null(victim);
	lower_close(fixture_v->lower, fd);
	victim = "s";
	assert_int_equal(dir_readlink(fixture_v, s, target), 0);
	assert_null(victim);
	assert_string_equal(target, "where");
	fixture_v->lower->ops = moving.real;
	drop(f);
	drop(s);
}

static void a_directory_that_is_not_empty_costs_no_descriptor(void **state)
{
	struct inode *a = make_dir(fixture_v->root, "a"), *b = make_dir(fixture_v->root, "b");

	(void)state;
	drop(make_file(a, "f"));
	assert_int_equal(remove_dir(fixture_v, fixture_v->root, "a"), -ENOTEMPTY);
	assert_int_equal(rename_entry(fixture_v, fixture_v->root, "b", fixture_v->root, "a", 0), -ENOTEMPTY);
	assert_int_equal(a->pin_fd, -1);
	assert_int_equal(remove_dir(fixture_v, fixture_v->root, "b"), 0);
	assert_int_not_equal(b->pin_fd, -1);
	drop(a);
	drop(b);
}

/* The count that is held may be older than the one below. */
static void the_last_link_is_pinned_whatever_count_is_held(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f");

	(void)state;
	put_text(f, "content");
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	f->attr.nlink = 2;
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "f"), 0);
	assert_int_not_equal(f->pin_fd, -1);
	assert_int_equal(f->attr.nlink, 0);
	assert_text(f, "content");
	drop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(a_directory_gets_its_id_with_the_first_entry),
		fixture_test(a_lost_directory_id_is_an_error_and_never_made_anew),
		fixture_test(a_directory_without_id_can_be_removed_and_is_kept_in_quarantine),
		fixture_test(without_a_quarantine_a_directory_without_id_stays),
		fixture_test(garbage_of_any_depth_is_removed),
		fixture_test(a_long_name_has_its_link_as_long_as_the_entry),
		fixture_test(a_failed_create_leaves_the_link_of_the_entry_that_exists),
		fixture_test(what_does_not_decrypt_is_skipped_counted_and_removed_with_its_directory),
		fixture_test(rename_over_a_directory_that_was_used_works_and_over_a_full_one_does_not),
		fixture_test(names_move_between_directories_and_keep_their_inode),
		fixture_test(a_directory_that_moves_is_found_at_its_new_place),
		fixture_test(what_is_removed_while_it_is_opened_is_opened),
		fixture_test(a_directory_that_is_not_empty_costs_no_descriptor),
		fixture_test(the_last_link_is_pinned_whatever_count_is_held),
		fixture_test(listings_go_on_at_any_offset),
		fixture_test(looking_leaves_the_access_time_of_the_lower_file_alone),
		fixture_test(symbolic_links_keep_their_target_and_length),
		fixture_test(a_link_target_that_does_not_decrypt_is_an_error_but_can_be_removed),
		fixture_test(what_is_due_to_a_file_is_still_due_when_it_was_forgotten_and_looked_up_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
