/* cmd_seal.c: seal and unseal: a secret from standard input to standard output, by way of the agent. Clear text is read and written directly from secret memory; a terminal is
 * refused on either side: it would show the one, and be spoiled by the other. */
#include "tools/cmd.h"

#include "base/fileio.h"

#include <stdio.h>
#include <string.h>

struct seal_args {
	const char *tenant, *name;
	uint64_t version;
};

static int version_parse(const char *name, const char *text, uint64_t *ret_version)
{
	char *end;

	errno = 0;
	*ret_version = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || *ret_version < 1 || *ret_version > INT64_MAX)
		return cmd_usage(name, "--version takes a number from 1, not %s", text);
	return 0;
}

static int args_parse(bool seals, int argc, char **argv, struct seal_args *s)
{
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--tenant") == 0 && i + 1 < argc) {
			s->tenant = argv[++i];
		} else if (strcmp(argv[i], "--name") == 0 && i + 1 < argc) {
			s->name = argv[++i];
		} else if (seals && strcmp(argv[i], "--version") == 0 && i + 1 < argc) {
			r = version_parse(argv[0], argv[++i], &s->version);
			if (r != 0)
				return r;
		} else {
			return cmd_usage(argv[0], "does not understand %s", argv[i]);
		}
	}
	if (!s->tenant || !s->name)
		return cmd_usage(argv[0], "needs --tenant T and --name N");
	if (isatty(STDIN_FILENO))
		return cmd_usage(argv[0], "reads standard input, which is a terminal; give it a file: <FILE");
	if (isatty(STDOUT_FILENO))
		return cmd_usage(argv[0], "writes standard output, which is a terminal; give it a file: >FILE");
	return 0;
}

/* All of standard input, at most max bytes; -EFBIG. */
static int input_read(uint8_t *p, size_t max, size_t *ret_len)
{
	uint8_t more;
	size_t len = 0;
	ssize_t n;

	do {
		n = len < max ? read(STDIN_FILENO, p + len, max - len) : read(STDIN_FILENO, &more, 1);
		if (n > 0 && len == max) {
			secret_wipe(&more, sizeof(more));
			return -EFBIG;
		}
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	*ret_len = len;
	return n < 0 ? -errno : 0;
}

static int output_write(const void *p, size_t len)
{
	int r = fileio_write_full(STDOUT_FILENO, p, len);

	return r < 0 ? cmd_fail(cmd_exit_of(r), "standard output", "not written whole: %s", err_text(r)) : 0;
}

static int secret_read(struct secret **ret_s)
{
	AUTO_SECRET struct secret *all = NULL;
	size_t len = 0;
	int r;

	r = secret_new(CREDENTIAL_MAX, &all);
	if (r >= 0)
		r = input_read(secret_bytes(all), CREDENTIAL_MAX, &len);
	if (r == -EFBIG)
		return cmd_fail(EXIT_CODE_USAGE, "standard input", "a secret has at most 1 MiB");
	if (r >= 0 && len == 0)
		return cmd_fail(EXIT_CODE_USAGE, "standard input", "is empty; there is nothing to seal");
	if (r >= 0)
		r = secret_new_copy(secret_bytes_const(all), len, ret_s);
	return r < 0 ? cmd_fail(cmd_exit_of(r), "standard input", "cannot be read: %s", err_text(r)) : 0;
}

int cmd_seal(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	AUTO_SECRET struct secret *plain = NULL;
	AUTO_FREE uint8_t *file = NULL;
	struct seal_args s = { 0 };
	uint64_t version = 0;
	size_t len = 0;
	int r;

	r = args_parse(true, argc, argv, &s);
	if (r == 0)
		r = secret_read(&plain);
	if (r != 0)
		return r;
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s.name, "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (client_seal(c, s.tenant, s.name, s.version, plain, &file, &len, &version) < 0)
		return cmd_agent_fail(c, s.name);
	r = output_write(file, len);
	if (r == 0 && !g->quiet)
		(void)fprintf(stderr, "%s: version %llu sealed for tenant %s\n", s.name, (unsigned long long)version, s.tenant);
	return r;
}

int cmd_unseal(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	AUTO_FREE uint8_t *file = malloc(CREDENTIAL_FILE_MAX);
	AUTO_SECRET struct secret *plain = NULL;
	struct seal_args s = { 0 };
	uint64_t version = 0;
	size_t len = 0;
	int r;

	r = args_parse(false, argc, argv, &s);
	if (r != 0)
		return r;
	if (!c || !file)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s.name, "out of memory");
	r = input_read(file, CREDENTIAL_FILE_MAX, &len);
	if (r == -EFBIG)
		return cmd_fail(EXIT_CODE_NOT_A_VOLUME, "standard input", "not a sealed credential: it is too long");
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), "standard input", "cannot be read: %s", err_text(r));
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (client_unseal(c, s.tenant, s.name, file, len, &plain, &version) < 0)
		return cmd_agent_fail(c, s.name);
	return output_write(secret_bytes_const(plain), secret_len(plain));
}
