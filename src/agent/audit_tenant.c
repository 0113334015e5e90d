/* audit_tenant.c: one tenant's rows (audit_tenant.h).
 *
 * A log is large and most of it is others': a line is parsed only when it has the member's bytes. Those cannot stand inside a text of that line, where each quote has a backslash before it;
 * of what an inner object has, the parsed row decides. */
#include "agent/audit_tenant.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "format/volume_config.h"

#define NEEDLE_MAX (TENANT_LEN_MAX + 16)

struct page {
	const char *tenant;
	char needle[NEEDLE_MAX];
	int64_t since_ns;
	uint64_t from_seq, next_seq;
	size_t scanned;
	char *text;
	size_t len, room;
};

static int row_keep(struct page *p, const char *line, size_t len)
{
	char *more;

	if (p->room - p->len < len + 1) {
		p->room = p->len + len + 1 + AUDIT_TENANT_PAGE / 8;
		more = realloc(p->text, p->room);
		if (!more)
			return -ENOMEM;
		p->text = more;
	}
	memcpy(p->text + p->len, line, len);
	p->text[p->len + len] = '\n';
	p->len += len + 1;
	return 0;
}

static bool wanted(const struct page *p, const struct audit_row *row)
{
	const char *tenant;

	return row->seq >= p->from_seq && row->ts_ns >= p->since_ns && json_get_str(row->o, "tenant", &tenant) == 0 && strcmp(tenant, p->tenant) == 0;
}

/* Its number, by its bytes alone; 0: it has none. */
static uint64_t line_seq(const char *line, size_t len)
{
	const char *p = memmem(line, len, "\"seq\":", 6);
	uint64_t n = 0;

	for (p = p ? p + 6 : line + len; p < line + len && *p >= '0' && *p <= '9' && n < UINT64_MAX / 16; p++)
		n = 10 * n + (uint64_t)(*p - '0');
	return n;
}

/* Sets next_seq when the page is full. */
static int line_look(struct page *p, const char *line, size_t len)
{
	struct audit_row row = { 0 };
	uint64_t seq = line_seq(line, len);
	int r;

	if (seq == 0 || seq < p->from_seq)
		return 0;
	if (seq > p->from_seq && (p->scanned >= AUDIT_TENANT_SCAN || p->len >= AUDIT_TENANT_PAGE)) {
		p->next_seq = seq;
		return 0;
	}
	p->scanned += len + 1;
	if (!memmem(line, len, p->needle, strlen(p->needle)))
		return 0;
	r = audit_row_parse(line, len, &row);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (wanted(p, &row))
		r = row_keep(p, line, len);
	audit_row_done(&row);
	return r;
}

static int file_look(struct page *p, int fd)
{
	AUTO_FREE struct audit_lines *l = malloc(sizeof(*l));
	const char *line;
	size_t len;
	bool whole;
	int r;

	if (!l)
		return -ENOMEM;
	audit_lines_init(l, fd);
	r = audit_lines_stop_here(l);
	while (r >= 0 && !p->next_seq && (r = audit_lines_next(l, &line, &len, &whole)) > 0)
		if (whole)
			r = line_look(p, line, len);
	return r == -EFBIG ? 0 : r; /* the rest of this file is no log */
}

/* Is all of a file older, by the first row of the one behind it? When that cannot be told it is not. */
static bool behind(int dirfd, uint64_t first_seq, int64_t since_ns)
{
	AUTO_CLOSE int fd = audit_files_open(dirfd, first_seq);
	int64_t begun_ns;

	return fd >= 0 && audit_files_begun(fd, &begun_ns) > 0 && begun_ns <= since_ns;
}

int audit_tenant_page(int dirfd, const char *tenant, int64_t since_ns, uint64_t from_seq, char **ret_text, size_t *ret_len, uint64_t *ret_next)
{
	struct page p = { .tenant = tenant, .since_ns = since_ns, .from_seq = from_seq };
	AUTO_FREE uint64_t *seqs = NULL;
	size_t count = 0, i = 0;
	int r;

	(void)snprintf(p.needle, sizeof(p.needle), "\"tenant\":\"%.64s\"", tenant);
	r = audit_files_list(dirfd, &seqs, &count);
	while (r >= 0 && i + 1 < count && (seqs[i + 1] <= from_seq || behind(dirfd, seqs[i + 1], since_ns)))
		i++;
	for (; r >= 0 && i < count && !p.next_seq; i++) {
		AUTO_CLOSE int fd = audit_files_open(dirfd, seqs[i]);

		if (fd >= 0)
			r = file_look(&p, fd);
		else if (fd != -ENOENT) /* older than retain=, just now */
			r = fd;
	}
	if (r < 0) {
		free(p.text);
		return r;
	}
	*ret_text = p.text;
	*ret_len = p.len;
	*ret_next = p.next_seq;
	return 0;
}
