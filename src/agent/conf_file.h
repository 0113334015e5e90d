/* conf_file.h: files of the host's configuration, which must be nobody else's: whoever could write there could give himself any key. */
#ifndef COFFER_AGENT_CONF_FILE_H
#define COFFER_AGENT_CONF_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Is name below dirfd ("": dirfd itself) root's or the agent's user's, and writable by nobody else? Logs what is not, as shown. -EPERM, -errno. */
int conf_file_check(int dirfd, const char *name, const char *shown) must_check;
/* The same, and its bytes, at most INI_BYTES_MAX, malloc'ed. Logs. */
int conf_file_read(int dirfd, const char *name, const char *shown, uint8_t **ret_p, size_t *ret_len) must_check;

#endif
