/* metrics_file.c: metrics for node_exporter's textfile collector: written beside the name and renamed over it. */
#include "agent/metrics.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fileio.h"

int metrics_file_put(const char *path, const char *text, size_t len)
{
	char beside[METRICS_PATH_MAX + 8];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
		return -ENAMETOOLONG;
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return -EEXIST;
	if (unlink(beside) < 0 && errno != ENOENT)
		return -errno;
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	r = fileio_write_full(fd, text, len);
	if (r >= 0 && fchmod(fd, 0640) < 0)
		r = -errno;
	if (r >= 0 && rename(beside, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(beside);
	return r;
}
