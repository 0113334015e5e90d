/* cmd_policy.c: policy: the least that this host needs at a tenant's key service or at the store of its backups, in that provider's own words (policy_print.c).
 * It reads the configuration itself, as strictly as the agent does, and asks nobody: so it works before there is an agent, a key or a store. */
#include "tools/cmd.h"

#include "agent/tenant_form.h"
#include "base/fileio.h"
#include "base/text.h"
#include "tools/policy.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static bool plain(const char *text, size_t len)
{
	return len < POLICY_TEXT_MAX && strspn(text, POLICY_PLAIN) >= len;
}

/* A value of a file into its place, or a refusal. */
static int take(const char *file, const char *key, const char *text, char ret[static POLICY_TEXT_MAX])
{
	if (!text)
		return 0;
	if (!plain(text, strlen(text)))
		return cmd_fail(EXIT_CODE_CONFIG, file, "%s=%.100s has characters that no policy can be made of", key, text);
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

/* Where the next item goes, or NULL when text is of another provider or is there already; *ret_code: an exit code after a message. */
static struct policy_item *item_new(struct policy_found *f, const struct policy_kind *k, const char *file, const char *uri, int *ret_code)
{
	const char *text = uri + strlen(k->scheme);
	struct policy_item *item = &f->items[f->count];
	bool any;

	if (strncmp(uri, k->scheme, strlen(k->scheme)) != 0)
		return NULL;
	any = !k->store && strlen(text) > 2 && strcmp(text + strlen(text) - 2, "/*") == 0;
	if (!plain(text, strlen(text) - any) || !k->fits(text)) {
		*ret_code = cmd_fail(EXIT_CODE_CONFIG, file, "%.200s is no %s of %s that a policy can be made of", uri, k->store ? "store" : "key", k->name);
		return NULL;
	}
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->items[i].text, text) == 0)
			return NULL;
	if (f->count == POLICY_ITEMS_MAX) {
		*ret_code = cmd_fail(EXIT_CODE_CONFIG, f->tenant, "more than %d keys or stores", POLICY_ITEMS_MAX);
		return NULL;
	}
	memcpy(item->text, text, strlen(text) + 1);
	f->count++;
	return item;
}

/* --- the configuration --- */

static int tenant_take(struct policy_found *f, const struct policy_kind *k, const char *path, const struct ini *ini)
{
	const struct ini_section *tenant = ini_section(ini, "tenant", 0), *kms = ini_section(ini, "kms", 0);
	int r = 0;

	for (size_t i = 0; r == 0 && i < ini_count(tenant, "kms"); i++)
		(void)item_new(f, k, path, ini_string(tenant, "kms", i), &r);
	if (r == 0)
		r = take(path, "mount", ini_string(kms, "mount", 0), f->mount);
	if (r == 0)
		r = take(path, "namespace", ini_string(kms, "namespace", 0), f->ns);
	if (r == 0)
		r = take(path, "role-arn", ini_string(kms, "role-arn", 0), f->role_arn);
	return r == 0 ? take(path, "external-id", ini_string(kms, "external-id", 0), f->external_id) : r;
}

static int tenant_read(const char *config, const struct policy_kind *k, struct policy_found *f)
{
	AUTO_FREE uint8_t *p = NULL;
	AUTO_INI struct ini *ini = NULL;
	struct ini_error error = { 0 };
	char path[PATH_MAX];
	size_t len;
	int r;

	(void)snprintf(path, sizeof(path), "%s/tenants.d/%s.conf", config, f->tenant);
	r = fileio_read_at(AT_FDCWD, path, INI_BYTES_MAX, &p, &len);
	if (r == -ENOENT)
		return cmd_fail(EXIT_CODE_NOT_FOUND, f->tenant, "no such tenant: %s is not there", path);
	if (r < 0)
		return cmd_fail(EXIT_CODE_CONFIG, path, "cannot be read: %s", err_text(r));
	r = ini_read(p, len, tenant_form, &ini, &error);
	if (r == -EUCLEAN)
		return cmd_fail(EXIT_CODE_CONFIG, f->tenant, "%s:%u: %s", path, error.line, error.text);
	return r < 0 ? cmd_fail(EXIT_CODE_NO_RESOURCE, path, "%s", err_text(r)) : tenant_take(f, k, path, ini);
}

static int store_take(struct policy_found *f, const struct policy_kind *k, const char *name, const struct volume_conf *c)
{
	struct policy_item *item;
	int r = 0;

	if (!c->store || strncmp(c->store, k->scheme, strlen(k->scheme)) != 0 || !c->tenant || strcmp(c->tenant, f->tenant) != 0)
		return 0;
	item = item_new(f, k, name, c->store, &r);
	if (item)
		r = take(name, "endpoint", c->endpoint, item->endpoint);
	if (item && r == 0)
		r = take(name, "region", c->region, item->region);
	for (size_t i = 0; i < f->count && r == 0; i++) /* also one that another file has named */
		if (strcmp(f->items[i].text, c->store + strlen(k->scheme)) == 0)
			f->items[i].lock |= c->object_lock != NULL;
	return r;
}

static void dir_close_p(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* store= of the tenant's volumes. */
static int stores_read(const struct cmd_global *g, const struct policy_kind *k, struct policy_found *f)
{
	AUTO(dir_close_p) DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *e;
	int r = 0;

	(void)snprintf(path, sizeof(path), "%s/volumes.d", g->config);
	dir = opendir(path);
	if (!dir && errno != ENOENT)
		return cmd_fail(EXIT_CODE_CONFIG, path, "cannot be read: %s", err_text(-errno));
	while (dir && r == 0 && (e = readdir(dir))) {
		AUTO_VOLUME_CONF struct volume_conf c = { 0 };
		size_t n = strlen(e->d_name);
		char name[256];

		if (n <= 5 || strcmp(e->d_name + n - 5, ".conf") != 0)
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)(n - 5), e->d_name);
		if (!volume_conf_name_ok(name))
			continue;
		r = cmd_volume_conf(g, name, &c);
		if (r == 0)
			r = store_take(f, k, name, &c);
	}
	return r;
}

/* --- the command --- */

struct asked {
	const char *kind;
	const char *config;
};

static int arguments(struct policy_found *f, struct asked *a, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char **to = strcmp(argv[i], "--tenant") == 0 ? &f->tenant : strcmp(argv[i], "--config") == 0 ? &a->config : NULL;

		if (strcmp(argv[i], "--trust") == 0)
			to = &f->trust;
		if (to && i + 1 == argc)
			return cmd_usage(argv[0], "%s needs a value", argv[i]);
		if (to)
			*to = argv[++i];
		else if (strcmp(argv[i], "--host") == 0)
			f->host = true;
		else if (strcmp(argv[i], "--backup") == 0 || strcmp(argv[i], "--prune") == 0)
			f->who = f->who != POLICY_ALL ? POLICY_TWICE : argv[i][2] == 'b' ? POLICY_BACKUP : POLICY_PRUNE;
		else if (argv[i][0] == '-' || a->kind)
			return cmd_usage(argv[0], "%s: no such option or argument", argv[i]);
		else
			a->kind = argv[i];
	}
	if (!a->kind || !f->tenant)
		return cmd_usage(argv[0], "needs one of aws, gcp, azure, vault, s3, r2, gcs, and --tenant T");
	if (!text_is_name(f->tenant, TENANT_LEN_MAX))
		return cmd_usage(argv[0], "%s is no tenant's name", f->tenant);
	if (!policy_kind(a->kind))
		return cmd_usage(argv[0], "%s is none of aws, gcp, azure, vault, s3, r2, gcs", a->kind);
	if ((f->host || f->trust) && strcmp(a->kind, "aws") != 0)
		return cmd_usage(argv[0], "--host and --trust are of aws");
	if (f->who == POLICY_TWICE || (f->who != POLICY_ALL && strcmp(a->kind, "s3") != 0))
		return cmd_usage(argv[0], "--backup and --prune are of s3, and one of them says whose keys");
	if (f->trust && (f->host || !plain(f->trust, strlen(f->trust)) || strncmp(f->trust, "arn:", 4) != 0))
		return cmd_usage(argv[0], "--trust takes the ARN of the host's own identity, and no --host");
	return 0;
}

static int policy(const struct cmd_global *g, const struct policy_kind *k, struct policy_found *f)
{
	int r;

	r = k->store ? stores_read(g, k, f) : tenant_read(g->config, k, f);
	if (r != 0)
		return r;
	if (f->count == 0 && k->store)
		return cmd_fail(EXIT_CODE_NOT_FOUND, f->tenant, "no file of %s/volumes.d with tenant=%s has a store=%s", g->config, f->tenant, k->scheme);
	if (f->count == 0)
		return cmd_fail(EXIT_CODE_NOT_FOUND, f->tenant, "no kms= of %s/tenants.d/%s.conf begins with %s", g->config, f->tenant, k->scheme);
	if ((f->host || f->trust) && !f->role_arn[0])
		return cmd_fail(EXIT_CODE_NOT_FOUND, f->tenant, "%s/tenants.d/%s.conf has no role-arn=: the host's identity is who uses the key", g->config, f->tenant);
	k->print(f);
	if (f->role_arn[0] && !k->store && strcmp(k->name, "aws") == 0 && !f->host && !f->trust && !g->quiet)
		(void)fprintf(stderr, "coffer: %s: this is for %s; --trust says who may assume it, --host what the host needs for that\n", f->tenant, f->role_arn);
	return fflush(stdout) == 0 ? 0 : cmd_fail(EXIT_CODE_OTHER, "standard output", "not written whole");
}

int cmd_policy(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE struct policy_item *items = calloc(POLICY_ITEMS_MAX, sizeof(*items));
	AUTO_FREE struct policy_found *f = calloc(1, sizeof(*f));
	struct asked asked = { .config = g->config };
	struct cmd_global at = *g;
	int r;

	if (!items || !f)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "policy", "out of memory");
	f->items = items;
	r = arguments(f, &asked, argc, argv);
	if (r != 0)
		return r;
	at.config = asked.config;
	return policy(&at, policy_kind(asked.kind), f);
}
