/* host_key.h: the keys that sign for this host: Ed25519 seeds of 32 random bytes in the state directory, made at their first use and never replaced. */
#ifndef COFFER_AGENT_HOST_KEY_H
#define COFFER_AGENT_HOST_KEY_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>

#define HOST_KEY_AUDIT "host.key"    /* anchors of the audit log */
#define HOST_KEY_BACKUP "backup.key" /* manifests of backups */

/* -ENOENT: there is none, and make is false; -EUCLEAN: not a file of this user's alone, or of another length. A key is durable before this returns it. */
int host_key(int state_dirfd, const char *name, bool make, struct secret **ret_seed) must_check;

#endif
