/* credkeys.h: tenants' credential keys, opened by their KMS on threads (jobs.h) and kept in secret memory under a lease (lease.h) like a mount's key: asked about again and
 * again while all is well, borne for max-stale in an outage, wiped when the KMS refuses or an operator locks. One unwrap of one key is under way at a time; whoever
 * wants the same meanwhile gets its result. Who may have a key is the callers' to decide, before and when it comes. Loop's thread only. */
#ifndef COFFER_AGENT_CREDKEYS_H
#define COFFER_AGENT_CREDKEYS_H

#include "agent/agent.h"
#include "crypt/credential.h"

#define CREDKEYS_MAX 256

struct credkeys;

/* Valid during the call alone. */
struct credkeys_answer {
	enum proto_class class;
	const char *message;
	const struct secret *key;              /* class OK */
	const struct credential_key *wrapped;  /* class OK */
	const struct kms_error *kms;           /* of the unwrap that gave it, or refused it */
	const char *cache;                     /* for the audit log: miss, hit, stale */
};
typedef void (*credkeys_fn)(struct agent *a, void *arg, const struct credkeys_answer *answer);

/* fn is called once: before this returns when the key is at hand, later else, also when the agent ends (class INTERNAL). -ENOSPC, -ENOMEM, -EAGAIN; then fn is not called. */
int credkeys_open(struct agent *a, const char *tenant, const struct credential_key *key, credkeys_fn fn, void *arg) must_check;
/* The same for a new key, wrapped by the key of that URI. Whoever asks for one for the same tenant and URI meanwhile gets the same. */
int credkeys_make(struct agent *a, const char *tenant, const char *uri, credkeys_fn fn, void *arg) must_check;

/* An operator locks the tenant: its keys go. */
void credkeys_lock(struct agent *a, const char *tenant);
void credkeys_tick(struct agent *a, uint64_t now_ms);
void credkeys_free_all(struct agent *a);

#endif
