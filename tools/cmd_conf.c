/* cmd_conf.c: volumes by name: VOLUME → volumes.d/NAME.conf (base/volume_conf.h). */
#include "tools/cmd.h"

#include "base/fileio.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int cmd_volume_conf(const struct cmd_global *g, const char *name, struct volume_conf *ret_c)
{
	AUTO_FREE uint8_t *p = NULL;
	struct ini_error error = { 0 };
	char path[PATH_MAX];
	size_t len;
	int r;

	if (!volume_conf_name_ok(name) || snprintf(path, sizeof(path), "%s/volumes.d/%s.conf", g->config, name) >= (int)sizeof(path))
		return cmd_fail(EXIT_CODE_USAGE, name, "not a volume's name");
	r = fileio_read_at(AT_FDCWD, path, INI_BYTES_MAX, &p, &len);
	if (r == -ENOENT)
		return cmd_fail(EXIT_CODE_NOT_FOUND, name, "no such volume: %s is not there; give a path with a slash, or write that file",
				path);
	if (r < 0)
		return cmd_fail(EXIT_CODE_CONFIG, name, "%s: %s", path, r == -EFBIG ? "larger than a configuration file may be" : err_text(r));
	r = volume_conf_parse(p, len, ret_c, &error);
	if (r == -EUCLEAN)
		return cmd_fail(EXIT_CODE_CONFIG, name, "%s:%u: %s", path, error.line, error.text);
	return r < 0 ? cmd_fail(EXIT_CODE_NO_RESOURCE, name, "out of memory") : 0;
}

/* Is what lies at source= the volume that the file means? What is not there, or cannot be read without its key, is for the command to tell. */
static int fits(const char *name, const struct volume_conf *conf)
{
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	AUTO_FREE uint8_t *p = NULL;
	AUTO_CLOSE int fd = -1;
	char what[128], uuid[33];
	struct stat st;
	size_t len;

	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, name, "out of memory");
	if (!conf->has_uuid && !conf->tenant)
		return 0;
	fd = open(conf->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstatat(fd, NAME_VOLUME, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    fileio_read_at(fd, NAME_VOLUME, VOLUME_CONFIG_MAX, &p, &len) < 0 || volume_config_parse(p, len, c, what) < 0)
		return 0;
	volume_config_uuid_text(c->uuid, uuid);
	if (conf->has_uuid && memcmp(conf->uuid, c->uuid, UUID_LEN) != 0)
		return cmd_fail(EXIT_CODE_CONFIG, name, "%s is another volume than uuid= of volumes.d/%s.conf says: %s", conf->source, name, uuid);
	if (conf->tenant && strcmp(conf->tenant, c->tenant) != 0)
		return cmd_fail(EXIT_CODE_CONFIG, name, "%s is another tenant's than tenant= of volumes.d/%s.conf says: %s", conf->source, name,
				c->tenant);
	return 0;
}

int cmd_volume_find(const struct cmd_global *g, const char *volume, struct volume_conf *ret_c, char **ret_path)
{
	AUTO_VOLUME_CONF struct volume_conf c = { 0 };
	AUTO_FREE char *path = NULL;
	int r = 0;

	if (!strchr(volume, '/')) {
		r = cmd_volume_conf(g, volume, &c);
		if (r == 0)
			r = fits(volume, &c);
	}
	if (r != 0)
		return r;
	path = strdup(c.source ? c.source : volume);
	if (!path)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, volume, "out of memory");
	*ret_path = take_ptr(path);
	*ret_c = c;
	memset(&c, 0, sizeof(c));
	return 0;
}

int cmd_volume_path(const struct cmd_global *g, const char *volume, char **ret_path)
{
	AUTO_VOLUME_CONF struct volume_conf c = { 0 };

	return cmd_volume_find(g, volume, &c, ret_path);
}
