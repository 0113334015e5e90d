/* credrules.h: what this host's rules say of sealed credentials. Nothing that a sealed file says of itself is believed: whose it is, which key it names and how old it may be is
 * compared with the rules. */
#ifndef COFFER_AGENT_CREDRULES_H
#define COFFER_AGENT_CREDRULES_H

#include "agent/agent.h"
#include "crypt/credential.h"

/* May that key wrap the tenant's credential key? With kms= lines what they allow; without, local:TENANT-credentials alone. */
bool credrules_key_allowed(const struct tenants *ts, const char *tenant, const char *uri) must_check;
/* Which one wraps a new one: the first kms= that names one key. -ENOENT: there is none. */
int credrules_key_for(const struct tenants *ts, const char *tenant, char ret_uri[static KMS_URI_MAX + 1]) must_check;

/* Is the file that credential of that tenant, new enough, of an allowed key, and the tenant not locked? UNTRUSTED, OLDER, DENIED, LOCKED; message says it. */
enum proto_class credrules_check(const struct agent *a, const char *tenant, const char *name, const struct credential *c, char message[static PROTO_MESSAGE_MAX]);
/* The operator's lock alone. */
enum proto_class credrules_locked(const struct agent *a, const char *tenant, char message[static PROTO_MESSAGE_MAX]);
/* What credential_parse and credential_open gave, as a class. */
enum proto_class credrules_failed(int r, char message[static PROTO_MESSAGE_MAX]);

/* [credential NAME] of the tenant, NULL: there is none. */
const struct tenant_credential *credrules_find(const struct tenant *t, const char *name);
/* The one tenant whose rules give that credential to that unit. -ENOENT: none; -EEXIST: more than one. */
int credrules_unit(const struct tenants *ts, const char *unit, const char *name, const struct tenant **ret_t, const struct tenant_credential **ret_c) must_check;

#endif
