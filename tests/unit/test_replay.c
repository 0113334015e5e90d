/* Tests of replay: which transactions count, and what they make of a file. Which file it is, and what fails: test_replay_files.c. */
#include "replay_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "io/rules.h"

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

#define assert_home(v, f)                                         \
	do {                                                      \
		const char *differs_ = home_differs(v, f);        \
		if (differs_)                                     \
			fail_msg("at home: %s", differs_);        \
	} while (0)

/* Replay counts n transactions; then f is at home. */
static void must_replay(struct rvol *v, uint64_t n, const struct rfile *f)
{
	struct replay_result res;

	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, n);
	assert_int_equal(res.quarantined, 0);
	assert_int_equal(res.unlinked, 0);
	assert_home(v, f);
}

/* ---- what it computes */

static void an_empty_log_changes_nothing(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	uint64_t before = simfs_digest(v->fs);
	struct replay_result res;

	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 0);
	assert_int_equal(res.head, 0);
	assert_int_equal(res.sequence, 0);
	assert_int_equal(res.files, 0);
	assert_true(simfs_digest(v->fs) == before);
	assert_home(v, f);
	assert_int_equal(v->steps, 0);
}

static void a_home_group_builds_on_what_lies_at_home(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);
	struct replay_result res;

	set(v, f, 1, 3, 7);
	set(v, f, 1, 4, 8);
	seal_entries(v, f, 1);
	seal_header(v, f, 1);
	home_all(v, f);
	set(v, f, 1, 4, 9);
	make_hole(f, 1, 3);
	set(v, f, 1, 127, 10);
	tx_begin(v);
	tx_file(v, f, false);
	TX_GROUP(v, f, 1, LOG_BASE_HOME, { 3, LOG_WHERE_HOLE }, { 4, LOG_WHERE_LOG }, { 127, LOG_WHERE_LOG });
	tx_commit(v);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 1);
	assert_int_equal(res.head, 3);
	assert_int_equal(res.sequence, 1);
	assert_int_equal(res.files, 1);
	assert_home(v, f);
	assert_true(v->steps >= 3); /* a transaction, a group, a file */
}

static void an_empty_group_ignores_what_lies_at_home(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	uint8_t junk[BLOCK_SIZE];

	memset(junk, 0x5a, sizeof(junk));
	rv_poke(v, "a", layout_group_off(2), junk, sizeof(junk));
	f->shape.alloc_groups = 3;
	f->shape.gap_count = 1;
	f->shape.gaps[0] = (struct gap){ 1, 1 };
	set(v, f, 2, 5, 1);
	set(v, f, 2, 6, 2);
	home_block(v, f, 2, 6);
	tx_begin(v);
	tx_file(v, f, false);
	TX_GROUP(v, f, 2, LOG_BASE_EMPTY, { 5, LOG_WHERE_LOG }, { 6, LOG_WHERE_HOME });
	tx_commit(v);
	must_replay(v, 1, f);
}

static void a_fresh_group_takes_the_entries_at_home(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);

	f->shape.alloc_groups = 2;
	set(v, f, 1, 0, 1);
	home_block(v, f, 1, 0);
	tx_begin(v);
	tx_file(v, f, false);
	tx_group(v, f, 1, LOG_BASE_FRESH, 0, NULL);
	home_meta(v, f, 1);
	tx_commit(v);
	must_replay(v, 1, f);
}

static void records_of_several_transactions_add_up(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);

	tx_one(v, f, 0, 1, 11);
	tx_one(v, f, 0, 2, 12);
	tx_one(v, f, 0, 3, 13);
	tx_one(v, f, 0, 1, 21); /* the newer one counts */
	set(v, f, 0, 2, 22);
	home_block(v, f, 0, 2);
	make_hole(f, 0, 3);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 2, LOG_WHERE_HOME }, { 3, LOG_WHERE_HOLE }); /* drop the blocks in the log */
	tx_commit(v);
	must_replay(v, 5, f);
}

static void what_lies_where_a_hole_record_is_stays(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	uint8_t before[64], after[64];

	tx_one(v, f, 0, 2, 12);
	set(v, f, 0, 2, 77);
	home_block(v, f, 0, 2);
	make_hole(f, 0, 2);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 2, LOG_WHERE_HOLE });
	tx_commit(v);
	rv_peek(v, "a", layout_block_off(2), before, sizeof(before));
	must_replay(v, 2, f);
	rv_peek(v, "a", layout_block_off(2), after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
}

static void empty_starts_a_gathered_group_anew(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);

	tx_one(v, f, 1, 1, 11);
	make_empty(f, 1);
	set(v, f, 1, 2, 12);
	tx_begin(v);
	tx_file(v, f, false);
	TX_GROUP(v, f, 1, LOG_BASE_EMPTY, { 2, LOG_WHERE_LOG });
	tx_commit(v);
	tx_one(v, f, 1, 3, 13); /* HOME goes on from EMPTY */
	must_replay(v, 3, f);
}

static void fresh_starts_a_gathered_group_anew(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);

	tx_one(v, f, 1, 1, 11);
	make_empty(f, 1);
	set(v, f, 1, 2, 12);
	home_block(v, f, 1, 2);
	tx_begin(v);
	tx_file(v, f, false);
	tx_group(v, f, 1, LOG_BASE_FRESH, 0, NULL);
	home_meta(v, f, 1);
	tx_commit(v);
	must_replay(v, 2, f);
}

/* Without the rule dropgone the group that was cut would come back with its old records, and its seals would not fit. */
static void cut_and_again(struct rvol *v, struct rfile *f)
{
	tx_one(v, f, 2, 1, 11);
	f->shape.alloc_groups = 1;
	make_empty(f, 2);
	tx_begin(v);
	tx_file(v, f, false);
	tx_commit(v);
	f->shape.alloc_groups = 3;
	set(v, f, 2, 9, 14);
	home_block(v, f, 2, 9);
	home_meta(v, f, 2);
	tx_begin(v);
	tx_file(v, f, false);
	TX_GROUP(v, f, 2, LOG_BASE_HOME, { 9, LOG_WHERE_LOG }); /* no daemon does: it is EMPTY or FRESH then */
	tx_commit(v);
}

static void a_group_that_a_file_record_cuts_is_dropped(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 3);

	tx_one(v, f, 1, 1, 11);
	tx_one(v, f, 2, 1, 11);
	f->shape.alloc_groups = 1;
	tx_begin(v);
	tx_file(v, f, false);
	tx_commit(v);
	must_replay(v, 3, f);
}

static void a_group_that_comes_back_has_none_of_its_old_records(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 3);

	cut_and_again(v, f);
	must_replay(v, 3, f);
}

static void a_group_that_falls_into_a_gap_is_dropped(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 3);
	uint8_t before[BLOCK_SIZE], after[BLOCK_SIZE];

	rv_peek(v, "a", layout_group_off(1), before, BLOCK_SIZE);
	tx_one(v, f, 1, 1, 11);
	f->shape.gap_count = 1;
	f->shape.gaps[0] = (struct gap){ 1, 1 };
	tx_begin(v);
	tx_file(v, f, false);
	tx_commit(v);
	must_replay(v, 2, f);
	rv_peek(v, "a", layout_group_off(1), after, BLOCK_SIZE);
	assert_memory_equal(before, after, BLOCK_SIZE);
}

static void a_file_record_alone_changes_the_size(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);

	set(v, f, 0, 0, 5);
	seal_entries(v, f, 0);
	seal_header(v, f, 0);
	home_all(v, f);
	f->shape.size = 1ull << 47;
	tx_begin(v);
	tx_file(v, f, false);
	tx_commit(v);
	must_replay(v, 1, f);
}

static void several_files_and_parts_make_one_transaction(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 3), *g = file_new(v, 1, "b", 2);
	struct replay_result res;

	set(v, f, 0, 0, 1);
	set(v, f, 1, 1, 2);
	set(v, f, 2, 2, 3);
	set(v, g, 1, 3, 4);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 0, LOG_WHERE_LOG });
	tx_part(v); /* GROUPs of a FILE in an earlier part */
	TX_GROUP(v, f, 1, LOG_BASE_HOME, { 1, LOG_WHERE_LOG });
	tx_part(v);
	TX_GROUP(v, f, 2, LOG_BASE_HOME, { 2, LOG_WHERE_LOG });
	tx_file(v, g, false);
	tx_part(v);
	TX_GROUP(v, g, 1, LOG_BASE_HOME, { 3, LOG_WHERE_LOG });
	tx_commit(v);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 1);
	assert_int_equal(res.head, 8);
	assert_int_equal(res.files, 2);
	assert_home(v, f);
	assert_home(v, g);
}

static void the_ring_wraps_at_every_place_of_a_transaction(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);
	struct replay_result res;

	for (unsigned back = 0; back < 8; back++) {
		rv_begin(v, (back + 2) * LOG_BLOCKS - back, 100 * back);
		set(v, f, 0, back, (uint8_t)(back + 1));
		set(v, f, 0, back + 1, (uint8_t)(back + 2));
		set(v, f, 1, back, (uint8_t)(back + 3));
		tx_begin(v);
		tx_file(v, f, true);
		TX_GROUP(v, f, 0, LOG_BASE_HOME, { back, LOG_WHERE_LOG }, { back + 1, LOG_WHERE_LOG });
		tx_part(v);
		TX_GROUP(v, f, 1, LOG_BASE_HOME, { back, LOG_WHERE_LOG });
		tx_commit(v);
		tx_one(v, f, 1, 99, (uint8_t)back);
		assert_int_equal(replay(v, &res), 0);
		assert_int_equal(res.transactions, 2);
		assert_int_equal(res.head, v->pos);
		assert_int_equal(res.sequence, 100 * back + 2);
		assert_home(v, f);
	}
}

static void metadata_torn_at_home_is_built_again(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);
	uint8_t p[BLOCK_SIZE], junk[SECTOR_SIZE];
	struct group_header h;

	tx_one(v, f, 1, 1, 11);
	tx_one(v, f, 1, 40, 12);
	/* A checkpoint was cut off: some sectors of group 1 are the new ones, its header is not even one of ours. */
	header_of(f, 1, &h);
	group_header_put(&h, p);
	entries_put(f, 1, p + HEADER_LEN);
	rv_poke(v, "a", layout_group_off(1) + SECTOR_SIZE, p + SECTOR_SIZE, SECTOR_SIZE);
	memset(junk, 0x77, sizeof(junk));
	rv_poke(v, "a", layout_group_off(1), junk, sizeof(junk));
	rv_poke(v, "a", layout_block_off(128 + 40), junk, sizeof(junk)); /* and half a data block */
	must_replay(v, 2, f);
}

static void a_group_goes_over_to_another_epoch_with_all_its_blocks(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);
	struct replay_result res;

	f->g[1].epoch = 1;
	set(v, f, 1, 0, 1);
	set(v, f, 1, 1, 2);
	seal_entries(v, f, 1);
	seal_header(v, f, 1);
	home_all(v, f);
	f->g[1].epoch = FIXTURE_EPOCH;
	set(v, f, 1, 0, 1);
	set(v, f, 1, 1, 2);
	tx_begin(v);
	tx_file(v, f, false);
	TX_GROUP(v, f, 1, LOG_BASE_HOME, { 0, LOG_WHERE_LOG }, { 1, LOG_WHERE_LOG });
	tx_commit(v);
	must_replay(v, 1, f);
	rv_begin(v, v->pos, v->sequence);
	tx_one(v, f, 1, 0, 3);
	f->g[1].epoch = 2; /* now block 0 in the log is of the epoch before */
	tx_one(v, f, 1, 1, 4);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.quarantined, 1);
}

/* ---- where the log ends */

/* Both transactions are there; break_it makes the second one not count. */
static void must_end_before(struct rvol *v, const struct rfile *before)
{
	struct replay_result res;

	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 1);
	assert_int_equal(res.sequence, 1);
	assert_home(v, before);
}

static void any_damaged_block_of_the_last_transaction_ends_the_log(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);
	const struct rfile *before;
	uint64_t first;

	tx_one(v, f, 1, 1, 11);
	before = keep(v, f);
	set(v, f, 0, 2, 12);
	set(v, f, 1, 2, 13);
	set(v, f, 1, 3, 14);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 2, LOG_WHERE_LOG });
	tx_part(v);
	TX_GROUP(v, f, 1, LOG_BASE_HOME, { 2, LOG_WHERE_LOG }, { 3, LOG_WHERE_LOG });
	tx_commit(v);
	first = v->tx_pos;
	assert_int_equal(v->pos - first, 5);
	for (uint64_t pos = first; pos < v->pos; pos++) {
		for (unsigned off = 1; off < BLOCK_SIZE; off += 1021) {
			rv_flip(v, NAME_LOG, pos * BLOCK_SIZE + off);
			must_end_before(v, before);
			rv_flip(v, NAME_LOG, pos * BLOCK_SIZE + off);
		}
	}
	must_replay(v, 2, f);
}

/* A second transaction that change() spoils before it is sealed must not count. */
static void spoiled(struct rvol *v, void (*change)(struct rvol *v))
{
	struct rfile *f = file_new(v, 0, "a", 2);
	const struct rfile *before;

	tx_one(v, f, 1, 1, 11);
	before = keep(v, f);
	set(v, f, 0, 2, 12);
	set(v, f, 1, 2, 13);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 2, LOG_WHERE_LOG });
	tx_part(v);
	TX_GROUP(v, f, 1, LOG_BASE_HOME, { 2, LOG_WHERE_LOG });
	tx_fields(v);
	change(v);
	tx_write(v);
	must_end_before(v, before);
}

static void change_generation(struct rvol *v)
{
	v->part[1].d.generation[15] ^= 1;
}

static void change_sequence(struct rvol *v)
{
	v->part[1].d.sequence++;
}

static void change_part(struct rvol *v)
{
	v->part[1].d.part++;
}

static void change_last(struct rvol *v)
{
	v->part[1].d.last = false;
}

static void change_data_blocks(struct rvol *v)
{
	v->part[1].blk[1] = v->part[1].blk[0];
	v->part[1].d.data_blocks = 2;
}

static void change_block(struct rvol *v)
{
	v->part[1].blk[0] = v->part[0].blk[0];
}

static void change_file_twice(struct rvol *v)
{
	v->parts = 1;
	tx_file(v, &v->f[0], false);
	v->part[0].d.last = true;
}

static void change_group_twice(struct rvol *v)
{
	struct log_desc *d = &v->part[1].d;

	memcpy(d->records + d->record_bytes, d->records, d->record_bytes);
	d->record_bytes = (uint16_t)(2 * d->record_bytes);
	v->part[1].blk[1] = v->part[1].blk[0];
	d->data_blocks = 2;
}

static void change_no_file(struct rvol *v)
{
	log_desc_begin(&v->part[0].d);
	v->parts = 1;
	tx_fields(v);
	v->sequence--;
	v->part[0].d.sequence = v->sequence;
	v->parts = 2;
	v->part[0].d.last = false;
}

#define SPOILED(what)                                                   \
	static void a_changed_##what##_does_not_count(void **state)     \
	{                                                               \
		spoiled(*state, change_##what);                         \
	}

SPOILED(generation)
SPOILED(sequence)
SPOILED(part)
SPOILED(last)
SPOILED(data_blocks)
SPOILED(block)
SPOILED(file_twice)
SPOILED(group_twice)
SPOILED(no_file)

static void a_full_ring_is_replayed_to_its_last_block(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);

	rv_begin(v, LOG_BLOCKS / 2 + 2, 7);
	while (v->pos < LOG_BLOCKS / 2 + 2 + LOG_BLOCKS)
		tx_one(v, f, 0, v->pos / 2 % GROUP_BLOCKS, (uint8_t)v->pos);
	must_replay(v, LOG_BLOCKS / 2, f);
}

/* ---- what must not be missing */

static void a_missing_transaction_that_the_state_vouches_for_is_refused(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	const struct rfile *before;
	struct replay_result res;
	struct state *s;
	uint64_t digest;

	tx_one(v, f, 0, 1, 11);
	before = keep(v, f);
	tx_one(v, f, 0, 2, 12);
	s = rv_state(v, false);
	assert_int_equal(state_store(s, 0, 0, 2, false), 0);
	state_close(s);
	rv_flip(v, NAME_LOG, v->tx_pos * BLOCK_SIZE + 100);
	digest = simfs_digest(v->fs);
	assert_int_equal(replay(v, &res), -ENODATA);
	assert_int_equal(replay_how(v, (struct how){ .check_only = true }, &res), -ENODATA);
	assert_true(simfs_digest(v->fs) == digest);
	assert_int_equal(replay_how(v, (struct how){ .accept_log_loss = true }, &res), 0);
	assert_int_equal(res.transactions, 1);
	assert_home(v, before);
}

static void a_missing_transaction_that_a_later_one_vouches_for_is_refused(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	const struct rfile *before;
	struct replay_result res;
	uint64_t second;

	tx_one(v, f, 0, 1, 11);
	before = keep(v, f);
	tx_one(v, f, 0, 2, 12);
	second = v->tx_pos;
	tx_one(v, f, 0, 3, 13); /* says that the second was durable */
	rv_flip(v, NAME_LOG, (second + 1) * BLOCK_SIZE + 100);
	assert_int_equal(replay(v, &res), -ENODATA);
	assert_int_equal(replay_how(v, (struct how){ .accept_log_loss = true }, &res), 0);
	assert_int_equal(res.transactions, 1);
	assert_home(v, before);
}

static void only_what_is_authentic_vouches(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	const struct rfile *before;
	uint64_t second;

	tx_one(v, f, 0, 1, 11);
	before = keep(v, f);
	v->durable = 1;
	tx_one(v, f, 0, 2, 12);
	second = v->tx_pos;
	tx_one(v, f, 0, 3, 13);
	rv_flip(v, NAME_LOG, second * BLOCK_SIZE + 100);
	rv_flip(v, NAME_LOG, v->tx_pos * BLOCK_SIZE + 4090); /* its tag */
	must_end_before(v, before);
}

static void another_generation_does_not_vouch(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	const struct rfile *before;
	uint64_t second;

	tx_one(v, f, 0, 1, 11);
	before = keep(v, f);
	tx_one(v, f, 0, 2, 12);
	second = v->tx_pos;
	set(v, f, 0, 3, 13);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 3, LOG_WHERE_LOG });
	tx_fields(v);
	v->part[0].d.generation[3] ^= 1;
	v->part[0].d.durable = 1000;
	tx_write(v);
	rv_flip(v, NAME_LOG, second * BLOCK_SIZE + 100);
	must_end_before(v, before);
}

static void an_older_tail_in_the_older_slot_gives_the_same(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	struct replay_result res;
	struct state *s;

	tx_one(v, f, 0, 1, 11);
	home_all(v, f);
	s = rv_state(v, false);
	assert_int_equal(state_store(s, v->pos, 1, 1, false), 0); /* the checkpoint; over slot 0, as all before came in pairs */
	state_close(s);
	tx_one(v, f, 0, 2, 12);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 1);
	assert_home(v, f);
	rv_flip(v, NAME_STATE, 64);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 2);
	assert_int_equal(res.sequence, 2);
	assert_home(v, f);
}

static void a_log_that_cannot_be_read_is_not_a_log_that_ends(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	struct replay_result res;
	int fd;

	tx_one(v, f, 0, 1, 11);
	fd = rv_open(v, NAME_LOG, O_RDWR);
	assert_int_equal(v->l->ops->ftruncate(v->l, fd, BLOCK_SIZE), 0); /* the backing lost its end */
	lower_close(v->l, fd);
	assert_int_equal(replay(v, &res), -EIO);
	assert_int_equal(replay_how(v, (struct how){ .accept_log_loss = true }, &res), 0);
	assert_int_equal(res.transactions, 0);
}

/* ---- the rules, switched off: what the tests above rely on */

#if COFFER_TEST_HOOKS
static void without(struct rvol *v, unsigned rule, struct replay_result *res)
{
	v->p.rules_off = 1u << rule;
	assert_int_equal(replay(v, res), 0);
	v->p.rules_off = 0;
}
#endif

static void without_its_rule_each_promise_is_broken(void **state)
{
#if COFFER_TEST_HOOKS
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 3);
	struct replay_result res;

	tx_one(v, f, 0, 1, 11);
	rv_flip(v, NAME_LOG, (v->tx_pos + 1) * BLOCK_SIZE);
	without(v, RULE_whole, &res);
	assert_int_equal(res.transactions, 1);
	assert_non_null(home_differs(v, f)); /* a block that does not verify */

	rv_begin(v, 16, 10);
	tx_one(v, f, 0, 1, 12);
	tx_one(v, f, 0, 1, 13);
	rv_flip(v, NAME_LOG, 16 * BLOCK_SIZE + 90);
	assert_int_equal(replay(v, &res), -ENODATA);
	without(v, RULE_durable, &res);
	assert_int_equal(res.transactions, 0);

	rv_begin(v, 32, 20);
	set(v, f, 0, 1, 14);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 1, LOG_WHERE_LOG });
	tx_fields(v);
	v->part[0].d.last = false;
	tx_write(v);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 0);
	without(v, RULE_lastmark, &res);
	assert_int_equal(res.transactions, 1);
#else
	(void)state;
	skip();
#endif
}

static void without_seal_or_dropgone_files_fail(void **state)
{
#if COFFER_TEST_HOOKS
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 3), *g = file_new(v, 1, "b", 2);
	struct replay_result res;

	cut_and_again(v, f);
	without(v, RULE_dropgone, &res);
	assert_int_equal(res.quarantined, 1);
	rv_begin(v, v->pos, v->sequence);
	tx_one(v, g, 1, 1, 11);
	rv_flip(v, "b", layout_group_off(1)); /* a torn header at home is no reason to fail, but without the seal nothing else tells */
	without(v, RULE_seal, &res);
	assert_int_equal(res.quarantined, 1);
#else
	(void)state;
	skip();
#endif
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_empty_log_changes_nothing),
		T(a_home_group_builds_on_what_lies_at_home),
		T(an_empty_group_ignores_what_lies_at_home),
		T(a_fresh_group_takes_the_entries_at_home),
		T(records_of_several_transactions_add_up),
		T(what_lies_where_a_hole_record_is_stays),
		T(empty_starts_a_gathered_group_anew),
		T(fresh_starts_a_gathered_group_anew),
		T(a_group_that_a_file_record_cuts_is_dropped),
		T(a_group_that_comes_back_has_none_of_its_old_records),
		T(a_group_that_falls_into_a_gap_is_dropped),
		T(a_file_record_alone_changes_the_size),
		T(several_files_and_parts_make_one_transaction),
		T(the_ring_wraps_at_every_place_of_a_transaction),
		T(metadata_torn_at_home_is_built_again),
		T(a_group_goes_over_to_another_epoch_with_all_its_blocks),
		T(any_damaged_block_of_the_last_transaction_ends_the_log),
		T(a_changed_generation_does_not_count),
		T(a_changed_sequence_does_not_count),
		T(a_changed_part_does_not_count),
		T(a_changed_last_does_not_count),
		T(a_changed_data_blocks_does_not_count),
		T(a_changed_block_does_not_count),
		T(a_changed_file_twice_does_not_count),
		T(a_changed_group_twice_does_not_count),
		T(a_changed_no_file_does_not_count),
		T(a_full_ring_is_replayed_to_its_last_block),
		T(a_missing_transaction_that_the_state_vouches_for_is_refused),
		T(a_missing_transaction_that_a_later_one_vouches_for_is_refused),
		T(only_what_is_authentic_vouches),
		T(another_generation_does_not_vouch),
		T(an_older_tail_in_the_older_slot_gives_the_same),
		T(a_log_that_cannot_be_read_is_not_a_log_that_ends),
		T(without_its_rule_each_promise_is_broken),
		T(without_seal_or_dropgone_files_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
