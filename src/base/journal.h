/* journal.h: an entry with a field of its own for systemd's journal, in its native protocol (systemd.io, "Native Journal Protocol"), which needs no
 * library. Everything else that we log goes through standard error: base/log.h. */
#ifndef COFFER_BASE_JOURNAL_H
#define COFFER_BASE_JOURNAL_H

#include "base/err.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* One entry; texts without line feeds, field in capitals. Does not wait. -EINVAL a line feed; -ENOENT, -ECONNREFUSED no journal; -EAGAIN it is busy;
 * -EMSGSIZE. */
int journal_send(const char *socket_path, const char *ident, int priority, const char *message, const char *field,
		 const char *value) must_check;

#endif
