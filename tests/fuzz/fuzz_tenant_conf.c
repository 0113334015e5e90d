/* fuzz_tenant_conf.c: whatever the file, it is refused with a reason, or what is taken obeys its caps and never names uid 65534. */
#include "agent/tenant_conf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static int user_find(void *ctx, const char *name, uid_t *ret_uid)
{
	(void)ctx;
	*ret_uid = name[0] == 'n' ? 65534 : 1000;
	return name[0] == 'x' ? -ENOENT : 0;
}

static int volume_find(void *ctx, const char *name, uint8_t ret_uuid[static UUID_LEN])
{
	(void)ctx;
	memset(ret_uuid, name[0], UUID_LEN);
	return name[0] == 'x' ? -ENOENT : 0;
}

static void must(bool b)
{
	if (!b)
		abort();
}

static void look_at(const struct tenant *t)
{
	size_t i;

	must(t->key_count <= TENANT_KMS_MAX && t->rule_count <= TENANT_RULES_MAX && t->credential_count <= TENANT_CREDENTIALS_MAX);
	must(t->lease.probe_ms > 0 && t->lease.probe_ms <= t->lease.max_stale_ms && t->lease.confirm_count > 0);
	for (i = 0; i < t->rule_count; i++) {
		must(t->rules[i].uid != 65534 && t->rules[i].rights != 0 && t->rules[i].rights < 32);
		must(!tenant_word(&t->rules[i].units, t->rules[i].units.count));
		must(!tenant_words_have(&t->rules[i].units, ""));
	}
	for (i = 0; i < t->credential_count; i++)
		must(t->credentials[i].file[0] == '/' && t->credentials[i].units.count > 0);
	must(t->key_count == 0 || !tenant_key_allowed(t, ""));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	const struct tenant_lookup look = { .user = user_find, .volume = volume_find, .units = true };
	AUTO_TENANT struct tenant *t = NULL;
	struct ini_error e = { 0 };
	int r = tenant_conf_parse("acme", p, len, &look, &t, &e);

	must(r == 0 || r == -EUCLEAN);
	must(r == 0 || (e.text[0] && !t));
	if (t)
		look_at(t);
	return 0;
}
