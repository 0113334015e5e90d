/* test_audit.c: what the agent writes: rows, files, anchors; over restarts, torn lines, full and failing disks, clocks that are set. */
#include "audit_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include "agent/audit_tenant.h"
#include "agent/packet.h"
#include "base/clock.h"

/* The n-th call from now that changes something fails with fail_errno; a write has written fail_short bytes before. 0: none. Counts calls either way. */
static int calls, fail_at, fail_errno;
static ssize_t fail_short = -1;

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __real_openat(int dirfd, const char *name, int flags, mode_t mode);
int __wrap_openat(int dirfd, const char *name, int flags, mode_t mode);

static bool fails(void)
{
	if (++calls != fail_at)
		return false;
	errno = fail_errno;
	return true;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	if (fd == STDERR_FILENO || !fails())
		return __real_write(fd, p, n);
	if (fail_short < 0 || fail_short >= (ssize_t)n)
		return -1;
	return __real_write(fd, p, (size_t)fail_short);
}

int __wrap_fdatasync(int fd)
{
	(void)fd; /* no test pulls a plug */
	return fails() ? -1 : 0;
}

int __wrap_fsync(int fd)
{
	(void)fd;
	return fails() ? -1 : 0;
}

int __wrap_ftruncate(int fd, off_t len)
{
	return fails() ? -1 : __real_ftruncate(fd, len);
}

int __wrap_openat(int dirfd, const char *name, int flags, mode_t mode)
{
	return flags & O_CREAT && fails() ? -1 : __real_openat(dirfd, name, flags, mode);
}

static void fail_next(int at, int error, ssize_t bytes)
{
	calls = 0;
	fail_at = at;
	fail_errno = error;
	fail_short = bytes;
}

static void fail_none(void)
{
	fail_next(0, 0, -1);
}

static void reopen(void)
{
	close_log();
	open_log();
}

static int try_append(const char *what)
{
	const struct audit_event e = { .what = what, .tenant = "acme" };

	return audit_append(log_of, &e);
}

static void rows_are_chained_over_restarts_and_boots(void **state)
{
	char *text;

	(void)state;
	append("one");
	append("two");
	reopen();
	append("three");
	reopen();
	reopen();
	append("four");
	/* genesis, one, two, anchor, three, anchor, four */
	assert_whole(7);
	assert_int_equal(verify(true)->anchored_seq, 6);
	assert_true(verify(true)->unanchored_ns > 0);
	close_log();
	assert_whole(8);
	assert_int_equal(verify(true)->anchored_seq, 8);
	assert_int_equal(verify(true)->unanchored_ns, 0);
	assert_int_equal(verify(true)->signed_seq, 7);
	assert_int_equal(verify(false)->anchored_seq, 0);
	text = text_of("audit.log");
	assert_non_null(strstr(text, "\"event\":\"audit.genesis\""));
	assert_non_null(strstr(text, "\"detail\":\"a \\\"b\\\" \\\\ c\",\"event\":\"three\""));
	assert_non_null(strstr(text, "\"agent_version\":\"1.2.3\""));
	free(text);
}

static void text_that_would_have_two_forms_is_escaped(void **state)
{
	struct peer peer = { .pid = 7, .uid = 8, .start_time = 9, .unit = "a.service" };
	struct audit_event e = { .what = "key.unwrap", .detail = "a\nb\x01\x7f\xff", .mountpoint = "/\xc3\xa4", .peer = &peer,
				 .key_uri = "vault:h/transit/k", .http = 403, .attempt = 2, .latency_ms = 5, .rule = "root" };
	char *text;

	(void)state;
	assert_int_equal(audit_append(log_of, &e), 0);
	assert_whole(2);
	text = text_of("audit.log");
	assert_non_null(strstr(text, "\"detail\":\"a\\\\x0ab\\\\x01\\\\x7f\\\\xff\""));
	assert_non_null(strstr(text, "\"mountpoint\":\"/\xc3\xa4\""));
	assert_non_null(strstr(text, "\"peer\":{\"pid\":7,\"starttime\":9,\"uid\":8,\"unit\":\"a.service\"}"));
	assert_non_null(strstr(text, "\"provider\":\"vault\""));
	assert_non_null(strstr(text, "\"attempt\":2,"));
	assert_non_null(strstr(text, "\"http\":403,"));
	free(text);
}

static void a_row_of_the_largest_texts_fits(void **state)
{
	static char path_text[4096], detail[512];
	struct audit_event e = { .what = "mount.integrity", .mountpoint = path_text, .detail = detail };

	(void)state;
	memset(path_text, '"', sizeof(path_text) - 1);
	memset(detail, 1, sizeof(detail) - 1);
	assert_int_equal(audit_append(log_of, &e), 0);
	memset(path_text, 1, sizeof(path_text) - 1);
	assert_int_equal(audit_append(log_of, &e), 0);
	assert_whole(3);
}

/* The newest row is cut at every byte, as by a crash; the next start goes on. */
static void a_line_torn_at_any_byte_is_closed_off(void **state)
{
	char *text, *row;
	size_t keep, len;

	(void)state;
	append("one");
	append("two");
	text = text_of("audit.log");
	len = strlen(text);
	row = (char *)memrchr(text, '\n', len - 1) + 1;
	for (keep = (size_t)(row - text); keep <= len; keep++) {
		const bool none = text + keep == row, all = keep + 1 >= len;

		/* Not audit_free: a crash makes no anchor. */
		close_log();
		text_set("audit-00000000000000000001.log", text, keep);
		(void)unlinkat(dirfd_of, "audit.anchors", 0);
		open_log();
		append("three");
		assert_whole(none ? 3 : 4);
		assert_int_equal(verify(true)->torn, none || all ? 0 : 1);
		reopen();
		append("four");
		assert_whole(0);
	}
	free(text);
}

static void a_log_that_begins_torn_is_begun_anew(void **state)
{
	(void)state;
	close_log();
	text_set("audit-00000000000000000001.log", "{\"age", 5);
	(void)unlinkat(dirfd_of, "audit.anchors", 0);
	open_log();
	append("one");
	assert_whole(2);
	close_log();
	text_set("audit-00000000000000000001.log", "\0\0\0\0\0", 5);
	(void)unlinkat(dirfd_of, "audit.anchors", 0);
	open_log();
	append("one");
	assert_whole(2);
}

static void zeros_behind_the_last_row_are_closed_off(void **state)
{
	char zeros[4096] = { 0 };
	int fd;

	(void)state;
	append("one");
	close_log();
	fd = openat(dirfd_of, "audit-00000000000000000001.log", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	(void)close(fd);
	open_log();
	append("two");
	assert_whole(5); /* genesis one anchor torn two */
}

static void what_is_no_audit_log_is_refused(void **state)
{
	static const char old[] = "{\"seq\":1,\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"start\",\"prev\":\"00\"}\n";
	struct audit *a = NULL;

	(void)state;
	close_log();
	text_set("audit-00000000000000000001.log", "hello\n", 6);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EUCLEAN);
	text_set("audit-00000000000000000001.log", old, sizeof(old) - 1);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EUCLEAN);
	dir_empty();
	text_set("audit.log", old, sizeof(old) - 1);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EUCLEAN);
	assert_int_equal(unlinkat(dirfd_of, "audit.log", 0), 0);
	assert_int_equal(symlinkat("/dev/null", dirfd_of, "audit-00000000000000000001.log"), 0);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -ELOOP);
	assert_null(a);
}

static void the_host_key_is_made_once_and_held_to_its_form(void **state)
{
	struct audit *a = NULL;
	char *one = text_of("host.key"), *two;
	struct stat st;

	(void)state;
	append("one");
	assert_int_equal(fstatat(dirfd_of, "host.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 32);
	reopen();
	two = text_of("host.key");
	assert_memory_equal(one, two, 32);
	close_log();
	assert_int_equal(fchmodat(dirfd_of, "host.key", 0640, 0), 0);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EUCLEAN);
	assert_int_equal(unlinkat(dirfd_of, "host.key", 0), 0);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EKEYREJECTED); /* gone, with the log still there */
	text_set("host.key", "another key of thirty-two bytes.", 32);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EKEYREJECTED);
	text_set("host.key", one, 31);
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EUCLEAN);
	text_set("host.key", one, 32);
	open_log();
	append("two");
	assert_whole(0);
	free(one);
	free(two);
}

static void two_agents_do_not_write_one_log(void **state)
{
	struct audit *a = NULL;

	(void)state;
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1", &a), -EBUSY);
	assert_null(a);
}

static void files_follow_each_other_by_size_and_age(void **state)
{
	int i;

	(void)state;
	conf_of.rotate_bytes = 4000;
	reopen();
	for (i = 0; i < 40; i++)
		append("one");
	assert_whole(0);
	assert_true(verify(true)->files >= 5);
	conf_of.rotate_bytes = 64 << 20;
	reopen();
	i = (int)verify(true)->files;
	time_passes(6 * 24 * 3600);
	append("two");
	assert_int_equal(verify(true)->files, i);
	time_passes(2 * 24 * 3600);
	append("three");
	assert_int_equal(verify(true)->files, i + 1);
	reopen();
	append("four");
	assert_whole(0);
}

static void files_beyond_retain_go_one_at_a_time_and_are_named(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	uint64_t before;
	int i;

	(void)state;
	conf_of.rotate_bytes = 4000;
	reopen();
	for (i = 0; i < 20; i++)
		append("one");
	before = verify(true)->files;
	assert_int_equal(utimensat(dirfd_of, "audit-00000000000000000001.log", old, 0), 0);
	for (i = 0; i < 20 && verify(true)->first_seq == 1; i++)
		append("two");
	assert_true(verify(true)->first_seq > 1);
	assert_int_equal(verify(true)->files, before);
	assert_whole(0);
	reopen();
	append("three");
	assert_whole(0);
}

static void an_anchor_comes_after_a_minute_or_256_rows(void **state)
{
	struct audit_event e = { .what = "peer.denied" };
	struct peer peer = { .uid = 0 };
	unsigned i;

	(void)state;
	append("one");
	audit_tick(log_of);
	assert_int_equal(verify(true)->anchored_seq, 0);
	time_passes(61);
	audit_tick(log_of);
	assert_int_equal(verify(true)->anchored_seq, 3); /* genesis one anchor */
	time_passes(3600);
	audit_tick(log_of);
	assert_whole(3); /* nothing new: no anchor */
	for (i = 0; i < 256; i++) {
		peer.uid = i / AUDIT_REFUSALS;
		e.peer = &peer;
		assert_int_equal(audit_append_refusal(log_of, &e), 0);
	}
	assert_int_equal(verify(true)->anchored_seq, 260);
	assert_whole(260);
}

static void anchors_go_where_they_are_wanted(void **state)
{
	char *text;

	(void)state;
	(void)snprintf(conf_of.anchor_file, sizeof(conf_of.anchor_file), "%s/elsewhere", path);
	audit_configure(log_of, &conf_of);
	append("one");
	text_set("elsewhere", "{\"file", 6); /* torn by a crash */
	close_log();
	text = text_of("elsewhere");
	assert_memory_equal(text, "{\"file\n{\"file\":\"audit-00000000000000000001.log\",\"hash\":\"", 54);
	assert_int_equal(renameat(dirfd_of, "elsewhere", dirfd_of, "audit.anchors"), 0);
	assert_int_equal(verify(true)->anchors, 1);
	assert_int_equal(verify(true)->anchors_unreadable, 1);
	(void)strcat(conf_of.anchor_file, "/not/there");
	open_log();
	assert_true(audit_required(log_of));
	conf_of.required = false;
	audit_configure(log_of, &conf_of);
	assert_false(audit_required(log_of));
	append("two"); /* an anchor that cannot be written delays nothing */
	time_passes(61);
	audit_tick(log_of);
	append("three");
	assert_whole(0);
	free(text);
}

static void a_clock_that_is_set_is_recorded(void **state)
{
	(void)state;
	append("one");
	real_offset_ns -= 10 * NS;
	append("two");
	real_offset_ns += 3600 * NS;
	append("three");
	assert_whole(6);
	assert_int_equal(verify(true)->jumps, 2);
	time_passes(24 * 3600);
	real_offset_ns += 80 * NS; /* a disciplined clock may drift a thousandth */
	append("four");
	assert_int_equal(verify(true)->jumps, 2);
	close_log();
	real_offset_ns -= 3600 * NS; /* while no agent ran */
	open_log();
	append("five");
	assert_whole(0);
	assert_int_equal(verify(true)->jumps, 3);
	conf_of.rotate_bytes = 1; /* and just when another file begins */
	audit_configure(log_of, &conf_of);
	real_offset_ns -= 3600 * NS;
	append("six");
	real_offset_ns += 7200 * NS;
	append("seven");
	assert_whole(0);
	assert_int_equal(verify(true)->jumps, 5);
}

/* Every call of each scenario fails once, in each way, until one runs untouched; whatever was reported durable is there, and all is whole. */
static void every_failing_call_is_survived(int (*scenario)(void), int error, ssize_t bytes)
{
	int at, r, done = -1;

	for (at = 1; done < 0; at++) {
		const int before = at;

		fail_next(at, error, bytes);
		r = scenario();
		if (calls < before)
			done = r;
		fail_none();
		append("after");
		append("again");
		assert_whole(0);
		assert_true(at < 60);
	}
	assert_int_equal(done, 0);
}

static int appending(void)
{
	return try_append("one");
}

static int rotating(void)
{
	conf_of.rotate_bytes = 1;
	audit_configure(log_of, &conf_of);
	conf_of.rotate_bytes = 64 << 20;
	return try_append("one");
}

static int rotating_done(void)
{
	int r = rotating();

	audit_configure(log_of, &conf_of);
	return r;
}

static int anchoring(void)
{
	int r = try_append("one");

	time_passes(61);
	audit_tick(log_of);
	return r;
}

static int closing(void)
{
	int r = try_append("one");

	audit_free(log_of);
	log_of = NULL;
	if (audit_open(dirfd_of, &conf_of, "1.2.3", &log_of) < 0) {
		fail_none();
		calls = 1000;
		open_log();
		calls = 0;
	}
	return r;
}

static void a_full_or_failing_disk_breaks_no_chain(void **state)
{
	static const struct {
		int error;
		ssize_t bytes;
	} ways[] = { { ENOSPC, -1 }, { ENOSPC, 0 }, { ENOSPC, 1 }, { ENOSPC, 20 }, { ENOSPC, 300 }, { EIO, -1 }, { EIO, 100 } };
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		teardown(state);
		setup(state);
		every_failing_call_is_survived(appending, ways[i].error, ways[i].bytes);
		every_failing_call_is_survived(rotating_done, ways[i].error, ways[i].bytes);
		every_failing_call_is_survived(anchoring, ways[i].error, ways[i].bytes);
		every_failing_call_is_survived(closing, ways[i].error, ways[i].bytes);
	}
}

static void a_failed_append_is_reported(void **state)
{
	(void)state;
	fail_next(1, ENOSPC, -1);
	assert_int_equal(try_append("one"), -ENOSPC);
	fail_next(1, ENOSPC, 20);
	assert_int_equal(try_append("one"), -EIO);
	fail_next(3, EIO, -1); /* closing off: line feed, row; then this row */
	assert_int_equal(try_append("one"), -EIO);
	fail_next(2, EIO, -1);
	assert_int_equal(try_append("one"), -EIO); /* written, not flushed */
	fail_none();
	append("two");
	assert_true(verify(true)->files == 2); /* the file that could not be flushed was left */
	assert_whole(0);
}

static void a_disk_without_room_for_a_line_feed_heals(void **state)
{
	struct rlimit lim, old;
	struct stat st;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	append("one");
	assert_int_equal(fstatat(dirfd_of, "audit.log", &st, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	lim = old;
	lim.rlim_cur = (rlim_t)st.st_size + 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	assert_int_equal(try_append("two"), -EIO);
	assert_true(try_append("two") < 0);
	assert_true(try_append("two") < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	append("three");
	assert_whole(0);
	assert_int_equal(verify(true)->torn, 1);
	reopen();
	append("four");
	assert_whole(0);
}

static void refuse(uid_t uid, unsigned times)
{
	struct peer peer = { .uid = uid };
	struct audit_event e = { .what = "peer.denied", .peer = &peer };

	while (times--)
		assert_int_equal(audit_append_refusal(log_of, &e), 0);
}

static unsigned count_of(const char *what)
{
	char *text = text_of("audit.log"), *at;
	unsigned n = 0;

	for (at = text; (at = strstr(at, what)); at++)
		n++;
	free(text);
	return n;
}

static void refusals_of_one_do_not_hide_anothers(void **state)
{
	uid_t uid;

	(void)state;
	boot_offset_ns = 0;
	boot_offset_ns = (int64_t)(60000 - clock_boot_ms() % 60000 + 1) * 1000000; /* a minute begins */
	refuse(1000, 1000);
	refuse(2000, 2);
	assert_int_equal(count_of("\"uid\":1000"), AUDIT_REFUSALS);
	assert_int_equal(count_of("\"uid\":2000"), 2);
	for (uid = 3000; uid < 3100; uid++)
		refuse(uid, 1);
	assert_int_equal(count_of("\"uid\":3"), 14 + AUDIT_REFUSALS);
	time_passes(60);
	audit_tick(log_of);
	assert_int_equal(count_of("\"count\":970,\"event\":\"peer.suppressed\""), 1);
	assert_int_equal(count_of("\"event\":\"peer.suppressed\""), 2);
	refuse(1000, 1);
	assert_int_equal(count_of("\"event\":\"peer.denied\""), AUDIT_REFUSALS + 2 + 14 + AUDIT_REFUSALS + 1);
	assert_whole(0);
}

/* --- a thread flushes --- */

/* As the agent's loop: until the row has its fate. */
static enum audit_fate fate_of(uint64_t seq)
{
	struct pollfd p = { .fd = audit_fd(log_of), .events = POLLIN };
	int i;

	for (i = 0; audit_fate(log_of, seq) == AUDIT_PENDING; i++) {
		audit_kick(log_of);
		assert_true(i < 100 && poll(&p, 1, 60000) == 1);
		audit_reap(log_of);
	}
	return audit_fate(log_of, seq);
}

static uint64_t append_later(const char *what)
{
	const struct audit_event e = { .what = what, .tenant = "acme" };
	uint64_t seq = 0;

	assert_int_equal(audit_append_later(log_of, &e, &seq), 0);
	assert_true(seq > 0);
	return seq;
}

static void rows_wait_for_a_flush_that_many_share(void **state)
{
	uint64_t first, last = 0;
	int i;

	(void)state;
	assert_int_equal(audit_fd(log_of), -1);
	first = append_later("one"); /* no thread yet */
	assert_int_equal(audit_fate(log_of, first), AUDIT_DURABLE);
	assert_int_equal(audit_thread_start(log_of), 0);
	first = append_later("two");
	assert_int_equal(audit_fate(log_of, first), AUDIT_PENDING);
	fail_none();
	for (i = 0; i < 20; i++)
		last = append_later("three");
	calls = 0;
	assert_int_equal(fate_of(last), AUDIT_DURABLE);
	assert_int_equal(calls, 1 + 1); /* one flush, and the word that it is done */
	assert_int_equal(audit_fate(log_of, first), AUDIT_DURABLE);
	audit_note(log_of, &(const struct audit_event){ .what = "four" });
	audit_kick(log_of);
	close_log();
	assert_whole(0);
}

static void an_anchor_is_told_by_the_thread_when_its_rows_are_durable(void **state)
{
	uint64_t seq = 0;
	int i;

	(void)state;
	assert_int_equal(audit_thread_start(log_of), 0);
	for (i = 0; i < 300; i++)
		seq = append_later("row");
	assert_int_equal(fate_of(seq), AUDIT_DURABLE);
	assert_int_equal(count_of("\"event\":\"audit.anchor\""), 1);
	assert_true(verify(true)->anchored_seq >= 301);
	seq = append_later("more");
	time_passes(61);
	audit_tick(log_of);
	assert_int_equal(fate_of(seq), AUDIT_DURABLE);
	assert_int_equal(count_of("\"event\":\"audit.anchor\""), 2);
	close_log();
	assert_whole(0);
}

static void a_flush_that_fails_loses_all_that_waits_and_the_next_file_heals(void **state)
{
	uint64_t one, two;

	(void)state;
	assert_int_equal(audit_thread_start(log_of), 0);
	one = append_later("one");
	two = append_later("two");
	fail_next(1, EIO, -1);
	assert_int_equal(fate_of(two), AUDIT_LOST);
	assert_int_equal(audit_fate(log_of, one), AUDIT_LOST);
	fail_none();
	two = append_later("three"); /* in another file */
	assert_int_equal(fate_of(two), AUDIT_DURABLE);
	close_log();
	assert_whole(0);
}

/* --- one tenant's rows --- */

static void say(const char *what, const char *tenant, const char *detail)
{
	const struct audit_event e = { .what = what, .tenant = tenant, .detail = detail };

	assert_int_equal(audit_append(log_of, &e), 0);
}

/* Rows of all pages, which are at most pages; each is parsed and is the tenant's. */
static unsigned rows_of(const char *tenant, int64_t since_ns, uint64_t from, unsigned *ret_pages)
{
	unsigned rows = 0;

	*ret_pages = 0;
	do {
		AUTO_FREE char *text = NULL;
		const char *line, *nl;
		struct audit_row row;
		uint64_t next;
		size_t len;

		assert_int_equal(audit_tenant_page(dirfd_of, tenant, since_ns, from, &text, &len, &next), 0);
		for (line = text; line && line < text + len; line = nl + 1, rows++) {
			const char *said;

			nl = memchr(line, '\n', (size_t)(text + len - line));
			assert_non_null(nl);
			assert_int_equal(audit_row_parse(line, (size_t)(nl - line), &row), 0);
			assert_int_equal(json_get_str(row.o, "tenant", &said), 0);
			assert_string_equal(said, tenant);
			assert_true(row.seq >= from && row.ts_ns >= since_ns);
			audit_row_done(&row);
		}
		assert_true(len <= AUDIT_TENANT_PAGE + AUDIT_ROW_MAX);
		assert_true(next == 0 || next > from);
		from = next;
		++*ret_pages;
	} while (from);
	return rows;
}

static void a_tenant_s_rows_are_its_own(void **state)
{
	unsigned pages;

	(void)state;
	say("one", "acme", NULL);
	say("two", "other", "\"tenant\":\"acme\"");
	say("three", "acme", "\"tenant\":\"other\"");
	say("four", "acme2", NULL);
	say("five", NULL, "acme");
	assert_int_equal(rows_of("acme", 0, 0, &pages), 2);
	assert_int_equal(pages, 1);
	assert_int_equal(rows_of("other", 0, 0, &pages), 1);
	assert_int_equal(rows_of("acme", 0, 3, &pages), 1);
	assert_int_equal(rows_of("nobody", 0, 0, &pages), 0);
	assert_int_equal(rows_of("acme", INT64_MAX, 0, &pages), 0);
	time_passes(100);
	say("six", "acme", NULL);
	{
		struct timespec now;

		assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
		assert_int_equal(rows_of("acme", (now.tv_sec - 50) * NS, 0, &pages), 1);
	}
}

static void a_log_of_many_files_is_read_in_pages(void **state)
{
	static char detail[5000];
	unsigned i, pages;

	(void)state;
	memset(detail, 'x', sizeof(detail) - 1);
	conf_of.rotate_bytes = 1 << 20;
	assert_true(audit_configure(log_of, &conf_of));
	for (i = 0; i < 500; i++) {
		say("mine", "acme", detail);
		say("theirs", "other", detail);
	}
	assert_int_equal(rows_of("acme", 0, 0, &pages), 500);
	assert_int_equal(pages, 3);
	assert_int_equal(rows_of("other", 0, 0, &pages), 500);
	assert_int_equal(rows_of("nobody", 0, 0, &pages), 0);
	assert_int_equal(pages, 1);
}

static void what_is_no_row_is_passed_over(void **state)
{
	static const char bad[] = "{\"seq\":3,\"tenant\":\"acme\"}\nnot a row \"tenant\":\"acme\",\"seq\":99\n";
	unsigned pages;
	int fd;

	(void)state;
	say("one", "acme", NULL);
	fd = openat(dirfd_of, "audit-00000000000000000001.log", O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bad, sizeof(bad) - 1), sizeof(bad) - 1);
	assert_int_equal(write(fd, "{\"half", 6), 6);
	(void)close(fd);
	assert_int_equal(rows_of("acme", 0, 0, &pages), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_chained_over_restarts_and_boots),
		TEST(text_that_would_have_two_forms_is_escaped),
		TEST(a_row_of_the_largest_texts_fits),
		TEST(a_line_torn_at_any_byte_is_closed_off),
		TEST(a_log_that_begins_torn_is_begun_anew),
		TEST(zeros_behind_the_last_row_are_closed_off),
		TEST(what_is_no_audit_log_is_refused),
		TEST(the_host_key_is_made_once_and_held_to_its_form),
		TEST(two_agents_do_not_write_one_log),
		TEST(files_follow_each_other_by_size_and_age),
		TEST(files_beyond_retain_go_one_at_a_time_and_are_named),
		TEST(an_anchor_comes_after_a_minute_or_256_rows),
		TEST(anchors_go_where_they_are_wanted),
		TEST(a_clock_that_is_set_is_recorded),
		TEST(a_full_or_failing_disk_breaks_no_chain),
		TEST(a_failed_append_is_reported),
		TEST(a_disk_without_room_for_a_line_feed_heals),
		TEST(refusals_of_one_do_not_hide_anothers),
		TEST(rows_wait_for_a_flush_that_many_share),
		TEST(an_anchor_is_told_by_the_thread_when_its_rows_are_durable),
		TEST(a_flush_that_fails_loses_all_that_waits_and_the_next_file_heals),
		TEST(a_tenant_s_rows_are_its_own),
		TEST(a_log_of_many_files_is_read_in_pages),
		TEST(what_is_no_row_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
