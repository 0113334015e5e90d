/* cmd_path.c: path: from a clear name in a mount to the backing file, and back. Neither asks for the key: an inode has the same number above and below, so
 * each component is the entry of the other directory that has it. What somebody may not list or search above, he does not learn here either.
 *
 * Hard links within one directory cannot be told apart by their numbers: all that fit are printed. */
#include "tools/cmd.h"

#include "base/json.h"
#include "format/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 64

struct finding {
	const struct cmd_global *g;
	const char *asked;       /* as the user gave it */
	char known[PATH_MAX], other[PATH_MAX]; /* known: walked by name; other: found by number. Both grow component by component */
	bool other_is_backing;
	char last[LINKS_MAX][NAME_MAX + 1]; /* what fits the last component */
	size_t nlast;
};

static int too_long(const struct finding *f)
{
	return cmd_fail(EXIT_CODE_OTHER, f->asked, "not found: %s", err_text(-ENAMETOOLONG));
}

static bool is_own(const char *name)
{
	return strncmp(name, "coffer.", 7) == 0 && strncmp(name, "coffer.long.", 12) != 0;
}

/* The entries of other that are this inode, into last. */
static int look(struct finding *f, ino_t ino, mode_t type)
{
	DIR *d = opendir(f->other);
	struct dirent *e;
	struct stat st;

	if (!d)
		return cmd_fail(cmd_exit_of(-errno), f->other, "cannot be listed: %s", err_text(-errno));
	f->nlast = 0;
	while ((e = readdir(d)) && f->nlast < LINKS_MAX) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || (f->other_is_backing && is_own(e->d_name)))
			continue;
		/* The number of the listing is a hint where it is one of below; what counts is the entry itself. */
		if ((f->other_is_backing && e->d_ino != ino) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (st.st_ino == ino && (st.st_mode & S_IFMT) == type)
			memcpy(f->last[f->nlast++], e->d_name, strlen(e->d_name) + 1);
	}
	(void)closedir(d);
	return f->nlast ? 0 : cmd_fail(EXIT_CODE_NOT_FOUND, f->asked, "not found on the other side");
}

static bool append(char *path, const char *name, size_t len)
{
	size_t at = strlen(path);

	if (at + 1 + len + 1 > PATH_MAX)
		return false;
	if (at == 0 || path[at - 1] != '/')
		path[at++] = '/';
	memcpy(path + at, name, len);
	path[at + len] = '\0';
	return true;
}

/* Walk rest, whose components are names below known. */
static int walk(struct finding *f, const char *rest)
{
	struct stat st;
	int r;

	for (;;) {
		size_t len;

		rest += strspn(rest, "/");
		len = strcspn(rest, "/");
		if (len == 0)
			return 0;
		/* The component before was one of these, a directory: those have one name. */
		if (f->nlast && !append(f->other, f->last[0], strlen(f->last[0])))
			return too_long(f);
		if (!append(f->known, rest, len))
			return too_long(f);
		if (lstat(f->known, &st) < 0)
			return cmd_fail(cmd_exit_of(-errno), f->asked, "%s: %s", f->known, err_text(-errno));
		r = look(f, st.st_ino, st.st_mode & S_IFMT);
		if (r != 0)
			return r;
		rest += len;
	}
}

static int print(const struct finding *f)
{
	for (size_t i = 0; i < f->nlast || i == 0; i++) {
		AUTO_JSON struct json *o = NULL;
		AUTO_FREE char *path = NULL, *text = NULL, *line = NULL;

		if (asprintf(&path, "%s%s%s", f->other, f->nlast && strcmp(f->other, "/") != 0 ? "/" : "", f->nlast ? f->last[i] : "") < 0)
			return cmd_fail(EXIT_CODE_NO_RESOURCE, f->asked, "out of memory");
		if (!f->g->json) {
			(void)puts(path);
			continue;
		}
		text = cmd_printable(path);
		o = json_new_object();
		if (!text || json_put_str(o, f->other_is_backing ? "backing_path" : "path", text) < 0 || json_dump(o, &line) < 0)
			return cmd_fail(EXIT_CODE_NO_RESOURCE, f->asked, "out of memory");
		(void)puts(line);
	}
	return 0;
}

/* The mounted volume that an absolute path is in the source of: its source, and the rest behind it. */
static char *source_above(const char *path, char **ret_mountpoint, const char **ret_rest)
{
	char *dir = strdup(path), *slash;

	while (dir) {
		*ret_mountpoint = cmd_mountpoint_of_source(dir);
		if (*ret_mountpoint) {
			*ret_rest = path + strlen(dir);
			return dir;
		}
		slash = strrchr(dir, '/');
		if (!slash || slash == dir) {
			free(dir);
			return NULL;
		}
		*slash = '\0';
	}
	return NULL;
}

static int find(struct finding *f, const char *path)
{
	AUTO_FREE char *known = NULL, *other = NULL;
	const char *rest = "";
	int r;

	known = cmd_mount_above(path, &rest);
	if (known) {
		other = cmd_mount_source(known);
		f->other_is_backing = true;
	} else {
		known = source_above(path, &other, &rest);
	}
	if (!known || !other)
		return cmd_fail(EXIT_CODE_MOUNT_POINT, f->asked, "neither in a mounted volume nor in the directory of one; mount it (-o ro is enough)");
	if (snprintf(f->known, PATH_MAX, "%s", known) >= PATH_MAX || snprintf(f->other, PATH_MAX, "%s", other) >= PATH_MAX)
		return too_long(f);
	r = walk(f, rest);
	return r ? r : print(f);
}

int cmd_path(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE struct finding *f = calloc(1, sizeof(*f));
	AUTO_FREE char *path = NULL;

	if (argc != 2 || argv[1][0] == '-')
		return cmd_usage("path", "needs one MOUNTPOINT/FILE, or the path of a backing file");
	path = cmd_absolute(argv[1]);
	if (!f)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, argv[1], "out of memory");
	if (!path)
		return cmd_fail(cmd_exit_of(-errno), argv[1], "not found: %s", err_text(-errno));
	f->g = g;
	f->asked = argv[1];
	return find(f, path);
}
