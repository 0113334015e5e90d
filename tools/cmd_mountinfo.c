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

/* user_id= of a FUSE mount's options; -1: there is none. */
static int64_t mounter_of(const char *options)
{
	const char *p = strstr(options, "user_id=");
	char *end;
	unsigned long long uid;

	if (!p || (p != options && p[-1] != ',') || p[8] < '0' || p[8] > '9')
		return -1;
	uid = strtoull(p + 8, &end, 10);
	return uid <= UINT32_MAX && (*end == ',' || *end == '\0') ? (int64_t)uid : -1;
}

/* Of the coffer mounts, the last one for which want is its key: its mount point for a source, its source for a mount point. Never touches a mount. */
static char *find_mount(const char *want, bool by_source, int64_t *ret_mounter)
{
	FILE *f = fopen(MOUNTINFO, "re");
	char *line = NULL, *found = NULL;
	size_t max = 0;

	if (!f)
		return NULL;
	while (getline(&line, &max, f) > 0) {
		char root[PATH_MAX], dir[PATH_MAX], type[64], source[PATH_MAX], options[256] = "", *rest;

		if (sscanf(line, "%*s %*s %*s %4095s %4095s", root, dir) != 2)
			continue;
		rest = strstr(line, " - ");
		if (!rest || sscanf(rest, " - %63s %4095s %255s", type, source, options) < 2)
			continue;
		unescape(dir);
		unescape(source);
		if (strcmp(by_source ? source : dir, want) != 0)
			continue;
		if (by_source && (strcmp(type, "fuse.coffer") != 0 || strcmp(root, "/") != 0)) /* no bind mount of a part of it */
			continue;
		free(found);
		*ret_mounter = mounter_of(options);
		found = strcmp(type, "fuse.coffer") == 0 ? strdup(by_source ? dir : source) : NULL;
	}
	free(line);
	(void)fclose(f);
	return found;
}

char *cmd_mount_source(const char *mountpoint)
{
	int64_t mounter;

	return find_mount(mountpoint, false, &mounter);
}

char *cmd_mountpoint_of_source(const char *source)
{
	int64_t mounter;

	return find_mount(source, true, &mounter);
}

/* In a user namespace user_id= and what the agent sees may be two numbers for one user. */
static bool ids_are_the_hosts(void)
{
	unsigned long long in, out, n;
	FILE *f = fopen("/proc/self/uid_map", "re");
	bool ok = f && fscanf(f, "%llu %llu %llu", &in, &out, &n) == 3 && in == 0 && out == 0 && n == UINT32_MAX;

	if (f)
		(void)fclose(f);
	return ok;
}

int64_t cmd_mounter(const char *mountpoint)
{
	int64_t mounter = -1;

	free(find_mount(mountpoint, false, &mounter));
	return ids_are_the_hosts() ? mounter : -1;
}

char *cmd_mount_above(const char *path, const char **ret_rest)
{
	char *dir = strdup(path), *source, *slash;
	int64_t mounter;

	while (dir) {
		source = find_mount(*dir ? dir : "/", false, &mounter);
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
