/* simfs.c: a simfs as a whole: inodes, making, copying and freeing it, planned faults, the hook. */
#include "simfs.h"

#include <fcntl.h>
#include <string.h>

#include "simfs_impl.h"

uint64_t simfs_rng_next(struct simfs_rng *rng)
{
	uint64_t z = rng->s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t simfs_rng_below(struct simfs_rng *rng, uint64_t n)
{
	return simfs_rng_next(rng) % n;
}

/* ---- inodes */

static size_t inode_place(const struct simfs *fs, uint64_t ino)
{
	size_t lo = 0, hi = fs->ninodes, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (fs->inode[mid]->ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct sim_inode *sim_inode_find(const struct simfs *fs, uint64_t ino)
{
	size_t k = inode_place(fs, ino);

	return k < fs->ninodes && fs->inode[k]->ino == ino ? fs->inode[k] : NULL;
}

struct sim_inode *sim_inode_get(const struct simfs *fs, uint64_t ino)
{
	struct sim_inode *i = sim_inode_find(fs, ino);

	if (!i)
		abort();
	return i;
}

static struct sim_inode *inode_push(struct simfs *fs, struct sim_inode *i)
{
	fs->inode = sim_grow(fs->inode, &fs->inodes_cap, fs->ninodes + 1, sizeof(struct sim_inode *));
	fs->inode[fs->ninodes++] = i;
	return i;
}

struct sim_inode *sim_inode_add(struct simfs *fs, uint64_t ino, mode_t mode)
{
	struct sim_inode *i = sim_alloc(sizeof(*i));

	i->ino = ino;
	i->mode = mode;
	i->ctime = i->mtime = i->atime = (struct timespec){ .tv_sec = (time_t)++fs->tick };
	if (S_ISREG(mode)) {
		i->cur = sim_map_new();
		i->dur = sim_map_ref(i->cur);
	} else if (S_ISDIR(mode)) {
		i->dcur = sim_dents_new();
		i->ddur = sim_dents_ref(i->dcur);
	}
	return inode_push(fs, i);
}

void sim_inode_free(struct sim_inode *i)
{
	sim_ops_clear(i);
	free(i->op);
	sim_map_unref(i->cur);
	sim_map_unref(i->dur);
	sim_map_unref(i->dev);
	sim_dents_unref(i->dcur);
	sim_dents_unref(i->ddur);
	sim_str_unref(i->target);
	free(i);
}

void sim_collect(struct simfs *fs)
{
	size_t left = 0;

	if (fs->nnops > 0)
		return;
	for (size_t k = 0; k < fs->ninodes; k++)
		if (fs->inode[k]->nlink == 0 && fs->inode[k]->nopen == 0)
			sim_inode_free(fs->inode[k]);
		else
			fs->inode[left++] = fs->inode[k];
	fs->ninodes = left;
}

void sim_inode_drop(struct simfs *fs, struct sim_inode *i)
{
	size_t k;

	if (i->nlink > 0 || i->nopen > 0)
		return;
	if (i->cur)
		fs->used -= i->cur->npages;
	if (fs->nnops > 0)
		return; /* a cut may bring it back */
	k = inode_place(fs, i->ino);
	memmove(fs->inode + k, fs->inode + k + 1, (fs->ninodes - k - 1) * sizeof(struct sim_inode *));
	fs->ninodes--;
	sim_inode_free(i);
}

void sim_touch(struct simfs *fs, struct sim_inode *i)
{
	i->mtime = i->ctime = (struct timespec){ .tv_sec = (time_t)++fs->tick };
}

/* ---- the whole */

static struct lower_ops sim_ops;
static pthread_once_t sim_once = PTHREAD_ONCE_INIT;

static void fill_ops(void)
{
	sim_names_fill(&sim_ops);
	sim_fd_fill(&sim_ops);
	sim_attr_fill(&sim_ops);
}

struct simfs *sim_new_empty(const struct simfs_params *p)
{
	struct simfs *fs = sim_alloc(sizeof(*fs));
	pthread_mutexattr_t attr;

	pthread_once(&sim_once, fill_ops);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&fs->m, &attr);
	pthread_mutexattr_destroy(&attr);
	fs->l = (struct lower){ .ops = &sim_ops, .real = false };
	fs->p = *p;
	fs->rng.s = p->seed;
	return fs;
}

struct simfs *simfs_new(const struct simfs_params *p)
{
	struct simfs *fs = sim_new_empty(p);
	struct sim_inode *root = sim_inode_add(fs, ROOT_INO, S_IFDIR | 0755);

	root->nlink = 2;
	root->parent = ROOT_INO;
	fs->next_ino = ROOT_INO + 10;
	fs->next_cookie = 3;
	return fs;
}

void simfs_free(struct simfs *fs)
{
	if (!fs)
		return;
	for (size_t k = 0; k < fs->ninodes; k++)
		sim_inode_free(fs->inode[k]);
	for (size_t k = 0; k < fs->nnops; k++)
		sim_nop_done(&fs->nop[k]);
	free(fs->inode);
	free(fs->nop);
	free(fs->fd);
	free(fs->fault.pattern);
	pthread_mutex_destroy(&fs->m);
	free(fs);
}

struct lower *simfs_lower(struct simfs *fs)
{
	return &fs->l;
}

int simfs_open_root(struct simfs *fs)
{
	SIM_LOCK(fs);
	return sim_fd_open(fs, sim_inode_get(fs, ROOT_INO), O_RDONLY | O_DIRECTORY);
}

static struct sim_inode *inode_copy(const struct sim_inode *from)
{
	struct sim_inode *i = sim_alloc(sizeof(*i));

	*i = *from;
	if (i->cur) {
		(void)sim_map_ref(i->cur);
		(void)sim_map_ref(i->dur);
	}
	if (i->dev)
		(void)sim_map_ref(i->dev);
	if (i->dcur) {
		(void)sim_dents_ref(i->dcur);
		(void)sim_dents_ref(i->ddur);
	}
	if (i->target)
		(void)sim_str_ref(i->target);
	i->op = NULL;
	i->nops = i->ops_cap = 0;
	i->nfree = 0;
	for (size_t k = 0; k < from->nops; k++) {
		(void)sim_blob_ref(from->op[k].blob);
		sim_op_push(i, from->op[k]);
	}
	return i;
}

struct simfs *simfs_clone(struct simfs *from)
{
	struct simfs *fs = sim_new_empty(&from->p);

	SIM_LOCK(from);
	fs->rng = from->rng;
	fs->next_ino = from->next_ino;
	fs->next_cookie = from->next_cookie;
	fs->tick = from->tick;
	fs->used = from->used;
	fs->sb_err = from->sb_err;
	for (size_t k = 0; k < from->ninodes; k++)
		(void)inode_push(fs, inode_copy(from->inode[k]));
	fs->nop = sim_grow(NULL, &fs->nops_cap, from->nnops + 1, sizeof(*fs->nop));
	for (; fs->nnops < from->nnops; fs->nnops++) {
		fs->nop[fs->nnops] = from->nop[fs->nnops];
		for (unsigned k = 0; k < fs->nop[fs->nnops].n; k++)
			(void)sim_str_ref(fs->nop[fs->nnops].slot[k].name);
	}
	fs->fd = sim_grow(NULL, &fs->fds_cap, from->nfds + 1, sizeof(*fs->fd));
	for (; fs->nfds < from->nfds; fs->nfds++)
		fs->fd[fs->nfds] = from->fd[fs->nfds];
	return fs;
}

void simfs_close_all(struct simfs *fs)
{
	SIM_LOCK(fs);
	for (size_t k = 0; k < fs->nfds; k++)
		if (fs->fd[k].ino)
			sim_fd_close(fs, &fs->fd[k]);
}

void simfs_sync(struct simfs *fs)
{
	SIM_LOCK(fs);
	for (size_t k = 0; k < fs->ninodes; k++)
		sim_file_flush(fs, fs->inode[k]);
	sim_names_flush(fs, NULL);
}

void simfs_drop_caches(struct simfs *fs)
{
	SIM_LOCK(fs);
	for (size_t k = 0; k < fs->ninodes; k++)
		sim_file_drop_cache(fs, fs->inode[k]);
}

bool simfs_is_pending(struct simfs *fs)
{
	SIM_LOCK(fs);
	for (size_t k = 0; k < fs->ninodes; k++)
		if (fs->inode[k]->nops > 0)
			return true;
	return fs->nnops > 0;
}

unsigned simfs_open_count(struct simfs *fs)
{
	unsigned n = 0;

	SIM_LOCK(fs);
	for (size_t k = 0; k < fs->nfds; k++)
		n += fs->fd[k].ino != 0;
	return n;
}

void simfs_set_capacity(struct simfs *fs, uint64_t blocks)
{
	SIM_LOCK(fs);
	fs->p.capacity = blocks;
}

void simfs_set_lacks(struct simfs *fs, unsigned lacks)
{
	SIM_LOCK(fs);
	fs->p.lacks = lacks;
}

uint64_t simfs_used(struct simfs *fs)
{
	SIM_LOCK(fs);
	return fs->used;
}

void simfs_set_hook(struct simfs *fs, simfs_hook_fn *fn, void *arg)
{
	SIM_LOCK(fs);
	fs->hook = fn;
	fs->hook_arg = arg;
}

void simfs_fail_flush(struct simfs *fs, const char *pattern, int err, unsigned after)
{
	SIM_LOCK(fs);
	free(fs->fault.pattern);
	fs->fault = (struct sim_fault){ .armed = true, .pattern = pattern ? strdup(pattern) : NULL, .err = err, .after = after };
}

bool simfs_flush_failed(struct simfs *fs)
{
	SIM_LOCK(fs);
	return fs->fault.happened;
}

unsigned simfs_fail_writeback(struct simfs *fs, const char *pattern, int err)
{
	unsigned n = 0;

	SIM_LOCK(fs);
	for (size_t k = 0; k < fs->ninodes; k++)
		if (fs->inode[k]->nops > 0 && sim_name_matches(fs, fs->inode[k], pattern)) {
			sim_file_lose(fs, fs->inode[k], 0, err);
			n++;
		}
	return n;
}
