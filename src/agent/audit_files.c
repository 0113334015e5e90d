/* audit_files.c: names, lines and ends of the audit log's files. */
#include "agent/audit_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"

#define TAIL_MAX (4 * AUDIT_ROW_MAX)

void audit_files_name(uint64_t first_seq, char ret_name[static AUDIT_FILE_LEN])
{
	(void)snprintf(ret_name, AUDIT_FILE_LEN, "audit-%020" PRIu64 ".log", first_seq);
}

uint64_t audit_files_seq(const char *name)
{
	char again[AUDIT_FILE_LEN];
	uint64_t seq;

	if (sscanf(name, "audit-%20" SCNu64, &seq) != 1)
		return 0;
	audit_files_name(seq, again);
	return strcmp(again, name) == 0 ? seq : 0;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int dir_read(DIR *d, uint64_t **ret_seqs, size_t *ret_count)
{
	AUTO_FREE uint64_t *seqs = NULL;
	size_t count = 0, room = 0;
	struct dirent *e;
	uint64_t seq, *p;

	for (errno = 0; (e = readdir(d)); errno = 0) {
		seq = audit_files_seq(e->d_name);
		if (seq == 0)
			continue;
		if (count == room) {
			room = room ? 2 * room : 16;
			p = realloc(seqs, room * sizeof(*seqs));
			if (!p)
				return -ENOMEM;
			seqs = p;
		}
		seqs[count++] = seq;
	}
	if (errno)
		return -errno;
	if (count)
		qsort(seqs, count, sizeof(*seqs), by_number);
	*ret_seqs = take_ptr(seqs);
	*ret_count = count;
	return 0;
}

int audit_files_list(int dirfd, uint64_t **ret_seqs, size_t *ret_count)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	r = dir_read(d, ret_seqs, ret_count);
	(void)closedir(d);
	return r;
}

void audit_lines_init(struct audit_lines *l, int fd)
{
	l->fd = fd;
	l->from = l->to = 0;
	l->ended = false;
	l->left = UINT64_MAX;
}

int audit_lines_stop_here(struct audit_lines *l)
{
	struct stat st;

	if (fstat(l->fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		l->left = (uint64_t)st.st_size;
	return 0;
}

static int lines_fill(struct audit_lines *l)
{
	size_t want;
	ssize_t n;

	memmove(l->buf, l->buf + l->from, l->to - l->from);
	l->to -= l->from;
	l->from = 0;
	want = sizeof(l->buf) - l->to;
	if (want > l->left)
		want = (size_t)l->left;
	do
		n = read(l->fd, l->buf + l->to, want);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	l->ended = n == 0;
	l->left -= (uint64_t)n;
	l->to += (size_t)n;
	return 0;
}

int audit_lines_next(struct audit_lines *l, const char **ret_line, size_t *ret_len, bool *ret_whole)
{
	const char *nl;
	size_t len;
	int r;

	while (!(nl = memchr(l->buf + l->from, '\n', l->to - l->from)) && !l->ended) {
		if (l->to - l->from > AUDIT_ROW_MAX)
			return -EFBIG;
		r = lines_fill(l);
		if (r < 0)
			return r;
	}
	len = nl ? (size_t)(nl - (l->buf + l->from)) : l->to - l->from;
	if (!nl && len == 0)
		return 0;
	if (len > AUDIT_ROW_MAX)
		return -EFBIG;
	*ret_line = l->buf + l->from;
	*ret_len = len;
	*ret_whole = nl != NULL;
	l->from += len + (nl ? 1 : 0);
	return 1;
}

int audit_files_open(int dirfd, uint64_t first_seq)
{
	char name[AUDIT_FILE_LEN];
	int fd;

	audit_files_name(first_seq, name);
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int audit_files_begun(int fd, int64_t *ret_ts_ns)
{
	AUTO_FREE struct audit_lines *l = malloc(sizeof(*l));
	struct audit_row row;
	const char *line;
	size_t len;
	bool whole;

	if (!l)
		return -ENOMEM;
	audit_lines_init(l, fd);
	if (audit_lines_next(l, &line, &len, &whole) <= 0 || audit_row_parse(line, len, &row) < 0)
		return 0;
	*ret_ts_ns = row.ts_ns;
	audit_row_done(&row);
	return 1;
}

static int read_at(int fd, char *buf, size_t len, uint64_t at)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, buf + done, len - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* A crash leaves the beginning of a row, or zeros where it was to be. Whole lines that are JSON and no rows are another program's, or of the form
 * that this log had before there was a release. */
static bool could_be_torn(const char *buf, size_t len)
{
	const char *nl = memchr(buf, '\n', len);
	struct json *o = NULL;

	if (buf[0] != '{' && buf[0] != '\0')
		return false;
	if (!nl || json_parse(buf, (size_t)(nl - buf), AUDIT_ROW_MAX, &o) < 0)
		return true;
	json_free(o);
	return false;
}

int audit_files_tail(int fd, uint64_t size, struct audit_row *ret_row, uint64_t *ret_end)
{
	size_t want = size > TAIL_MAX ? TAIL_MAX : (size_t)size, end, at;
	AUTO_FREE char *buf = malloc(want + 1);
	char *nl;
	int r;

	*ret_row = (struct audit_row){ 0 };
	*ret_end = 0;
	if (size == 0)
		return 0;
	r = buf ? read_at(fd, buf, want, size - want) : -ENOMEM;
	if (r < 0)
		return r;
	for (nl = memrchr(buf, '\n', want); nl; nl = memrchr(buf, '\n', end)) {
		end = (size_t)(nl - buf);
		nl = memrchr(buf, '\n', end);
		at = nl ? (size_t)(nl + 1 - buf) : 0;
		r = audit_row_parse(buf + at, end - at, ret_row);
		if (r == 0)
			*ret_end = size - want + end + 1;
		if (r == 0 || r == -ENOMEM)
			return r;
	}
	return want < size || !could_be_torn(buf, want) ? -EUCLEAN : 0;
}
