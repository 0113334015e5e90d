/* test_commit.c: what commits, checkpoints and fsyncs owe each other when they meet or fail, each case brought about by a hook in a lower call:
 * a commit that is late with its views, a flush that fails while another one runs, an error that nobody waited for. */
#include "io_fixture.h"

#include "io/vio_impl.h"

#define BULK (256u << 10)

enum call { CALL_WRITE, CALL_FDATASYNC, CALL_FSYNC, CALL_SYNCFS };

struct vol {
	struct io_fixture x;
	struct lower l;
	struct lower_ops ops;
	/* Called before each such call; not 0: the call fails with it. */
	int (*hook)(struct vol *t, enum call call, int fd);
	bool slow_reads;         /* each takes 4 ms */
	/* of the hooks */
	atomic_int step;
	int target;              /* the descriptor they look at */
	pthread_t thread;
	atomic_bool done, released;
	bool done_early;
	int result;
};

static struct vol *vol_now;      /* for the lower calls, which get no context of ours */

/* ---- memory: the n-th calloc from now fails, once */

static int calloc_fails;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (calloc_fails > 0 && --calloc_fails == 0)
		return NULL;
	return __real_calloc(n, size);
}

/* ---- the lower */

static int ask(enum call call, int fd)
{
	return vol_now->hook ? vol_now->hook(vol_now, call, fd) : 0;
}

static ssize_t hooked_pwritev(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off, bool dsync)
{
	int r = ask(CALL_WRITE, fd);

	(void)l;
	return r ? r : lower_real()->ops->pwritev(lower_real(), fd, iov, n, off, dsync);
}

static ssize_t hooked_preadv(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off)
{
	(void)l;
	if (vol_now->slow_reads)
		usleep(4000);
	return lower_real()->ops->preadv(lower_real(), fd, iov, n, off);
}

static int hooked_fdatasync(struct lower *l, int fd)
{
	(void)l;
	return ask(CALL_FDATASYNC, fd); /* a process's crash needs no flush */
}

static int hooked_fsync(struct lower *l, int fd)
{
	(void)l;
	return ask(CALL_FSYNC, fd);
}

static int hooked_syncfs(struct lower *l, int fd)
{
	(void)l;
	return ask(CALL_SYNCFS, fd);
}

/* Is fd the lower file number i? */
static bool is_file(struct vol *t, int fd, int i)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(t->x.root, t->x.name[i], &b, 0) == 0 && a.st_ino == b.st_ino;
}

static int truncate_file(struct vol *t, int i, off_t len)
{
	int fd = openat(t->x.root, t->x.name[i], O_RDWR), r = ftruncate(fd, len);

	close(fd);
	return r;
}

/* ---- the volume */

static struct vio_params params(struct vol *t)
{
	return (struct vio_params){
		.lower = &t->l, .root_fd = t->x.root, .ring = t->x.ring, .no_threads = true, .dirty_bytes = 8 << 20,
		.cb = { .ctx = t, .reopen = io_fixture_reopen },
	};
}

static int setup(void **state)
{
	struct vol *t = calloc(1, sizeof(*t));
	struct vio_params p;

	vol_now = t;
	t->ops = *lower_real()->ops;
	t->ops.preadv = hooked_preadv;
	t->ops.pwritev = hooked_pwritev;
	t->ops.fdatasync = hooked_fdatasync;
	t->ops.fsync = hooked_fsync;
	t->ops.syncfs = hooked_syncfs;
	t->l.ops = &t->ops;
	io_fixture_init(&t->x);
	p = params(t);
	assert_int_equal(vio_format(&p, IO_FIXTURE_LOG_BLOCKS), 0);
	assert_int_equal(vio_open(&p, &t->x.v), 0);
	*state = t;
	return 0;
}

static void crash(struct vol *t)
{
	t->hook = NULL;
	io_fixture_crash(&t->x);
}

static void mount_again(struct vol *t)
{
	struct vio_params p = params(t);

	assert_int_equal(vio_open(&p, &t->x.v), 0);
}

static int teardown(void **state)
{
	struct vol *t = *state;

	t->hook = NULL;
	io_fixture_done(&t->x);
	free(t);
	return 0;
}

static struct iofile *file(struct vol *t, int i)
{
	return io_fixture_file(&t->x, i);
}

static void put(struct vol *t, int i, uint64_t off, size_t len, uint8_t byte)
{
	uint8_t *p = malloc(len);

	memset(p, byte, len);
	assert_int_equal(iofile_write(file(t, i), p, len, off, false), (ssize_t)len);
	free(p);
}

static void expect(struct vol *t, int i, uint64_t off, size_t len, uint8_t byte)
{
	size_t room = (len / BLOCK_SIZE + 2) * BLOCK_SIZE;
	uint8_t *p = aligned_alloc(BLOCK_SIZE, room);

	assert_int_equal(iofile_read(file(t, i), p, len, off), (ssize_t)len);
	for (size_t k = 0; k < len; k++)
		assert_int_equal(p[k], byte);
	free(p);
}

static uint64_t log_used(struct vol *t)
{
	struct vio_stats s;

	vio_stats(t->x.v, &s);
	return s.log_used_bytes;
}

static void wait_for(atomic_int *step, int value)
{
	while (atomic_load(step) < value)
		usleep(1000);
}

static void *fsync_0(void *arg)
{
	struct vol *t = arg;

	t->result = iofile_fsync(t->x.f[0], false);
	t->done_early = !atomic_load(&t->released);
	atomic_store(&t->done, true);
	return NULL;
}

static void *fsync_1(void *arg)
{
	struct vol *t = arg;

	t->result = iofile_fsync(t->x.f[1], false);
	atomic_store(&t->done, true);
	return NULL;
}

/* ---- a checkpoint beside a commit */

/* The log is written: from here on the file's lock is kept from the commit, as if it were slow. */
static int hook_hold_file_lock(struct vol *t, enum call call, int fd)
{
	if (call == CALL_WRITE && fd == t->x.v->log_fd && atomic_load(&t->step) == 0) {
		atomic_store(&t->step, 1);
		wait_for(&t->step, 2);
	}
	return 0;
}

/* By a thread that takes nothing else: whoever goes on is not out of the order of ranks. */
static void *hold_file_0(void *arg)
{
	struct vol *t = arg;

	pthread_mutex_lock(&t->x.f[0]->m.m);
	atomic_store(&t->step, 2);
	wait_for(&t->step, 3);
	pthread_mutex_unlock(&t->x.f[0]->m.m);
	return NULL;
}

static void the_tail_waits_for_a_commit_that_is_late_with_its_files(void **state)
{
	struct vol *t = *state;
	pthread_t holder;

	put(t, 0, 0, 5000, '0');
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	put(t, 0, 0, 5000, 'a');
	t->hook = hook_hold_file_lock;
	assert_int_equal(pthread_create(&t->thread, NULL, fsync_0, t), 0);
	wait_for(&t->step, 1);
	assert_int_equal(pthread_create(&holder, NULL, hold_file_0, t), 0);
	while (atomic_load(&t->x.v->durable) < 2)
		usleep(1000);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	assert_true(log_used(t) > 0); /* its blocks are not home */
	atomic_store(&t->step, 3);
	pthread_join(holder, NULL);
	pthread_join(t->thread, NULL);
	assert_int_equal(t->result, 0);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	assert_int_equal(log_used(t), 0);
	crash(t);
	mount_again(t);
	expect(t, 0, 0, 5000, 'a');
}

/* The checkpoint writes file 0 home: file 1 is committed once more meanwhile. */
static int hook_commit_1(struct vol *t, enum call call, int fd)
{
	if (call == CALL_WRITE && atomic_load(&t->step) == 0 && is_file(t, fd, 0)) {
		atomic_store(&t->step, 1);
		assert_int_equal(pthread_create(&t->thread, NULL, fsync_1, t), 0);
		pthread_join(t->thread, NULL);
	}
	return 0;
}

static void what_the_state_calls_durable_never_falls(void **state)
{
	struct vol *t = *state;
	struct volume_state st;

	for (int i = 0; i < 2; i++) {
		put(t, i, 0, 5000, 'a');
		assert_int_equal(iofile_fsync(t->x.f[i], false), 0);
	}
	put(t, 1, 0, 5000, 'b');
	t->hook = hook_commit_1;
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	assert_int_equal(t->step, 1);
	assert_int_equal(t->result, 0);
	state_get(t->x.v->state, &st);
	assert_int_equal(atomic_load(&t->x.v->vouched), atomic_load(&t->x.v->durable));
	assert_int_equal(st.durable, atomic_load(&t->x.v->durable));
}

/* ---- an fsync beside another */

/* The lower fsync of file 0 takes until another fsync of it has returned, or 200 ms. */
static int hook_slow_fsync(struct vol *t, enum call call, int fd)
{
	(void)fd;
	if (call != CALL_FSYNC || atomic_load(&t->step) != 0)
		return 0;
	atomic_store(&t->step, 1);
	assert_int_equal(pthread_create(&t->thread, NULL, fsync_0, t), 0);
	for (int i = 0; i < 200 && !atomic_load(&t->done); i++)
		usleep(1000);
	atomic_store(&t->released, true);
	return 0;
}

static void an_fsync_waits_for_the_lower_fsync_of_another(void **state)
{
	struct vol *t = *state;

	file(t, 0); /* created, empty: nothing to commit, but the inode and its name */
	t->hook = hook_slow_fsync;
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	pthread_join(t->thread, NULL);
	assert_int_equal(t->step, 1);
	assert_int_equal(t->result, 0);
	assert_false(t->done_early);
}

/* ---- the header of a new file */

static int take_result(struct vol *t)
{
	int r = t->result;

	t->result = 0;
	return r;
}

/* step: 1 fdatasync of file 0; 2 lower fsync; 4 written behind a failed fsync */
static int hook_new_file(struct vol *t, enum call call, int fd)
{
	if (!is_file(t, fd, 0))
		return 0;
	if (call == CALL_FDATASYNC)
		atomic_fetch_or(&t->step, 1);
	if (call == CALL_WRITE && (atomic_load(&t->step) & 2))
		atomic_fetch_or(&t->step, 4);
	if (call != CALL_FSYNC)
		return 0;
	atomic_fetch_or(&t->step, 2);
	return take_result(t);
}

static void the_header_of_a_new_file_is_flushed_once_beside_the_log(void **state)
{
	struct vol *t = *state;

	t->hook = hook_new_file;
	put(t, 0, 0, 5000, 'a');
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(t->step, 2);
	assert_true(t->x.f[0]->header_durable);
	/* and is not due any more */
	put(t, 0, 0, 100, 'b');
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(t->step, 2);
	/* bulk that a commit names is flushed before it, as ever */
	put(t, 0, BULK, BULK, 'c');
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(t->step & 1, 1);
}

static void bulk_written_with_the_header_is_flushed_before_the_log(void **state)
{
	struct vol *t = *state;

	t->hook = hook_new_file;
	put(t, 0, 0, BULK, 'a');
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(t->step & 3, 3);
}

static void a_header_whose_fsync_failed_is_written_again(void **state)
{
	struct vol *t = *state;

	t->hook = hook_new_file;
	put(t, 0, 0, 5000, 'a');
	t->result = -EIO;
	assert_int_equal(iofile_fsync(t->x.f[0], false), -EIO);
	assert_int_equal(t->step, 2);
	assert_false(t->x.f[0]->header_durable);
	/* the kernel calls the lost page clean: an fsync that succeeds proves nothing of it */
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(t->step, 7);
	assert_true(t->x.f[0]->header_durable);
	crash(t);
	mount_again(t);
	expect(t, 0, 0, 5000, 'a');
}

/* Who asked for all is told, and the next one does not say 0 before it is so: in a copy of the volume, where no handle fits, replay finds the file by its header alone. */
static void a_sync_tells_of_a_header_whose_fsync_failed(void **state)
{
	struct vol *t = *state;

	t->hook = hook_new_file;
	put(t, 0, 0, 5000, 'a');
	t->result = -EIO;
	assert_int_equal(vio_sync(t->x.v), -EIO);
	assert_false(t->x.f[0]->header_durable);
	assert_int_equal(vio_sync(t->x.v), 0);
	assert_int_equal(t->step, 7);
	assert_true(t->x.f[0]->header_durable);
	crash(t);
	mount_again(t);
	expect(t, 0, 0, 5000, 'a');
}

static void a_checkpoint_believes_no_syncfs_behind_a_failed_fsync(void **state)
{
	struct vol *t = *state;

	t->hook = hook_new_file;
	put(t, 0, 0, 5000, 'a');
	t->result = -EIO;
	assert_int_equal(iofile_fsync(t->x.f[0], false), -EIO);
	t->x.v->names_due = true; /* as after an unlink */
	t->step = 2;
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	assert_int_equal(t->step, 7);
	assert_int_equal(t->x.f[0]->home_flushed, t->x.f[0]->home_gen);
	crash(t);
	mount_again(t);
	expect(t, 0, 0, 5000, 'a');
}

/* ---- errors */

static int hook_syncfs_fails(struct vol *t, enum call call, int fd)
{
	(void)fd;
	return call == CALL_SYNCFS && atomic_fetch_add(&t->step, 1) == 0 ? -EIO : 0;
}

static void names_of_many_files_that_cannot_be_flushed_are_told(void **state)
{
	struct vol *t = *state;

	for (int i = 0; i < IO_FIXTURE_FILES; i++)
		put(t, i, 0, 100, 'a');
	t->hook = hook_syncfs_fails;
	assert_int_equal(vio_sync(t->x.v), -EIO);
	assert_int_equal(iofile_fsync(t->x.f[5], false), -EIO);
	assert_int_equal(iofile_fsync(t->x.f[5], false), 0);
	assert_int_equal(iofile_fsync(t->x.f[6], false), -EIO);
}

/* The first flush of file 0 fails, and what was written is not there any more. */
static int hook_lose(struct vol *t, enum call call, int fd)
{
	if (call != CALL_FDATASYNC || !is_file(t, fd, 0) || atomic_fetch_add(&t->step, 1) > 0)
		return 0;
	assert_int_equal(ftruncate(fd, BLOCK_SIZE), 0);
	return -EIO;
}

static void what_a_background_commit_lost_the_next_fsync_tells(void **state)
{
	struct vol *t = *state;

	put(t, 0, 0, 100, 'a');
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	put(t, 0, BLOCK_SIZE, BULK, 'b');
	t->hook = hook_lose;
	assert_int_equal(vio_sync(t->x.v), -EIO);
	assert_int_equal(iofile_fsync(t->x.f[0], false), -EIO);
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
}

/* The first flush of file 0 fails; while it is written again, another fsync of it comes, and 200 ms go by or it returns. */
static int hook_fsync_while_rewriting(struct vol *t, enum call call, int fd)
{
	if (call == CALL_FDATASYNC && is_file(t, fd, 0) && atomic_load(&t->step) == 0) {
		atomic_store(&t->step, 1);
		return -EIO;
	}
	if (call != CALL_WRITE || !is_file(t, fd, 0) || atomic_load(&t->step) != 1)
		return 0;
	atomic_store(&t->step, 2);
	assert_int_equal(pthread_create(&t->thread, NULL, fsync_0, t), 0);
	for (int i = 0; i < 200 && !atomic_load(&t->done); i++)
		usleep(1000);
	atomic_store(&t->released, true);
	return 0;
}

static void a_flush_waits_for_the_one_that_heard_of_the_error(void **state)
{
	struct vol *t = *state;

	put(t, 0, 0, BULK, 'a');
	t->hook = hook_fsync_while_rewriting;
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	pthread_join(t->thread, NULL);
	assert_int_equal(t->step, 2);
	assert_int_equal(t->result, 0);
	assert_false(t->done_early);
	expect(t, 0, 0, BULK, 'a');
}

static void what_a_closed_descriptor_would_have_told_is_noticed(void **state)
{
	struct vol *t = *state;

	put(t, 0, 0, 100, 'a');
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	put(t, 0, BLOCK_SIZE, BULK, 'b');
	t->x.v->fds_max = 0;
	put(t, 1, 0, BULK, 'c');
	assert_int_equal(t->x.f[0]->fd, -1);
	assert_int_equal(truncate_file(t, 0, 2 * BLOCK_SIZE), 0); /* the writes are lost, and nobody is left to be told */
	assert_int_equal(iofile_fsync(t->x.f[0], false), -EIO);
	assert_int_equal(iofile_fsync(t->x.f[1], false), 0);
	expect(t, 1, 0, BULK, 'c');
}

static int hook_count_flushes(struct vol *t, enum call call, int fd)
{
	(void)fd;
	if (call == CALL_SYNCFS && !atomic_load(&t->done))
		return -EIO;
	if (call == CALL_FDATASYNC)
		atomic_fetch_add(&t->step, 1);
	return 0;
}

static void after_a_syncfs_that_failed_files_are_flushed_one_by_one(void **state)
{
	struct vol *t = *state;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < IO_FIXTURE_FILES; i++)
			put(t, i, 0, 100, 'a');
		assert_int_equal(vio_sync(t->x.v), 0);
		t->hook = hook_count_flushes;
		atomic_store(&t->step, 0);
		atomic_store(&t->done, round > 0); /* the second time syncfs does not fail */
		assert_int_equal(vio_checkpoint(t->x.v), 0);
		assert_true(atomic_load(&t->step) >= IO_FIXTURE_FILES);
		t->hook = NULL;
	}
}

static int hook_header_fails(struct vol *t, enum call call, int fd)
{
	return call == CALL_WRITE && is_file(t, fd, 0) && atomic_fetch_add(&t->step, 1) == 0 ? -ENOSPC : 0;
}

static void what_could_not_be_committed_is_tried_again(void **state)
{
	struct vol *t = *state;

	put(t, 0, 0, 5000, 'a');
	put(t, 1, 0, 5000, 'b');
	t->hook = hook_header_fails;
	assert_int_equal(vio_sync(t->x.v), -ENOSPC);
	assert_false(iofile_is_idle(t->x.f[0])); /* else it could be closed, and lost */
	assert_int_equal(vio_sync(t->x.v), 0);
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0); /* nothing was lost */
	crash(t);
	mount_again(t);
	expect(t, 0, 0, 5000, 'a');
	expect(t, 1, 0, 5000, 'b');
}

static int hook_header_always_fails(struct vol *t, enum call call, int fd)
{
	return call == CALL_WRITE && is_file(t, fd, 0) ? -ENOSPC : 0;
}

static void a_file_that_cannot_be_committed_stops_no_other(void **state)
{
	struct vol *t = *state;

	for (unsigned i = 0; i < 200; i++)
		put(t, 0, i * BLOCK_SIZE, BLOCK_SIZE, 'a');
	put(t, 1, 0, 100, 'b');
	assert_int_equal(iofile_fsync(t->x.f[1], false), 0);
	t->hook = hook_header_always_fails;
	for (unsigned i = 0; i < 3 * IO_FIXTURE_LOG_BLOCKS; i++)
		put(t, 1, i % 700 * BLOCK_SIZE, BLOCK_SIZE, 'b');
	assert_int_equal(iofile_fsync(t->x.f[1], false), 0);
	assert_int_equal(iofile_fsync(t->x.f[0], false), -ENOSPC);
	assert_int_equal(iofile_fsync(t->x.f[0], false), -ENOSPC);
	t->hook = NULL;
	assert_int_equal(iofile_fsync(t->x.f[0], false), 0);
}

static int hook_count_fsyncs(struct vol *t, enum call call, int fd)
{
	if (call == CALL_FSYNC && fd != t->x.root)
		atomic_fetch_add(&t->step, 1);
	return 0;
}

/* Whatever allocation fails: an fsync that says 0 has flushed the new inode. */
static void no_memory_hides_no_lower_fsync(void **state)
{
	struct vol *t = *state;
	int r;

	for (int i = 0; i < 40; i++) {
		if (i % 2)
			put(t, i, 0, 100, 'a');
		file(t, i);
		t->hook = hook_count_fsyncs;
		atomic_store(&t->step, 0);
		calloc_fails = i / 2 + 1;
		r = iofile_fsync(t->x.f[i], false);
		calloc_fails = 0;
		t->hook = NULL;
		assert_true(r < 0 || atomic_load(&t->step) > 0);
		if (r < 0)
			assert_int_equal(r, -ENOMEM);
	}
}

/* ---- room */

#define WRITERS 6

static void *append_some(void *arg)
{
	uint8_t *p = calloc(1, VIO_WRITE_MAX);

	for (int i = 0; i < 8; i++)
		assert_int_equal(iofile_write(arg, p, VIO_WRITE_MAX, 0, true), VIO_WRITE_MAX);
	free(p);
	return NULL;
}

static void writers_that_need_more_room_later_do_not_wait_for_each_other(void **state)
{
	pthread_t thread[WRITERS];
	struct vol *t = *state;

	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, append_some, file(t, i)), 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(iofile_size(t->x.f[i]), 8 * VIO_WRITE_MAX);
	assert_int_equal(t->x.v->reserved, 0);
}

/* ---- the shape lock */

#define READERS 6

static void *read_on(void *arg)
{
	struct vol *t = arg;
	uint8_t *p = aligned_alloc(BLOCK_SIZE, BULK + 2 * BLOCK_SIZE);

	while (!atomic_load(&t->done)) {
		assert_true(iofile_read(t->x.f[0], p, BULK, 0) >= 0);
		atomic_fetch_add(&t->step, 1);
	}
	free(p);
	return NULL;
}

static void readers_that_never_pause_do_not_keep_a_truncate_out(void **state)
{
	pthread_t thread[READERS];
	struct vol *t = *state;

	put(t, 0, 0, 2 * BULK, 'a');
	t->slow_reads = true;
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_create(&thread[i], NULL, read_on, t), 0);
		usleep(1000);
	}
	for (int i = 1; i <= 5; i++) {
		int before = atomic_load(&t->step);

		assert_int_equal(iofile_truncate(t->x.f[0], 2 * BULK - (unsigned)i), 0);
		assert_true(atomic_load(&t->step) - before < 50 * READERS);
	}
	atomic_store(&t->done, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_tail_waits_for_a_commit_that_is_late_with_its_files, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_state_calls_durable_never_falls, setup, teardown),
		cmocka_unit_test_setup_teardown(an_fsync_waits_for_the_lower_fsync_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(names_of_many_files_that_cannot_be_flushed_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_background_commit_lost_the_next_fsync_tells, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flush_waits_for_the_one_that_heard_of_the_error, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_closed_descriptor_would_have_told_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(after_a_syncfs_that_failed_files_are_flushed_one_by_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_could_not_be_committed_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_committed_stops_no_other, setup, teardown),
		cmocka_unit_test_setup_teardown(the_header_of_a_new_file_is_flushed_once_beside_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(bulk_written_with_the_header_is_flushed_before_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(a_header_whose_fsync_failed_is_written_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sync_tells_of_a_header_whose_fsync_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_checkpoint_believes_no_syncfs_behind_a_failed_fsync, setup, teardown),
		cmocka_unit_test_setup_teardown(no_memory_hides_no_lower_fsync, setup, teardown),
		cmocka_unit_test_setup_teardown(writers_that_need_more_room_later_do_not_wait_for_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_that_never_pause_do_not_keep_a_truncate_out, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
