/* restore.c: see restore.h. The order: marker; all entries but coffer.volume, with their content; everything durable; coffer.volume; the marker goes. */
#include "backup/restore_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/fileio.h"
#include "base/log.h"
#include "format/layout.h"

#define MARKER_MAX 256

static int marker_text(const struct repo *r, const char *snapshot, const struct pick *pick, char ret_text[static MARKER_MAX])
{
	char id[PICK_ID_MAX] = "";
	int e = pick ? pick_id(pick, id) : 0;

	(void)snprintf(ret_text, MARKER_MAX, "coffer-restore 1 %s %s%s%s\n", r->uuid_text, snapshot, pick ? " " : "", id);
	return e;
}

/* But for what a restore that was killed at its very beginning has left. */
static int is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, "lost+found") != 0 &&
		     strcmp(e->d_name, RESTORE_MARKER ".tmp") != 0;
	(void)closedir(d);
	return n == 0;
}

/* The marker that is there; NULL: the directory is empty. */
static int look(int root_fd, uint8_t **ret_have)
{
	size_t len;
	int e;

	e = fileio_read_at(root_fd, RESTORE_MARKER, MARKER_MAX, ret_have, &len);
	if (e != -ENOENT)
		return e == -EUCLEAN || e == -EFBIG ? -ENOTEMPTY : e;
	e = is_empty(root_fd);
	return e == 0 ? -ENOTEMPTY : e < 0 ? e : 0;
}

int restore_is_fit(int root_fd)
{
	AUTO_FREE uint8_t *have = NULL;

	return look(root_fd, &have);
}

int restore_prepare(int root_fd, const struct repo *r, const char *snapshot, const struct pick *pick, bool *ret_resume)
{
	AUTO_FREE uint8_t *have = NULL;
	char text[MARKER_MAX];
	int e;

	e = marker_text(r, snapshot, pick, text);
	if (e == 0)
		e = look(root_fd, &have);
	if (e < 0)
		return e;
	*ret_resume = have && strcmp((const char *)have, text) == 0;
	if (have)
		return *ret_resume ? 0 : -ENOTEMPTY;
	return fileio_replace_at(root_fd, RESTORE_MARKER, text, strlen(text), 0600);
}

/* ---- the walk */

static int end_file(struct restore *s)
{
	struct restore_file *f = take_ptr(s->file);

	return f ? restore_file_unref(s, f) : 0;
}

static int on_entry(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e)
{
	enum pick_what what;
	struct restore *s = ctx;
	int r;

	what = s->p->pick ? pick_what(s->p->pick, no) : PICK_ALL;
	r = end_file(s);
	s->skip = what == PICK_NOT;
	if (s->skip)
		return r;
	if (r == 0 && no > 0 && what == PICK_ALL)
		r = restore_leave(s, depth + 1);
	if (r == 0)
		r = what == PICK_ALL ? restore_make(s, no, e) : restore_make_content(s, no, e);
	if (r < 0 && r != -EUCLEAN && s->pool.error == 0)
		(void)log_ret(r, "%s", s->path ? s->path : "");
	s->counts.files++;
	return r;
}

static int on_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct restore *s = ctx;
	int r = 0;

	if (s->skip)
		return 0;
	if (s->in_volume) { /* coffer.volume is small: all its pieces are in one record */
		if (s->nvolume_pieces > 0)
			return -EUCLEAN;
		s->volume_pieces = calloc(n, sizeof(*pieces));
		if (!s->volume_pieces)
			return -ENOMEM;
		memcpy(s->volume_pieces, pieces, n * sizeof(*pieces));
		s->nvolume_pieces = n;
		return 0;
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = s->file ? restore_fetch_add(s, s->file, &pieces[i]) : -EUCLEAN;
	return r;
}

/* Whoever mounts needs it, also for reading alone; its owner is the directory's. */
static int make_lock(struct restore *s)
{
	AUTO_CLOSE int fd = openat(s->p->root_fd, NAME_LOCK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	return fchown(fd, s->dirs[0].uid, s->dirs[0].gid) < 0 && errno != EPERM ? -errno : 0;
}

static int room(const struct restore_params *p, struct store_error *err)
{
	uint64_t bytes = p->pick ? pick_bytes(p->pick) : p->m->bytes, entries = p->pick ? pick_entries(p->pick) : p->m->entries;
	struct statvfs st;

	if (fstatvfs(p->root_fd, &st) < 0)
		return -errno;
	if (p->resume || (bytes / (st.f_frsize ? st.f_frsize : st.f_bsize) <= st.f_bavail && (st.f_files == 0 || entries <= st.f_favail)))
		return 0;
	(void)snprintf(err->message, sizeof(err->message), "the snapshot has %llu entries and %llu MiB%s, and there is no room for them",
		       (unsigned long long)entries, (unsigned long long)(bytes >> 20), p->pick ? " of what is wanted" : "");
	return -ENOSPC;
}

static int finish(struct restore *s)
{
	int r;

	r = end_file(s);
	if (r == 0)
		r = restore_fetch_wait(s);
	if (r == 0)
		r = restore_leave(s, 1);
	if (r == 0 && s->p->pick)
		r = restore_drop_contents(s);
	if (r == 0 && s->p->pick)
		r = restore_make_partial(s);
	if (r == 0)
		r = make_lock(s);
	if (r == 0 && syncfs(s->p->root_fd) < 0)
		r = -errno;
	if (r == 0)
		r = restore_make_volume(s);
	if (r == 0 && unlinkat(s->p->root_fd, RESTORE_MARKER, 0) < 0)
		r = -errno;
	if (r == 0)
		r = restore_leave(s, 0);
	if (r == 0 && fsync(s->p->root_fd) < 0)
		r = -errno;
	return r;
}

static void done(struct restore *s)
{
	while (s->ndirs > 0)
		(void)close(s->dirs[--s->ndirs].fd);
	restore_link_done(s);
	free(s->path);
	free(s->dirs);
	free(s->volume_pieces);
}

int restore_run(const struct restore_params *p, struct restore_counts *ret_c, struct store_error *ret_err)
{
	AUTO_FREE struct restore *s = calloc(1, sizeof(*s));
	struct snapshot_walk w = { .ctx = s, .entry = on_entry, .pieces = on_pieces, .spool = p->spool };
	int r;

	*ret_err = (struct store_error){ 0 };
	r = s ? room(p, ret_err) : -ENOMEM;
	if (r < 0)
		return r;
	s->p = p;
	s->dirs = calloc(RECORD_DEPTH_MAX, sizeof(*s->dirs));
	r = restore_fetch_start(s);
	if (r == 0 && !s->dirs)
		r = -ENOMEM;
	if (r == 0)
		r = snapshot_walk(p->repo, p->m, &w, ret_err);
	if (r == 0)
		r = finish(s);
	if (s->file)
		(void)!end_file(s);
	if (r < 0)
		pool_fail(&s->pool, r, ret_err);
	pool_stop(&s->pool); /* what follows is theirs, too */
	if (s->pool.error < 0) {
		r = s->pool.error;
		*ret_err = s->pool.store_error;
	}
	if (r == -EUCLEAN && !ret_err->message[0])
		(void)snprintf(ret_err->message, sizeof(ret_err->message), "%.300s: no backing directory holds such an entry", s->path ? s->path : "");
	*ret_c = s->counts;
	restore_fetch_stop(s);
	done(s);
	return r;
}
