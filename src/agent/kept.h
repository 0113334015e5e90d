/* kept.h: KEKs of recovery keys that root has brought, for as long as an outage may last (docs/protocol.md, `recover`): in secret memory, gone with the agent, with the
 * tenant's max-stale, with a lock, and as soon as any other key of the volume says yes or no again. Loop's thread only. */
#ifndef COFFER_AGENT_KEPT_H
#define COFFER_AGENT_KEPT_H

#include "agent/agent.h"
#include "agent/opener.h"

#define KEPT_MAX 256

/* Instead of one that is kept already; takes kept->kek over on success. -ENOSPC, -ENOMEM. */
int kept_add(struct agent *a, const struct pin *pin, struct opener_kept *kept, uint64_t until_ms) must_check;
/* A copy for a thread. -ENOENT: none is kept; -ENOMEM. */
int kept_copy(struct agent *a, const struct proto_instance *instance, struct opener_kept *ret_kept) must_check;
bool kept_has(struct agent *a, const struct proto_instance *instance);
/* A volume's slots were asked: a yes or a no ends it. */
void kept_answers(struct agent *a, const struct proto_instance *instance, const struct opener_answers *answers);
/* An operator locks: tenant, or, empty, uuid. */
void kept_lock(struct agent *a, const char *tenant, const uint8_t uuid[static UUID_LEN]);
void kept_tick(struct agent *a, uint64_t now_ms);
void kept_free_all(struct agent *a);

#endif
