/* tenant_conf.c: tenants.d/NAME.conf → struct tenant. Form is base/ini.c's; here is what values mean. The first fault ends it. */
#include "agent/tenant_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tenant_form.h"
#include "format/volume_config.h"

#define UID_NOBODY 65534 /* what an unmapped uid looks like: POLICY_UID_NOBODY */
#define TIME_MAX_S (10 * 365 * 86400LL)
#define CONFIRM_MAX 1000

struct reader {
	const struct tenant_lookup *look;
	struct tenant *t;
	struct ini_error *error;
};

/* --- values made of several --- */

/* Words between blanks. */
static int words_take(struct reader *rd, const struct ini_section *s, const char *key, struct tenant_words *ret_w)
{
	const char *p = ini_string(s, key, 0);
	char *out;
	size_t n;

	if (!p)
		return 0;
	out = ret_w->text = malloc(strlen(p) + 1);
	if (!out)
		return -ENOMEM;
	for (p += strspn(p, " \t"); *p; p += n + strspn(p + n, " \t")) {
		n = strcspn(p, " \t");
		if (ret_w->count == TENANT_WORDS_MAX)
			return ini_refuse(rd->error, ini_line(s, key, 0), "%s= has more than %d words", key, TENANT_WORDS_MAX);
		memcpy(out, p, n);
		out[n] = '\0';
		out += n + 1;
		ret_w->count++;
	}
	return 0;
}

/* A system unit that processes run in, by its whole name: what systemd says of a peer is compared byte for byte. */
static int unit_check(struct reader *rd, unsigned line, const char *unit)
{
	static const char *const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\@-";
	size_t len = strlen(unit);
	const char *dot = strrchr(unit, '.');

	if (!rd->look->units)
		return ini_refuse(rd->error, line, "unit= needs a coffer-agent built with libsystemd: this one cannot tell a peer's unit");
	if (strchr(unit, '*'))
		return ini_refuse(rd->error, line, "unit=%.60s: no patterns; name each unit", unit);
	if (len > TENANT_UNIT_LEN_MAX || strspn(unit, chars) != len || !dot || dot == unit ||
	    (strcmp(dot, ".service") != 0 && strcmp(dot, ".scope") != 0))
		return ini_refuse(rd->error, line, "unit=%.60s is not the name of a service or scope", unit);
	if (dot[-1] == '@')
		return ini_refuse(rd->error, line, "unit=%.60s is a template; name its instances", unit);
	return 0;
}

static int units_take(struct reader *rd, const struct ini_section *s, struct tenant_words *ret_w)
{
	size_t i;
	int r;

	r = words_take(rd, s, "unit", ret_w);
	for (i = 0; r >= 0 && i < ret_w->count; i++)
		r = unit_check(rd, ini_line(s, "unit", 0), tenant_word(ret_w, i));
	return r;
}

/* --- [tenant] --- */

static int kms_take(struct reader *rd, unsigned line, const char *text, struct tenant_kms *ret_k)
{
	char uri[KMS_URI_LEN_MAX + 1];
	size_t len = strlen(text);
	int r;

	if (len > KMS_URI_LEN_MAX)
		return ini_refuse(rd->error, line, "kms= is longer than %d characters", KMS_URI_LEN_MAX);
	memcpy(uri, text, len + 1);
	ret_k->any_last = len > 2 && strcmp(uri + len - 2, "/*") == 0;
	if (ret_k->any_last)
		uri[len - 1] = 'x'; /* stands for any; the others are compared */
	r = kms_uri_parse(uri, &ret_k->uri);
	if (r == -EOPNOTSUPP)
		return ini_refuse(rd->error, line, "kms=%.80s: this build has no such provider", text);
	if (r < 0)
		return ini_refuse(rd->error, line, "kms=%.80s is not a key URI (a '*' stands only for a whole last component)", text);
	return 0;
}

static int keys_take(struct reader *rd, const struct ini_section *s)
{
	size_t n = ini_count(s, "kms"), i;
	int r = 0;

	if (n == 0)
		return 0;
	if (n > TENANT_KMS_MAX)
		return ini_refuse(rd->error, ini_line(s, "kms", TENANT_KMS_MAX), "more than %d kms= lines", TENANT_KMS_MAX);
	rd->t->keys = calloc(n, sizeof(*rd->t->keys));
	if (!rd->t->keys)
		return -ENOMEM;
	for (i = 0; i < n && r >= 0; i++)
		r = kms_take(rd, ini_line(s, "kms", i), ini_string(s, "kms", i), &rd->t->keys[i]);
	rd->t->key_count = n;
	return r;
}

static int time_take(struct reader *rd, const struct ini_section *s, const char *key, uint64_t *ms)
{
	int64_t n = ini_number(s, key, -1);

	if (n < 0)
		return 0;
	if (n == 0 || n > TIME_MAX_S)
		return ini_refuse(rd->error, ini_line(s, key, 0), "%s= must be from 1s to 3650d", key);
	*ms = (uint64_t)n * 1000;
	return 0;
}

/* "3/20s": 3 refusals over at least 20 s; "3": as fast as they come. */
static int confirm_take(struct reader *rd, const struct ini_section *s)
{
	const char *text = ini_string(s, "confirm", 0), *slash;
	unsigned line = ini_line(s, "confirm", 0);
	char number[16];
	int64_t count = 0, seconds = 0;
	size_t len;
	int r;

	if (!text)
		return 0;
	slash = strchr(text, '/');
	len = slash ? (size_t)(slash - text) : strlen(text);
	if (len >= sizeof(number))
		return ini_refuse(rd->error, line, "confirm= must be COUNT/TIME, as in 3/20s, or COUNT");
	memcpy(number, text, len);
	number[len] = '\0';
	r = ini_value_number(number, INI_INTEGER, &count);
	if (r >= 0 && slash)
		r = ini_value_number(slash + 1, INI_TIME, &seconds);
	if (r < 0 || count < 1 || count > CONFIRM_MAX || seconds > TIME_MAX_S)
		return ini_refuse(rd->error, line, "confirm= must be COUNT/TIME, as in 3/20s, or COUNT; COUNT from 1 to %d", CONFIRM_MAX);
	rd->t->lease.confirm_count = (unsigned)count;
	rd->t->lease.confirm_ms = (uint64_t)seconds * 1000;
	return 0;
}

static int recovery_take(struct reader *rd, const struct ini_section *s)
{
	const char *text = ini_string(s, "recovery", 0);

	if (!text)
		return 0;
	rd->t->recovery_allowed = strcmp(text, "allow") == 0;
	if (!rd->t->recovery_allowed && strcmp(text, "forbid") != 0)
		return ini_refuse(rd->error, ini_line(s, "recovery", 0), "recovery= is allow or forbid");
	return 0;
}

static int tenant_take(struct reader *rd, const struct ini_section *s)
{
	struct lease_conf *l = &rd->t->lease;
	int r;

	r = keys_take(rd, s);
	if (r >= 0)
		r = time_take(rd, s, "probe", &l->probe_ms);
	if (r >= 0)
		r = time_take(rd, s, "max-stale", &l->max_stale_ms);
	if (r >= 0)
		r = time_take(rd, s, "max-auth", &l->max_auth_ms);
	if (r >= 0)
		r = time_take(rd, s, "agent-grace", &l->agent_grace_ms);
	if (r >= 0)
		r = confirm_take(rd, s);
	if (r >= 0)
		r = recovery_take(rd, s);
	if (r >= 0 && l->probe_ms > l->max_stale_ms)
		r = ini_refuse(rd->error, ini_line(s, ini_count(s, "probe") ? "probe" : "max-stale", 0),
			   "probe= must not be longer than max-stale=: the mount would lock between two probes");
	l->auto_unlock = ini_bool(s, "auto-unlock", l->auto_unlock);
	return r;
}

/* --- [allow] --- */

static int user_take(struct reader *rd, const struct ini_section *s, uid_t *ret_uid)
{
	const char *name = ini_string(s, "user", 0);
	unsigned line = ini_line(s, "user", 0);
	int64_t n;
	int r;

	if (!name)
		return ini_refuse(rd->error, ini_section_line(s), "[allow] needs user=: a unit's name alone is not enough");
	if (*name >= '0' && *name <= '9') {
		r = ini_value_number(name, INI_INTEGER, &n);
		if (r < 0 || n >= UINT32_MAX)
			return ini_refuse(rd->error, line, "user=%.60s is neither a user nor a uid", name);
		*ret_uid = (uid_t)n;
	} else {
		r = rd->look->user(rd->look->ctx, name, ret_uid);
		if (r == -ENOENT)
			return ini_refuse(rd->error, line, "user=%.60s: no such user on this host", name);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			return ini_refuse(rd->error, line, "user=%.60s cannot be looked up: %s", name, err_text(r));
	}
	if (*ret_uid == UID_NOBODY)
		return ini_refuse(rd->error, line, "user=%.60s: uid 65534 is what every unmapped user looks like; it never matches", name);
	return 0;
}

static int rights_take(struct reader *rd, const struct ini_section *s, unsigned *ret_rights)
{
	static const char *const words[] = { "unlock", "seal", "unseal", "rotate", "admin", "audit" };
	const char *p = ini_string(s, "operations", 0);
	unsigned line = ini_line(s, "operations", 0);
	size_t i, n;

	if (!p)
		return ini_refuse(rd->error, ini_section_line(s), "[allow] needs operations=");
	for (; *p; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		for (i = 0; i < 6 && (strlen(words[i]) != n || strncmp(words[i], p, n) != 0); i++)
			;
		if (i == 6 || (p[n] == ',' && !p[n + 1]))
			return ini_refuse(rd->error, line, "operations=: '%.*s' is none of unlock,seal,unseal,rotate,admin,audit",
				      (int)(n < 40 ? n : 40), p);
		if (*ret_rights & 1u << i)
			return ini_refuse(rd->error, line, "operations=: %s stands there twice", words[i]);
		*ret_rights |= 1u << i;
	}
	return 0;
}

static int volume_take(struct reader *rd, unsigned line, const char *word, uint8_t ret_uuid[static UUID_LEN])
{
	int r;

	if (volume_config_uuid_parse(word, ret_uuid) >= 0)
		return 0;
	if (strlen(word) > 250 || strchr(word, '/') || word[0] == '.')
		return ini_refuse(rd->error, line, "volumes=: '%.60s' is neither a name of volumes.d nor a uuid", word);
	r = rd->look->volume(rd->look->ctx, word, ret_uuid);
	if (r == -ENOENT)
		return ini_refuse(rd->error, line, "volumes=: there is no volumes.d/%.60s.conf", word);
	if (r == -ENODATA)
		return ini_refuse(rd->error, line, "volumes=: volumes.d/%.60s.conf has no uuid=; a rule needs it", word);
	if (r < 0 && r != -ENOMEM)
		return ini_refuse(rd->error, line, "volumes=: volumes.d/%.60s.conf: %s", word, err_text(r));
	return r;
}

static int volumes_take(struct reader *rd, const struct ini_section *s, struct tenant_rule *rule)
{
	struct tenant_words w = { 0 };
	AUTO_FREE char *text = NULL;
	size_t i;
	int r;

	r = words_take(rd, s, "volumes", &w);
	text = w.text;
	if (r < 0 || w.count == 0)
		return r;
	rule->volumes = calloc(w.count, sizeof(*rule->volumes));
	if (!rule->volumes)
		return -ENOMEM;
	for (i = 0; i < w.count && r >= 0; i++)
		r = volume_take(rd, ini_line(s, "volumes", 0), tenant_word(&w, i), rule->volumes[i]);
	rule->volume_count = w.count;
	return r;
}

static int rule_take(struct reader *rd, const struct ini_section *s, struct tenant_rule *rule)
{
	const char *label = ini_label(s);
	int r;

	(void)snprintf(rule->name, sizeof(rule->name), "%s [allow%s%s]", rd->t->name, *label ? " " : "", label);
	r = user_take(rd, s, &rule->uid);
	if (r >= 0)
		r = units_take(rd, s, &rule->units);
	if (r >= 0)
		r = volumes_take(rd, s, rule);
	if (r >= 0)
		r = rights_take(rd, s, &rule->rights);
	return r;
}

static size_t sections(const struct ini *ini, const char *name)
{
	size_t n = 0;

	while (ini_section(ini, name, n))
		n++;
	return n;
}

static int rules_take(struct reader *rd, const struct ini *ini)
{
	size_t n = sections(ini, "allow");
	int r = 0;

	if (n > TENANT_RULES_MAX)
		return ini_refuse(rd->error, ini_section_line(ini_section(ini, "allow", TENANT_RULES_MAX)), "more than %d [allow] sections",
			      TENANT_RULES_MAX);
	rd->t->rules = calloc(n + 1, sizeof(*rd->t->rules));
	if (!rd->t->rules)
		return -ENOMEM;
	while (rd->t->rule_count < n && r >= 0) {
		const struct ini_section *s = ini_section(ini, "allow", rd->t->rule_count);

		r = rule_take(rd, s, &rd->t->rules[rd->t->rule_count++]);
	}
	return r;
}

/* --- [kms] --- */

static int text_take(struct reader *rd, const struct ini_section *s, const char *key, char *out, size_t size)
{
	const char *text = ini_string(s, key, 0);

	if (text && strlen(text) >= size)
		return ini_refuse(rd->error, ini_line(s, key, 0), "%s= is longer than %zu bytes", key, size - 1);
	if (text)
		memcpy(out, text, strlen(text) + 1);
	return 0;
}

static int credentials_check(struct reader *rd, const struct ini_section *s, const char *text)
{
	static const char *const words[] = { "", "auto", "env", "imds", "pod", "web" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0)
			return 0;
	if (strncmp(text, "file:/", 6) == 0)
		return 0;
	return ini_refuse(rd->error, ini_line(s, "credentials", 0), "credentials=%.60s is none of auto, env, file:/PATH, imds, pod, web", text);
}

static int conf_take(struct reader *rd, const struct ini_section *s)
{
	struct kms_conf *c = &rd->t->kms;
	const struct {
		const char *key;
		char *out;
		size_t size;
	} texts[] = {
		{ "credentials", c->credentials, sizeof(c->credentials) }, { "role-arn", c->role_arn, sizeof(c->role_arn) },
		{ "external-id", c->external_id, sizeof(c->external_id) }, { "region", c->region, sizeof(c->region) },
		{ "endpoint", c->endpoint, sizeof(c->endpoint) },          { "ca-file", c->ca_file, sizeof(c->ca_file) },
		{ "proxy", c->proxy, sizeof(c->proxy) },                   { "auth", c->auth, sizeof(c->auth) },
		{ "namespace", c->ns, sizeof(c->ns) },                     { "mount", c->mount, sizeof(c->mount) },
	};
	size_t i;
	int r = 0;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]) && r >= 0; i++)
		r = text_take(rd, s, texts[i].key, texts[i].out, texts[i].size);
	if (r >= 0)
		r = credentials_check(rd, s, c->credentials);
	if (r >= 0 && c->ca_file[0] && c->ca_file[0] != '/')
		r = ini_refuse(rd->error, ini_line(s, "ca-file", 0), "ca-file= must be an absolute path");
	return r;
}

/* --- [credential N] --- */

static int credential_take(struct reader *rd, const struct ini_section *s, struct tenant_credential *c)
{
	const char *file = ini_string(s, "file", 0);
	int64_t min = ini_number(s, "min-version", 0);
	int r;

	if (!*ini_label(s) || strlen(ini_label(s)) >= sizeof(c->name))
		return ini_refuse(rd->error, ini_section_line(s), "[credential NAME]: the name must have 1 to %zu characters", sizeof(c->name) - 1);
	memcpy(c->name, ini_label(s), strlen(ini_label(s)) + 1);
	if (!file || file[0] != '/')
		return ini_refuse(rd->error, file ? ini_line(s, "file", 0) : ini_section_line(s), "[credential] needs file=, an absolute path");
	r = units_take(rd, s, &c->units);
	if (r < 0)
		return r;
	if (c->units.count == 0)
		return ini_refuse(rd->error, ini_section_line(s), "[credential] needs unit=: who may have it");
	c->file = strdup(file);
	c->min_version = (uint64_t)min;
	return c->file ? 0 : -ENOMEM;
}

static int credentials_take(struct reader *rd, const struct ini *ini)
{
	size_t n = sections(ini, "credential");
	int r = 0;

	if (n > TENANT_CREDENTIALS_MAX)
		return ini_refuse(rd->error, ini_section_line(ini_section(ini, "credential", TENANT_CREDENTIALS_MAX)),
			      "more than %d [credential] sections", TENANT_CREDENTIALS_MAX);
	rd->t->credentials = calloc(n + 1, sizeof(*rd->t->credentials));
	if (!rd->t->credentials)
		return -ENOMEM;
	while (rd->t->credential_count < n && r >= 0) {
		const struct ini_section *s = ini_section(ini, "credential", rd->t->credential_count);

		r = credential_take(rd, s, &rd->t->credentials[rd->t->credential_count++]);
	}
	return r;
}

int tenant_conf_parse(const char *name, const void *p, size_t len, const struct tenant_lookup *look,
		      struct tenant **ret_t, struct ini_error *ret_error)
{
	AUTO_TENANT struct tenant *t = calloc(1, sizeof(*t));
	struct reader rd = { .look = look, .t = t, .error = ret_error };
	AUTO_INI struct ini *ini = NULL;
	int r;

	if (!t)
		return -ENOMEM;
	if (!volume_config_tenant_ok(name))
		return ini_refuse(rd.error, 0, "the file's name is not a tenant's: 1 to %d of A-Z a-z 0-9 _ - and, not first, a dot", TENANT_LEN_MAX);
	if (len > INI_BYTES_MAX)
		return ini_refuse(rd.error, 0, "larger than %d bytes", INI_BYTES_MAX);
	memcpy(t->name, name, strlen(name) + 1);
	memcpy(t->kms.tenant, name, strlen(name) + 1);
	t->lease = (struct lease_conf)LEASE_CONF_DEFAULT;
	r = ini_read(p, len, tenant_form, &ini, ret_error);
	if (r >= 0)
		r = tenant_take(&rd, ini_section(ini, "tenant", 0));
	if (r >= 0)
		r = rules_take(&rd, ini);
	if (r >= 0)
		r = conf_take(&rd, ini_section(ini, "kms", 0));
	if (r >= 0)
		r = credentials_take(&rd, ini);
	if (r >= 0)
		*ret_t = take_ptr(t);
	return r;
}
