#include "base/conf.h"

#include "base/fileio.h"
#include "base/log.h"

int conf_load_at(int dirfd, const char *name, const char *shown, const struct ini_rule *rules, struct ini **ret_ini)
{
	AUTO_FREE uint8_t *buf = NULL;
	struct ini_error error;
	size_t len;
	int r;

	r = fileio_read_at(dirfd, name, INI_BYTES_MAX, &buf, &len);
	if (r == -ENOENT)
		return r;
	if (r < 0)
		return log_ret(r, "%s", shown);
	r = ini_read(buf, len, rules, ret_ini, &error);
	if (r == -EUCLEAN) {
		log_err("%s:%u: %s", shown, error.line, error.text);
		return r;
	}
	if (r < 0)
		return log_ret(r, "%s", shown);
	return 0;
}
