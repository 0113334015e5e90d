/* test_audit_chain.c: every kind of tampering with an audit log is found, and named. */
#include "audit_fixture.h"

#include "base/secret.h"
#include "base/text.h"

#define FIRST "audit-00000000000000000001.log"

static uint64_t seqs[64];
static size_t files;

/* 200 rows in one file, anchored to the last. */
static void log_make(void)
{
	int i;

	for (i = 0; i < 195; i++) {
		append(i % 2 ? "key.unwrap" : "mount.register");
		if (i % 60 == 59) {
			time_passes(61);
			audit_tick(log_of);
		}
	}
	close_log();
	assert_whole(200);
	assert_int_equal(verify(true)->anchored_seq, 200);
}

/* 10 files and more. */
static void files_make(void)
{
	AUTO_FREE uint64_t *p = NULL;
	int i;

	conf_of.rotate_bytes = 5000;
	audit_configure(log_of, &conf_of);
	for (i = 0; i < 80; i++)
		append("key.unwrap");
	close_log();
	assert_whole(0);
	assert_int_equal(audit_files_list(dirfd_of, &p, &files), 0);
	assert_true(files >= 8 && files <= 64);
	memcpy(seqs, p, files * sizeof(*p));
}

static const struct audit_chain_report *assert_broken(bool with_anchors, const char *why)
{
	const struct audit_chain_report *p = verify(with_anchors);

	if (!p->broken)
		fail_msg("taken for whole; expected: %s", why);
	if (!strstr(p->why, why))
		fail_msg("row %llu: \"%s\" is not \"%s\"", (unsigned long long)p->seq, p->why, why);
	return p;
}

/* Where line n (from 0) begins. */
static char *line_at(char *text, unsigned n)
{
	while (n--) {
		text = strchr(text, '\n');
		assert_non_null(text);
		text++;
	}
	return text;
}

static size_t line_len(const char *line)
{
	return (size_t)(strchr(line, '\n') + 1 - line);
}

/* Not through files: each verification of 200 rows costs. Rows before the changed one are known to be good, so the chain starts with it. */
static void an_edit_of_any_byte_is_found(void **state)
{
	char *text, copy[2048], *line;
	struct audit_row row;
	unsigned n, found = 0;
	size_t i, len;
	uint8_t bit;

	(void)state;
	log_make();
	text = text_of(FIRST);
	for (n = 0; n < 200; n++) {
		line = line_at(text, n);
		len = line_len(line) - 1;
		assert_true(len < sizeof(copy));
		memcpy(copy, line, len);
		assert_int_equal(audit_row_parse(copy, len, &row), 0);
		audit_row_done(&row);
		for (i = 0; i < len; i++) {
			bit = (uint8_t)(1u << (i + n) % 8);
			copy[i] = (char)(copy[i] ^ bit);
			if (audit_row_parse(copy, len, &row) == 0)
				fail_msg("byte %zu of row %u was changed, and the row is taken for whole", i, n + 1);
			copy[i] = (char)(copy[i] ^ bit);
			found++;
		}
	}
	assert_true(found > 200 * 300);
	free(text);
}

/* … and what the row's own form does not find, the log as a whole does: a byte of every row, and every line feed. */
static void an_edited_log_is_broken_and_the_row_is_named(void **state)
{
	const struct audit_chain_report *p;
	char *text, *line, was;
	unsigned n;
	size_t len, all;

	(void)state;
	log_make();
	text = text_of(FIRST);
	all = strlen(text);
	for (n = 0; n < 200; n += 7) {
		line = line_at(text, n);
		len = line_len(line);
		was = line[len / 2];
		line[len / 2] = was == 'a' ? 'b' : 'a';
		text_set(FIRST, text, all);
		p = assert_broken(true, "");
		assert_true(p->seq == n + 1 || p->seq == n + 2);
		line[len / 2] = was;
		line[len - 1] = ' ';
		text_set(FIRST, text, all);
		(void)assert_broken(true, "");
		line[len - 1] = '\n';
	}
	text_set(FIRST, text, all);
	assert_whole(200);
	free(text);
}

/* An attacker without the host key can compute hashes: the rows behind must follow, and the signatures and anchors do not. */
static void a_rewritten_log_fails_its_signatures_and_anchors(void **state)
{
	uint8_t prev[AUDIT_HASH_LEN] = { 0 }, hash[AUDIT_HASH_LEN];
	char *text, *line, *out = calloc(1, 1 << 20), *made;
	struct audit_row row;
	size_t at = 0;
	unsigned n;

	(void)state;
	log_make();
	text = text_of(FIRST);
	for (n = 0; n < 200; n++) {
		line = line_at(text, n);
		assert_int_equal(audit_row_parse(line, line_len(line) - 1, &row), 0);
		if (n == 5) {
			json_drop(row.o, "tenant");
			assert_int_equal(json_put_str(row.o, "tenant", "other"), 0);
		}
		if (n == 61) /* it held the first signature */
			assert_int_equal(json_put_str(row.o, "event", "key.unwrap"), 0);
		json_drop(row.o, "hash");
		assert_int_equal(audit_row_put(row.o, prev, hash, &made), 0);
		memcpy(prev, hash, sizeof(prev));
		at += (size_t)sprintf(out + at, "%s\n", made);
		free(made);
		audit_row_done(&row);
		if (n == 61)
			text_set("rewritten", out, at);
	}
	text_set(FIRST, out, at);
	(void)assert_broken(false, "its signature is not this host's");
	assert_int_equal(renameat(dirfd_of, "rewritten", dirfd_of, FIRST), 0);
	(void)assert_broken(true, "the row is not the one that was anchored");
	free(text);
	free(out);
}

static void rows_that_are_missing_repeated_or_moved_are_named(void **state)
{
	char *text, *a, *b, *out = calloc(1, 1 << 20);
	size_t all, la, lb;

	(void)state;
	log_make();
	text = text_of(FIRST);
	all = strlen(text);
	a = line_at(text, 100);
	la = line_len(a);
	b = a + la;
	lb = line_len(b);
	/* one is gone */
	memcpy(out, text, (size_t)(a - text));
	memcpy(out + (a - text), b, all - (size_t)(b - text));
	text_set(FIRST, out, all - la);
	assert_int_equal(assert_broken(false, "rows are missing before it: 101 to 101")->seq, 102);
	/* the first */
	text_set(FIRST, line_at(text, 1), all - line_len(text));
	assert_int_equal(assert_broken(false, "the file does not begin with the first row it had")->seq, 2);
	/* one stands twice */
	memcpy(out, text, (size_t)(b - text));
	memcpy(out + (b - text), a, all - (size_t)(a - text));
	text_set(FIRST, out, all + la);
	assert_int_equal(assert_broken(false, "it stands behind row 101: repeated, inserted or out of order")->line, 102);
	/* two are swapped */
	memcpy(out, text, all);
	memcpy(out + (a - text), b, lb);
	memcpy(out + (a - text) + lb, a, la);
	text_set(FIRST, out, all);
	assert_int_equal(assert_broken(false, "rows are missing before it")->seq, 102);
	/* a line of another make is put in */
	memcpy(out, text, (size_t)(b - text));
	memcpy(out + (b - text), "{\"v\":1}\n", 8);
	memcpy(out + (b - text) + 8, b, all - (size_t)(b - text));
	text_set(FIRST, out, all + 8);
	assert_int_equal(assert_broken(false, "the line is no row")->line, 102);
	/* and at the end */
	memcpy(out, text, all);
	memcpy(out + all, "\n", 1);
	text_set(FIRST, out, all + 1);
	(void)assert_broken(false, "the line is no row");
	memset(out + all, 'x', 20000);
	text_set(FIRST, out, all + 20000);
	(void)assert_broken(false, "longer than any row");
	free(text);
	free(out);
}

static void a_cut_is_found_up_to_the_newest_anchor(void **state)
{
	const struct audit_chain_report *p;
	char *text, *at;
	unsigned n;

	(void)state;
	log_make();
	text = text_of(FIRST);
	for (n = 1; n < 200; n++) {
		at = line_at(text, n);
		text_set(FIRST, text, (size_t)(at - text));
		p = assert_broken(true, "the end of the log is missing");
		assert_true(p->seq > n);
		if (n % 20 == 0) {
			p = verify(false);
			assert_false(p->broken); /* without anchors nothing can tell … */
			assert_int_equal(p->anchored_seq, 0); /* … and it says so */
			assert_true(p->unanchored_ns > 0);
		}
	}
	text_set(FIRST, text, 0);
	(void)assert_broken(true, "there is no row");
	free(text);
}

static void a_set_of_files_with_one_missing_is_found(void **state)
{
	char name[AUDIT_FILE_LEN];
	size_t i;

	(void)state;
	files_make();
	for (i = 0; i < files; i++) {
		audit_files_name(seqs[i], name);
		assert_int_equal(renameat(dirfd_of, name, dirfd_of, "away"), 0);
		(void)assert_broken(true, i == 0 ? "rows before it are missing" :
					  i + 1 == files ? "the end of the log is missing" : "rows are missing before it");
		if (i > 0 && i + 1 < files)
			(void)assert_broken(false, "rows are missing before it");
		assert_int_equal(renameat(dirfd_of, "away", dirfd_of, name), 0);
	}
	assert_whole(0);
	/* a file under another's name */
	assert_int_equal(renameat(dirfd_of, FIRST, dirfd_of, "audit-00000000000000000002.log"), 0);
	(void)assert_broken(false, "does not begin with the row it is named after");
}

static void a_file_that_lost_its_beginning_is_found(void **state)
{
	char name[AUDIT_FILE_LEN], *text, *rest;

	(void)state;
	files_make();
	audit_files_name(seqs[0], name);
	assert_int_equal(unlinkat(dirfd_of, name, 0), 0);
	audit_files_name(seqs[1], name);
	text = text_of(name);
	rest = line_at(text, 1);
	text_set(name, rest, strlen(rest));
	(void)assert_broken(false, "does not begin with the first row it had");
	free(text);
}

static void anchors_of_another_key_or_host_are_no_anchors(void **state)
{
	AUTO_SECRET struct secret *seed = NULL;
	struct audit_anchor a;
	char *text, *made;

	(void)state;
	log_make();
	text = text_of("audit.anchors");
	assert_int_equal(audit_row_anchor_parse(text, line_len(text) - 1, &a), 0);
	assert_int_equal(secret_new(SIGN_SEED_LEN, &seed), 0);
	/* forged: another key, this host's name */
	assert_int_equal(audit_row_anchor_put(&a, seed, &made), 0);
	text_set("audit.anchors", made, strlen(made));
	(void)assert_broken(true, "an anchor is not signed by this host's key");
	free(made);
	/* another host's alone */
	memset(a.host_id, '0', AUDIT_ID_LEN - 1);
	assert_int_equal(audit_row_anchor_put(&a, seed, &made), 0);
	text_set("audit.anchors", made, strlen(made));
	(void)assert_broken(true, "no anchor is of this log's host");
	free(made);
	/* two that contradict each other in order */
	memcpy(text + line_len(text), text, line_len(text));
	text_set("audit.anchors", text, 2 * line_len(text));
	assert_int_equal(verify(true)->anchors, 2);
	free(text);
}

static void anchors_out_of_a_journal_are_read(void **state)
{
	char *text, *out = calloc(1, 1 << 16);

	(void)state;
	log_make();
	text = text_of("audit.anchors");
	(void)sprintf(out, "Jan 01 00:00:00 h coffer-agent[1]: audit anchor: %.*s\n\nsomething else\n", (int)line_len(text) - 1, text);
	text_set("audit.anchors", out, strlen(out));
	assert_int_equal(verify(true)->anchors, 1);
	assert_int_equal(verify(true)->anchors_unreadable, 1);
	free(text);
	free(out);
}

static void anchors_made_while_the_log_is_read_are_not_missed(void **state)
{
	static struct audit_lines lines;
	AUTO_AUDIT_CHAIN struct audit_chain *c = NULL;
	AUTO_CLOSE int fd = -1, log = -1;

	(void)state;
	append("one");
	close_log();
	fd = openat(dirfd_of, "audit.anchors", O_RDONLY | O_CLOEXEC);
	log = openat(dirfd_of, FIRST, O_RDONLY | O_CLOEXEC);
	audit_lines_init(&lines, fd);
	assert_int_equal(audit_lines_stop_here(&lines), 0);
	assert_int_equal(audit_chain_new(NULL, audit_walk_anchor, &lines, &c), 0);
	conf_of.rotate_bytes = 1;
	open_log();
	append("two"); /* into a file that the reader does not know of yet */
	close_log();
	assert_int_equal(audit_walk_file(c, log, FIRST, NULL, NULL), 0);
	assert_int_equal(audit_chain_end(c), 0);
	assert_int_equal(audit_chain_report(c)->anchored_seq, 3);
}

static void anothers_rows_spliced_in_are_found(void **state)
{
	char *one, *two, *out = calloc(1, 1 << 20);
	size_t at;
	int i;

	(void)state;
	log_make();
	one = text_of(FIRST);
	dir_empty();
	open_log();
	log_make();
	two = text_of(FIRST);
	at = (size_t)(line_at(one, 50) - one);
	memcpy(out, one, at);
	(void)strcpy(out + at, line_at(two, 50));
	text_set(FIRST, out, strlen(out));
	assert_int_equal(assert_broken(false, "it is of another host")->seq, 51);
	/* the same key, another beginning: the anchors of the one do not fit the other */
	(void)unlinkat(dirfd_of, FIRST, 0);
	open_log();
	for (i = 0; i < 100; i++)
		append("key.unwrap");
	close_log();
	(void)assert_broken(true, "the row is not the one that was anchored");
	free(one);
	free(two);
	free(out);
}

static void a_log_of_another_host_than_wanted_is_refused(void **state)
{
	struct audit_chain *c = NULL;
	char host[AUDIT_ID_LEN];

	(void)state;
	log_make();
	memcpy(host, verify(false)->host_id, sizeof(host));
	assert_int_equal(audit_chain_new(host, NULL, NULL, &c), 0);
	assert_int_equal(audit_walk_dir(c, dirfd_of, "", NULL, NULL), 0);
	assert_int_equal(audit_chain_end(c), 0);
	audit_chain_free(c);
	host[0] = host[0] == '0' ? '1' : '0';
	assert_int_equal(audit_chain_new(host, NULL, NULL, &c), 0);
	assert_int_equal(audit_walk_dir(c, dirfd_of, "", NULL, NULL), -EBADMSG);
	assert_non_null(strstr(audit_chain_report(c)->why, "the log is of host"));
	audit_chain_free(c);
}

/* Rows with what an agent never writes, under a good chain: made here, since a signature is not needed to make them. */
static void clocks_that_go_back_are_found(void **state)
{
	uint8_t hash[AUDIT_HASH_LEN];
	char *text, *line, *made, *out = calloc(1, 1 << 16), ts[AUDIT_TIME_LEN];
	struct audit_row row;
	size_t at;
	int i;

	(void)state;
	append("one");
	text = text_of(FIRST);
	at = strlen(text);
	line = line_at(text, 1);
	for (i = 0; i < 3; i++) {
		assert_int_equal(audit_row_parse(line, line_len(line) - 1, &row), 0);
		json_drop(row.o, "hash");
		audit_row_time(row.ts_ns - (i == 0), ts);
		json_drop(row.o, "ts");
		assert_int_equal(json_put_str(row.o, "ts", ts), 0);
		if (i == 1)
			assert_int_equal(json_put_int(row.o, "mono_ns", row.mono_ns - 1), 0);
		if (i == 2)
			assert_int_equal(json_put_str(row.o, "event", "audit.torn"), 0);
		assert_int_equal(json_put_int(row.o, "seq", 3), 0);
		assert_int_equal(audit_row_put(row.o, row.hash, hash, &made), 0);
		(void)sprintf(out, "%s%s\n", text, made);
		text_set(FIRST, out, strlen(out));
		(void)assert_broken(false, i == 0 ? "the clock goes back" : i == 1 ? "the time since boot goes back" :
							 "the torn bytes that it speaks of are not there");
		free(made);
		audit_row_done(&row);
	}
	text_set(FIRST, text, at);
	free(text);
	free(out);
}

static void torn_bytes_that_were_changed_are_found(void **state)
{
	char *text, *torn;

	(void)state;
	append("one");
	close_log();
	text = text_of(FIRST);
	text_set(FIRST, text, strlen(text) - 30); /* the anchor's row, torn */
	(void)unlinkat(dirfd_of, "audit.anchors", 0);
	free(text);
	open_log();
	append("two");
	assert_whole(4);
	assert_int_equal(verify(true)->torn, 1);
	text = text_of(FIRST);
	torn = line_at(text, 2);
	torn[40] ^= 1;
	text_set(FIRST, text, strlen(text));
	assert_int_equal(assert_broken(false, "the torn bytes were changed")->line, 3);
	free(text);
}

static void a_torn_end_is_no_break_but_is_told(void **state)
{
	char *text;

	(void)state;
	append("one");
	text = text_of(FIRST);
	text_set(FIRST, text, strlen(text) - 30);
	assert_false(verify(false)->broken);
	assert_true(verify(false)->end_torn);
	assert_int_equal(verify(false)->rows, 1);
	free(text);
}

static void forms_that_only_look_right_are_refused(void **state)
{
	static const char *const times[] = { "2026-02-30T00:00:00.000000000Z", "2026-01-01T00:00:00.00000000Z", "2026-01-01T24:00:00.000000000Z",
					     "2026-01-01t00:00:00.000000000Z", "+026-01-01T00:00:00.000000000Z", "1969-12-31T23:59:59.000000000Z", "" };
	static const char *const names[] = { "audit-1.log", "audit-0000000000000000000a.log", "audit-00000000000000000000.log", "audit.log",
					     "audit-00000000000000000001.log~", "audit-99999999999999999999.log", "audit--0000000000000000001.log" };
	char text[AUDIT_TIME_LEN];
	uint8_t bytes[2];
	int64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_int_equal(audit_row_time_parse(times[i], &ns), -EUCLEAN);
	assert_int_equal(audit_row_time_parse("2026-11-25T23:59:59.987654321Z", &ns), 0);
	audit_row_time(ns, text);
	assert_string_equal(text, "2026-11-25T23:59:59.987654321Z");
	audit_row_time(-1, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(audit_files_seq(names[i]), 0);
	assert_int_equal(audit_files_seq(FIRST), 1);
	assert_int_equal(text_hex_parse("00Ff", strlen("00Ff"), 2, bytes), -EUCLEAN);
	assert_int_equal(text_hex_parse("00f", strlen("00f"), 2, bytes), -EUCLEAN);
	assert_int_equal(text_hex_parse("00ff", strlen("00ff"), 2, bytes), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_edit_of_any_byte_is_found),
		TEST(an_edited_log_is_broken_and_the_row_is_named),
		TEST(a_rewritten_log_fails_its_signatures_and_anchors),
		TEST(rows_that_are_missing_repeated_or_moved_are_named),
		TEST(a_cut_is_found_up_to_the_newest_anchor),
		TEST(a_set_of_files_with_one_missing_is_found),
		TEST(a_file_that_lost_its_beginning_is_found),
		TEST(anchors_of_another_key_or_host_are_no_anchors),
		TEST(anchors_out_of_a_journal_are_read),
		TEST(anchors_made_while_the_log_is_read_are_not_missed),
		TEST(anothers_rows_spliced_in_are_found),
		TEST(a_log_of_another_host_than_wanted_is_refused),
		TEST(clocks_that_go_back_are_found),
		TEST(torn_bytes_that_were_changed_are_found),
		TEST(a_torn_end_is_no_break_but_is_told),
		TEST(forms_that_only_look_right_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
