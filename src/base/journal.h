/* journal.h: an entry with fields of its own for systemd's journal, in its native protocol (systemd.io, "Native Journal Protocol"), which needs no
 * library. What has no fields goes through standard error: base/log.h. */
#ifndef COFFER_BASE_JOURNAL_H
#define COFFER_BASE_JOURNAL_H

#include "base/err.h"

#include <stddef.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_FIELDS_MAX 16

struct journal_field {
	const char *name, *value; /* name in capitals */
};

/* One entry; texts without line feeds. Does not wait. -EINVAL a line feed, or too many fields; -ENOENT, -ECONNREFUSED no journal; -EAGAIN it is busy;
 * -EMSGSIZE. */
int journal_send(const char *socket_path, const char *ident, int priority, const char *message, const struct journal_field *fields, size_t count) must_check;

#endif
