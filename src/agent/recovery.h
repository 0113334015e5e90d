/* recovery.h: the text of a recovery key (docs/protocol.md, "Recovery keys"): 32 random bytes that wrap one slot's KEK and are kept off this host, on paper or
 * in a safe. One line counts; lines that begin with # and empty lines are for people:
 *
 *	coffer-recovery-1 ID XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX-XXXXXXXX
 *
 * X: hexadecimal digits of the key, either case; ID: keys_recovery_id of it, so that a slip of the hand shows at once. Pure. */
#ifndef COFFER_AGENT_RECOVERY_H
#define COFFER_AGENT_RECOVERY_H

#include "base/secret.h"
#include "crypt/keys.h"

#define RECOVERY_TEXT_MAX 4096  /* a longer file is none */
#define RECOVERY_LINE_LEN (sizeof("coffer-recovery-1 ") - 1 + 2 * RECOVERY_ID_LEN + 1 + 2 * KEY_LEN + 7 + 1) /* with its line feed */

/* The line of key; in secret memory, RECOVERY_LINE_LEN bytes without a NUL. */
int recovery_put(const struct secret *key, struct secret **ret_line) must_check;
/* -EINVAL: no such line, or more than one, or malformed; -EBADMSG: the ID does not fit the digits: mistyped. */
int recovery_parse(const char *p, size_t len, struct secret **ret_key) must_check;

#endif
