/* audit_fixture.h: an audit log in a directory of its own, and clocks that a test sets. A test that includes this links with
 * --wrap=clock_gettime. */
#ifndef COFFER_TESTS_AUDIT_FIXTURE_H
#define COFFER_TESTS_AUDIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/audit.h"
#include "agent/audit_walk.h"
#include "base/fileio.h"
#include "base/json.h"

#define NS 1000000000LL

static char path[64];
static int dirfd_of = -1;
static struct audit *log_of;
static struct audit_conf conf_of;
static int64_t real_offset_ns, boot_offset_ns;

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	int r = __real_clock_gettime(clock, ts);
	int64_t ns = (int64_t)ts->tv_sec * NS + ts->tv_nsec + (clock == CLOCK_REALTIME ? real_offset_ns : boot_offset_ns);

	ts->tv_sec = ns / NS;
	ts->tv_nsec = ns % NS;
	return r;
}

static void time_passes(int64_t s)
{
	real_offset_ns += s * NS;
	boot_offset_ns += s * NS;
}

static void open_log(void)
{
	assert_int_equal(audit_open(dirfd_of, &conf_of, "1.2.3", &log_of), 0);
}

static void close_log(void)
{
	audit_free(log_of);
	log_of = NULL;
}

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/coffer-audit-XXXXXX");
	assert_non_null(mkdtemp(path));
	dirfd_of = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd_of >= 0);
	real_offset_ns = boot_offset_ns = 0;
	audit_conf_default(&conf_of);
	open_log();
	return 0;
}

static void dir_empty(void)
{
	DIR *d = opendir(path);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' || strlen(e->d_name) > 2)
			assert_int_equal(unlinkat(dirfd_of, e->d_name, 0), 0);
	(void)closedir(d);
}

static int teardown(void **state)
{
	(void)state;
	audit_free(log_of);
	log_of = NULL;
	dir_empty();
	(void)close(dirfd_of);
	assert_int_equal(rmdir(path), 0);
	return 0;
}

static void append(const char *what)
{
	struct audit_event e = { .what = what, .tenant = "acme", .detail = "a \"b\" \\ c" };

	assert_int_equal(audit_append(log_of, &e), 0);
}

/* A file below the directory; whole text, malloc'ed. */
static char *text_of(const char *name)
{
	char link[AUDIT_FILE_LEN];
	uint8_t *p = NULL;
	size_t len;
	ssize_t n;

	if (strcmp(name, "audit.log") == 0) {
		n = readlinkat(dirfd_of, name, link, sizeof(link) - 1);
		assert_true(n > 0);
		link[n] = '\0';
		name = link;
	}
	assert_int_equal(fileio_read_at(dirfd_of, name, 8 << 20, &p, &len), 0);
	return (char *)p;
}

static void text_set(const char *name, const void *p, size_t len)
{
	int fd = openat(dirfd_of, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fileio_write_full(fd, p, len), 0);
	(void)close(fd);
}

/* Verify all there is, with the anchors that are there if with_anchors. The report stays until the next call. */
static const struct audit_chain_report *verify(bool with_anchors)
{
	static struct audit_chain_report report;
	static struct audit_lines lines;
	struct audit_chain *c = NULL;
	int fd = with_anchors ? openat(dirfd_of, "audit.anchors", O_RDONLY | O_CLOEXEC) : -1, r;

	audit_lines_init(&lines, fd);
	assert_int_equal(audit_chain_new(NULL, fd >= 0 ? audit_walk_anchor : NULL, &lines, &c), 0);
	r = audit_walk_dir(c, dirfd_of, "", NULL, NULL);
	if (r >= 0 || r == -ENOENT)
		r = audit_chain_end(c);
	report = *audit_chain_report(c);
	assert_int_equal(r, report.broken ? -EBADMSG : 0);
	audit_chain_free(c);
	if (fd >= 0)
		(void)close(fd);
	return &report;
}

static void assert_whole(uint64_t rows)
{
	const struct audit_chain_report *p = verify(true);

	if (p->broken)
		fail_msg("%s:%llu: row %llu: %s", p->file, (unsigned long long)p->line, (unsigned long long)p->seq, p->why);
	if (rows)
		assert_int_equal(p->rows, rows);
}

#endif
