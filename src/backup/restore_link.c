/* restore_link.c: entries that other names may follow. A path may have a thousand components and a list may name a hundred thousand such entries below one, so no paths are
 * kept: each directory that has one in it or below is remembered once, with its name and the one it lies in, and an entry by that and its name. So what a snapshot costs in
 * memory is a small multiple of its records, whoever wrote them; and a path is walked by one component each, however long it is. */
#include "backup/restore_impl.h"

#include <fcntl.h>
#include <string.h>

static int copy_name(const char *name, size_t len, char **ret_copy)
{
	*ret_copy = strndup(name, len);
	return *ret_copy ? 0 : -ENOMEM;
}

/* The directory that is open at depth, below the one that is open around it. */
static int add_dir(struct restore *s, size_t depth)
{
	const struct restore_dir *in = &s->dirs[depth - 1];
	struct restore_dir *d = &s->dirs[depth];
	const char *name = s->path + in->path_len + (in->path_len > 0);
	int r;

	if (s->nlink_dirs == s->link_dirs_max) {
		size_t max = s->link_dirs_max ? s->link_dirs_max * 2 : 64;
		void *more = max < UINT32_MAX ? reallocarray(s->link_dirs, max, sizeof(*s->link_dirs)) : NULL;

		if (!more)
			return -ENOMEM;
		s->link_dirs = more;
		s->link_dirs_max = max;
	}
	r = copy_name(name, d->path_len - (size_t)(name - s->path), &s->link_dirs[s->nlink_dirs].name);
	if (r < 0)
		return r;
	s->link_dirs[s->nlink_dirs].parent = in->link_dir;
	d->link_dir = (uint32_t)++s->nlink_dirs;
	return 0;
}

int restore_link_remember(struct restore *s, uint64_t no, const char *name, bool in_root)
{
	size_t ndirs = in_root ? 1 : s->ndirs;
	int r = 0;

	for (size_t i = 1; i < ndirs && r == 0; i++)
		if (s->dirs[i].link_dir == 0)
			r = add_dir(s, i);
	if (r == 0 && s->nlinks == s->links_max) {
		size_t max = s->links_max ? s->links_max * 2 : 64;
		void *more = reallocarray(s->links, max, sizeof(*s->links));

		if (!more)
			return -ENOMEM;
		s->links = more;
		s->links_max = max;
	}
	if (r == 0)
		r = copy_name(name, strlen(name), &s->links[s->nlinks].name);
	if (r < 0)
		return r;
	s->links[s->nlinks].no = no;
	s->links[s->nlinks++].dir = s->dirs[ndirs - 1].link_dir;
	return 0;
}

static int by_no(const void *key, const void *link)
{
	uint64_t a = *(const uint64_t *)key, b = ((const struct restore_link *)link)->no;

	return a < b ? -1 : a > b;
}

/* The directory by its place, 0 being the root. */
static int open_dir(const struct restore *s, uint32_t dir, int *ret_fd)
{
	uint32_t way[RECORD_DEPTH_MAX];
	AUTO_CLOSE int fd = -1;
	size_t n = 0;
	int next;

	for (; dir > 0; dir = s->link_dirs[dir - 1].parent)
		way[n++] = dir;
	fd = fcntl(s->dirs[0].fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (n > 0) {
		next = restore_open_below(fd, s->link_dirs[way[--n] - 1].name, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return next;
		(void)close(fd);
		fd = next;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int restore_link_open(const struct restore *s, uint64_t no, int *ret_fd)
{
	const struct restore_link *l = s->nlinks ? bsearch(&no, s->links, s->nlinks, sizeof(*s->links), by_no) : NULL;
	AUTO_CLOSE int dir = -1;
	int r, fd;

	if (!l)
		return -EUCLEAN;
	r = open_dir(s, l->dir, &dir);
	if (r < 0)
		return r;
	fd = restore_open_below(dir, l->name, O_PATH, 0);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

void restore_link_done(struct restore *s)
{
	for (size_t i = 0; i < s->nlinks; i++)
		free(s->links[i].name);
	for (size_t i = 0; i < s->nlink_dirs; i++)
		free(s->link_dirs[i].name);
	free(s->links);
	free(s->link_dirs);
}
