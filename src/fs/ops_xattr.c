/* ops_xattr.c: the requests about extended attributes (xattr.h). A missing attribute is ENODATA here, which elsewhere means a file that ends too
 * early. */
#include "fs/ops_impl.h"

#include "fs/xattr.h"

static void reply(fuse_req_t req, int r)
{
	if (r == -ENODATA || r == -EOPNOTSUPP || r == -ERANGE)
		(void)fuse_reply_err(req, -r);
	else
		ops_reply_err(req, r);
}

/* n: what get and list say. size 0: the kernel asks for the length. */
static void reply_bytes(fuse_req_t req, ssize_t n, const void *buf, size_t size)
{
	if (n < 0)
		reply(req, (int)n);
	else if (size == 0)
		(void)fuse_reply_xattr(req, (size_t)n);
	else
		(void)fuse_reply_buf(req, buf, (size_t)n);
}

/* Where an answer fits: the worker's own buffer. */
static void *room_of(fuse_req_t req)
{
	struct ops *o = fuse_req_userdata(req);
	const struct ops_worker *w = pthread_getspecific(o->worker_key);

	return w->out;
}

void ops_xattr_get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct ops *o = fuse_req_userdata(req);
	struct inode *i = inode_get(o->volume, ino);
	void *room = room_of(req);
	ssize_t n = -ENOSYS;

	if (size > XATTR_BYTES_MAX)
		size = XATTR_BYTES_MAX;
	if (o->kills_priv)
		n = i ? xattr_get(o->volume, i, name, room, size) : -ESTALE;
	inode_put(o->volume, i);
	reply_bytes(req, n, room, size);
}

void ops_xattr_list(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct ops *o = fuse_req_userdata(req);
	struct inode *i = inode_get(o->volume, ino);
	void *room = room_of(req);
	ssize_t n = -ENOSYS;

	if (size > XATTR_BYTES_MAX)
		size = XATTR_BYTES_MAX;
	if (o->kills_priv)
		n = i ? xattr_list(o->volume, i, room, size) : -ESTALE;
	inode_put(o->volume, i);
	reply_bytes(req, n, room, size);
}

void ops_xattr_set(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t len, int flags)
{
	struct ops *o = fuse_req_userdata(req);
	struct inode *i = inode_get(o->volume, ino);
	int r = -ENOSYS;

	if (o->kills_priv)
		r = i ? xattr_set(o->volume, i, name, value, len, flags) : -ESTALE;
	inode_put(o->volume, i);
	reply(req, r);
}

void ops_xattr_remove(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct ops *o = fuse_req_userdata(req);
	struct inode *i = inode_get(o->volume, ino);
	int r = -ENOSYS;

	if (o->kills_priv)
		r = i ? xattr_remove(o->volume, i, name) : -ESTALE;
	inode_put(o->volume, i);
	reply(req, r);
}
