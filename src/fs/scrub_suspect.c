/* scrub_suspect.c: on a mounted volume metadata and blocks lie at home as the last checkpoint left them, but for the moment in which one writes, and for space
 * that was freed since and holds something newer. So what does not fit says nothing by itself: it is noted, and read again while the mount holds home
 * still behind a whole checkpoint. What does not fit then is damage. */
#include "fs/scrub_impl.h"

#include <fcntl.h>
#include <string.h>

#define SUSPECTS_MAX 4096u               /* then they are settled before the walk goes on */
#define ROUND 64u                        /* read again in one hold */
#define ROUNDS_LOST_MAX 8u               /* holds that ran out before anything is called unreadable */

int scrub_suspect_add(struct scrub *s, const struct scrub_file *f, uint32_t group)
{
	struct scrub_suspect *list;
	char *path;

	if (s->nsuspects == s->suspects_max) {
		size_t max = s->suspects_max ? s->suspects_max * 2 : 64;

		list = reallocarray(s->suspects, max, sizeof(*list));
		if (!list)
			return -ENOMEM;
		s->suspects = list;
		s->suspects_max = max;
	}
	path = strdup(f->path);
	if (!path)
		return -ENOMEM;
	s->suspects[s->nsuspects++] = (struct scrub_suspect){ .path = path, .ino = f->ino, .group = group, .rest = group == 0 && f->over };
	s->counts.suspects++;
	return s->nsuspects < SUSPECTS_MAX ? 0 : scrub_suspect_settle(s);
}

static int open_path(struct scrub *s, const char *path)
{
	char name[256];
	int fd = -1, next;

	for (;;) {
		size_t len = strcspn(path, "/");
		bool last = path[len] == '\0';

		if (len >= sizeof(name)) {
			lower_close(s->l, fd);
			return -ENAMETOOLONG;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		next = s->l->ops->openat(s->l, fd < 0 ? s->root_fd : fd, name, last ? O_RDONLY : O_RDONLY | O_DIRECTORY, 0);
		lower_close(s->l, fd);
		if (next < 0 || last)
			return next;
		fd = next;
		path += len + 1;
	}
}

int scrub_open(struct scrub *s, const char *path, bool *ret_direct)
{
	int direct, fd = open_path(s, path);

	*ret_direct = false;
	if (fd < 0)
		return fd;
	direct = s->l->ops->reopen(s->l, fd, O_RDONLY | O_DIRECT);
	if (direct < 0)
		return fd;
	lower_close(s->l, fd);
	*ret_direct = true;
	return direct;
}

/* It has gone, and with it what was wrong; or it is there, and cannot be opened. */
static int not_opened(struct scrub *s, struct scrub_file *f, const struct scrub_suspect *u, int error)
{
	int r;

	if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP)
		return 0;
	if (error == -ENOMEM)
		return error;
	r = scrub_problem(s, f, SCRUB_IO, u->group, error);
	return r < 0 ? r : scrub_tell(s, f);
}

static int look_again(struct scrub *s, struct scrub_suspect *u, uint8_t *buf)
{
	struct scrub_file f = { .path = u->path, .ino = u->ino };
	struct stat st;
	ssize_t n = 0;
	int r;

	f.fd = scrub_open(s, u->path, &f.direct);
	if (f.fd < 0)
		return not_opened(s, &f, u, f.fd);
	r = s->l->ops->fstat(s->l, f.fd, &st);
	if (r == 0 && S_ISREG(st.st_mode) && st.st_ino == u->ino) {
		f.size = (uint64_t)st.st_size;
		n = lower_pread(s->l, f.fd, buf, GROUP_LOWER, 0);
		if (n > 0) /* group 0 for the shape; if it is not the suspect what it has is told by its own turn */
			r = u->group == 0 ? scrub_check_group(s, &f, 0, buf, (size_t)n) : scrub_shape(s, &f, buf, (size_t)n);
		if (r == 0 && n > 0 && u->group != 0 && f.known && !f.over && group_exists(&f.shape, u->group)) {
			n = lower_pread(s->l, f.fd, buf, GROUP_LOWER, layout_group_off(u->group));
			if (n >= 0)
				r = scrub_check_group(s, &f, u->group, buf, (size_t)n);
		}
		if (r == 0 && n < 0)
			r = scrub_problem(s, &f, SCRUB_IO, u->group, (int)n);
		u->again = u->rest && n > 0 && f.known && !f.over && f.shape.alloc_groups > 1;
	}
	lower_close(s->l, f.fd);
	return r < 0 ? r : scrub_tell(s, &f);
}

static void tell_held(struct scrub *s, bool certain)
{
	for (size_t i = 0; i < s->nheld; i++) {
		if (certain && s->p->problem)
			s->p->problem(s->p->ctx, &s->held[i]);
		free((char *)(uintptr_t)s->held[i].backing_path);
	}
	s->nheld = 0;
}

/* The first n, under one hold. 1: it held. */
static int round_of(struct scrub *s, size_t n, uint8_t *buf)
{
	struct scrub_counts before = s->counts;
	size_t i;
	int r, rr;

	r = s->p->hold ? s->p->hold(s->p->ctx) : 0;
	if (r < 0)
		return r;
	s->certain = s->collect = true;
	for (i = 0; i < n && r == 0; i++)
		r = look_again(s, &s->suspects[i], buf);
	s->certain = s->collect = false;
	rr = s->p->release ? s->p->release(s->p->ctx) : 0;
	s->counts.blocks = before.blocks; /* they were counted */
	s->counts.groups = before.groups;
	if (r < 0 || rr < 0)
		s->counts.problems = before.problems;
	tell_held(s, r == 0 && rr == 0);
	return r < 0 ? r : rr < 0 && rr != -ETIMEDOUT ? rr : rr == 0;
}

/* The first n have been looked at. */
static int settled(struct scrub *s, size_t n)
{
	size_t want = s->nagain + n;

	if (want > s->again_max) {
		char **list = reallocarray(s->again, want, sizeof(*list));

		if (!list)
			return -ENOMEM;
		s->again = list;
		s->again_max = want;
	}
	for (size_t i = 0; i < n; i++) {
		if (s->suspects[i].again)
			s->again[s->nagain++] = s->suspects[i].path;
		else
			free(s->suspects[i].path);
	}
	s->nsuspects -= n;
	memmove(s->suspects, s->suspects + n, s->nsuspects * sizeof(*s->suspects));
	return 0;
}

int scrub_suspect_settle(struct scrub *s)
{
	uint8_t *buf;
	unsigned lost = 0;
	int r = 0;

	if (s->nsuspects == 0)
		return 0;
	if (posix_memalign((void **)&buf, BLOCK_SIZE, GROUP_LOWER) != 0)
		return -ENOMEM;
	while (s->nsuspects > 0 && r >= 0) {
		size_t n = s->nsuspects < ROUND >> (lost < 6 ? lost : 6) ? s->nsuspects : ROUND >> (lost < 6 ? lost : 6);

		r = round_of(s, n, buf);
		if (r == 0 && ++lost > ROUNDS_LOST_MAX)
			r = -ETIMEDOUT;
		if (r == 1)
			r = settled(s, n);
	}
	free(buf);
	return r < 0 ? r : 0;
}

void scrub_suspect_done(struct scrub *s)
{
	while (s->nsuspects > 0)
		free(s->suspects[--s->nsuspects].path);
	while (s->nagain > 0)
		free(s->again[--s->nagain]);
	free(s->suspects);
	free(s->again);
	free(s->held);
}
