/* credstore.h: what this host keeps about a tenant's sealed credentials: the credential key that it seals with now, wrapped, and how new each credential is that it has
 * sealed (docs/protocol.md, "State"). Nothing of it is needed to open a sealed file, which carries its own key: losing it loses no secret. */
#ifndef COFFER_AGENT_CREDSTORE_H
#define COFFER_AGENT_CREDSTORE_H

#include "agent/proto.h"
#include "crypt/credential.h"

#define CREDSTORE_NAMES_MAX 1024

struct credstore_name {
	char name[CREDENTIAL_NAME_MAX + 1];
	uint64_t version;
};

struct credstore {
	char tenant[TENANT_LEN_MAX + 1];
	struct credential_key key;
	char created[TIME_TEXT_MAX];
	size_t name_count;
	struct credstore_name *names; /* malloc'ed: credstore_free */
};

/* -ENOENT: this host has sealed nothing for the tenant. -EUCLEAN, -errno. */
int credstore_load(int dirfd, const char *tenant, struct credstore **ret_s) must_check;
/* Nothing of it yet. */
int credstore_new(const char *tenant, struct credstore **ret_s) must_check;
/* Durable when it returns. */
int credstore_save(int dirfd, const struct credstore *s) must_check;
void credstore_free(struct credstore *s);
DEFINE_AUTO(struct credstore, credstore_free)
#define AUTO_CREDSTORE AUTO(credstore_free_p)

/* The newest version of that name; 0: none. */
uint64_t credstore_newest(const struct credstore *s, const char *name);
/* -ENOSPC: CREDSTORE_NAMES_MAX are there; -ENOMEM. */
int credstore_sealed(struct credstore *s, const char *name, uint64_t version) must_check;

#endif
