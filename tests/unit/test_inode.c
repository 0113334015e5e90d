#include "fs_fixture.h"

static void node_ids_are_never_used_twice(void **state)
{
	struct inode *a = make_file(fixture_v->root, "a"), *b;
	uint64_t id = a->id;

	(void)state;
	drop(a);
	assert_null(inode_get(fixture_v, id));
	b = find(fixture_v->root, "a");
	assert_true(b->id > id);
	drop(b);
}

static void an_inode_lives_as_long_as_the_kernel_remembers_it(void **state)
{
	struct inode *a = make_file(fixture_v->root, "a"), *again;
	uint64_t id = a->id;

	(void)state;
	again = find(fixture_v->root, "a");
	assert_ptr_equal(a, again);
	inode_put(fixture_v, again);
	inode_put(fixture_v, a);
	again = inode_get(fixture_v, id);
	assert_ptr_equal(a, again);
	inode_put(fixture_v, again);
	inode_forget(fixture_v, id, 1);
	again = inode_get(fixture_v, id);
	assert_non_null(again);
	inode_put(fixture_v, again);
	inode_forget(fixture_v, id, 1);
	assert_null(inode_get(fixture_v, id));
}

static void forgetting_what_is_unknown_or_too_often_does_no_harm(void **state)
{
	struct inode *a = make_file(fixture_v->root, "a");
	uint64_t id = a->id;

	(void)state;
	inode_forget(fixture_v, 123456, 7);
	inode_forget(fixture_v, INODE_ROOT, 1000);
	inode_put(fixture_v, a);
	inode_forget(fixture_v, id, 1000);
	assert_null(inode_get(fixture_v, id));
	assert_int_equal(lookup_error(fixture_v->root, "a"), 0);
}

static void hard_links_lead_to_one_inode(void **state)
{
	struct inode *a = make_file(fixture_v->root, "a"), *b;
	struct dir_result d;

	(void)state;
	assert_int_equal(dir_link(fixture_v, a, fixture_v->root, "b", &d), 0);
	assert_ptr_equal(d.inode, a);
	assert_int_equal(d.attr.nlink, 2);
	inode_put(fixture_v, d.inode);
	inode_forget(fixture_v, a->id, 1);
	b = find(fixture_v->root, "b");
	assert_ptr_equal(b, a);
	drop(b);
	drop(a);
}

static void parents_live_as_long_as_their_children(void **state)
{
	struct inode *d = make_dir(fixture_v->root, "d"), *f = make_file(d, "f");
	uint64_t id = d->id;

	(void)state;
	drop(d);
	d = inode_get(fixture_v, id);
	assert_non_null(d);
	inode_put(fixture_v, d);
	put_text(f, "still there");
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	drop(f);
	assert_int_equal(volume_sync(fixture_v), 0);
}

static void thousands_are_found_by_number(void **state)
{
	enum { N = 5000 };
	static uint64_t id[N];
	struct dir_result d;
	char name[16];
	int k;

	(void)state;
	for (k = 0; k < N; k++) {
		(void)snprintf(name, sizeof(name), "p%d", k);
		assert_int_equal(dir_mknod(fixture_v, fixture_v->root, name, S_IFIFO | 0600, 0, fixture_me, &d), 0);
		id[k] = d.inode->id;
		inode_put(fixture_v, d.inode);
	}
	assert_true(fixture_v->table.buckets > 1024);
	for (k = 0; k < N; k++) {
		struct inode *i = inode_get(fixture_v, id[k]);

		assert_non_null(i);
		assert_int_equal(i->id, id[k]);
		drop(i);
		assert_null(inode_get(fixture_v, id[k]));
	}
	assert_int_equal(fixture_v->table.count, 1);
}

static void another_type_in_the_place_of_a_held_inode_is_refused(void **state)
{
	struct inode *a = make_file(fixture_v->root, "a"), *none = NULL;
	struct inode_attr attr = { .ino = a->ino, .mode = S_IFIFO | 0600 };

	(void)state;
	assert_int_equal(inode_remember(fixture_v, fixture_v->root, "x", &attr, false, 0, &none), -ESTALE);
	assert_null(none);
	drop(a);
}

static void an_iofile_closed_meanwhile_asks_for_another_look(void **state)
{
	struct inode_attr attr = { .ino = 987654321, .mode = S_IFREG | 0600 };
	struct inode *none = NULL;

	(void)state;
	assert_int_equal(inode_remember(fixture_v, fixture_v->root, "x", &attr, false, inode_closes(fixture_v) + 1, &none), -EAGAIN);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(node_ids_are_never_used_twice),
		fixture_test(an_inode_lives_as_long_as_the_kernel_remembers_it),
		fixture_test(forgetting_what_is_unknown_or_too_often_does_no_harm),
		fixture_test(hard_links_lead_to_one_inode),
		fixture_test(parents_live_as_long_as_their_children),
		fixture_test(thousands_are_found_by_number),
		fixture_test(another_type_in_the_place_of_a_held_inode_is_refused),
		fixture_test(an_iofile_closed_meanwhile_asks_for_another_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
