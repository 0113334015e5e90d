/* unwrap.h: asking the KMS for a volume's key without holding the loop up: opener.h on a thread of jobs.h. One unwrap of the same bytes of the same directory is under
 * way at a time; whoever wants the same meanwhile (and was allowed to, before) gets its result too. Loop's thread only. */
#ifndef COFFER_AGENT_UNWRAP_H
#define COFFER_AGENT_UNWRAP_H

#include "agent/agent.h"
#include "agent/opener.h"

/* Valid during the call alone; whoever wants to keep the key makes a descriptor or a copy of it. */
struct unwrap_result {
	enum proto_class class;
	const char *message;
	const struct opened *opened;            /* class OK, of unwrap_start */
	const struct opener_answers *answers;
	const uint8_t *bytes;                   /* of coffer.volume, of unwrap_start */
	size_t len;
	uint64_t config_version;
};
typedef void (*unwrap_fn)(struct agent *a, void *arg, const struct unwrap_result *result);

/* fn is called once, later, also when the agent ends (class INTERNAL). bytes is taken over, and so is cfg. -ENOSPC: too much waits already, -ENOMEM, -EAGAIN; then fn
 * is not called. */
int unwrap_start(struct agent *a, const struct pin *pin, struct volume_config **cfg, uint8_t **bytes, size_t len, unwrap_fn fn, void *arg) must_check;
/* The same for opener_probe; must has a bit for each slot that is asked though one before it gave the key. Never joined with others. */
int unwrap_probe(struct agent *a, const struct pin *pin, struct volume_config **cfg, uint32_t must, unwrap_fn fn, void *arg) must_check;

/* What the tenant's rules say of its KMS, and where local: keys are. Opens the key directory, which the caller closes. -ENOMEM. */
int unwrap_host(const struct agent *a, const struct tenants *tenants, const char *tenant, struct kms_host *ret_host) must_check;

#endif
