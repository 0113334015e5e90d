/* audit_tenant.h: the rows of one tenant out of the log's files, page by page. Reads files that are being appended to, needs no struct audit, and may run on any thread. */
#ifndef COFFER_AGENT_AUDIT_TENANT_H
#define COFFER_AGENT_AUDIT_TENANT_H

#include "agent/audit_files.h"

#define AUDIT_TENANT_PAGE (1024 * 1024)       /* bytes of rows, and then one row at most */
#define AUDIT_TENANT_SCAN (64 * 1024 * 1024)  /* bytes that are looked at for one page */

/* Whole rows whose member tenant is this one, from row from_seq and from since_ns on, each with its line feed. *ret_next: the row to go on from, 0: the log's end. Text is malloc'ed.
 * What is no row is passed over: whether a log is whole, its chain says. -ENOMEM, -errno. */
int audit_tenant_page(int dirfd, const char *tenant, int64_t since_ns, uint64_t from_seq, char **ret_text, size_t *ret_len, uint64_t *ret_next) must_check;

#endif
