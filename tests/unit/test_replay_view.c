/* Tests of lower_ro.c and replay_view.c: nothing gets through that changes anything, and reads see what the log holds, however they are cut. That a view is
 * what replay makes of the same state is tested by each replay of replay_fixture.h. */
#include "replay_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/fault.h"

static int setup(void **state)
{
	*state = rv_new(0);
	return 0;
}

static int teardown(void **state)
{
	struct rvol *v = *state;

	assert_int_equal(simfs_open_count(v->fs), 1); /* the root */
	simfs_free(v->fs);
	free(v);
	return 0;
}

/* ---- nothing is changed */

static void every_call_has_a_row(void **state)
{
	struct rvol *v = *state;
	struct lower_ro ro;
	const void *p;

	lower_ro_init(&ro, v->l);
	for (size_t i = 0; i < sizeof(*ro.l.ops); i += sizeof(p)) {
		memcpy(&p, (const uint8_t *)ro.l.ops + i, sizeof(p));
		if (!p)
			fail_msg("call number %zu of struct lower_ops", i / sizeof(p));
	}
}

static void what_changes_something_is_refused(void **state)
{
	struct rvol *v = *state;
	struct lower_ro ro;
	struct lower *l = &ro.l;
	const struct lower_ops *o;
	struct timespec ts[2] = { { 0 } };
	uint64_t before;
	int fd;

	file_new(v, 0, "f", 1);
	before = simfs_digest(v->fs);
	lower_ro_init(&ro, v->l);
	o = l->ops;
	assert_int_equal(o->openat(l, v->root, "f", O_RDWR, 0), -EROFS);
	assert_int_equal(o->openat(l, v->root, "f", O_WRONLY, 0), -EROFS);
	assert_int_equal(o->openat(l, v->root, "f", O_RDONLY | O_TRUNC, 0), -EROFS);
	assert_int_equal(o->openat(l, v->root, "new", O_RDONLY | O_CREAT, 0600), -EROFS);
	fd = o->openat(l, v->root, "f", O_RDONLY, 0);
	assert_true(fd >= 0);
	assert_int_equal(o->reopen(l, fd, O_RDWR), -EROFS);
	assert_int_equal(o->open_by_handle(l, v->root, &v->f[0].handle, O_RDWR), -EROFS);
	assert_int_equal(lower_pwrite(l, fd, "x", 1, 0, false), -EROFS);
	assert_int_equal(o->ftruncate(l, fd, 0), -EROFS);
	assert_int_equal(o->fallocate(l, fd, 0, 0, 1), -EROFS);
	assert_int_equal(o->futimens(l, fd, ts), -EROFS);
	assert_int_equal(o->utimensat(l, v->root, "f", ts), -EROFS);
	assert_int_equal(o->fchmod(l, fd, 0600), -EROFS);
	assert_int_equal(o->fsetxattr(l, fd, "user.a", "x", 1, 0), -EROFS);
	assert_int_equal(o->fremovexattr(l, fd, "user.a"), -EROFS);
	assert_int_equal(o->fgetxattr(l, fd, "user.a", NULL, 0), -EOPNOTSUPP);
	assert_int_equal(o->flistxattr(l, fd, NULL, 0), -EOPNOTSUPP);
	assert_int_equal(o->fchownat(l, v->root, "f", 0, 0), -EROFS);
	assert_int_equal(o->mkdirat(l, v->root, "d", 0700), -EROFS);
	assert_int_equal(o->mknodat(l, v->root, "p", S_IFIFO | 0600, 0), -EROFS);
	assert_int_equal(o->symlinkat(l, "to", v->root, "s"), -EROFS);
	assert_int_equal(o->linkat(l, v->root, "f", v->root, "g"), -EROFS);
	assert_int_equal(o->unlinkat(l, v->root, "f", 0), -EROFS);
	assert_int_equal(o->renameat2(l, v->root, "f", v->root, "g", 0), -EROFS);
	assert_int_equal(o->lock(l, fd, true), -EROFS);
	assert_int_equal(o->lock(l, fd, false), 0);
	assert_int_equal(o->fsync(l, fd) | o->fdatasync(l, fd) | o->syncfs(l, fd), 0);
	lower_close(l, fd);
	assert_int_equal(simfs_digest(v->fs), before);
}

static void access_times_stay_where_that_is_permitted(void **state)
{
	char name[] = "view-test-XXXXXX";
	struct lower_ro ro;
	struct lower *l = &ro.l;
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat st;
	char c;
	int fd = mkstemp(name), again;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(futimens(fd, old), 0);
	lower_ro_init(&ro, lower_real());
	again = l->ops->openat(l, AT_FDCWD, name, O_RDONLY, 0);
	assert_true(again >= 0);
	assert_int_equal(lower_pread(l, again, &c, 1, 0), 1);
	lower_close(l, again);
	again = l->ops->reopen(l, fd, O_RDONLY);
	assert_int_equal(lower_pread(l, again, &c, 1, 0), 1);
	lower_close(l, again);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, 1000);
	close(fd);
	unlink(name);
	/* somebody else's: read all the same */
	again = l->ops->openat(l, AT_FDCWD, "/proc/self/status", O_RDONLY, 0);
	assert_true(again >= 0);
	lower_close(l, again);
}

/* ---- reading through the log */

struct looking {
	struct rvol *v;
	struct state *s;
	struct lower_ro ro;
	struct lower *l;
	struct replay_view *view;
	int log_fd, fd;
};

static int look_begin(struct rvol *v, struct lower *below, struct looking *ret)
{
	struct replay_result res;
	struct vio_params p = v->p;
	struct replay *rp = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->v = v;
	ret->log_fd = ret->fd = -1;
	lower_ro_init(&ret->ro, below);
	ret->l = p.lower = &ret->ro.l;
	r = state_open(ret->l, v->root, p.ring, true, 0, &ret->s);
	if (r < 0)
		return r;
	ret->log_fd = ret->l->ops->openat(ret->l, v->root, NAME_LOG, O_RDONLY, 0);
	r = ret->log_fd < 0 ? ret->log_fd : replay_look(&p, ret->s, ret->log_fd, &res, &rp);
	if (r == 0)
		r = replay_view_new(&rp, &ret->view);
	if (r < 0)
		return r;
	replay_view_install(ret->view, &ret->ro);
	ret->fd = ret->l->ops->openat(ret->l, v->root, v->f[0].name, O_RDONLY, 0);
	return ret->fd < 0 ? ret->fd : 0;
}

static void look_end(struct looking *k)
{
	lower_close(k->l, k->fd);
	replay_view_free(k->view);
	lower_close(k->l, k->log_fd);
	state_close(k->s);
}

/* Blocks around the end of the ring, in runs and one by one; a group that home does not have. */
static struct rfile *scattered(struct rvol *v)
{
	struct rfile *f;

	rv_begin(v, LOG_BLOCKS - 9, 0);
	f = file_new(v, 0, "f", 2);
	for (unsigned i = 0; i < 12; i++)
		set(v, f, 0, 3 + i, (uint8_t)i);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 3, LOG_WHERE_LOG }, { 4, LOG_WHERE_LOG }, { 5, LOG_WHERE_LOG }, { 6, LOG_WHERE_LOG }, { 7, LOG_WHERE_LOG },
		 { 8, LOG_WHERE_LOG }, { 9, LOG_WHERE_LOG }, { 10, LOG_WHERE_LOG }, { 11, LOG_WHERE_LOG }, { 12, LOG_WHERE_LOG },
		 { 13, LOG_WHERE_LOG }, { 14, LOG_WHERE_LOG });
	tx_commit(v);
	tx_one(v, f, 0, 7, 0x77);
	f->shape.alloc_groups = 3;
	f->shape.size = 3 * GROUP_PLAIN;
	set(v, f, 2, 1, 0x21);
	tx_begin(v);
	tx_file(v, f, false);
	TX_GROUP(v, f, 2, LOG_BASE_EMPTY, { 1, LOG_WHERE_LOG });
	tx_commit(v);
	return f;
}

static void reads_of_any_length_see_the_same(void **state)
{
	struct rvol *v = *state;
	const size_t len = 3 * GROUP_LOWER;
	uint8_t *whole = aligned_alloc(BLOCK_SIZE, len), *p = aligned_alloc(BLOCK_SIZE, len);
	struct rfile *f = scattered(v);
	struct simfs_rng rng = { 7 };
	struct looking k;
	struct group_header h;
	ssize_t n;

	assert_true(whole && p);
	assert_int_equal(look_begin(v, v->l, &k), 0);
	memset(whole, 0xee, len);
	n = lower_pread(k.l, k.fd, whole, len, 0);
	assert_int_equal(n, 2 * GROUP_LOWER + 3 * BLOCK_SIZE); /* longer than home: up to the last block of the log */
	for (uint32_t g = 0; g < 3; g++)
		assert_int_equal(group_open(fixture_bc(), fixture_ring(), f->id, g, whole + g * GROUP_LOWER, &h), 0);
	for (unsigned i = 0; i < 12; i++)
		assert_memory_equal(whole + (4 + i) * BLOCK_SIZE, f->g[0].cipher[3 + i], BLOCK_SIZE);
	assert_memory_equal(whole + 2 * GROUP_LOWER + 2 * BLOCK_SIZE, f->g[2].cipher[1], BLOCK_SIZE);
	for (unsigned turn = 0; turn < 300; turn++) {
		size_t from = simfs_rng_below(&rng, (size_t)n / BLOCK_SIZE), blocks = 1 + simfs_rng_below(&rng, 20), at = 0;
		struct iovec iov[8];
		int parts = 0;

		if (turn % 3 == 0)
			from = simfs_rng_below(&rng, 20);
		while (parts < 8 && at < blocks) {
			size_t part = parts == 7 ? blocks - at : simfs_rng_below(&rng, blocks - at + 1); /* some are empty */

			iov[parts++] = (struct iovec){ p + at * BLOCK_SIZE, part * BLOCK_SIZE };
			at += part;
		}
		memset(p, 0xee, blocks * BLOCK_SIZE);
		for (size_t b = 0; b < at; b++) {
			/* what is behind the end may come as zeros or not at all */
			memset(p + b * BLOCK_SIZE, from + b < (size_t)n / BLOCK_SIZE ? 0xee : 0, BLOCK_SIZE);
		}
		assert_true(k.l->ops->preadv(k.l, k.fd, iov, parts, from * BLOCK_SIZE) >= 0);
		for (size_t b = 0; b < at && from + b < (size_t)n / BLOCK_SIZE; b++)
			assert_memory_equal(p + b * BLOCK_SIZE, whole + (from + b) * BLOCK_SIZE, BLOCK_SIZE);
	}
	assert_int_equal(lower_pread(k.l, k.fd, p, 100, 0), -EINVAL);
	assert_int_equal(lower_pread(k.l, k.fd, p + 8, BLOCK_SIZE, 0), -EINVAL);
	assert_int_equal(lower_pread(k.l, k.fd, p, BLOCK_SIZE, 512), -EINVAL);
	look_end(&k);
	free(whole);
	free(p);
}

static void a_block_that_the_log_does_not_give_is_an_error(void **state)
{
	static uint8_t p[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE))); /* the stack that ASan makes up is not so aligned */
	struct rvol *v = *state;
	struct fault *fa = fault_new(v->l);
	struct looking k;

	scattered(v);
	assert_int_equal(look_begin(v, fault_lower(fa), &k), 0);
	fault_fail(fa, FAULT_OF(preadv), 2, EBADMSG, 1, 0); /* home's, then the log's */
	assert_int_equal(lower_pread(k.l, k.fd, p, BLOCK_SIZE, layout_block_off(7)), -EIO);
	fault_fail(fa, FAULT_OF(fstat), 1, EIO, 1, 0);
	assert_int_equal(lower_pread(k.l, k.fd, p, BLOCK_SIZE, layout_block_off(7)), -EIO);
	fault_fail(fa, 0, 0, 0, 0, 0);
	assert_int_equal(lower_pread(k.l, k.fd, p, BLOCK_SIZE, layout_block_off(7)), BLOCK_SIZE);
	assert_memory_equal(p, v->f[0].g[0].cipher[7], BLOCK_SIZE);
	look_end(&k);
	fault_free(fa);
}

static void any_failing_call_leaves_no_view_and_nothing_open(void **state)
{
	struct rvol *v = *state;
	struct fault *fa = fault_new(v->l);
	unsigned failed = 0;
	struct looking k;
	int r;

	scattered(v);
	for (uint64_t n = 1;; n++) {
		fault_fail(fa, FAULT_ALL & ~FAULT_OF(close), n, EIO, 1, 0);
		r = look_begin(v, fault_lower(fa), &k);
		look_end(&k);
		assert_int_equal(simfs_open_count(v->fs), 1);
		if (!fault_happened(fa))
			break;
		failed += r < 0;
	}
	assert_int_equal(r, 0);
	assert_true(failed > 5);
	fault_free(fa);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_call_has_a_row),
		T(what_changes_something_is_refused),
		T(access_times_stay_where_that_is_permitted),
		T(reads_of_any_length_see_the_same),
		T(a_block_that_the_log_does_not_give_is_an_error),
		T(any_failing_call_leaves_no_view_and_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
