/* ops_req.c: requests: decode, call a plain function, reply exactly once. No lock is held across a reply, and nothing here decides anything.
 *
 * Not answered (libfuse says ENOSYS, and the kernel does not ask again): open and opendir (kept caches, no round trip), flush, access
 * (default_permissions), locks (the kernel's own). */
#include "fs/ops_impl.h"

#include <string.h>

#include "fs/dir.h"
#include "fs/file.h"
#include "fs/readdir.h"
#include "fs/remove.h"
#include "fs/rename.h"

#define MAX_BACKGROUND 24

/* ---- names */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent);
	struct fuse_entry_param none = { .entry_timeout = OPS_TIMEOUT_S };
	struct dir_result d;
	int r;

	r = dir ? dir_lookup(v, dir, name, &d) : -ESTALE;
	if (r == 0 && d.ahead)
		ops_ahead_later(req, dir);
	inode_put(v, dir);
	if (r == -ENOENT)
		(void)fuse_reply_entry(req, &none);
	else
		ops_reply_entry(req, r, &d);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	inode_forget(ops_of(req)->volume, ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	size_t k;

	for (k = 0; k < count; k++)
		inode_forget(ops_of(req)->volume, forgets[k].ino, forgets[k].nlookup);
	fuse_reply_none(req);
}

static struct dir_caller caller_of(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct dir_caller){ .uid = ctx->uid, .gid = ctx->gid };
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent);
	struct fuse_entry_param e;
	struct dir_result d;
	int r;

	r = dir ? dir_create(v, dir, name, mode, caller_of(req), &d) : -ESTALE;
	inode_put(v, dir);
	if (r < 0) {
		ops_reply_err(req, r);
		return;
	}
	ops_reply_fill(&d, &e);
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &e, fi) != 0)
		inode_forget(v, d.inode->id, 1);
	inode_put(v, d.inode);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent);
	struct dir_result d;
	int r;

	r = dir ? dir_mknod(v, dir, name, mode, rdev, caller_of(req), &d) : -ESTALE;
	inode_put(v, dir);
	ops_reply_entry(req, r, &d);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent);
	struct dir_result d;
	int r;

	r = dir ? dir_mkdir(v, dir, name, mode, caller_of(req), &d) : -ESTALE;
	inode_put(v, dir);
	ops_reply_entry(req, r, &d);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent);
	struct dir_result d;
	int r;

	r = dir ? dir_symlink(v, dir, name, target, caller_of(req), &d) : -ESTALE;
	inode_put(v, dir);
	ops_reply_entry(req, r, &d);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino), *dir = inode_get(v, newparent);
	struct dir_result d;
	int r;

	r = i && dir ? dir_link(v, i, dir, newname, &d) : -ESTALE;
	inode_put(v, dir);
	inode_put(v, i);
	ops_reply_entry(req, r, &d);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino);
	char target[SYMLINK_PLAIN_MAX + 1];
	int r;

	r = i ? dir_readlink(v, i, target) : -ESTALE;
	inode_put(v, i);
	if (r < 0)
		ops_reply_err(req, r);
	else
		(void)fuse_reply_readlink(req, target);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent);
	int r;

	r = dir ? remove_file(v, dir, name) : -ESTALE;
	inode_put(v, dir);
	ops_reply_err(req, r);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent);
	int r;

	r = dir ? remove_dir(v, dir, name) : -ESTALE;
	inode_put(v, dir);
	ops_reply_err(req, r);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
		      unsigned flags)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, parent), *newdir = inode_get(v, newparent);
	int r;

	r = dir && newdir ? rename_entry(v, dir, name, newdir, newname, flags) : -ESTALE;
	inode_put(v, newdir);
	inode_put(v, dir);
	ops_reply_err(req, r);
}

/* ---- listing */

#define DIRENT_HEAD 24u
#define DIRENTPLUS_HEAD 152u

static size_t entry_room(size_t name_len, bool plus)
{
	size_t n = (plus ? DIRENTPLUS_HEAD : DIRENT_HEAD) + name_len;

	return (n + 7) / 8 * 8;
}

static size_t put_entry(fuse_req_t req, char *out, size_t room, const struct readdir_entry *l, bool plus)
{
	struct fuse_entry_param e;

	if (plus && l->got.inode) {
		ops_reply_fill(&l->got, &e);
	} else {
		memset(&e, 0, sizeof(e));
		e.attr.st_ino = l->ino;
		e.attr.st_mode = l->type;
	}
	if (plus)
		return fuse_add_direntry_plus(req, out, room, l->name, &e, (off_t)l->off);
	return fuse_add_direntry(req, out, room, l->name, &e.attr, (off_t)l->off);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *dir = inode_get(v, ino);
	char *out = (char *)ops_worker_of(req)->out;
	struct readdir_list l = { 0 };
	size_t used = 0, k;
	int r;

	if (size > OPS_IO_MAX)
		size = OPS_IO_MAX;
	r = dir ? readdir_list(v, dir, (uint64_t)off, size, entry_room, plus, &l) : -ESTALE;
	inode_put(v, dir);
	if (r < 0) {
		ops_reply_err(req, r);
		return;
	}
	for (k = 0; k < l.n; k++) {
		size_t n = put_entry(req, out + used, size - used, &l.e[k], plus);

		if (n > size - used)
			break;
		used += n;
	}
	if (fuse_reply_buf(req, out, used) != 0)
		k = 0;
	readdir_done(v, &l, k);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

/* ---- contents and attributes */

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino);
	void *out = ops_worker_of(req)->out;
	ssize_t n;

	if (i && ops_deep_read(req, i, size, off, fi))
		return;
	if (size > OPS_IO_MAX)
		size = OPS_IO_MAX;
	n = i ? file_read(v, i, out, size, (uint64_t)off) : -ESTALE;
	inode_put(v, i);
	if (n < 0)
		ops_reply_err(req, (int)n);
	else
		(void)fuse_reply_buf(req, out, (size_t)n);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino);
	ssize_t n;

	n = i ? file_kill_priv(v, i, ops_raw_write_kill(req, i)) : -ESTALE;
	if (n == 0)
		n = file_write(v, i, buf, size, (uint64_t)off, fi->writepage);
	inode_put(v, i);
	if (n < 0)
		ops_reply_err(req, (int)n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino);
	int r;

	(void)fi;
	r = i ? file_fsync(v, i, datasync) : -ESTALE;
	inode_put(v, i);
	ops_reply_err(req, r);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	ops_reply_err(req, 0); /* of files that were opened by CREATE; there is nothing to close */
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino);
	struct inode_attr a;
	int r;

	(void)fi;
	r = i ? file_getattr(v, i, &a) : -ESTALE;
	inode_put(v, i);
	ops_reply_attr(req, r, &a);
}

static unsigned set_from(const struct stat *st, int to_set, struct inode_attr *a)
{
	static const struct {
		int fuse;
		unsigned file;
	} map[] = {
		{ FUSE_SET_ATTR_MODE, FILE_SET_MODE },   { FUSE_SET_ATTR_UID, FILE_SET_UID },
		{ FUSE_SET_ATTR_GID, FILE_SET_GID },     { FUSE_SET_ATTR_SIZE, FILE_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, FILE_SET_ATIME }, { FUSE_SET_ATTR_MTIME, FILE_SET_MTIME },
		{ FUSE_SET_ATTR_CTIME, FILE_SET_CTIME },
	};
	unsigned set = 0;
	size_t k;

	for (k = 0; k < sizeof(map) / sizeof(map[0]); k++) {
		if (to_set & map[k].fuse)
			set |= map[k].file;
	}
	memset(a, 0, sizeof(*a));
	a->mode = st->st_mode;
	a->uid = st->st_uid;
	a->gid = st->st_gid;
	a->size = (uint64_t)st->st_size;
	a->atime = st->st_atim;
	a->mtime = st->st_mtim;
	a->ctime = st->st_ctim;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW) {
		set |= FILE_SET_ATIME;
		inode_now(&a->atime);
	}
	if (to_set & FUSE_SET_ATTR_MTIME_NOW) {
		set |= FILE_SET_MTIME;
		inode_now(&a->mtime);
	}
	return set;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino);
	struct inode_attr a, now;
	unsigned set;
	int r;

	(void)fi;
	set = set_from(st, to_set, &a);
	if (i)
		set |= ops_raw_setattr_kill(req, i);
	r = i ? file_setattr(v, i, &a, set, &now) : -ESTALE;
	inode_put(v, i);
	ops_reply_attr(req, r, &now);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r;

	(void)ino;
	r = file_statfs(ops_of(req)->volume, &st);
	if (r < 0)
		ops_reply_err(req, r);
	else
		(void)fuse_reply_statfs(req, &st);
}

/* ---- what is not there: ENOSYS tells the kernel so for good */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	(void)fuse_reply_err(req, ENOSYS);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want = conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ASYNC_DIO |
				      FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
				      FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_CACHE_SYMLINKS);
	conn->max_write = OPS_IO_MAX;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	conn->time_gran = 1;
}

const struct fuse_lowlevel_ops ops_req_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_open,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_open,
	.readdir = op_readdir,
	.fsyncdir = op_fsync,
	.statfs = op_statfs,
	.setxattr = ops_xattr_set,
	.getxattr = ops_xattr_get,
	.listxattr = ops_xattr_list,
	.removexattr = ops_xattr_remove,
	.create = op_create,
	.readdirplus = op_readdirplus,
	.fallocate = ops_fallocate,
	.lseek = ops_seek,
	.copy_file_range = ops_copy_file_range,
};
