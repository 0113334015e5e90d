/* tenant_conf.h: one file of tenants.d, read whole or refused with a line (coffer.conf(5)). Pure: what only the host knows is looked up by the caller. */
#ifndef COFFER_AGENT_TENANT_CONF_H
#define COFFER_AGENT_TENANT_CONF_H

#include "agent/tenants.h"
#include "base/ini.h"

#define TENANT_KMS_MAX 32
#define TENANT_RULES_MAX 64
#define TENANT_CREDENTIALS_MAX 256
#define TENANT_WORDS_MAX 64
#define TENANT_UNIT_LEN_MAX 255

struct tenant_lookup {
	/* -ENOENT: no such user. Others are reported as they are. */
	int (*user)(void *ctx, const char *name, uid_t *ret_uid);
	/* uuid= of volumes.d/NAME.conf. -ENOENT: no such file; -ENODATA: it has none. */
	int (*volume)(void *ctx, const char *name, uint8_t ret_uuid[static UUID_LEN]);
	void *ctx;
	bool units; /* this build can tell a peer's unit */
};

/* -EUCLEAN with *ret_error filled, -ENOMEM. Caller: tenant_free. */
int tenant_conf_parse(const char *name, const void *p, size_t len, const struct tenant_lookup *look,
		      struct tenant **ret_t, struct ini_error *ret_error) must_check;

#endif
