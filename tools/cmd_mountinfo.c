/* cmd_mountinfo.c: which coffer volumes are mounted where, as this process sees it. */
#include "tools/cmd.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MOUNTINFO "/proc/self/mountinfo"

/* The kernel writes space, tab, line feed and backslash as three octal digits. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Of the coffer mounts, the last one for which want is its key: its mount point for a source, its source for a mount point. Never touches a mount. */
static char *find_mount(const char *want, bool by_source)
{
	FILE *f = fopen(MOUNTINFO, "re");
	char *line = NULL, *found = NULL;
	size_t max = 0;

	if (!f)
		return NULL;
	while (getline(&line, &max, f) > 0) {
		char dir[PATH_MAX], type[64], source[PATH_MAX], *rest;

		if (sscanf(line, "%*s %*s %*s %*s %4095s", dir) != 1)
			continue;
		rest = strstr(line, " - ");
		if (!rest || sscanf(rest, " - %63s %4095s", type, source) != 2)
			continue;
		unescape(dir);
		unescape(source);
		if (strcmp(by_source ? source : dir, want) != 0)
			continue;
		if (by_source && strcmp(type, "fuse.coffer") != 0)
			continue;
		free(found);
		found = strcmp(type, "fuse.coffer") == 0 ? strdup(by_source ? dir : source) : NULL;
	}
	free(line);
	(void)fclose(f);
	return found;
}

char *cmd_mount_source(const char *mountpoint)
{
	return find_mount(mountpoint, false);
}

char *cmd_mountpoint_of_source(const char *source)
{
	return find_mount(source, true);
}

char *cmd_mount_above(const char *path, const char **ret_rest)
{
	char *dir = strdup(path), *source, *slash;

	while (dir) {
		source = find_mount(*dir ? dir : "/", false);
		if (source) {
			*ret_rest = path + strlen(dir);
			free(source);
			return dir;
		}
		slash = strrchr(dir, '/');
		if (!slash || !*dir) {
			free(dir);
			return NULL;
		}
		*slash = '\0';
	}
	return NULL;
}

char *cmd_absolute(const char *dir)
{
	AUTO_FREE char *copy = strdup(dir), *parent = NULL;
	char *base, *out = NULL;
	size_t n;

	if (!copy)
		return NULL;
	for (n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	base = strrchr(copy, '/');
	if (base)
		*base++ = '\0';
	parent = realpath(base ? (*copy ? copy : "/") : ".", NULL);
	if (!parent)
		return NULL;
	if (asprintf(&out, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, base ? base : copy) < 0)
		return NULL;
	return out;
}
