/* vio_format.c: what vio.h calls vio_format: the files of a new volume that belong to the I/O floor.
 *
 * The log is written, not only allocated: a first transaction must not have to allocate or convert extents under its one flush, and a
 * reader of the ring must find zeros, not what lay there before.
 *
 * Everything is made with O_EXCL; a file that was made is taken away again when a later step fails, one that was there never is. */
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "format/log_record.h"
#include "io/state.h"
#include "io/vio.h"

#define FORMAT_CHUNK (1u << 20)

static int log_fill(struct lower *l, int fd, uint64_t bytes)
{
	AUTO_FREE uint8_t *zero = calloc(1, FORMAT_CHUNK);
	uint64_t at;
	int r = 0;

	if (!zero)
		return -ENOMEM;
	for (at = 0; at < bytes && r == 0; at += FORMAT_CHUNK)
		r = lower_pwrite(l, fd, zero, bytes - at < FORMAT_CHUNK ? (size_t)(bytes - at) : FORMAT_CHUNK, at, false);
	return r < 0 ? r : l->ops->fsync(l, fd);
}

static int log_make(struct lower *l, int root_fd, uint64_t log_blocks)
{
	struct stat st;
	int fd, r;

	fd = lower_open_regular(l, root_fd, NAME_LOG, O_RDWR | O_CREAT | O_EXCL, 0600, &st);
	if (fd < 0)
		return fd;
	r = log_fill(l, fd, log_blocks * BLOCK_SIZE);
	lower_close(l, fd);
	if (r < 0)
		(void)l->ops->unlinkat(l, root_fd, NAME_LOG, 0);
	return r;
}

/* Filled at mount, when its size is known; not having it yet is no reason to fail. */
static void reserve_make(struct lower *l, int root_fd)
{
	struct stat st;
	int fd;

	fd = lower_open_regular(l, root_fd, NAME_RESERVE, O_RDWR | O_CREAT, 0600, &st);
	lower_close(l, fd < 0 ? -1 : fd);
}

int vio_format(const struct vio_params *p, uint64_t log_blocks)
{
	struct lower *l = p->lower;
	int r;

	if (log_blocks < LOG_BLOCKS_MIN || log_blocks > LOG_BLOCKS_MAX)
		return log_ret(-EINVAL, "%s: %llu blocks", NAME_LOG, (unsigned long long)log_blocks);
	r = log_make(l, p->root_fd, log_blocks);
	if (r < 0)
		return log_ret(r, NAME_LOG);
	r = state_format(l, p->root_fd, p->ring, log_blocks);
	if (r < 0) {
		(void)l->ops->unlinkat(l, p->root_fd, NAME_LOG, 0);
		if (r != -EEXIST)
			(void)l->ops->unlinkat(l, p->root_fd, NAME_STATE, 0);
		return log_ret(r, NAME_STATE);
	}
	reserve_make(l, p->root_fd);
	r = l->ops->fsync(l, p->root_fd);
	return r < 0 ? log_ret(r, "the volume directory") : 0;
}
