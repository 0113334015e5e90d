/* repair_move.c: names between the volume, /lost+found and coffer.quarantine (repair_impl.h).
 *
 * What is taken away changes places with a tombstone that lies ready and flushed in coffer.quarantine under the name "part": one step, so at no instant
 * is the name without a file. "part" is then what was taken, and gets its own name; so does whatever a cut repair left there.
 * Nothing in coffer.quarantine is ever written over. */
#include "fs/repair_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "fs/dirfd.h"
#include "fs/name.h"
#include "io/tombstone.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)
#endif

#define PART "part"
#define TRIES_MAX 1000000u

void repair_record_name(const uint8_t file_id[static FILE_ID_LEN], char ret_name[static REPAIR_NAME_MAX])
{
	text_hex(file_id, FILE_ID_LEN, ret_name);
	(void)snprintf(ret_name + 2 * FILE_ID_LEN, REPAIR_NAME_MAX - 2 * FILE_ID_LEN, ".tombstone");
}

int repair_settle(struct repair *rp)
{
	int r = vio_sync(rp->v->vio);

	return r < 0 ? r : vio_checkpoint(rp->v->vio);
}

/* ---- into quarantine */

static void entry_name(uint64_t ino, unsigned n, char ret_name[static REPAIR_NAME_MAX])
{
	if (n == 0)
		(void)snprintf(ret_name, REPAIR_NAME_MAX, "%llu.entry", (unsigned long long)ino);
	else
		(void)snprintf(ret_name, REPAIR_NAME_MAX, "%llu.%u.entry", (unsigned long long)ino, n);
}

static int move_in(struct repair *rp, int dirfd, const char *entry, uint64_t ino)
{
	struct lower *l = rp->v->lower;
	unsigned n = 0;
	int r;

	do {
		entry_name(ino, n, rp->to);
		r = l->ops->renameat2(l, dirfd, entry, rp->qfd, rp->to, RENAME_NOREPLACE);
		if (r == -EINVAL) { /* a backing without that flag: nobody else is here */
			struct stat st;

			r = l->ops->fstatat(l, rp->qfd, rp->to, &st) == -ENOENT ? l->ops->renameat2(l, dirfd, entry, rp->qfd, rp->to, 0) : -EEXIST;
		}
	} while (r == -EEXIST && ++n < TRIES_MAX);
	return r;
}

static int sync_both(struct repair *rp, int dirfd)
{
	struct lower *l = rp->v->lower;
	int r = l->ops->fsync(l, dirfd);

	return r < 0 ? r : l->ops->fsync(l, rp->qfd);
}

int repair_take_nameless(struct repair *rp, int dirfd, const char *entry, const struct stat *st)
{
	int r = move_in(rp, dirfd, entry, st->st_ino);

	return r < 0 ? r : sync_both(rp, dirfd);
}

bool repair_has_taken(struct repair *rp, const struct stat *st)
{
	char name[REPAIR_NAME_MAX];
	struct stat there;

	entry_name(st->st_ino, 0, name);
	return rp->v->lower->ops->fstatat(rp->v->lower, rp->qfd, name, &there) == 0 && there.st_ino == st->st_ino &&
	       there.st_dev == st->st_dev;
}

/* ---- tombstones */

/* "part" is a tombstone with the owner and mode of what st describes; it and its record are durable. */
static int make_part(struct repair *rp, const struct stat *st)
{
	struct lower *l = rp->v->lower;
	uint8_t id[FILE_ID_LEN];
	char record[REPAIR_NAME_MAX];
	int fd, rec, r;

	fd = l->ops->openat(l, rp->qfd, PART, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = l->ops->fchownat(l, rp->qfd, PART, st->st_uid, st->st_gid);
	if (r == 0 || r == -EPERM)
		r = l->ops->fchmod(l, fd, S_ISREG(st->st_mode) ? st->st_mode & 0777 : 0600);
	if (r == 0)
		r = tombstone_put(rp->v->vio, fd, id);
	lower_close(l, fd);
	if (r < 0)
		return r;
	repair_record_name(id, record);
	rec = l->ops->openat(l, rp->qfd, record, O_RDONLY | O_CREAT, 0600);
	if (rec < 0)
		return rec;
	lower_close(l, rec);
	return l->ops->fsync(l, rp->qfd);
}

/* What a repair that was cut left behind: it may be what was taken. */
static int tidy_part(struct repair *rp)
{
	struct lower *l = rp->v->lower;
	struct stat st;
	int r;

	r = l->ops->fstatat(l, rp->qfd, PART, &st);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = move_in(rp, rp->qfd, PART, st.st_ino);
	return r < 0 ? r : l->ops->fsync(l, rp->qfd);
}

int repair_take(struct repair *rp, int dirfd, const char *entry, const struct stat *st)
{
	struct lower *l = rp->v->lower;
	int r;

	r = tidy_part(rp);
	if (r == 0)
		r = make_part(rp, st);
	if (r < 0)
		return r;
	r = l->ops->renameat2(l, rp->qfd, PART, dirfd, entry, RENAME_EXCHANGE);
	if (r == -EINVAL || r == -EOPNOTSUPP) { /* in two steps, where the backing has none */
		r = move_in(rp, dirfd, entry, st->st_ino);
		if (r == 0)
			r = l->ops->renameat2(l, rp->qfd, PART, dirfd, entry, 0);
		return r < 0 ? r : sync_both(rp, dirfd);
	}
	if (r == 0)
		r = sync_both(rp, dirfd);
	if (r == 0)
		r = move_in(rp, rp->qfd, PART, st->st_ino);
	return r < 0 ? r : l->ops->fsync(l, rp->qfd);
}

int repair_quarantine_open(struct repair *rp)
{
	struct lower *l = rp->v->lower;
	int r;

	r = l->ops->mkdirat(l, rp->v->root_fd, NAME_QUARANTINE, 0700);
	if (r < 0 && r != -EEXIST)
		return r;
	if (r == 0) {
		r = l->ops->fsync(l, rp->v->root_fd);
		if (r < 0)
			return r;
	}
	rp->qfd = l->ops->openat(l, rp->v->root_fd, NAME_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
	return rp->qfd < 0 ? rp->qfd : tidy_part(rp);
}

/* ---- into /lost+found */

static int rename_found(struct repair *rp, int dirfd, const char *entry, const char *base, int founddir, const uint8_t *id)
{
	struct lower *l = rp->v->lower;
	char plain[PLAIN_NAME_MAX + 1];
	struct name name;
	struct stat st;
	unsigned n = 0;
	int r;

	do {
		if (n == 0)
			(void)snprintf(plain, sizeof(plain), "%s", base);
		else
			(void)snprintf(plain, sizeof(plain), "%.200s.%u", base, n);
		r = name_encrypt(rp->v, id, plain, &name);
		if (r < 0)
			return r;
		r = l->ops->fstatat(l, founddir, name.entry, &st); /* nobody else is here */
		if (r == -ENOENT)
			r = l->ops->renameat2(l, dirfd, entry, founddir, name.entry, 0);
		else if (r == 0)
			r = -EEXIST;
	} while (r == -EEXIST && ++n < TRIES_MAX);
	if (r == 0)
		(void)snprintf(rp->to, sizeof(rp->to), "/" REPAIR_FOUND_DIR "/%s", plain);
	return r;
}

int repair_find_place(struct repair *rp, int dirfd, const char *entry, const struct stat *st, uint64_t parent_ino)
{
	struct lower *l = rp->v->lower;
	uint8_t id[DIR_ID_LEN];
	struct inode *dir;
	char base[64];
	int fd, r;

	if (parent_ino)
		(void)snprintf(base, sizeof(base), "#%llu-%llu", (unsigned long long)parent_ino, (unsigned long long)st->st_ino);
	else
		(void)snprintf(base, sizeof(base), "#%llu", (unsigned long long)st->st_ino);
	r = repair_found_dir(rp, &dir);
	if (r < 0)
		return r;
	r = dirfd_get(rp->v, dir, &fd);
	if (r == 0) {
		r = name_dir_id_make(rp->v, dir, fd, id);
		if (r == 0)
			r = l->ops->fsync(l, fd);
		if (r == 0)
			r = rename_found(rp, dirfd, entry, base, fd, id);
		if (r == 0)
			r = l->ops->fsync(l, fd);
		if (r == 0)
			r = l->ops->fsync(l, dirfd);
		dirfd_put(rp->v, dir);
	}
	repair_drop(rp, dir);
	return r;
}
