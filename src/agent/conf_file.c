/* conf_file.c: whose a configuration file is, and what stands in it. */
#include "agent/conf_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fileio.h"
#include "base/ini.h"
#include "base/log.h"

int conf_file_check(int dirfd, const char *name, const char *shown)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
		return log_ret(-errno, "%s", shown);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 0022 && !S_ISLNK(st.st_mode)))
		return log_ret(-EPERM, "%s: rules must belong to root or the agent's user and be writable by nobody else", shown);
	return 0;
}

int conf_file_read(int dirfd, const char *name, const char *shown, uint8_t **ret_p, size_t *ret_len)
{
	int r;

	r = conf_file_check(dirfd, name, shown);
	if (r < 0)
		return r;
	r = fileio_read_at(dirfd, name, INI_BYTES_MAX, ret_p, ret_len);
	return r < 0 ? log_ret(r, "%s", shown) : 0;
}
