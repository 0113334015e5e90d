/* inode.c: the table of inodes (inode.h). Two chained hash tables, by node id and by lower inode number, under the volume's one lock, whose
 * critical sections are a few dozen instructions.
 *
 * Who holds a reference: each child its parent; each request what it works on; whoever opens or closes an iofile the inode. The
 * I/O floor has only the number (live.h). */
#include "fs/inode.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "fs/live.h"
#include "fs/volume_impl.h"

#define BUCKETS_MIN 1024u
#define TRIM_MIN 4096u /* fewer inodes are not worth a walk of the heap */

static_assert(offsetof(struct inode, file_lru) + sizeof(struct inode_link) <= offsetof(struct inode, dir_id),
	      "what files have lies in the part that they have");

void inode_link_init(struct inode_link *l)
{
	l->prev = l;
	l->next = l;
}

void inode_link_remove(struct inode_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	inode_link_init(l);
}

void inode_link_push(struct inode_link *head, struct inode_link *l)
{
	inode_link_remove(l);
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

void inode_now(struct timespec *ret_t)
{
	/* What the kernel stamps its own inodes with. */
	(void)clock_gettime(CLOCK_REALTIME_COARSE, ret_t);
}

/* ---- the table */

int inode_table_init(struct inode_table *t)
{
	memset(t, 0, sizeof(*t));
	t->by_id = calloc(BUCKETS_MIN, sizeof(struct inode *));
	t->by_ino = calloc(BUCKETS_MIN, sizeof(struct inode *));
	if (!t->by_id || !t->by_ino) {
		inode_table_done(t);
		return -ENOMEM;
	}
	t->buckets = BUCKETS_MIN;
	t->next_id = INODE_ROOT;
	return 0;
}

void inode_table_done(struct inode_table *t)
{
	free(t->by_id);
	free(t->by_ino);
	memset(t, 0, sizeof(*t));
}

static size_t bucket(uint64_t n, size_t buckets)
{
	return (size_t)(hash_u64x2(n, 0) & (buckets - 1));
}

static struct inode *find_id(const struct inode_table *t, uint64_t id)
{
	struct inode *i = t->by_id[bucket(id, t->buckets)];

	while (i && i->id != id)
		i = i->next_id;
	return i;
}

static struct inode *find_ino(const struct inode_table *t, uint64_t ino)
{
	struct inode *i = t->by_ino[bucket(ino, t->buckets)];

	while (i && (i->ino != ino || i->gone))
		i = i->next_ino;
	return i;
}

static void insert(struct inode_table *t, struct inode *i)
{
	struct inode **id = &t->by_id[bucket(i->id, t->buckets)];
	struct inode **ino = &t->by_ino[bucket(i->ino, t->buckets)];

	i->next_id = *id;
	*id = i;
	i->next_ino = *ino;
	*ino = i;
}

/* Twice the buckets; without memory the chains just grow. */
static void grow(struct inode_table *t)
{
	struct inode_table n = *t;
	size_t b;

	n.buckets = t->buckets * 2;
	n.by_id = calloc(n.buckets, sizeof(struct inode *));
	n.by_ino = calloc(n.buckets, sizeof(struct inode *));
	if (!n.by_id || !n.by_ino) {
		free(n.by_id);
		free(n.by_ino);
		return;
	}
	for (b = 0; b < t->buckets; b++) {
		struct inode *i = t->by_id[b];

		while (i) {
			struct inode *next = i->next_id;

			insert(&n, i);
			i = next;
		}
	}
	free(t->by_id);
	free(t->by_ino);
	*t = n;
}

static void unhash(struct inode_table *t, struct inode *i)
{
	struct inode **p = &t->by_id[bucket(i->id, t->buckets)];

	while (*p != i)
		p = &(*p)->next_id;
	*p = i->next_id;
	p = &t->by_ino[bucket(i->ino, t->buckets)];
	while (*p != i)
		p = &(*p)->next_ino;
	*p = i->next_ino;
	t->count--;
}

/* ---- what outlives an inode: that its name, attributes or links are not durable yet. The kernel may forget it before anybody asks for an fsync, and
 * look it up again for one. A set of lower inode numbers by hash, which only grows: taking one for another costs an fsync, never a name. Called with
 * the lock. */

static void keep_due(struct volume *v, const struct inode *i)
{
	uint64_t h = hash_u64x2(i->ino, 1) % INODE_DUE_BITS;

	if (i->created || i->attr_due || (S_ISDIR(i->type) && i->names_made > i->names_synced))
		v->due[h / 64] |= 1ull << h % 64;
}

static void recall_due(const struct volume *v, struct inode *i)
{
	uint64_t h = hash_u64x2(i->ino, 1) % INODE_DUE_BITS;

	if (!(v->due[h / 64] >> h % 64 & 1))
		return;
	i->created = i->attr_due = true;
	if (S_ISDIR(i->type))
		i->names_made = 1;
}

/* ---- life */

struct inode *inode_add(struct volume *v, uint64_t id, const struct inode_attr *attr)
{
	struct inode *i = calloc(1, S_ISDIR(attr->mode) ? sizeof(*i) : offsetof(struct inode, dir_id));

	if (!i)
		return NULL;
	i->id = id;
	i->ino = attr->ino;
	i->type = attr->mode & S_IFMT;
	i->attr = *attr;
	i->pin_fd = -1;
	recall_due(v, i);
	if (S_ISDIR(i->type)) {
		i->dirfd = -1;
		inode_link_init(&i->dirfd_lru);
	} else {
		inode_link_init(&i->file_lru);
	}
	if (v->table.count >= v->table.buckets)
		grow(&v->table);
	insert(&v->table, i);
	v->table.count++;
	if (v->table.count > v->table.peak)
		v->table.peak = v->table.count;
	return i;
}

/* ---- pins. Closing one of a removed file frees what it had, which may wait for a disk that is told to discard it. Who removes its directory meanwhile
 * waits for that in the kernel by looking again and again (shrink_dcache_parent), so he waits here. Called with the lock. */

static unsigned pin_closes(struct volume *v)
{
	v->pins_closing[v->pins_turn]++;
	return v->pins_turn;
}

static void pin_closed(struct volume *v, unsigned turn)
{
	if (--v->pins_closing[turn] == 0)
		pthread_cond_broadcast(&v->pins_closed);
}

void inode_await_pins(struct volume *v)
{
	unsigned turn;
	WITH_LOCK(&v->lock);

	/* Not for those that begin from now on: there may be no end of them. */
	while (v->pins_closing[!v->pins_turn] > 0)
		lock_wait(&v->lock, &v->pins_closed);
	turn = v->pins_turn;
	v->pins_turn = !turn;
	while (v->pins_closing[turn] > 0)
		lock_wait(&v->lock, &v->pins_closed);
}

/* Called with the lock; drops and takes it. i is gone from every list; returns the parent, whose reference the caller now holds. */
static struct inode *destroy(struct volume *v, struct inode *i)
{
	struct inode *parent = i->parent;
	int dirfd = S_ISDIR(i->type) ? i->dirfd : -1, pin_fd = i->pin_fd;

	unsigned turn = 0;

	keep_due(v, i);
	unhash(&v->table, i);
	if (pin_fd >= 0)
		turn = pin_closes(v);
	if (dirfd >= 0) {
		inode_link_remove(&i->dirfd_lru);
		v->dir_count--;
	}
	lock_drop(&v->lock);
	lower_close(v->lower, dirfd);
	lower_close(v->lower, pin_fd);
	free(i->name);
	free(i->handle);
	free(i);
	lock_take(&v->lock);
	if (pin_fd >= 0)
		pin_closed(v, turn);
	return parent;
}

/* One reference less; frees what nobody needs, up the chain of parents. Called with the lock; may drop and take it. */
static void put_locked(struct volume *v, struct inode *i)
{
	while (i) {
		assert(i->refs > 0);
		if (i->refs > 1 || i->nlookup > 0) {
			i->refs--;
			return;
		}
		/* The last user: bring its iofile to an end first, with our reference still held. */
		if (!live_retire(v, i))
			return;
		if (i->refs > 1 || i->nlookup > 0)
			continue;
		i = destroy(v, i);
	}
}

void inode_drop_all(struct volume *v)
{
	size_t b;

	lock_take(&v->lock);
	for (b = 0; b < v->table.buckets; b++) {
		while (v->table.by_id[b])
			(void)destroy(v, v->table.by_id[b]);
	}
	lock_drop(&v->lock);
}

struct inode *inode_of_id(struct volume *v, uint64_t id)
{
	return find_id(&v->table, id);
}

struct inode *inode_of_ino(struct volume *v, uint64_t ino)
{
	return find_ino(&v->table, ino);
}

struct inode *inode_get(struct volume *v, uint64_t id)
{
	struct inode *i;
	WITH_LOCK(&v->lock);

	i = find_id(&v->table, id);
	if (i)
		i->refs++;
	return i;
}

struct inode *inode_get_ino(struct volume *v, uint64_t ino)
{
	struct inode *i;
	WITH_LOCK(&v->lock);

	i = find_ino(&v->table, ino);
	if (i)
		i->refs++;
	return i;
}

struct inode *inode_ref(struct volume *v, struct inode *i)
{
	WITH_LOCK(&v->lock);

	i->refs++;
	return i;
}

void inode_put(struct volume *v, struct inode *i)
{
	if (!i)
		return;
	lock_take(&v->lock);
	put_locked(v, i);
	lock_drop(&v->lock);
}

/* Set the name; takes over name. Called with the lock. Returns the old parent, whose reference the caller now holds. */
static struct inode *set_name_locked(struct inode *i, struct inode *parent, char *name, char **ret_old)
{
	struct inode *old = i->parent;

	if (parent)
		parent->refs++;
	*ret_old = i->name;
	i->parent = parent;
	i->name = name;
	i->renames++;
	return old;
}

int inode_remember(struct volume *v, struct inode *parent, const char *name, const struct inode_attr *attr, bool bad,
		   uint64_t closes, struct inode **ret_i)
{
	AUTO_FREE char *copy = NULL;
	AUTO_FREE char *old_name = NULL;
	struct inode *i, *old = NULL;
	int r = 0;

	if (parent) {
		copy = strdup(name);
		if (!copy)
			return -ENOMEM;
	}
	lock_take(&v->lock);
	i = find_ino(&v->table, attr->ino);
	if (!i && S_ISREG(attr->mode) && v->file_closes != closes) {
		r = -EAGAIN;
	} else if (!i) {
		i = inode_add(v, v->table.next_id, attr);
		r = i ? 0 : -ENOMEM;
		v->table.next_id += r == 0;
	} else if (i->bad && !bad) {
		i->attr = *attr;
	}
	if (!i) {
		;
	} else if (i->type != (attr->mode & S_IFMT)) {
		r = -ESTALE;
	} else {
		i->bad = bad && S_ISREG(i->type) && i->file_state == INODE_FILE_NONE;
		i->refs++;
		i->nlookup++;
		if (parent && (i->parent != parent || !i->name || strcmp(i->name, copy) != 0))
			old = set_name_locked(i, parent, take_ptr(copy), &old_name);
		if (old)
			put_locked(v, old);
		*ret_i = i;
	}
	lock_drop(&v->lock);
	return r;
}

uint64_t inode_closes(struct volume *v)
{
	WITH_LOCK(&v->lock);

	return v->file_closes;
}

/* With the lock: most of what was held is gone. The kernel forgets when memory is short, which is when the host wants it back. */
static bool trim_due(struct inode_table *t)
{
	if (t->peak < TRIM_MIN || t->count > t->peak / 2)
		return false;
	t->peak = t->count;
	return true;
}

int inode_numbers(struct volume *v, uint64_t **ret_ids, size_t *ret_n)
{
	uint64_t *ids;
	size_t n = 0;
	WITH_LOCK(&v->lock);

	ids = malloc((v->table.count + 1) * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (size_t b = 0; b < v->table.buckets; b++)
		for (struct inode *i = v->table.by_id[b]; i; i = i->next_id)
			if (i->nlookup > 0 || i == v->root)
				ids[n++] = i->id;
	*ret_ids = ids;
	*ret_n = n;
	return 0;
}

void inode_forget(struct volume *v, uint64_t id, uint64_t n)
{
	struct inode *i;
	bool trim;

	lock_take(&v->lock);
	i = find_id(&v->table, id);
	if (i && i != v->root) {
		i->nlookup -= n < i->nlookup ? n : i->nlookup;
		i->refs++;
		put_locked(v, i);
	}
	trim = trim_due(&v->table);
	lock_drop(&v->lock);
	if (trim)
		mem_trim();
}

int inode_set_name(struct volume *v, struct inode *i, struct inode *parent, const char *name)
{
	AUTO_FREE char *copy = NULL;
	AUTO_FREE char *old_name = NULL;
	struct inode *old;

	if (parent) {
		copy = strdup(name);
		if (!copy)
			return -ENOMEM;
	}
	lock_take(&v->lock);
	old = set_name_locked(i, parent, take_ptr(copy), &old_name);
	if (old)
		put_locked(v, old);
	lock_drop(&v->lock);
	return 0;
}

void inode_drop_name(struct volume *v, struct inode *i, const struct inode *parent, const char *name)
{
	AUTO_FREE char *old_name = NULL;
	struct inode *old = NULL;

	lock_take(&v->lock);
	if (i->parent == parent && i->name && strcmp(i->name, name) == 0)
		old = set_name_locked(i, NULL, NULL, &old_name);
	if (old)
		put_locked(v, old);
	lock_drop(&v->lock);
}

/* ---- attributes */

void inode_attr_from(const struct stat *st, uint64_t size, struct inode_attr *ret_a)
{
	ret_a->ino = st->st_ino;
	ret_a->size = size;
	ret_a->blocks = (uint64_t)st->st_blocks;
	ret_a->rdev = st->st_rdev;
	ret_a->mode = st->st_mode;
	ret_a->nlink = (uint32_t)st->st_nlink;
	ret_a->uid = st->st_uid;
	ret_a->gid = st->st_gid;
	ret_a->atime = st->st_atim;
	ret_a->mtime = st->st_mtim;
	ret_a->ctime = st->st_ctim;
}

void inode_attr(struct volume *v, struct inode *i, struct inode_attr *ret_a)
{
	WITH_LOCK(&v->lock);

	*ret_a = i->attr;
}
