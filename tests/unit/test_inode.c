#include "fs_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

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

/* Closing these waits, as for a disk. */
static struct slow {
	int fd;
	sem_t begun, go;
	struct inode *i;
} slow[2];

static int slow_close(struct lower *l, int fd)
{
	(void)l;
	for (unsigned k = 0; k < 2; k++) {
		if (fd != slow[k].fd)
			continue;
		(void)sem_post(&slow[k].begun);
		(void)sem_wait(&slow[k].go);
	}
	return lower_real()->ops->close(lower_real(), fd);
}

static void *forget_it(void *arg)
{
	struct slow *s = arg;

	inode_forget(fixture_v, s->i->id, 1);
	return NULL;
}

static void *await_pins(void *arg)
{
	inode_await_pins(fixture_v);
	*(atomic_bool *)arg = true;
	return NULL;
}

static unsigned turn_now(void)
{
	WITH_LOCK(&fixture_v->lock);

	return fixture_v->pins_turn;
}

static void removed_and_forgotten(unsigned k, const char *name)
{
	slow[k].i = make_file(fixture_v->root, name);
	assert_int_equal(remove_file(fixture_v, fixture_v->root, name), 0);
	slow[k].fd = slow[k].i->pin_fd;
	assert_true(slow[k].fd >= 0);
	inode_put(fixture_v, slow[k].i);
	(void)sem_init(&slow[k].begun, 0, 0);
	(void)sem_init(&slow[k].go, 0, 0);
}

/* Whoever removes a directory would spin in the kernel below meanwhile. */
static void pins_that_are_being_closed_are_awaited_and_later_ones_are_not(void **state)
{
	struct lower_ops ops = *lower_real()->ops;
	struct lower l = { .ops = &ops, .real = true };
	pthread_t closer[2], waiter;
	atomic_bool done = false;
	unsigned turn;

	(void)state;
	removed_and_forgotten(0, "a");
	removed_and_forgotten(1, "b");
	ops.close = slow_close;
	fixture_v->lower = &l;
	inode_await_pins(fixture_v); /* there are none */
	turn = turn_now();
	assert_int_equal(pthread_create(&closer[0], NULL, forget_it, &slow[0]), 0);
	(void)sem_wait(&slow[0].begun);
	assert_int_equal(pthread_create(&waiter, NULL, await_pins, &done), 0);
	while (turn_now() == turn)
		(void)sched_yield();
	assert_int_equal(pthread_create(&closer[1], NULL, forget_it, &slow[1]), 0);
	(void)sem_wait(&slow[1].begun);
	assert_false(atomic_load(&done));
	(void)sem_post(&slow[0].go);
	(void)pthread_join(waiter, NULL); /* while the second is still open */
	assert_true(atomic_load(&done));
	(void)sem_post(&slow[1].go);
	for (unsigned k = 0; k < 2; k++)
		(void)pthread_join(closer[k], NULL);
	fixture_v->lower = lower_real();
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
		fixture_test(pins_that_are_being_closed_are_awaited_and_later_ones_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
