/* ops_range.c: requests about ranges of a file (fs/extent.h). The kernel has written its dirty pages of the range back before it asks to change or copy it, and
 * drops them behind that. */
#include "fs/ops_impl.h"

#include "fs/extent.h"
#include "fs/file.h"

void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *i = inode_get(v, ino);
	int r;

	(void)fi;
	r = i ? file_kill_priv(v, i, ops_raw_caller_kill(req, i)) : -ESTALE;
	if (r == 0)
		r = extent_allocate(v, i, mode, (uint64_t)off, (uint64_t)len);
	inode_put(v, i);
	ops_reply_err(req, r);
}

void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			 struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct volume *v = ops_of(req)->volume;
	struct inode *from = inode_get(v, ino_in), *to = inode_get(v, ino_out);
	ssize_t n = -EINVAL;

	(void)fi_in;
	(void)fi_out;
	if (!from || !to)
		n = -ESTALE;
	else if (flags == 0)
		n = file_kill_priv(v, to, ops_raw_caller_kill(req, to));
	if (n == 0)
		n = extent_copy(v, from, (uint64_t)off_in, to, (uint64_t)off_out, len, ops_worker_of(req)->out);
	inode_put(v, to);
	inode_put(v, from);
	if (n < 0)
		ops_reply_err(req, (int)n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}
