/* audit_walk.c: files into lines into the chain. */
#include "agent/audit_walk.h"

#include <stdio.h>
#include <string.h>

/* Without a chain. */
static int line_show(const char *line, size_t len, audit_walk_row *each, void *arg)
{
	struct audit_row row = { 0 };
	int r;

	r = audit_row_parse(line, len, &row);
	if (r == -ENOMEM)
		return r;
	r = each(arg, r < 0 ? NULL : &row);
	audit_row_done(&row);
	return r;
}

int audit_walk_file(struct audit_chain *c, int fd, const char *name, audit_walk_row *each, void *arg)
{
	struct audit_lines *l = malloc(sizeof(*l));
	const struct audit_row *row;
	const char *line;
	size_t len;
	bool whole;
	int r;

	if (!l)
		return -ENOMEM;
	audit_lines_init(l, fd);
	if (c)
		audit_chain_file(c, name);
	while ((r = audit_lines_next(l, &line, &len, &whole)) > 0) {
		r = c ? audit_chain_line(c, line, len, whole, &row) : line_show(line, len, each, arg);
		if (r > 0 && each)
			r = each(arg, row);
		if (r < 0)
			break;
	}
	if (r == -EFBIG && c) {
		audit_chain_too_long(c);
		r = -EBADMSG;
	}
	free(l);
	return r;
}

int audit_walk_dir(struct audit_chain *c, int dirfd, const char *prefix, audit_walk_row *each, void *arg)
{
	AUTO_FREE uint64_t *seqs = NULL;
	char name[AUDIT_FILE_LEN], said[AUDIT_FILE_LEN + 224];
	size_t count = 0, i;
	int fd, r;

	r = audit_files_list(dirfd, &seqs, &count);
	if (r >= 0 && count == 0)
		return -ENOENT;
	for (i = 0; r >= 0 && i < count; i++) {
		audit_files_name(seqs[i], name);
		(void)snprintf(said, sizeof(said), "%.200s%s", prefix, name);
		fd = audit_files_open(dirfd, seqs[i]);
		if (fd < 0)
			return fd;
		r = audit_walk_file(c, fd, said, each, arg);
		(void)close(fd);
	}
	return r;
}

int audit_walk_anchor(void *lines, const char **ret_line, size_t *ret_len)
{
	bool whole;
	int r;

	r = audit_lines_next(lines, ret_line, ret_len, &whole);
	if (r != -EFBIG)
		return r;
	return -EUCLEAN; /* no anchors file */
}
