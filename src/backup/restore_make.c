/* restore_make.c: entries of a snapshot as files, directories and links. Every name is one component below a directory that was opened in the same way, so nothing
 * leads outside; what openat2(2) adds is that nothing mounted inside is entered. In a directory that is being resumed what is there is taken as it is, if it is of
 * the right kind, and its content is looked at piece by piece. */
#include "backup/restore_impl.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "format/layout.h"

#define LOG_BYTES_MAX (262144ull * BLOCK_SIZE)
#define ZEROS_LEN (1u << 20)
#define SPECIAL_BITS 06000u

int restore_open_below(int dirfd, const char *name, int flags, mode_t mode)
{
	struct open_how how = { .flags = (uint64_t)flags | O_CLOEXEC | O_NOFOLLOW, .mode = mode,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static struct restore_dir *here(struct restore *s)
{
	return &s->dirs[s->ndirs - 1];
}

static uint32_t mode_of(const struct restore *s, const struct record_entry *e)
{
	return s->p->suid ? e->mode : e->mode & ~SPECIAL_BITS;
}

static int set_xattrs(int fd, const struct record_entry *e)
{
	struct record_xattr x;
	size_t at = 0;

	while (record_next_xattr(e, &at, &x))
		if (fsetxattr(fd, x.name, x.value, x.len, 0) < 0)
			return -errno;
	return 0;
}

/* ---- directories */

int restore_leave(struct restore *s, size_t depth)
{
	int r = 0;

	while (s->ndirs > depth) {
		struct restore_dir *d = here(s);
		const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, d->mtime };

		if (r == 0 && fchown(d->fd, d->uid, d->gid) < 0 && errno != EPERM)
			r = -errno;
		if (r == 0 && fchmod(d->fd, d->mode) < 0)
			r = -errno;
		if (r == 0 && futimens(d->fd, times) < 0)
			r = -errno;
		(void)close(d->fd);
		s->ndirs--;
		if (s->ndirs > 0)
			s->path[here(s)->path_len] = '\0';
	}
	return r;
}

static int enter(struct restore *s, uint64_t no, const struct record_entry *e, int fd)
{
	struct restore_dir *d;

	if (s->ndirs == RECORD_DEPTH_MAX)
		return -EUCLEAN;
	d = &s->dirs[s->ndirs++];
	*d = (struct restore_dir){ .no = no, .fd = fd, .path_len = strlen(s->path), .mode = mode_of(s, e), .uid = e->uid, .gid = e->gid,
				   .mtime = { .tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns } };
	return 0;
}

static int make_dir(struct restore *s, uint64_t no, const struct record_entry *e)
{
	int fd, r;

	if (mkdirat(here(s)->fd, e->name, 0700) < 0 && !(errno == EEXIST && s->p->resume))
		return -errno;
	fd = restore_open_below(here(s)->fd, e->name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = fchmod(fd, 0700) < 0 ? -errno : set_xattrs(fd, e);
	if (r == 0)
		r = enter(s, no, e, fd);
	if (r < 0)
		(void)close(fd);
	return r;
}

/* ---- files */

static int fill_zeros(int fd, uint64_t size)
{
	AUTO_FREE uint8_t *zeros = calloc(1, ZEROS_LEN);

	if (!zeros)
		return -ENOMEM;
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pwrite(fd, zeros, size - at < ZEROS_LEN ? (size_t)(size - at) : ZEROS_LEN, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

/* A file of space alone: the log must have its blocks, the reserve is filled by whoever mounts. */
static int make_space(const struct restore *s, const struct record_entry *e, int fd)
{
	if (s->ndirs != 1)
		return -EUCLEAN;
	if (strcmp(e->name, NAME_RESERVE) == 0)
		return 0;
	return strcmp(e->name, NAME_LOG) == 0 && e->size <= LOG_BYTES_MAX ? fill_zeros(fd, e->size) : -EUCLEAN;
}

static int open_file(const struct restore *s, int dirfd, const char *name)
{
	struct stat st;
	int fd = restore_open_below(dirfd, name, O_RDWR | O_CREAT | (s->p->resume ? O_NONBLOCK : O_EXCL), 0600);

	if (fd == -EACCES && s->p->resume && fchmodat(dirfd, name, 0600, 0) == 0) /* finished by the one before */
		fd = restore_open_below(dirfd, name, O_RDWR | O_NONBLOCK, 0);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		(void)close(fd);
		return -EEXIST;
	}
	return fd;
}

/* Of these every block must have its place. */
static bool is_solid(const struct restore *s, const char *name)
{
	return s->ndirs == 1 && (strcmp(name, NAME_LOG) == 0 || strcmp(name, NAME_STATE) == 0);
}

static int make_file(struct restore *s, const struct record_entry *e)
{
	struct restore_file *f;
	int fd, r;

	fd = open_file(s, here(s)->fd, e->name);
	if (fd < 0)
		return fd;
	r = set_xattrs(fd, e);
	if (r == 0)
		r = e->flags & RECORD_FLAG_SPACE ? make_space(s, e, fd) : ftruncate(fd, (off_t)e->size) < 0 ? -errno : 0;
	f = r == 0 ? calloc(1, sizeof(*f)) : NULL;
	if (!f) {
		(void)close(fd);
		return r < 0 ? r : -ENOMEM;
	}
	*f = (struct restore_file){ .fd = fd, .work = 1, .solid = is_solid(s, e->name), .mode = mode_of(s, e), .uid = e->uid, .gid = e->gid,
				    .mtime = { .tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns } };
	s->file = f;
	return 0;
}

/* ---- the others */

static int set_meta(const struct restore *s, const struct record_entry *e)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns } };
	int dirfd = s->dirs[s->ndirs - 1].fd;

	if (fchownat(dirfd, e->name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM)
		return -errno;
	if (e->type != RECORD_SYMLINK && fchmodat(dirfd, e->name, mode_of(s, e), 0) < 0)
		return -errno;
	return utimensat(dirfd, e->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int make_node(const struct restore *s, const struct record_entry *e)
{
	static const mode_t types[] = { [RECORD_FIFO] = S_IFIFO, [RECORD_SOCKET] = S_IFSOCK, [RECORD_CHAR] = S_IFCHR, [RECORD_BLOCK] = S_IFBLK };
	int dirfd = s->dirs[s->ndirs - 1].fd, r;

	if (s->p->resume)
		(void)unlinkat(dirfd, e->name, 0);
	if (e->type == RECORD_SYMLINK)
		r = symlinkat(e->target, dirfd, e->name);
	else
		r = mknodat(dirfd, e->name, types[e->type] | 0600, makedev((unsigned)(e->number >> 32), (unsigned)e->number));
	return r < 0 ? -errno : set_meta(s, e);
}

/* Another name of an entry before it that said that one would come. */
static int make_link(struct restore *s, const struct record_entry *e)
{
	AUTO_CLOSE int fd = -1;
	char self[64];
	int r;

	r = restore_link_open(s, e->number, &fd);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* a device that was left out */
	if (s->p->resume)
		(void)unlinkat(here(s)->fd, e->name, 0);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, here(s)->fd, e->name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* ---- which */

/* What a backing directory can hold, and what we make ourselves. */
static bool name_is_ours(const struct restore *s, const struct record_entry *e)
{
	if (s->ndirs == 1 && (strcmp(e->name, NAME_LOCK) == 0 || strncmp(e->name, RESTORE_MARKER, sizeof(RESTORE_MARKER) - 1) == 0))
		return false;
	return s->quarantine || !strchr(e->name, '.') || strncmp(e->name, "coffer.", 7) == 0;
}

static int put_path(struct restore *s, const char *name)
{
	size_t len = s->ndirs ? here(s)->path_len : 0, need = len + strlen(name) + 2;

	if (need > s->path_max) {
		char *more = realloc(s->path, need * 2);

		if (!more)
			return -ENOMEM;
		s->path = more;
		s->path_max = need * 2;
	}
	(void)snprintf(s->path + len, s->path_max - len, "%s%s", len ? "/" : "", name);
	return 0;
}

static int keep_volume(struct restore *s, const struct record_entry *e)
{
	if (e->type != RECORD_FILE || e->size > RESTORE_VOLUME_MAX || e->flags & RECORD_FLAG_LINKED || s->have_volume)
		return -EUCLEAN;
	s->volume = *e;
	s->volume.nxattrs = 0;
	s->volume.xattrs_len = 0;
	s->have_volume = s->in_volume = true;
	return 0;
}

static int make_entry(struct restore *s, uint64_t no, const struct record_entry *e)
{
	int r;

	switch (e->type) {
	case RECORD_FILE:
		return make_file(s, e);
	case RECORD_DIR:
		if (s->ndirs > 0)
			return make_dir(s, no, e);
		r = set_xattrs(s->p->root_fd, e);
		return r < 0 ? r : enter(s, no, e, fcntl(s->p->root_fd, F_DUPFD_CLOEXEC, 0));
	case RECORD_LINK:
		return make_link(s, e);
	case RECORD_CHAR:
	case RECORD_BLOCK:
		if (!s->p->dev) {
			s->counts.devices++;
			return 0;
		}
		return make_node(s, e);
	default:
		return make_node(s, e);
	}
}

int restore_make(struct restore *s, uint64_t no, const struct record_entry *e)
{
	int r;

	s->in_volume = false;
	if (s->ndirs > 0 && !name_is_ours(s, e))
		return -EUCLEAN;
	r = put_path(s, e->name);
	if (r == 0 && e->flags & RECORD_FLAG_LINKED)
		r = restore_link_remember(s, no, e->name, false);
	if (r < 0)
		return r;
	if (s->ndirs == 1)
		s->quarantine = e->type == RECORD_DIR && strcmp(e->name, NAME_QUARANTINE) == 0;
	if (s->ndirs == 1 && strcmp(e->name, NAME_VOLUME) == 0)
		return keep_volume(s, e);
	return make_entry(s, no, e);
}

/* The name of an entry whose content alone is wanted, until it has another one. */
static void content_name(uint64_t no, char ret_name[static RECORD_NAME_MAX + 1])
{
	(void)snprintf(ret_name, RECORD_NAME_MAX + 1, RESTORE_MARKER ".%llu", (unsigned long long)no);
}

int restore_make_content(struct restore *s, uint64_t no, const struct record_entry *e)
{
	AUTO_FREE struct record_entry *there = malloc(sizeof(*there));
	size_t ndirs = s->ndirs;
	int r;

	if (!there)
		return -ENOMEM;
	*there = *e;
	content_name(no, there->name);
	s->in_volume = false;
	r = e->flags & RECORD_FLAG_SPACE || ndirs == 0 ? -EUCLEAN : restore_link_remember(s, no, there->name, true);
	if (r < 0)
		return r;
	s->ndirs = 1; /* those around it may be open, for others, and stay so */
	r = make_entry(s, no, there);
	s->ndirs = ndirs;
	return r;
}

int restore_drop_contents(struct restore *s)
{
	char name[RECORD_NAME_MAX + 1];
	const uint64_t *nos;
	size_t n = pick_contents(s->p->pick, &nos);

	for (size_t i = 0; i < n; i++) {
		content_name(nos[i], name);
		if (unlinkat(s->p->root_fd, name, 0) < 0 && errno != ENOENT) /* a device that was left out */
			return -errno;
	}
	return 0;
}

int restore_make_volume(struct restore *s)
{
	struct restore_file *f;
	int r;

	if (!s->have_volume)
		return -EUCLEAN;
	r = make_file(s, &s->volume);
	if (r < 0)
		return r;
	f = take_ptr(s->file);
	for (size_t i = 0; i < s->nvolume_pieces && r == 0; i++)
		r = restore_fetch_add(s, f, &s->volume_pieces[i]);
	if (r == 0)
		r = restore_fetch_wait(s);
	if (r == 0 && fsync(f->fd) < 0)
		r = -errno;
	if (r < 0)
		(void)!restore_file_unref(s, f);
	else
		r = restore_file_unref(s, f);
	return r;
}
