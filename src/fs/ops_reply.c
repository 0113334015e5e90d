/* ops_reply.c: how results become replies: the one place where errors are translated and entries handed to the kernel (ops_impl.h). */
#include "fs/ops_impl.h"

#include <string.h>

#include "fs/dir.h"

/* err.h's meanings as a mount says them. */
static int errno_of(int r)
{
	switch (-r) {
	case EBADMSG:
	case EUCLEAN:
	case ESTALE:
	case EKEYREJECTED:
	case ENODATA:
	case EPROTO:
		return EIO;
	default:
		return -r;
	}
}

void ops_reply_err(fuse_req_t req, int r)
{
	struct ops *ops = fuse_req_userdata(req);

	if (r < 0 && r != -ENOENT)
		atomic_fetch_add_explicit(&ops->errors, 1, memory_order_relaxed);
	(void)fuse_reply_err(req, errno_of(r));
}

/* GNU tar -S takes a file without blocks for one hole, whatever its size. The kernel may hold pages that have not been handed over yet, so
 * no regular file is said to have none. */
static blkcnt_t blocks_of(const struct inode_attr *a)
{
	return a->blocks == 0 && S_ISREG(a->mode) ? 1 : (blkcnt_t)a->blocks;
}

static void stat_from(const struct inode_attr *a, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = a->ino;
	st->st_mode = a->mode;
	st->st_nlink = a->nlink;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_rdev = a->rdev;
	st->st_size = (off_t)a->size;
	st->st_blksize = BLOCK_SIZE;
	st->st_blocks = blocks_of(a);
	st->st_atim = a->atime;
	st->st_mtim = a->mtime;
	st->st_ctim = a->ctime;
}

void ops_reply_fill(const struct dir_result *d, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	e->ino = d->inode->id;
	e->generation = INODE_GENERATION;
	stat_from(&d->attr, &e->attr);
	e->attr_timeout = d->bad ? 0 : OPS_TIMEOUT_S;
	e->entry_timeout = d->bad ? 0 : OPS_TIMEOUT_S;
}

/* Ends the result: the kernel has the lookup, or nobody. */
void ops_reply_entry(fuse_req_t req, int r, struct dir_result *d)
{
	struct ops *ops = fuse_req_userdata(req);
	struct volume *v = ops->volume;
	struct fuse_entry_param e;

	if (r < 0) {
		ops_reply_err(req, r);
		return;
	}
	ops_reply_fill(d, &e);
	if (fuse_reply_entry(req, &e) != 0)
		inode_forget(v, d->inode->id, 1);
	inode_put(v, d->inode);
}

void ops_reply_attr(fuse_req_t req, int r, const struct inode_attr *a)
{
	struct stat st;

	if (r < 0) {
		ops_reply_err(req, r);
		return;
	}
	stat_from(a, &st);
	/* What is answered while the mount is being locked must not be believed afterwards. */
	(void)fuse_reply_attr(req, &st, ops_gate_is_open(fuse_req_userdata(req)) ? OPS_TIMEOUT_S : 0);
}
