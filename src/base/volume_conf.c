/* volume_conf.c: volumes.d/NAME.conf → struct volume_conf. Each key has a form, looked at here once; what only a host knows (is the user there, does the
 * schedule mean anything to systemd, are the options understood) is found out by who uses it. */
#include "base/volume_conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NAME_LEN_MAX 250 /* and ".conf" */

static const struct ini_key volume_keys[] = {
	{ "source", INI_STRING, false },  { "mountpoint", INI_STRING, false }, { "tenant", INI_STRING, false },
	{ "uuid", INI_STRING, false },    { "options", INI_STRING, false },    { "user", INI_STRING, false },
	{ NULL, INI_STRING, false },
};
static const struct ini_key backup_keys[] = {
	{ "store", INI_STRING, false },        { "schedule", INI_STRING, false },      { "keep-daily", INI_INTEGER, false },
	{ "keep-weekly", INI_INTEGER, false }, { "keep-monthly", INI_INTEGER, false }, { NULL, INI_STRING, false },
};
static const struct ini_key store_keys[] = {
	{ "endpoint", INI_STRING, false }, { "region", INI_STRING, false },   { "credentials", INI_STRING, false },
	{ "ca-file", INI_STRING, false },  { "path-style", INI_BOOL, false }, { "prune-credentials", INI_STRING, false },
	{ "object-lock", INI_STRING, false }, { NULL, INI_STRING, false },
};
static const struct ini_rule rules[] = {
	{ "volume", volume_keys, false }, { "backup", backup_keys, false }, { "store", store_keys, false }, { NULL, NULL, false },
};

/* ---- forms */

static bool is_path(const char *s)
{
	return s[0] == '/' && strlen(s) <= VOLUME_CONF_PATH_MAX;
}

static bool is_options(const char *s)
{
	return *s && strlen(s) <= VOLUME_CONF_OPTIONS_MAX;
}

static bool is_word(const char *s)
{
	return *s && strlen(s) <= VOLUME_CONF_WORD_MAX && !strpbrk(s, " \t/:");
}

static bool is_tenant(const char *s)
{
	return text_is_name(s, VOLUME_CONF_TENANT_MAX);
}

static bool is_uuid(const char *s)
{
	uint8_t uuid[VOLUME_CONF_UUID_LEN];

	return text_hex_parse(s, strlen(s), sizeof(uuid), uuid) == 0;
}

static bool is_store(const char *s)
{
	size_t n = strlen(s);

	return n <= VOLUME_CONF_STORE_MAX && !strpbrk(s, " \t") &&
	       ((strncmp(s, "s3://", 5) == 0 && n > 5 && s[5] != '/') || (strncmp(s, "file:///", 8) == 0 && n > 8));
}

static bool is_schedule(const char *s)
{
	/* What its language is made of: nothing that could mean something else in a unit. */
	return *s && strlen(s) <= VOLUME_CONF_WORD_MAX &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 *-,:./~+_")] == '\0';
}

static bool is_endpoint(const char *s)
{
	size_t skip = strncmp(s, "https://", 8) == 0 ? 8 : strncmp(s, "http://", 7) == 0 ? 7 : 0;

	return skip && s[skip] && strlen(s) <= VOLUME_CONF_STORE_MAX && !strpbrk(s, " \t@");
}

static bool is_credentials(const char *s)
{
	return strcmp(s, "auto") == 0 || strcmp(s, "env") == 0 || strcmp(s, "imds") == 0 || strcmp(s, "pod") == 0 || strcmp(s, "web") == 0 ||
	       (strncmp(s, "file:/", 6) == 0 && is_path(s + 5)) || (strncmp(s, "sealed:/", 8) == 0 && is_path(s + 7));
}

static bool is_object_lock(const char *s)
{
	size_t skip = strncmp(s, "governance ", 11) == 0 || strncmp(s, "compliance ", 11) == 0 ? 11 : 0, n = strlen(s + skip);

	return skip && n >= 1 && n <= 5 && s[skip] != '0' && s[skip + strspn(s + skip, "0123456789")] == '\0';
}

struct form {
	const char *section, *key;
	bool (*fits)(const char *s);
	const char *must;
	size_t at; /* of the char * in struct volume_conf */
};

#define AT(member) offsetof(struct volume_conf, member)
static const struct form forms[] = {
	{ "volume", "source", is_path, "an absolute path", AT(source) },
	{ "volume", "mountpoint", is_path, "an absolute path", AT(mountpoint) },
	{ "volume", "tenant", is_tenant, "1 to 64 of A-Z a-z 0-9 _ - and, not first, a dot", AT(tenant) },
	{ "volume", "options", is_options, "mount options with commas", AT(options) },
	{ "volume", "user", is_word, "the name of a user", AT(user) },
	{ "backup", "store", is_store, "s3://BUCKET/PREFIX or file:///DIR", AT(store) },
	{ "backup", "schedule", is_schedule, "a time of systemd.time(7)", AT(schedule) },
	{ "store", "endpoint", is_endpoint, "https://HOST[:PORT], without a user", AT(endpoint) },
	{ "store", "region", is_word, "one word", AT(region) },
	{ "store", "credentials", is_credentials, "auto, env, file:PATH, sealed:PATH, imds, pod or web", AT(credentials) },
	{ "store", "prune-credentials", is_credentials, "auto, env, file:PATH, sealed:PATH, imds, pod or web", AT(prune_credentials) },
	{ "store", "ca-file", is_path, "an absolute path", AT(ca_file) },
	{ "store", "object-lock", is_object_lock, "governance DAYS or compliance DAYS", AT(object_lock) },
};

static int take_texts(const struct ini *ini, struct volume_conf *c, struct ini_error *error)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];
		const struct ini_section *s = ini_section(ini, f->section, 0);
		const char *text = ini_string(s, f->key, 0);
		char *copy;

		if (!text)
			continue;
		if (!f->fits(text))
			return ini_refuse(error, ini_line(s, f->key, 0), "%s= must be %s", f->key, f->must);
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		memcpy((char *)c + f->at, &copy, sizeof(copy));
	}
	return 0;
}

static int take_keep(const struct ini_section *s, const char *key, int64_t *ret_n, struct ini_error *error)
{
	int64_t n = ini_number(s, key, -1);

	if (n > VOLUME_CONF_KEEP_MAX)
		return ini_refuse(error, ini_line(s, key, 0), "%s= is at most %d", key, VOLUME_CONF_KEEP_MAX);
	*ret_n = n;
	return 0;
}

static int take_all(const struct ini *ini, struct volume_conf *c, struct ini_error *error)
{
	const struct ini_section *s = ini_section(ini, "volume", 0);
	const char *uuid = ini_string(s, "uuid", 0);
	int r;

	r = take_texts(ini, c, error);
	if (r < 0)
		return r;
	if (!c->source)
		return ini_refuse(error, s ? ini_section_line(s) : 0, "source= of [volume] must be there, an absolute path");
	if (uuid && !is_uuid(uuid))
		return ini_refuse(error, ini_line(s, "uuid", 0), "uuid= must be 32 digits 0-9 a-f, as coffer info has them");
	c->has_uuid = uuid && text_hex_parse(uuid, strlen(uuid), sizeof(c->uuid), c->uuid) == 0;
	s = ini_section(ini, "backup", 0);
	r = take_keep(s, "keep-daily", &c->keep_daily, error);
	if (r == 0)
		r = take_keep(s, "keep-weekly", &c->keep_weekly, error);
	if (r == 0)
		r = take_keep(s, "keep-monthly", &c->keep_monthly, error);
	if (r < 0)
		return r;
	s = ini_section(ini, "store", 0);
	c->path_style = ini_count(s, "path-style") ? ini_bool(s, "path-style", false) : -1;
	return 0;
}

int volume_conf_parse(const void *p, size_t len, struct volume_conf *ret_c, struct ini_error *ret_error)
{
	struct volume_conf c = { 0 };
	AUTO_INI struct ini *ini = NULL;
	int r;

	r = ini_read(p, len, rules, &ini, ret_error);
	if (r < 0)
		return r == -EFBIG ? ini_refuse(ret_error, 0, "larger than %d bytes", INI_BYTES_MAX) : r;
	r = take_all(ini, &c, ret_error);
	if (r < 0) {
		volume_conf_done(&c);
		return r;
	}
	*ret_c = c;
	return 0;
}

void volume_conf_done(struct volume_conf *c)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		char *text;

		memcpy(&text, (char *)c + forms[i].at, sizeof(text));
		free(text);
	}
	memset(c, 0, sizeof(*c));
}

bool volume_conf_name_ok(const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/' || i >= NAME_LEN_MAX)
			return false;
	return i > 0 && name[0] != '.';
}
