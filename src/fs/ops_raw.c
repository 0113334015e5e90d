/* ops_raw.c: what libfuse 3.14 does not hand on, read from the request as it came, and one flag set in the answer to INIT (ops_impl.h).
 *
 * FUSE_HANDLE_KILLPRIV_V2. Before each write(2) the kernel asks whether the file has the attribute security.capability, which a write must clear;
 * unless GETXATTR is not there at all, that is a round trip a write. With this flag clearing is our duty, the kernel remembers an inode that has
 * nothing to clear, and says in WRITE and SETATTR when the set-user-ID and set-group-ID bits are to go. A kernel without it (before 5.12) gets
 * no extended attributes. */
#include "fs/ops_impl.h"

#include <string.h>
#include <sys/uio.h>

#include "fs/file.h"
#include "fs/fuse_uring.h"

#define CALLER_GROUPS_MAX 64

/* The kernel's INIT: remember what it can do. It comes first and once, before any other request. */
static void look_at_init(struct ops *o, const void *buf, size_t len)
{
	const struct fuse_in_header *h = buf;
	const struct fuse_init_in *in = (const void *)(h + 1);

	if (len < sizeof(*h) || h->opcode != FUSE_INIT)
		return;
	if (len >= sizeof(*h) + offsetof(struct fuse_init_in, flags) + sizeof(in->flags) && (in->flags & FUSE_HANDLE_KILLPRIV_V2))
		o->kills_priv = true;
	o->init_unique = h->unique;
	o->init_len = len <= sizeof(o->init) ? len : 0;
	memcpy(o->init, buf, o->init_len);
	o->uring_offered = ops_uring_offers(o, in, len - sizeof(*h));
}

void ops_raw_saw_init(struct ops *o, const void *buf, size_t len)
{
	look_at_init(o, buf, len);
}

static ssize_t raw_read(int fd, void *buf, size_t len, void *userdata)
{
	struct ops *o = userdata;
	ssize_t n = read(ops_deep_read_fd(o, fd), buf, len);

	if (n > 0)
		ops_deep_took(o, buf, (size_t)n);
	if (n > 0 && !atomic_load_explicit(&o->init_done, memory_order_acquire))
		look_at_init(o, buf, (size_t)n);
	return n;
}

/* The answer to INIT with the flag added. A session that was handed over is not asked: the kernel has had its answer. */
static ssize_t answer_init(struct ops *o, int fd, const struct iovec *iov)
{
	struct fuse_init_out out = { 0 };
	struct iovec with[2] = { iov[0], { &out, iov[1].iov_len } };
	ssize_t n;

	if (iov[1].iov_len > sizeof(out) || iov[1].iov_len < offsetof(struct fuse_init_out, flags) + sizeof(out.flags)) {
		o->kills_priv = false;
		ops_uring_settle(o, false);
		return writev(fd, iov, 2);
	}
	memcpy(&out, iov[1].iov_base, iov[1].iov_len);
	if (o->kills_priv)
		out.flags |= FUSE_HANDLE_KILLPRIV_V2;
	if (o->uring_offered) {
		out.flags |= FUSE_INIT_EXT;
		out.flags2 |= (uint32_t)(FUSE_OVER_IO_URING >> 32);
	}
	o->answer_len = iov[1].iov_len;
	memcpy(o->answer, &out, o->answer_len);
	n = o->handed ? (ssize_t)(iov[0].iov_len + iov[1].iov_len) : writev(fd, with, 2);
	ops_uring_settle(o, n >= 0 && o->uring_offered);
	return n;
}

/* A request is answered on the descriptor that it came by. Another thread than its worker (ops_seek.c) does not know which: the kernel does.
 * What answers none (unique 0) is of the connection as a whole. */
ssize_t ops_raw_answer(struct ops *o, struct iovec *iov, int count)
{
	const struct fuse_out_header *h = iov[0].iov_base;
	int fd = fuse_session_fd(o->session), to;
	ssize_t n;

	if (ops_uring_answer(o, iov, count, &n))
		return n;
	to = ops_deep_write_fd(o, fd, h->unique);
	n = writev(to, iov, count);
	if (n < 0 && errno == ENOENT && h->unique != 0 && to == fd && o->deep_fd >= 0)
		n = writev(o->deep_fd, iov, count);
	return n;
}

static ssize_t raw_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct ops *o = userdata;
	const struct fuse_out_header *h = iov[0].iov_base;

	if (atomic_load_explicit(&o->init_done, memory_order_acquire))
		return ops_raw_answer(o, iov, count);
	if (h->unique != o->init_unique || h->error != 0 || count != 2)
		return o->handed ? -1 : writev(fd, iov, count);
	atomic_store_explicit(&o->init_done, true, memory_order_release);
	return answer_init(o, fd, iov);
}

int ops_raw_install(struct ops *o, int fd)
{
	static const struct fuse_custom_io io = { .read = raw_read, .writev = raw_writev };

	return fuse_session_custom_io(o->session, &io, fd);
}

/* The body of the request that this thread serves. */
static const void *body_of(fuse_req_t req)
{
	struct ops *o = fuse_req_userdata(req);
	const struct ops_worker *w = pthread_getspecific(o->worker_key);

	return (const uint8_t *)w->in.mem + sizeof(struct fuse_in_header);
}

uint64_t ops_raw_unique(fuse_req_t req)
{
	const struct ops_worker *w = ops_worker_of(req);
	const struct fuse_in_header *h = w ? w->in.mem : NULL;

	return h ? h->unique : ops_of(req)->again_unique;
}

/* Is whoever asks of this group? If that cannot be found out he is not. */
static bool caller_in_group(fuse_req_t req, gid_t gid)
{
	gid_t list[CALLER_GROUPS_MAX];
	int n, k;

	if (fuse_req_ctx(req)->gid == gid)
		return true;
	n = fuse_req_getgroups(req, CALLER_GROUPS_MAX, list);
	for (k = 0; k < n && k < CALLER_GROUPS_MAX; k++) {
		if (list[k] == gid)
			return true;
	}
	return false;
}

/* As the kernel has it: set-group-ID without group execution stays for members of the group. */
static unsigned kill_of(fuse_req_t req, struct inode *i)
{
	struct ops *o = fuse_req_userdata(req);
	struct inode_attr a;

	if (S_ISDIR(i->type))
		return 0;
	inode_attr(o->volume, i, &a);
	if ((a.mode & (S_ISGID | S_IXGRP)) != S_ISGID || fuse_req_ctx(req)->uid == 0 || caller_in_group(req, a.gid))
		return FILE_KILL_PRIV;
	return FILE_KILL_PRIV | FILE_KILL_SGID;
}

unsigned ops_raw_write_kill(fuse_req_t req, struct inode *i)
{
	const struct fuse_write_in *in = body_of(req);

	return in->write_flags & FUSE_WRITE_KILL_SUIDGID ? kill_of(req, i) : 0;
}

unsigned ops_raw_setattr_kill(fuse_req_t req, struct inode *i)
{
	const struct fuse_setattr_in *in = body_of(req);

	return in->valid & FATTR_KILL_SUIDGID ? kill_of(req, i) : 0;
}

unsigned ops_raw_caller_kill(fuse_req_t req, struct inode *i)
{
	return fuse_req_ctx(req)->uid != 0 ? kill_of(req, i) : 0;
}
