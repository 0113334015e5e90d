/* tenants.h: the host's rules for its tenants (INTERFACE "Configuration"; coffer.conf(5)), one immutable snapshot at a time. A snapshot is shared
 * between the loop and threads that unwrap: take a reference for as long as a pointer into it is used. */
#ifndef COFFER_AGENT_TENANTS_H
#define COFFER_AGENT_TENANTS_H

#include "agent/lease.h"
#include "base/err.h"
#include "kms/kms.h"

#include <sys/types.h>

#define TENANTS_MAX 4096

/* What operations= of a rule names. */
#define TENANT_MAY_UNLOCK 1u
#define TENANT_MAY_SEAL 2u
#define TENANT_MAY_UNSEAL 4u
#define TENANT_MAY_ROTATE 8u
#define TENANT_MAY_ADMIN 16u
#define TENANT_MAY_AUDIT 32u

struct tenants;

/* Words of one value, each ended by NUL, in one allocation. */
struct tenant_words {
	char *text;
	size_t count;
};

/* [allow]: who may do what. Every condition must hold. */
struct tenant_rule {
	char name[160];             /* for the audit log: "acme [allow 2]" */
	uid_t uid;
	struct tenant_words units;  /* none: in any unit, or in none */
	uint8_t (*volumes)[UUID_LEN];
	size_t volume_count;        /* 0: all of the tenant's */
	unsigned rights;            /* TENANT_MAY_ */
};

/* [credential N]: a sealed file, and which units may have it. */
struct tenant_credential {
	char name[65];
	char *file;
	struct tenant_words units;
	uint64_t min_version;
};

/* kms=: a key URI, or all that differ from it in the last component only. */
struct tenant_kms {
	struct kms_uri uri;
	bool any_last;
};

/* What holds for one tenant. */
struct tenant {
	char name[65];
	struct lease_conf lease;
	struct kms_conf kms;
	bool recovery_allowed; /* recovery=allow; a tenant without a file: true */
	size_t key_count;
	struct tenant_kms *keys;
	size_t rule_count;
	struct tenant_rule *rules;
	size_t credential_count;
	struct tenant_credential *credentials;
};

/* The rules of a host without tenants.d: root's own volumes, every value its default. One reference. */
int tenants_default(struct tenants **ret_t) must_check;
/* The files of CONFIG_DIR/tenants.d; without that directory, tenants_default. Any fault refuses the whole: it is logged with file and line, and -EBADMSG
 * is returned (-ENOMEM for want of memory). */
int tenants_load(const char *config_dir, struct tenants **ret_t) must_check;
struct tenants *tenants_ref(struct tenants *t);
/* From any thread. NULL is fine. */
void tenants_unref(struct tenants *t);
DEFINE_AUTO(struct tenants, tenants_unref)
#define AUTO_TENANTS AUTO(tenants_unref_p)

/* Only while the snapshot has one owner: takes *t over. -EEXIST, -ENOSPC, -ENOMEM. */
int tenants_add(struct tenants *ts, struct tenant **t) must_check;
/* SHA-256 over names and contents of the files, in hexadecimal; empty: there were none. */
const char *tenants_hash(const struct tenants *t);
void tenants_set_hash(struct tenants *t, const char *hex);

/* Never NULL: a tenant without a file has the defaults. Valid while t is. */
const struct tenant *tenants_find(const struct tenants *t, const char *name);
/* The i-th tenant that has a file, NULL behind the last. */
const struct tenant *tenants_at(const struct tenants *t, size_t i);

/* May this tenant's volumes have that key? Without kms= lines every one; an URI that does not parse never. */
bool tenant_key_allowed(const struct tenant *t, const char *uri) must_check;
/* The i-th word, NULL behind the last. */
const char *tenant_word(const struct tenant_words *w, size_t i);
bool tenant_words_have(const struct tenant_words *w, const char *word) must_check;
void tenant_free(struct tenant *t);
DEFINE_AUTO(struct tenant, tenant_free)
#define AUTO_TENANT AUTO(tenant_free_p)

#endif
