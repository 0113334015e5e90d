/* tenant.c: the rules of one tenant (agent/tenants.h). */
#include "agent/tenants.h"

#include <stdlib.h>
#include <string.h>

void tenant_free(struct tenant *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->rule_count; i++) {
		free(t->rules[i].units.text);
		free(t->rules[i].volumes);
	}
	for (i = 0; i < t->credential_count; i++) {
		free(t->credentials[i].file);
		free(t->credentials[i].units.text);
	}
	free(t->rules);
	free(t->credentials);
	free(t->keys);
	free(t);
}

static bool key_fits(const struct tenant_kms *k, const struct kms_uri *uri)
{
	size_t i, n = k->uri.component_count;

	if (!k->any_last)
		return kms_uri_equal(&k->uri, uri);
	if (strcmp(k->uri.scheme, uri->scheme) != 0 || k->uri.hierarchical != uri->hierarchical || n != uri->component_count)
		return false;
	for (i = 0; i + 1 < n; i++)
		if (strcmp(kms_uri_component(&k->uri, i), kms_uri_component(uri, i)) != 0)
			return false;
	return true;
}

bool tenant_key_allowed(const struct tenant *t, const char *uri)
{
	struct kms_uri parsed;
	size_t i;

	if (t->key_count == 0)
		return true;
	if (kms_uri_parse(uri, &parsed) < 0)
		return false;
	for (i = 0; i < t->key_count; i++)
		if (key_fits(&t->keys[i], &parsed))
			return true;
	return false;
}

const char *tenant_word(const struct tenant_words *w, size_t i)
{
	const char *p = w->text;

	if (i >= w->count)
		return NULL;
	while (i-- > 0)
		p += strlen(p) + 1;
	return p;
}

bool tenant_words_have(const struct tenant_words *w, const char *word)
{
	size_t i;

	for (i = 0; i < w->count; i++)
		if (strcmp(tenant_word(w, i), word) == 0)
			return true;
	return false;
}
