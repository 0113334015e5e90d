/* kept.c: see kept.h. A short list: outages are few, and so are the volumes that somebody opens by hand meanwhile. */
#include "agent/kept.h"

#include <stdio.h>
#include <string.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "base/log.h"

struct kept {
	struct kept *next;
	struct proto_instance instance;
	char tenant[TENANT_LEN_MAX + 1];
	struct opener_kept key;
	uint64_t until_ms;
};

static void kept_free(struct kept *k)
{
	secret_free(k->key.kek);
	free(k);
}

static void end(struct kept **at, const char *why)
{
	struct kept *k = *at;

	*at = k->next;
	log_info("%s: its key is not kept any longer: %s", k->key.uri, why);
	kept_free(k);
}

static struct kept **place_of(struct agent *a, const struct proto_instance *instance)
{
	struct kept **at;

	kept_tick(a, clock_boot_ms());
	for (at = &a->kept; *at && !proto_instance_equal(&(*at)->instance, instance); at = &(*at)->next)
		;
	return at;
}

int kept_add(struct agent *a, const struct pin *pin, struct opener_kept *kept, uint64_t until_ms)
{
	struct kept **at = place_of(a, &pin->instance), *k;
	unsigned n = 0;

	if (*at)
		end(at, "it was brought once more");
	for (k = a->kept; k; k = k->next)
		n++;
	if (n >= KEPT_MAX)
		return -ENOSPC;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->instance = pin->instance;
	memcpy(k->tenant, pin->tenant, sizeof(k->tenant));
	memcpy(k->key.uri, kept->uri, sizeof(k->key.uri));
	k->key.kek = take_ptr(kept->kek);
	k->until_ms = until_ms;
	k->next = a->kept;
	a->kept = k;
	return 0;
}

int kept_copy(struct agent *a, const struct proto_instance *instance, struct opener_kept *ret_kept)
{
	const struct kept *k = *place_of(a, instance);
	int r;

	if (!k)
		return -ENOENT;
	r = secret_new_copy(secret_bytes_const(k->key.kek), KEY_LEN, &ret_kept->kek);
	if (r >= 0)
		memcpy(ret_kept->uri, k->key.uri, sizeof(ret_kept->uri));
	return r;
}

bool kept_has(struct agent *a, const struct proto_instance *instance)
{
	return *place_of(a, instance);
}

void kept_answers(struct agent *a, const struct proto_instance *instance, const struct opener_answers *answers)
{
	struct kept **at = a->kept ? place_of(a, instance) : &a->kept;

	for (unsigned i = 0; *at && i < answers->count; i++) {
		if (!answers->slot[i].asked)
			continue;
		if (answers->slot[i].class == KMS_OK || answers->slot[i].class == KMS_REVOKED || answers->slot[i].class == KMS_DENIED) {
			end(at, "another key of the volume answers again");
			return;
		}
	}
}

void kept_lock(struct agent *a, const char *tenant, const uint8_t uuid[static UUID_LEN])
{
	struct kept **at = &a->kept;

	while (*at)
		if (tenant[0] ? strcmp((*at)->tenant, tenant) == 0 : memcmp((*at)->instance.uuid, uuid, UUID_LEN) == 0)
			end(at, "an operator has locked it");
		else
			at = &(*at)->next;
}

void kept_tick(struct agent *a, uint64_t now_ms)
{
	struct kept **at = &a->kept;

	while (*at)
		if (now_ms >= (*at)->until_ms)
			end(at, "its time is over");
		else if (!tenants_find(a->tenants, (*at)->tenant)->recovery_allowed)
			end(at, "its tenant forbids recovery keys by now");
		else
			at = &(*at)->next;
}

void kept_free_all(struct agent *a)
{
	while (a->kept)
		end(&a->kept, "the agent ends");
}
