/* lower_ro.h: a struct lower that cannot change anything: what a read-only volume stands on, so that no forgotten branch above can write a byte.
 * Whatever would change a name, content or attribute is -EROFS, opening for writing too; flushes do nothing, since nothing was written
 * through it. Files and directories are opened with O_NOATIME where that is permitted. */
#ifndef COFFER_IO_LOWER_RO_H
#define COFFER_IO_LOWER_RO_H

#include "io/lower.h"

/* Stands between a read and its caller: fd was read at off into iov, got bytes. Returns the count, or -errno. */
typedef ssize_t lower_ro_patch_fn(void *ctx, int fd, const struct iovec *iov, int n, uint64_t off, ssize_t got);

struct lower_ro {
	struct lower l;          /* what is handed out; lives as long as this struct */
	struct lower *inner;     /* borrowed */
	lower_ro_patch_fn *patch; /* NULL: none */
	void *ctx;
};

void lower_ro_init(struct lower_ro *ro, struct lower *inner);
/* From now on every read passes through fn. Before anybody else reads; io_uring is not used any more. */
void lower_ro_set_patch(struct lower_ro *ro, lower_ro_patch_fn *fn, void *ctx);

#endif
