/* cmd_backup_sealed.c: credentials=sealed:PATH: a store's keys that lie under the tenant's key (coffer-seal(1)). The agent opens them for this command, if its rules
 * say so, and writes that down; they come as a descriptor, stay in secret memory and go nowhere else. Whose they are and what they are called the file says
 * itself: a false word in it opens nothing. */
#include "tools/cmd_backup.h"

#include "base/fileio.h"
#include "crypt/credential.h"

#include <fcntl.h>
#include <string.h>

#define SCHEME "sealed:"

static int read_head(const char *path, uint8_t **ret_file, size_t *ret_len, struct credential *ret_c)
{
	int r;

	r = fileio_read_at(AT_FDCWD, path, CREDENTIAL_FILE_MAX, ret_file, ret_len);
	if (r < 0 && r != -EFBIG && r != -EUCLEAN)
		return cmd_fail(cmd_exit_of(r), path, "the store's keys cannot be read: %s", err_text(r));
	if (r == 0)
		r = credential_parse(*ret_file, *ret_len, ret_c);
	return r < 0 ? cmd_fail(r == -EOPNOTSUPP ? EXIT_CODE_UNSUPPORTED : EXIT_CODE_NOT_A_VOLUME, path, "not a sealed credential of a known format") : 0;
}

static int open_sealed(const struct cmd_global *g, const char *path, const struct credential *c, const uint8_t *file, size_t len, struct secret **ret_text)
{
	AUTO_CLIENT struct client *agent = client_new(g->agent);
	uint64_t version;

	if (!agent)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, path, "out of memory");
	if (client_connect(agent) < 0)
		return cmd_agent_fail(agent, "agent");
	return client_unseal(agent, c->tenant, c->name, file, len, ret_text, &version) < 0 ? cmd_agent_fail(agent, path) : 0;
}

int cmd_backup_sealed(const struct cmd_global *g, struct cmd_backup_args *a)
{
	AUTO_FREE struct credential *c = calloc(1, sizeof(*c));
	AUTO_SECRET struct secret *text = NULL;
	AUTO_FREE uint8_t *file = NULL;
	const char *path = a->conf.credentials + sizeof(SCHEME) - 1;
	size_t len = 0;
	int r;

	if (strncmp(a->conf.credentials, SCHEME, sizeof(SCHEME) - 1) != 0 || a->conf.key_id)
		return 0;
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, path, "out of memory");
	r = path[0] == '/' ? 0 : cmd_fail(EXIT_CODE_USAGE, a->conf.credentials, "not sealed:/PATH");
	if (r == 0)
		r = read_head(path, &file, &len, c);
	if (r == 0 && a->tenant && strcmp(a->tenant, c->tenant) != 0)
		r = cmd_fail(EXIT_CODE_DENIED, path, "sealed for tenant %s, not for %s, whose volume it is", c->tenant, a->tenant);
	if (r == 0)
		r = open_sealed(g, path, c, file, len, &text);
	if (r != 0)
		return r;
	r = store_conf_keys(&a->conf, text);
	if (r == -ENOENT || r == -EINVAL)
		return cmd_fail(EXIT_CODE_CONFIG, path, "what is sealed there are no keys in AWS's format; seal a file with [default], aws_access_key_id= and "
				"aws_secret_access_key=");
	return r < 0 ? cmd_fail(cmd_exit_of(r), path, "the store's keys: %s", err_text(r)) : 0;
}
