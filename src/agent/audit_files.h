/* audit_files.h: the files of an audit log: their names, which there are, their lines. A file is named after the number of its first row, so
 * names sort as rows do, and none is ever renamed. */
#ifndef COFFER_AGENT_AUDIT_FILES_H
#define COFFER_AGENT_AUDIT_FILES_H

#include "agent/audit_row.h"

#include <stdbool.h>

#define AUDIT_FILES_ANCHORS "audit.anchors"
#define AUDIT_FILES_NEWEST "audit.log"      /* a symbolic link, for people */

void audit_files_name(uint64_t first_seq, char ret_name[static AUDIT_FILE_LEN]);
/* The number in such a name, 0: it is none. */
uint64_t audit_files_seq(const char *name);

/* First numbers of the files below dirfd, rising; malloc'ed. */
int audit_files_list(int dirfd, uint64_t **ret_seqs, size_t *ret_count) must_check;

/* One of them for reading; -errno. */
int audit_files_open(int dirfd, uint64_t first_seq) must_check;

/* Lines of a file, one after the other, in constant memory. */
struct audit_lines {
	int fd;                     /* the caller's */
	size_t from, to;            /* what of buf is not given out yet */
	bool ended;
	uint64_t left;              /* bytes to read at most */
	char buf[2 * AUDIT_ROW_MAX + 2];
};

void audit_lines_init(struct audit_lines *l, int fd);
/* Nothing that is appended from now on: anchors of rows that are written while older ones are read would be anchors of rows that are missing. */
int audit_lines_stop_here(struct audit_lines *l) must_check;
/* 1: a line, without its line feed, in l until the next call; *ret_whole: it had one. 0: the end. -EFBIG: a line longer than any row or anchor,
 * -errno. */
int audit_lines_next(struct audit_lines *l, const char **ret_line, size_t *ret_len, bool *ret_whole) must_check;

/* When the first row of a file was written: 1. 0: it has none that can be read. -ENOMEM. */
int audit_files_begun(int fd, int64_t *ret_ts_ns) must_check;

/* Where the log ends in a file of size bytes: its last row (row->o NULL: it has none) and where that row's line ends. -EUCLEAN: this is
 * no audit log. */
int audit_files_tail(int fd, uint64_t size, struct audit_row *ret_row, uint64_t *ret_end) must_check;

#endif
