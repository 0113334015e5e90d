/* test_hand.c: a mount's state as bytes, and a volume that goes on with the inodes of another: what must be the same, what is refused, and what happens when any lower
 * call or allocation on the way fails. The "next program" is here a second struct volume of this process. Linked with --wrap. */
#include "alloc_fails.h"
#include "fs_fixture.h"

#include "base/hash.h"
#include "format/layout.h"
#include "fs/live.h"
#include "fs/volume_hand.h"
#include "lib/fault.h"

#define TRIES_MAX 2000
#define STATE_MAX (1u << 20)

char *__wrap_strdup(const char *s);
char *__real_strdup(const char *s);

char *__wrap_strdup(const char *s)
{
	return alloc_fails() ? NULL : __real_strdup(s);
}

static uint8_t state[STATE_MAX];

/* ---- the bytes */

static struct hand_head some_head(void)
{
	static const struct hand_head h = {
		.kind = HAND_TAKE, .token = 0x12345678, .uuid = { 7 }, .root_ino = 2, .root_dev = 3, .fuse_fd = 5, .deep_fd = -1, .lock_fd = 9,
		.told = { .generation = { 1, 2 }, .stamp_limit = 77 }, .next_id = 100, .inodes = 2, .seeks = 1, .due = { 0x80, 1 },
		.init_len = 3, .init = "abc", .answer_len = 2, .answer = "de", .path = "/srv/v", .mountpoint = "/mnt",
	};

	return h;
}

static const struct hand_seek some_seek = { .unique = 1ull << 40, .node = 5, .off = 4096, .whence = 3 };

static struct hand_inode some_inode(uint64_t id, uint64_t parent, const char *name)
{
	struct hand_inode i = {
		.id = id, .parent = parent, .nlookup = 3, .flags = HAND_CREATED, .pin_fd = -1,
		.attr = { .ino = 1000 + id, .size = 5, .blocks = 8, .mode = S_IFREG | 0640, .nlink = 1, .uid = 1, .gid = 2, .atime = { 1, 2 },
			  .mtime = { -5, 999999999 }, .ctime = { 7, 0 } },
	};

	(void)snprintf(i.name, sizeof(i.name), "%s", name);
	return i;
}

static uint64_t put_all(const struct hand_head *h, const struct hand_inode *i, size_t n)
{
	struct hand_out o = { .p = state, .max = sizeof(state) };

	hand_put_head(&o, h);
	for (uint32_t k = 0; k < h->seeks; k++)
		hand_put_seek(&o, &some_seek);
	for (size_t k = 0; k < n; k++)
		hand_put_inode(&o, &i[k]);
	assert_int_equal(hand_close(&o), 0);
	return o.len;
}

static int get_all(uint64_t len, struct hand_head *ret_h, struct hand_inode *ret_i)
{
	struct hand_in in = { .p = state, .len = len };
	struct hand_seek s;
	int r;

	r = hand_get_head(&in, ret_h);
	for (uint32_t k = 0; r == 0 && k < ret_h->seeks; k++)
		r = hand_get_seek(&in, &s);
	for (uint64_t k = 0; r == 0 && k < ret_h->inodes && k < 2; k++)
		r = hand_get_inode(&in, &ret_i[k]);
	return r == 0 ? hand_get_end(&in) : r;
}

static void what_is_put_is_read(void **s)
{
	struct hand_inode i[2] = { some_inode(1, 0, ""), some_inode(9, 1, "name") }, got[2];
	static struct hand_head h, head;
	uint64_t len;

	(void)s;
	h = some_head();
	i[0].attr.mode = S_IFDIR | 0755;
	i[1].handle = (struct lower_handle){ .type = 1, .len = 3, .bytes = "xyz" };
	i[1].pin_fd = 12;
	len = put_all(&h, i, 2);
	assert_int_equal(get_all(len, &head, got), 0);
	assert_memory_equal(&head, &h, sizeof(h));
	assert_memory_equal(got, i, sizeof(i));
}

static void counting_gives_the_length(void **s)
{
	struct hand_inode i = some_inode(9, 1, "name");
	static struct hand_head h;
	struct hand_out o = { 0 }, small = { .p = state, .max = 100 };

	(void)s;
	h = some_head();
	hand_put_head(&o, &h);
	hand_put_inode(&o, &i);
	assert_int_equal(hand_close(&o), 0);
	hand_put_head(&small, &h);
	hand_put_inode(&small, &i);
	assert_int_equal(small.len, o.len);
	assert_int_equal(hand_close(&small), -ENOSPC);
	o.len = HAND_BYTES_MAX + 1;
	assert_int_equal(hand_close(&o), -EFBIG);
}

static void every_changed_byte_and_every_length_is_refused(void **s)
{
	struct hand_inode i[2] = { some_inode(8, 1, "a"), some_inode(9, 1, "b") }, got[2];
	static struct hand_head h, head;
	uint64_t len;
	int r;

	(void)s;
	h = some_head();
	len = put_all(&h, i, 2);
	for (uint64_t k = 0; k < len; k++) {
		state[k] ^= 1;
		r = get_all(len, &head, got);
		state[k] ^= 1;
		/* The kind stands before what the hash covers; it must be one of the two. */
		assert_true(k >= 8 && k < 12 ? r == -EOPNOTSUPP : r == -EUCLEAN);
	}
	for (uint64_t k = 0; k < len; k++)
		assert_int_equal(get_all(k, &head, got), -EUCLEAN);
	assert_int_equal(get_all(len + 1, &head, got), -EUCLEAN);
	assert_int_equal(get_all(len, &head, got), 0);
}

static void malformed_records_are_refused(void **s)
{
	struct hand_inode got[2];
	static struct hand_head h, head;

	(void)s;
	h = some_head();
	h.seeks = 0;
	h.inodes = 1;
	for (unsigned k = 0; k < 10; k++) {
		struct hand_inode i = some_inode(9, 1, "name");

		switch (k) {
		case 0: i.id = 0; break;
		case 1: i.flags = HAND_FLAGS + 1; break;
		case 2: i.attr.mode = 0644; break;
		case 3: i.name[0] = '\0'; break;
		case 4: (void)snprintf(i.name, sizeof(i.name), "a/b"); break;
		case 5: (void)snprintf(i.name, sizeof(i.name), ".."); break;
		case 6: i.parent = 0; break;
		case 7: i.attr.mtime.tv_nsec = 1000000000; break;
		case 8: i.pin_fd = -2; break;
		default: break;
		}
		assert_int_equal(get_all(put_all(&h, &i, 1), &head, got), k < 9 ? -EUCLEAN : 0);
	}
}

static void malformed_heads_are_refused(void **s)
{
	static struct hand_head h, head;

	(void)s;
	for (unsigned k = 0; k < 8; k++) {
		struct hand_out o = { .p = state, .max = sizeof(state) };
		struct hand_in in = { .p = state };

		h = some_head();
		switch (k) {
		case 0: h.path[0] = '\0'; break;
		case 1: h.mountpoint[0] = '\0'; break;
		case 2: h.next_id = INODE_ROOT; break;
		case 3: h.seeks = HAND_SEEKS_MAX + 1; break;
		case 4: h.watcher = -1; break;
		case 5: h.kind = 3; break;
		case 6: h.lock_fd = -7; break;
		default: break;
		}
		hand_put_head(&o, &h);
		assert_int_equal(hand_close(&o), 0);
		in.len = o.len;
		assert_int_equal(hand_get_head(&in, &head), k < 7 ? -EUCLEAN : 0);
	}
}

/* ---- a volume that goes on */

static struct fault *fault;
static long armed = -1; /* countdown, once the key is there */

static int open_next(int lock_fd, struct volume **ret_v)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true, .lock_fd = lock_fd };
	struct volume_events e = { .event = fixture_event };
	struct secret *root = fixture_key(1);

	countdown = armed;
	return volume_open(fault ? fault_lower(fault) : lower_real(), fixture_root(), fixture_config, fixture_config_len, &root, &o, &e, fixture_holder, ret_v);
}

/* The state of a locked volume. */
static uint64_t give(struct volume *v)
{
	struct hand_head h = { .kind = HAND_TAKE, .fuse_fd = -1, .deep_fd = -1, .path = "/v", .mountpoint = "/m" };
	struct hand_out o = { .p = state, .max = sizeof(state) };

	volume_hand_head(v, &h);
	hand_put_head(&o, &h);
	volume_hand_put(v, &o);
	assert_int_equal(hand_close(&o), 0);
	return o.len;
}

static int take(struct volume *v, uint64_t len)
{
	struct hand_in in = { .p = state, .len = len };
	struct hand_head h;

	assert_int_equal(hand_get_head(&in, &h), 0);
	return volume_hand_take(v, &h, &in);
}

/* As execve does: what was handed over is the other's now. */
static void leave(struct volume *v)
{
	v->lock_fd = -1;
	for (size_t b = 0; b < v->table.buckets; b++)
		for (struct inode *i = v->table.by_id[b]; i; i = i->next_id)
			i->pin_fd = -1;
	(void)!volume_close(v);
}

/* fixture_v goes on in another volume. */
static void restart(void)
{
	struct volume *before = take_ptr(fixture_v);
	uint64_t len;

	assert_int_equal(volume_lock(before), 0);
	len = give(before);
	assert_int_equal(volume_hand_fds(before, true), 0);
	assert_int_equal(volume_hand_fds(before, false), 0);
	assert_int_equal(open_next(before->lock_fd, &fixture_v), 0);
	assert_int_equal(take(fixture_v, len), 0);
	assert_int_equal(volume_hand_say(fixture_v, 5, NULL), 0);
	leave(before);
}

struct kernel {
	uint64_t dir, file, deep, gone, other, gone_dir, fifo;
};

/* Only ids are kept, as the kernel does. */
static struct kernel fill(void)
{
	struct inode *root = fixture_v->root, *dir = make_dir(root, "dir"), *file = make_file(root, "file"), *gone = make_file(dir, "gone"), *gone_dir;
	struct inode *deep = make_file(dir, "a name that is long enough to have a link of its own: a name that is long enough to have a link of its own, which it has now");
	struct inode *other = make_file(root, "one");
	struct dir_result d;
	struct kernel k;

	gone_dir = make_dir(root, "gone-dir");
	put_text(file, "file");
	assert_int_equal(file_fsync(fixture_v, file, 0), 0);
	put_text(gone, "gone");
	put_text(deep, "deep");
	put_text(other, "other");
	assert_int_equal(dir_link(fixture_v, other, dir, "two", &d), 0);
	inode_forget(fixture_v, d.inode->id, 1);
	inode_put(fixture_v, d.inode);
	assert_int_equal(remove_file(fixture_v, dir, "two"), 0);
	assert_int_equal(remove_file(fixture_v, dir, "gone"), 0);
	assert_int_equal(remove_dir(fixture_v, root, "gone-dir"), 0);
	assert_int_equal(dir_mknod(fixture_v, root, "fifo", S_IFIFO | 0600, 0, fixture_me, &d), 0);
	k = (struct kernel){ dir->id, file->id, deep->id, gone->id, other->id, gone_dir->id, d.inode->id };
	inode_put(fixture_v, d.inode);
	inode_put(fixture_v, gone_dir);
	inode_put(fixture_v, other);
	inode_put(fixture_v, gone);
	inode_put(fixture_v, deep);
	inode_put(fixture_v, file);
	inode_put(fixture_v, dir);
	/* The kernel forgets the directory, but not what is in it. */
	inode_forget(fixture_v, k.dir, 1);
	return k;
}

static struct inode *get(uint64_t id)
{
	struct inode *i = inode_get(fixture_v, id);

	assert_non_null(i);
	return i;
}

static void assert_holds(uint64_t id, const char *text)
{
	struct inode *i = get(id);
	struct inode_attr a;

	assert_text(i, text);
	assert_int_equal(file_getattr(fixture_v, i, &a), 0);
	assert_int_equal(a.size, strlen(text));
	inode_put(fixture_v, i);
}

static void what_the_kernel_knows_by_number_stays_what_it_is(void **s)
{
	struct inode_attr before, after;
	struct kernel k = fill();
	struct inode *i = get(k.file);
	uint64_t next = fixture_v->table.next_id;
	size_t count = fixture_v->table.count;

	(void)s;
	inode_attr(fixture_v, i, &before);
	inode_put(fixture_v, i);
	for (unsigned round = 0; round < 3; round++) {
		restart();
		assert_int_equal(fixture_v->table.count, count);
		assert_int_equal(fixture_v->table.next_id, next);
		assert_holds(k.file, "file");
		assert_holds(k.deep, "deep");
		assert_holds(k.gone, "gone");
		assert_holds(k.other, "other");
		i = get(k.file);
		inode_attr(fixture_v, i, &after);
		assert_memory_equal(&before.mtime, &after.mtime, sizeof(before.mtime));
		assert_int_equal(before.ino, after.ino);
		put_text(i, "file");
		inode_attr(fixture_v, i, &before);
		inode_put(fixture_v, i);
		i = get(k.gone_dir);
		assert_int_equal(count_entries(i), 0);
		assert_int_equal(i->attr.nlink, 0);
		inode_put(fixture_v, i);
		i = get(k.dir);
		assert_int_equal(i->nlookup, 0);
		assert_int_equal(count_entries(i), 1);
		inode_put(fixture_v, i);
	}
	i = make_file(fixture_v->root, "new");
	assert_true(i->id >= next);
	drop(i);
	for (uint64_t *id = (uint64_t *)&k; id < (uint64_t *)(&k + 1); id++)
		inode_forget(fixture_v, *id, 1);
	restart(); /* and with hardly anything */
	assert_int_equal(fixture_v->table.count, 1);
	fixture_close();
	fixture_open();
	assert_int_equal(count_entries(fixture_v->root), 5);
}

static void what_is_not_durable_yet_is_not_forgotten(void **s)
{
	struct inode *file = make_file(fixture_v->root, "file"), *dir = make_dir(fixture_v->root, "dir"), *in = make_file(dir, "in");
	uint64_t id = file->id, dir_id = dir->id;

	(void)s;
	assert_true(file->created && dir->names_made > dir->names_synced);
	fixture_v->due[3] |= 1ull << 63;
	inode_put(fixture_v, in);
	inode_put(fixture_v, dir);
	inode_put(fixture_v, file);
	restart();
	file = get(id);
	dir = get(dir_id);
	assert_true(file->created && dir->names_made > dir->names_synced);
	assert_true(fixture_v->due[3] >> 63);
	assert_int_equal(file_fsync(fixture_v, file, 0), 0);
	inode_put(fixture_v, dir);
	inode_put(fixture_v, file);
}

static void nobody_else_gets_the_lock_meanwhile(void **s)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true };
	struct volume *other = NULL;
	int fd;

	(void)s;
	restart();
	assert_int_equal(fixture_open_with(&o, 1, &other), -EBUSY);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* what is handed over must be that lock */
	assert_int_equal(open_next(fd, &other), -ESTALE);
}

/* Records that do not fit together, behind the root's. */
static void tables_that_do_not_fit_are_refused(void **s)
{
	struct hand_inode i[3];
	struct volume *next;
	static struct hand_head h;
	uint64_t ino = fixture_v->root->ino;

	(void)s;
	for (unsigned k = 0; k < 13; k++) {
		i[0] = some_inode(1, 0, "");
		i[0].attr.mode = S_IFDIR | 0755;
		i[0].attr.ino = ino;
		i[1] = some_inode(8, 1, "a");
		i[1].attr.mode = S_IFDIR | 0755;
		i[2] = some_inode(9, 8, "b");
		h = (struct hand_head){ .kind = HAND_TAKE, .fuse_fd = -1, .deep_fd = -1, .lock_fd = -1, .path = "/v", .mountpoint = "/m" };
		volume_hand_head(fixture_v, &h);
		h.next_id = 10;
		h.inodes = 3;
		switch (k) {
		case 0: i[2].id = 8; break;
		case 1: i[2].parent = 7; break;
		case 2: i[1].attr.mode = S_IFREG | 0644; break;
		case 3: i[2].attr.ino = i[1].attr.ino; break;
		case 4: i[2].id = 10; break;
		case 5: i[0].attr.ino++; break;
		case 6: i[0].parent = 8; (void)snprintf(i[0].name, sizeof(i[0].name), "root"); break;
		case 7: i[1].parent = 8; break;
		case 8: i[2].attr.mode = S_IFDIR | 0755; i[1].parent = 9; break; /* a loop */
		case 9: i[2].pin_fd = 1023; break;
		case 10: i[2].pin_fd = STDIN_FILENO; break; /* something, but not that */
		case 11: i[2].nlookup = 0; break;
		default: break;
		}
		next = NULL;
		assert_int_equal(volume_lock(fixture_v), 0);
		assert_int_equal(open_next(fixture_v->lock_fd, &next), 0);
		assert_int_equal(take(next, put_all(&h, i, 3)), k < 12 ? -EUCLEAN : 0);
		for (size_t b = 0; b < next->table.buckets; b++)
			for (struct inode *in = next->table.by_id[b]; in; in = in->next_id)
				in->pin_fd = -1; /* the test's own */
		fixture_v->lock_fd = -1;
		(void)!volume_close(take_ptr(fixture_v));
		fixture_v = next;
		fixture_close();
		fixture_open();
	}
	h.uuid[0]++;
	assert_int_equal(take(fixture_v, put_all(&h, i, 3)), -ESTALE);
}

/* ---- faults: what cannot be taken over is as a crash: nothing that was synced is lost */

static void attempt(struct volume *before, uint64_t len, bool *ret_ok)
{
	struct volume *next = NULL;
	int lock_fd = dup(before->lock_fd), r;

	assert_true(lock_fd > 0);
	r = open_next(lock_fd, &next);
	if (r == 0)
		r = take(next, len);
	*ret_ok = r == 0;
	if (!next)
		return;
	for (size_t b = 0; b < next->table.buckets; b++)
		for (struct inode *in = next->table.by_id[b]; in; in = in->next_id)
			in->pin_fd = -1; /* still those of before */
	(void)!volume_close(next);
}

/* One after the other until none happens. */
static void each_may_fail(bool allocations)
{
	struct kernel k = fill();
	bool ok = false, happened = true;
	struct secret *root;
	struct inode *file;
	uint64_t len;
	long n;

	assert_int_equal(volume_lock(fixture_v), 0);
	len = give(fixture_v);
	for (n = 0; n < TRIES_MAX && happened; n++) {
		failed = false;
		if (allocations)
			armed = n;
		else
			fault_fail(fault, FAULT_ALL, (uint64_t)n + 1, EIO, 1, 0);
		attempt(fixture_v, len, &ok);
		happened = allocations ? failed : fault_happened(fault);
		countdown = armed = -1;
		if (fault)
			fault_fail(fault, 0, 0, 0, 0, 0);
		assert_true(ok || happened);
		if (n % 8 != 0 && happened)
			continue;
		/* The one that was there before can go on instead. */
		root = fixture_key(1);
		assert_int_equal(volume_unlock(fixture_v, fixture_config, fixture_config_len, &root), 0);
		assert_holds(k.file, "file");
		assert_holds(k.gone, "gone");
		assert_int_equal(volume_lock(fixture_v), 0);
		len = give(fixture_v);
	}
	assert_true(n > 20 && n < TRIES_MAX);
	assert_int_equal(volume_close(take_ptr(fixture_v)), 0);
	fixture_open();
	file = find(fixture_v->root, "file");
	assert_text(file, "file");
	drop(file);
}

static void each_lower_call_of_taking_over_may_fail(void **s)
{
	(void)s;
	fault = fault_new(lower_real());
	each_may_fail(false);
	fault_free(take_ptr(fault));
}

static void each_allocation_of_taking_over_may_fail(void **s)
{
	(void)s;
	each_may_fail(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_is_read),
		cmocka_unit_test(counting_gives_the_length),
		cmocka_unit_test(every_changed_byte_and_every_length_is_refused),
		cmocka_unit_test(malformed_records_are_refused),
		cmocka_unit_test(malformed_heads_are_refused),
		fixture_test(what_the_kernel_knows_by_number_stays_what_it_is),
		fixture_test(what_is_not_durable_yet_is_not_forgotten),
		fixture_test(nobody_else_gets_the_lock_meanwhile),
		fixture_test(tables_that_do_not_fit_are_refused),
		fixture_test(each_lower_call_of_taking_over_may_fail),
		fixture_test(each_allocation_of_taking_over_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
