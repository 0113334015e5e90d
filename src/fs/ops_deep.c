/* ops_deep.c: several small reads of one worker under way at once (ops_impl.h).
 *
 * Who reads 4 KiB at random with O_DIRECT may have many reads waiting. A worker for each sleeps and is woken for each, and each goes to the disk by a
 * call and a doorbell of its own. So a worker that has begun such a read takes more of them, if there are any, off a second descriptor of the
 * connection, one that does not block; hands all to the disk together; and answers them as it verifies them. Nothing is locked while they are under
 * way, and the first is inside its request until all are answered. Any other request that comes along is kept for behind that. They are read past the
 * page cache below, as their caller asks.
 *
 *   take      read from the second descriptor: its requests are answered there, so their numbers are remembered. With rings: from further entries (ops_uring.c)
 *   begin     op_read, inside fuse_session_process_buf, leaves it here
 *   wait      one call for all
 *   end       each is verified, decrypted and answered */
#include "fs/ops_impl.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "fs/file.h"

_Static_assert(OPS_DEEP_MAX * IOFILE_EARLY_MAX <= OPS_OUT_ROOM, "each read has its part of a worker's buffer");

void ops_deep_open(struct ops *o)
{
	uint32_t first = (uint32_t)fuse_session_fd(o->session);
	int fd;

	o->deep_fd = -1;
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	if (ioctl(fd, FUSE_DEV_IOC_CLONE, &first) < 0) {
		log_debug("/dev/fuse: no second descriptor: %s", strerror(errno));
		(void)close(fd);
		return;
	}
	o->deep_fd = fd;
}

void ops_deep_close(struct ops *o)
{
	if (o->deep_fd >= 0)
		(void)close(o->deep_fd);
	o->deep_fd = -1;
}

/* ---- which descriptor */

int ops_deep_read_fd(struct ops *o, int fd)
{
	const struct ops_worker *w = pthread_getspecific(o->worker_key);

	return w && w->taking ? o->deep_fd : fd;
}

void ops_deep_took(struct ops *o, const void *buf, size_t len)
{
	const struct fuse_in_header *h = buf;
	struct ops_worker *w = pthread_getspecific(o->worker_key);

	if (w && w->taking && len >= sizeof(*h) && w->ntaken < OPS_DEEP_MAX)
		w->taken[w->ntaken++] = h->unique;
}

int ops_deep_write_fd(struct ops *o, int fd, uint64_t unique)
{
	const struct ops_worker *w = pthread_getspecific(o->worker_key);
	unsigned k;

	for (k = 0; w && k < w->ntaken; k++) {
		if (w->taken[k] == unique)
			return o->deep_fd;
	}
	return fd;
}

/* ---- reads */

static bool is_small_read(const struct fuse_buf *in, int len)
{
	const struct fuse_in_header *h = in->mem;
	const struct fuse_read_in *arg = (const void *)(h + 1);

	return (size_t)len >= sizeof(*h) + sizeof(*arg) && h->opcode == FUSE_READ && arg->size <= IOFILE_EARLY_MAX;
}

static int receive_more(struct ops *o, struct ops_worker *w)
{
	int r;

	if (o->deep_fd < 0)
		return -EAGAIN;
	w->taking = true;
	r = fuse_session_receive_buf(o->session, &w->in);
	w->taking = false;
	return r;
}

/* Begin more reads while there are any. */
static void take(struct ops *o, struct ops_worker *w)
{
	unsigned before;
	int r;

	while (w->ndeep < OPS_DEEP_MAX && w->ntaken < OPS_DEEP_MAX) {
		r = w->ring ? ops_uring_more(o, w) : receive_more(o, w);
		if (r <= 0)
			return;
		if (!is_small_read(&w->in, r)) {
			w->kept = r;
			return;
		}
		before = w->ndeep;
		ops_serve_one(o, w, (size_t)r);
		if (w->ndeep == before)
			return; /* one that had to be served whole: let the others not wait for more like it */
	}
}

static void end(struct ops *o, struct ops_worker *w)
{
	struct iofile_early *e = w->early;
	unsigned k, n = w->ndeep;
	ssize_t got;

	iofile_early_wait(e, n);
	for (k = 0; k < n; k++) {
		struct ops_deep *d = &w->deep[k];

		got = file_read_end(o->volume, d->i, &e[k]);
		inode_put(o->volume, d->i);
		if (got < 0)
			ops_reply_err(d->req, (int)got);
		else
			(void)fuse_reply_buf(d->req, e[k].buf, (size_t)got);
		if (k > 0) /* the first is counted where it came in */
			meter_since(&w->meters[METER_READ], d->began_ns);
	}
	w->ndeep = 0;
}

bool ops_deep_read(fuse_req_t req, struct inode *i, size_t size, off_t off, const struct fuse_file_info *fi)
{
	struct ops *o = ops_of(req);
	struct ops_worker *w = ops_worker_of(req);
	uint8_t *to = (uint8_t *)w->out + (size_t)w->ndeep * IOFILE_EARLY_MAX;

	if (!(fi->flags & O_DIRECT) || off < 0 || w->ndeep == OPS_DEEP_MAX)
		return false;
	if (!file_read_begin(o->volume, i, to, size, (uint64_t)off, &w->early[w->ndeep]))
		return false;
	w->deep[w->ndeep++] = (struct ops_deep){ .req = req, .i = i, .began_ns = w->began_ns };
	/* Later ones come through here out of take(). */
	if (w->ndeep == 1) {
		take(o, w);
		end(o, w);
	}
	return true;
}
