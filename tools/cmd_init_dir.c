/* cmd_init_dir.c: the directory that init makes a volume in: it must be empty, but for what an unfinished init has left.
 *
 * coffer.volume comes last and makes the volume, so without it these files are of no use to anybody. They are taken away if nothing else is there: an
 * entry of any other name, or one of ours that is not the kind of file that init makes, may be somebody's, and so is a lock that is held. Two inits at
 * once keep off each other by a lock on the directory. */
#include "tools/cmd.h"

#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fs/name.h"

static const char *const made_files[] = { NAME_LOG, NAME_STATE, NAME_RESERVE, NAME_LOCK };

static bool is_ours(int fd, const char *name)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (strcmp(name, DIR_LINK) == 0)
		return S_ISLNK(st.st_mode);
	for (size_t i = 0; i < sizeof(made_files) / sizeof(made_files[0]); i++)
		if (strcmp(name, made_files[i]) == 0)
			return S_ISREG(st.st_mode) && st.st_nlink == 1;
	return false;
}

/* ret_ours: something of ours is there; -ENOTEMPTY: something else is, and ret_name (NAME_MAX + 1 bytes) is its name. */
static int look(int fd, bool *ret_ours, char *ret_name)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *e;
	DIR *d;

	*ret_ours = false;
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return -errno;
	while (r == 0) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			r = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (!is_ours(fd, e->d_name)) {
			(void)snprintf(ret_name, NAME_MAX + 1, "%s", e->d_name);
			r = -ENOTEMPTY;
		}
		*ret_ours = true;
	}
	(void)closedir(d);
	return r;
}

/* -EBUSY: somebody holds the volume that this perhaps was. */
static int lock_is_free(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	AUTO_CLOSE int lock = openat(fd, NAME_LOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (lock < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fcntl(lock, F_OFD_GETLK, &fl) < 0)
		return -errno;
	return fl.l_type == F_UNLCK ? 0 : -EBUSY;
}

static int clear(int fd)
{
	int r;

	r = lock_is_free(fd);
	for (size_t i = 0; r == 0 && i < sizeof(made_files) / sizeof(made_files[0]); i++)
		r = unlinkat(fd, made_files[i], 0) < 0 && errno != ENOENT ? -errno : 0;
	if (r == 0)
		r = unlinkat(fd, DIR_LINK, 0) < 0 && errno != ENOENT ? -errno : 0;
	return r;
}

static int make_empty(const struct cmd_global *g, const char *path, int fd)
{
	char name[NAME_MAX + 1] = "";
	bool ours;
	int r;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) /* where a directory cannot be locked we go on without */
		return cmd_fail(EXIT_CODE_IN_USE, path, "another init is at work there");
	r = look(fd, &ours, name);
	if (r == -ENOTEMPTY) {
		text_mask(name);
		return cmd_fail(EXIT_CODE_EXISTS, path, "not empty (%s); a volume needs a directory of its own", name);
	}
	if (r == 0 && ours) {
		r = clear(fd);
		if (r < 0)
			return cmd_fail(cmd_exit_of(r), path, "an unfinished init has left files that cannot be removed: %s", err_text(r));
		if (!g->quiet)
			(void)fprintf(stderr, "coffer: %s: what an unfinished init had left there was removed\n", path);
	}
	return r < 0 ? cmd_fail(cmd_exit_of(r), path, "cannot be read: %s", err_text(r)) : 0;
}

int cmd_init_dir(const struct cmd_global *g, const char *path, int *ret_fd, bool *ret_made)
{
	*ret_made = mkdir(path, 0700) == 0;
	if (!*ret_made && errno != EEXIST)
		return cmd_fail(cmd_exit_of(-errno), path, "cannot be made: %s", err_text(-errno));
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_fd < 0)
		return cmd_fail(cmd_exit_of(-errno), path, "cannot be opened: %s", err_text(-errno));
	if (faccessat(*ret_fd, NAME_VOLUME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return cmd_fail(EXIT_CODE_EXISTS, path, "is a volume already");
	return make_empty(g, path, *ret_fd);
}
