/* name.c: lower names of a directory (name.h).
 *
 * coffer.dir is made by one atomic symlink(2) when a directory gets its first entry, and never when there is any entry already: a lost link
 * must not become a new identity, under which the old names would not decrypt.
 * A long name's link is made before its entry and removed behind it: a link without an entry means nothing. */
#include "fs/name.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "fs/dirfd.h"
#include "fs/live.h"
#include "fs/volume_impl.h"

#define HIDDEN_PREFIX "coffer."

/* ---- directory ids */

static int any_entry(void *arg, const struct lower_dirent *e)
{
	(void)e;
	*(bool *)arg = true;
	return 1;
}

int name_read_id(struct volume *v, int dirfd, uint8_t ret_id[static DIR_ID_LEN])
{
	char target[DIR_LINK_TARGET_MAX];
	uint16_t epoch;
	ssize_t n;
	int r;

	n = v->lower->ops->readlinkat(v->lower, dirfd, DIR_LINK, target, sizeof(target));
	if (n == -EINVAL)
		return -EUCLEAN;
	if (n < 0)
		return (int)n;
	r = namecrypt_dir_link_parse(target, (size_t)n, ret_id, &epoch);
	if (r < 0)
		return r;
	return epoch == key_ring_names_epoch(v->ring) ? 0 : -EUCLEAN;
}

int name_dir_is_empty(struct volume *v, int dirfd)
{
	bool any = false;
	int fd = -1, r;

	fd = v->lower->ops->openat(v->lower, dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = v->lower->ops->readdir(v->lower, fd, 0, any_entry, &any);
	lower_close(v->lower, fd);
	if (r < 0)
		return r;
	return !any;
}

static enum inode_id_state known_id(struct volume *v, struct inode *dir, uint8_t *ret_id)
{
	WITH_LOCK(&v->lock);

	if (dir->id_state == INODE_ID_HAVE)
		memcpy(ret_id, dir->dir_id, DIR_ID_LEN);
	return dir->id_state;
}

static void set_id(struct volume *v, struct inode *dir, enum inode_id_state state, const uint8_t *id)
{
	WITH_LOCK(&v->lock);

	dir->id_state = state;
	if (id)
		memcpy(dir->dir_id, id, DIR_ID_LEN);
}

static int report_id(struct volume *v, struct inode *dir, int r)
{
	char text[80];
	bool told;

	if (r != -ENOMEM)
		volume_count(v, METER_DIRECTORY);
	lock_take(&v->lock);
	told = dir->told;
	dir->told = true;
	lock_drop(&v->lock);
	if (told)
		return r == -ENOMEM ? r : -EIO;

	(void)snprintf(text, sizeof(text), "directory inode %llu: coffer.dir is missing or malformed", (unsigned long long)dir->ino);
	log_err("%s", text);
	if (v->events.event)
		v->events.event(v->events.ctx, VIO_EVENT_INTEGRITY, text);
	return r == -ENOMEM ? r : -EIO;
}

int name_dir_id(struct volume *v, struct inode *dir, int dirfd, uint8_t ret_id[static DIR_ID_LEN])
{
	uint8_t id[DIR_ID_LEN];
	int r;

	if (dir == v->root) {
		memset(ret_id, 0, DIR_ID_LEN);
		return 0;
	}
	switch (known_id(v, dir, ret_id)) {
	case INODE_ID_HAVE:
		return 0;
	case INODE_ID_NONE:
		return -ENOENT;
	case INODE_ID_UNKNOWN:
		break;
	}
	r = name_read_id(v, dirfd, id);
	if (r == -ENOENT) {
		r = name_dir_is_empty(v, dirfd);
		if (r < 0)
			return r;
		if (r == 0)
			return report_id(v, dir, -EUCLEAN);
		set_id(v, dir, INODE_ID_NONE, NULL);
		return -ENOENT;
	}
	if (r == -EUCLEAN)
		return report_id(v, dir, r);
	if (r < 0)
		return r;
	set_id(v, dir, INODE_ID_HAVE, id);
	memcpy(ret_id, id, DIR_ID_LEN);
	return 0;
}

static void links_made(struct volume *v, struct inode *dir)
{
	WITH_LOCK(&v->lock);

	dir->names_made++;
}

int name_dir_id_make(struct volume *v, struct inode *dir, int dirfd, uint8_t ret_id[static DIR_ID_LEN])
{
	char target[DIR_LINK_TARGET_MAX];
	uint8_t id[DIR_ID_LEN];
	int r;

	r = name_dir_id(v, dir, dirfd, ret_id);
	if (r != -ENOENT)
		return r;
	r = secret_random(id, sizeof(id));
	if (r < 0)
		return r;
	r = namecrypt_dir_link_put(id, key_ring_names_epoch(v->ring), target);
	if (r < 0)
		return r;
	r = v->lower->ops->symlinkat(v->lower, target, dirfd, DIR_LINK);
	if (r == -EEXIST) {
		/* Another thread was faster. */
		r = name_read_id(v, dirfd, id);
		if (r < 0)
			return report_id(v, dir, r);
	}
	if (r < 0)
		return r;
	links_made(v, dir);
	set_id(v, dir, INODE_ID_HAVE, id);
	memcpy(ret_id, id, DIR_ID_LEN);
	return 0;
}

void name_dir_is_new(struct volume *v, struct inode *dir)
{
	set_id(v, dir, INODE_ID_NONE, NULL);
}

void name_dir_id_forget(struct volume *v, struct inode *dir)
{
	if (dir != v->root)
		set_id(v, dir, INODE_ID_UNKNOWN, NULL);
}

/* ---- names */

bool name_is_hidden(const char *entry)
{
	return strncmp(entry, HIDDEN_PREFIX, sizeof(HIDDEN_PREFIX) - 1) == 0 &&
	       strncmp(entry, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) != 0;
}

int name_encrypt(struct volume *v, const uint8_t id[static DIR_ID_LEN], const char *plain, struct name *ret_n)
{
	int r;

	r = namecrypt_encrypt(v->names, id, plain, strlen(plain), ret_n->full, &ret_n->full_len);
	if (r < 0)
		return r;
	ret_n->is_long = namecrypt_is_long(ret_n->full_len);
	return namecrypt_entry(ret_n->full, ret_n->full_len, ret_n->entry, ret_n->link);
}

/* The whole lower name of a long entry, its hash checked. */
static int read_link(struct volume *v, int dirfd, const char *hash, char *ret_full, size_t *ret_len)
{
	char link[LOWER_NAME_LEN_MAX + 1], seen[NAME_HASH_LEN + 1];
	ssize_t n;
	int r;

	if (strlen(hash) != NAME_HASH_LEN)
		return -EBADMSG;
	(void)snprintf(link, sizeof(link), LONG_NAME_PREFIX "%s", hash);
	n = v->lower->ops->readlinkat(v->lower, dirfd, link, ret_full, LOWER_NAME_FULL_MAX + 1);
	if (n == -ENOENT || n == -EINVAL || n > LOWER_NAME_FULL_MAX)
		return -EBADMSG;
	if (n < 0)
		return (int)n;
	ret_full[n] = '\0';
	r = namecrypt_hash(ret_full, (size_t)n, seen);
	if (r < 0)
		return r;
	if (strcmp(seen, hash) != 0)
		return -EBADMSG;
	*ret_len = (size_t)n;
	return 0;
}

int name_decrypt(struct volume *v, const uint8_t id[static DIR_ID_LEN], int dirfd, const char *entry, char *ret_plain,
		 size_t *ret_len)
{
	char full[LOWER_NAME_FULL_MAX + 1];
	size_t len = strlen(entry);
	int r;

	if (strncmp(entry, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) != 0) {
		if (namecrypt_is_long(len))
			return -EBADMSG;
		return namecrypt_decrypt(v->names, id, entry, len, ret_plain, ret_len);
	}
	r = read_link(v, dirfd, entry + sizeof(LONG_PREFIX) - 1, full, &len);
	if (r < 0)
		return r;
	if (!namecrypt_is_long(len))
		return -EBADMSG;
	return namecrypt_decrypt(v->names, id, full, len, ret_plain, ret_len);
}

int name_of_inode(struct volume *v, struct inode *i, uint64_t *ret_parent, char ret_plain[static PLAIN_NAME_MAX + 1], size_t *ret_len)
{
	char entry[LOWER_NAME_LEN_MAX + 1] = "";
	struct inode *parent = NULL;
	uint8_t id[DIR_ID_LEN];
	int fd, r;

	lock_take(&v->lock);
	if (i->parent) {
		memcpy(entry, i->name, strlen(i->name) + 1);
		parent = i->parent;
		parent->refs++;
	}
	lock_drop(&v->lock);
	if (!parent)
		return -ENOENT;
	*ret_parent = parent->id;
	r = dirfd_get(v, parent, &fd);
	if (r == 0) {
		r = name_dir_id(v, parent, fd, id);
		if (r == 0)
			r = name_decrypt(v, id, fd, entry, ret_plain, ret_len);
		dirfd_put(v, parent);
	}
	inode_put(v, parent);
	return r == -EBADMSG ? -ENOENT : r;
}

int name_link_make(struct volume *v, struct inode *dir, int dirfd, const struct name *n, bool *ret_made)
{
	char full[LOWER_NAME_FULL_MAX + 1];
	size_t len;
	int r;

	*ret_made = false;
	if (!n->is_long)
		return 0;
	r = v->lower->ops->symlinkat(v->lower, n->full, dirfd, n->link);
	if (r == -EEXIST) {
		/* Left from before, or that of an entry that exists; only a right one will do. */
		r = read_link(v, dirfd, n->entry + sizeof(LONG_PREFIX) - 1, full, &len);
		if (r != -EBADMSG)
			return r;
		r = v->lower->ops->unlinkat(v->lower, dirfd, n->link, 0);
		if (r < 0)
			return r;
		r = v->lower->ops->symlinkat(v->lower, n->full, dirfd, n->link);
	}
	if (r < 0)
		return r;
	links_made(v, dir);
	*ret_made = true;
	return 0;
}

void name_link_remove(struct volume *v, int dirfd, const struct name *n)
{
	int r;

	if (!n->is_long)
		return;
	r = v->lower->ops->unlinkat(v->lower, dirfd, n->link, 0);
	if (r < 0 && r != -ENOENT)
		log_debug("a long name's link stays behind: %s", err_text(r));
}

void name_undecryptable(struct volume *v, struct inode *dir)
{
	char text[80];
	bool told;

	volume_count(v, METER_NAME);
	lock_take(&v->lock);
	v->undecryptable++;
	told = dir->told;
	dir->told = true;
	lock_drop(&v->lock);
	if (told)
		return;
	(void)snprintf(text, sizeof(text), "directory inode %llu: an entry does not decrypt, skipped", (unsigned long long)dir->ino);
	log_warning("%s", text);
	if (v->events.event)
		v->events.event(v->events.ctx, VIO_EVENT_INTEGRITY, text);
}

/* ---- durability */

/* Flush one directory if links made in it, or always, and remember what is covered: only what was made before the flush began. */
static int sync_dir(struct volume *v, struct inode *dir, bool always)
{
	uint64_t made;
	int fd, r;

	lock_take(&v->lock);
	made = dir->names_made;
	if (!always && dir->names_synced >= made) {
		lock_drop(&v->lock);
		return 0;
	}
	lock_drop(&v->lock);
	r = dirfd_get(v, dir, &fd);
	if (r < 0)
		return r;
	r = v->lower->ops->fsync(v->lower, fd);
	dirfd_put(v, dir);
	if (r < 0)
		return r;
	lock_take(&v->lock);
	if (dir->names_synced < made)
		dir->names_synced = made;
	lock_drop(&v->lock);
	return 0;
}

/* The parent with a reference, NULL: none. */
static struct inode *parent_of(struct volume *v, const struct inode *i)
{
	WITH_LOCK(&v->lock);

	if (i->parent)
		i->parent->refs++;
	return i->parent;
}

int name_sync(struct volume *v, struct inode *i, bool parent)
{
	struct inode *dir;
	int r = 0;

	dir = S_ISDIR(i->type) ? inode_ref(v, i) : parent_of(v, i);
	while (dir && r == 0) {
		struct inode *up = parent_of(v, dir);

		r = sync_dir(v, dir, parent);
		parent = false;
		inode_put(v, dir);
		dir = up;
	}
	inode_put(v, dir);
	return r;
}

int name_sync_new(struct volume *v, struct inode *i)
{
	int r;

	r = name_sync(v, i, true);
	if (r < 0)
		return r;
	lock_take(&v->lock);
	i->created = false;
	lock_drop(&v->lock);
	return 0;
}

int name_sync_owner(void *ctx, void *owner)
{
	struct inode *i = live_inode(ctx, owner);
	int r;

	if (!i)
		return 0;
	r = name_sync_new(ctx, i);
	inode_put(ctx, i);
	return r;
}
