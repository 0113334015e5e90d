/* audit_walk.h: an audit log out of its files, row by row, verified on the way (audit_chain.h), in constant memory. Needs no agent. */
#ifndef COFFER_AGENT_AUDIT_WALK_H
#define COFFER_AGENT_AUDIT_WALK_H

#include "agent/audit_chain.h"
#include "agent/audit_files.h"

/* Each row that fits. Below 0 ends the walk. */
typedef int audit_walk_row(void *arg, const struct audit_row *row);

/* An open file; each may be NULL. 0, -EBADMSG broken, another -errno: not read to its end. c NULL: rows are not verified but each in itself, and each gets NULL
 * for a line that is none. */
int audit_walk_file(struct audit_chain *c, int fd, const char *name, audit_walk_row *each, void *arg) must_check;
/* All files below dirfd, in order; prefix stands before their names in the report. -ENOENT: there is none, or one was removed meanwhile. */
int audit_walk_dir(struct audit_chain *c, int dirfd, const char *prefix, audit_walk_row *each, void *arg) must_check;

/* Anchors from a file: an audit_chain_next with a struct audit_lines. */
int audit_walk_anchor(void *lines, const char **ret_line, size_t *ret_len) must_check;

#endif
