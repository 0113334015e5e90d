/* store_file_list.c: walk the directory of a store. Directories are read as they come and nothing is collected, so memory does not grow with the
 * store. What is no name, no file or gone meanwhile is passed over. */
#include "backup/store_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct walk {
	char path[STORE_NAME_MAX + 1]; /* where we are, with a '/' at its end, or "" */
	size_t len;
	unsigned depth;
	const char *prefix;
	size_t prefix_len;
	store_each *each; /* NULL: sweep */
	void *arg;
	int64_t before;   /* sweep: what was changed before this second is old */
	uint64_t swept;
};

static void closedir_p(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int walk_dir(struct walk *w, int parent, const char *name);

/* Could a name that begins with w->path be one of those that are looked for? */
static bool may_match(const struct walk *w)
{
	size_t n = w->len < w->prefix_len ? w->len : w->prefix_len;

	return strncmp(w->path, w->prefix, n) == 0;
}

static int go_down(struct walk *w, int dir, const char *name)
{
	size_t len = w->len;
	int r = 0;

	w->path[w->len++] = '/';
	w->path[w->len] = '\0';
	if (may_match(w) && w->depth < STORE_DEPTH_MAX) {
		w->depth++;
		r = walk_dir(w, dir, name);
		w->depth--;
	}
	w->len = len;
	w->path[len] = '\0';
	return r;
}

static int sweep_one(struct walk *w, int dir, const char *name, const struct stat *st)
{
	if (strncmp(name, STORE_FILE_TMP, sizeof(STORE_FILE_TMP) - 1) != 0 || !S_ISREG(st->st_mode) || st->st_mtime > w->before)
		return 0;
	if (unlinkat(dir, name, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	w->swept++;
	return 0;
}

static int visit(struct walk *w, int dir, const char *name)
{
	size_t len = w->len, n = strlen(name);
	struct stat st;
	int r = 0;

	if (name[0] == '.' && (w->each || name[1] == '\0' || name[1] == '.'))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (name[0] == '.')
		return sweep_one(w, dir, name, &st);
	if (w->len + n + 1 > STORE_NAME_MAX)
		return 0;
	memcpy(w->path + w->len, name, n + 1);
	w->len += n;
	if (!store_name_ok(w->path))
		r = 0;
	else if (S_ISDIR(st.st_mode))
		r = go_down(w, dir, name);
	else if (S_ISREG(st.st_mode) && w->each && w->len >= w->prefix_len && may_match(w))
		r = w->each(w->arg, w->path, (uint64_t)st.st_size, st.st_mtime);
	w->len = len;
	w->path[len] = '\0';
	return r;
}

static int walk_dir(struct walk *w, int parent, const char *name)
{
	AUTO(closedir_p) DIR *d = NULL;
	const struct dirent *e;
	int fd, r = 0;

	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENOTDIR ? 0 : -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		e = readdir(d);
		if (!e)
			return -errno;
		r = visit(w, fd, e->d_name);
	}
	return r;
}

int store_file_list(struct store *s, const char *prefix, store_each *each, void *arg, struct store_error *err)
{
	struct walk w = { .prefix = prefix, .prefix_len = strlen(prefix), .each = each, .arg = arg };
	int r = walk_dir(&w, store_file_root(s), ".");

	if (r < 0 && err->message[0] == '\0')
		return store_fail(err, r, "%.300s: not listed: %s", s->label, err_text(r));
	return r;
}

int store_file_sweep(struct store *s, uint64_t age_s, uint64_t *ret_n, struct store_error *err)
{
	struct walk w = { .prefix = "" };
	int64_t now = (int64_t)time(NULL);
	int r;

	w.before = age_s > (uint64_t)now ? 0 : now - (int64_t)age_s;
	r = walk_dir(&w, store_file_root(s), ".");
	if (r < 0)
		return store_fail(err, r, "%.300s: not cleared: %s", s->label, err_text(r));
	*ret_n = w.swept;
	return 0;
}
