/* volume_hand.c: the table of inodes as records, and back (volume_hand.h). A record names its parent by number, so all are made first and linked then. Who refers to
 * whom afterwards: each child its parent, the volume its root, and nobody else.
 *
 * Between two calls of the same program on the same host nothing should be wrong with them. They are looked at all the same: a table with a loop in it would be a
 * mount that hangs, and a wrong descriptor would be another file's content. */
#include "fs/volume_hand.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "fs/backing.h"
#include "fs/volume_impl.h"

#define HAND_WHY_MAX 90 /* and what stands around it in a line of BACKING_VERDICT_MAX */

/* ---- giving */

static bool is_needed(const struct volume *v, const struct inode *i)
{
	return i->refs > 0 || i->nlookup > 0 || i == v->root;
}

static uint64_t count(const struct volume *v)
{
	uint64_t n = 0;

	for (size_t b = 0; b < v->table.buckets; b++)
		for (const struct inode *i = v->table.by_id[b]; i; i = i->next_id)
			n += is_needed(v, i);
	return n;
}

void volume_hand_head(struct volume *v, struct hand_head *h)
{
	h->read_only = v->info.read_only;
	memcpy(h->uuid, v->info.uuid, UUID_LEN);
	h->root_ino = v->root->ino;
	h->root_dev = v->dev;
	h->lock_fd = v->lock_fd;
	pthread_mutex_lock(&v->vio_m);
	h->told = v->told;
	pthread_mutex_unlock(&v->vio_m);
	lock_take(&v->lock);
	h->next_id = v->table.next_id;
	h->inodes = count(v);
	for (size_t k = 0; k < sizeof(h->due); k++)
		h->due[k] = (uint8_t)(v->due[k / 8] >> k % 8 * 8);
	lock_drop(&v->lock);
}

static uint32_t flags_of(const struct inode *i)
{
	uint32_t f = 0;

	f |= i->gone ? HAND_GONE : 0;
	f |= i->bad ? HAND_BAD : 0;
	f |= i->times_due ? HAND_TIMES_DUE : 0;
	f |= i->attr_due ? HAND_ATTR_DUE : 0;
	f |= i->created ? HAND_CREATED : 0;
	f |= i->told ? HAND_TOLD : 0;
	f |= S_ISDIR(i->type) && i->names_made > i->names_synced ? HAND_NAMES_DUE : 0;
	return f;
}

static void put_one(struct hand_out *o, const struct inode *i)
{
	struct hand_inode h = { .id = i->id, .nlookup = i->nlookup, .flags = flags_of(i), .pin_fd = i->pin_fd, .attr = i->attr };

	h.attr.ino = i->ino;
	h.attr.mode = (h.attr.mode & ~(uint32_t)S_IFMT) | i->type;
	if (i->parent) {
		h.parent = i->parent->id;
		(void)snprintf(h.name, sizeof(h.name), "%s", i->name);
	}
	if (i->handle)
		h.handle = *i->handle;
	hand_put_inode(o, &h);
}

void volume_hand_put(struct volume *v, struct hand_out *o)
{
	WITH_LOCK(&v->lock);

	for (size_t b = 0; b < v->table.buckets; b++)
		for (const struct inode *i = v->table.by_id[b]; i; i = i->next_id)
			if (is_needed(v, i))
				put_one(o, i);
}

static int inherit(int fd, bool on)
{
	return fd >= 0 && fcntl(fd, F_SETFD, on ? 0 : FD_CLOEXEC) < 0 ? -errno : 0;
}

int volume_hand_fds(struct volume *v, bool on)
{
	int r;
	WITH_LOCK(&v->lock);

	r = inherit(v->lock_fd, on);
	for (size_t b = 0; r == 0 && b < v->table.buckets; b++)
		for (const struct inode *i = v->table.by_id[b]; r == 0 && i; i = i->next_id)
			r = inherit(i->pin_fd, on);
	return r;
}

/* ---- taking */

/* Is that descriptor, if it is one, the inode? */
static int check_pin(struct volume *v, const struct hand_inode *h)
{
	struct stat st;
	int r;

	if (h->pin_fd < 0)
		return 0;
	r = v->lower->ops->fstat(v->lower, h->pin_fd, &st);
	if (r < 0)
		return r == -EBADF ? -EUCLEAN : r;
	return st.st_ino == h->attr.ino && st.st_dev == v->dev && (st.st_mode & S_IFMT) == (h->attr.mode & S_IFMT) ? 0 : -EUCLEAN;
}

static void set_flags(struct inode *i, uint32_t f)
{
	i->gone = f & HAND_GONE;
	i->bad = f & HAND_BAD;
	i->times_due = f & HAND_TIMES_DUE;
	i->attr_due = f & HAND_ATTR_DUE;
	i->created = f & HAND_CREATED;
	i->told = f & HAND_TOLD;
	if (S_ISDIR(i->type))
		i->names_made = i->names_synced + (f & HAND_NAMES_DUE ? 1 : 0);
	else if (S_ISREG(i->type))
		i->blocks_home = i->attr.blocks;
}

/* With the lock. */
static int make_one(struct volume *v, const struct hand_head *head, const struct hand_inode *h)
{
	bool root = h->id == INODE_ROOT;
	struct lower_handle *handle = NULL;
	struct inode *i;

	if (root ? h->parent != 0 || h->attr.ino != v->root->ino : h->id >= head->next_id || inode_of_id(v, h->id) != NULL)
		return -EUCLEAN;
	if (!root && !(h->flags & HAND_GONE) && inode_of_ino(v, h->attr.ino))
		return -EUCLEAN;
	if (h->handle.len > 0) {
		handle = malloc(sizeof(*handle));
		if (!handle)
			return -ENOMEM;
		*handle = h->handle;
	}
	i = root ? v->root : inode_add(v, h->id, &h->attr);
	if (!i) {
		free(handle);
		return -ENOMEM;
	}
	free(i->handle);
	i->handle = handle;
	i->pin_fd = h->pin_fd;
	i->nlookup = h->nlookup;
	set_flags(i, h->flags);
	return 0;
}

/* With the lock: all are there. */
static int link_one(struct volume *v, const struct hand_inode *h)
{
	struct inode *i = inode_of_id(v, h->id), *parent = h->parent ? inode_of_id(v, h->parent) : NULL;

	if (h->parent && (!parent || !S_ISDIR(parent->type) || i->parent))
		return -EUCLEAN;
	if (!parent)
		return 0;
	i->name = strdup(h->name);
	if (!i->name)
		return -ENOMEM;
	i->parent = parent;
	parent->refs++;
	return 0;
}

/* With the lock: every way up ends. Those that were walked are marked by `renames`, which is nobody's yet, so each is walked once. */
static int check_ways_up(struct volume *v)
{
	for (size_t b = 0; b < v->table.buckets; b++) {
		for (struct inode *i = v->table.by_id[b]; i; i = i->next_id) {
			size_t steps = 0;

			if (i->refs == 0 && i->nlookup == 0)
				return -EUCLEAN; /* nobody would ever end it */
			for (const struct inode *up = i; up && !up->renames; up = up->parent)
				if (++steps > v->table.count)
					return -EUCLEAN;
			for (struct inode *up = i; up && !up->renames; up = up->parent)
				up->renames = 1;
		}
	}
	return 0;
}

static int each(struct volume *v, const struct hand_head *head, struct hand_in *in, bool make)
{
	struct hand_inode h;
	int r = 0;

	for (uint64_t n = 0; r == 0 && n < head->inodes; n++) {
		r = hand_get_inode(in, &h);
		if (r == 0 && make)
			r = check_pin(v, &h);
		if (r < 0)
			return r;
		lock_take(&v->lock);
		r = make ? make_one(v, head, &h) : link_one(v, &h);
		lock_drop(&v->lock);
	}
	return r == 0 ? hand_get_end(in) : r;
}

static int take(struct volume *v, const struct hand_head *h, struct hand_in *in)
{
	struct hand_in again = *in;
	int r;

	r = each(v, h, in, true);
	if (r == 0)
		r = each(v, h, &again, false);
	if (r < 0)
		return r;
	lock_take(&v->lock);
	r = check_ways_up(v);
	v->table.next_id = h->next_id;
	for (size_t k = 0; k < sizeof(h->due); k++)
		v->due[k / 8] |= (uint64_t)h->due[k] << k % 8 * 8;
	lock_drop(&v->lock);
	return r;
}

int volume_hand_take(struct volume *v, const struct hand_head *h, struct hand_in *in)
{
	int r;

	if (memcmp(h->uuid, v->info.uuid, UUID_LEN) != 0 || h->root_ino != v->root->ino || h->root_dev != v->dev || h->read_only != v->info.read_only)
		return log_ret(-ESTALE, "what was handed over is of another volume");
	r = take(v, h, in);
	return r < 0 ? log_ret(r, "the inodes that were handed over") : 0;
}

int volume_hand_say(struct volume *v, uint32_t token, const char *why)
{
	char line[BACKING_VERDICT_MAX];

	if (why)
		(void)snprintf(line, sizeof(line), BACKING_RESTART "%08x refused: %.*s\n", token, HAND_WHY_MAX, why);
	else
		(void)snprintf(line, sizeof(line), BACKING_RESTART "%08x done\n", token);
	return v->info.read_only ? -EROFS : backing_say(v->lower, v->lock_fd, line);
}
