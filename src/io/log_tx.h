/* log_tx.h: one transaction while it is being gathered and written; private to log*.c. */
#ifndef COFFER_IO_LOG_TX_H
#define COFFER_IO_LOG_TX_H

#include "io/vio_impl.h"

struct tx_part {
	struct log_desc d;
	size_t first;            /* of tx->blk */
	uint8_t *image;          /* BLOCK_SIZE, from the pool */
};

struct tx {
	struct vio *v;
	uint64_t seq;
	struct tx_part **parts;
	size_t nparts;
	struct dblk **blk;       /* in-log blocks in record order, referenced */
	size_t nblk, blk_max;
	struct iofile **files;   /* gathered, referenced */
	size_t nfiles, files_max;
	struct iofile **sync;    /* files that are due a lower fsync (L7), referenced */
	size_t nsync, sync_max;
	int sync_err;            /* of one of those fsyncs: told to who waits for all; who waits for that file is told by it */
};

void log_tx_init(struct tx *tx, struct vio *v);
void log_tx_done(struct tx *tx);
/* All pending changes of a file, under its lock; nothing if there are none. -ENOMEM: the file is as before (still pending). */
int log_tx_gather(struct tx *tx, struct iofile *f) must_check;
/* Note that the file is due a lower fsync. */
int log_tx_add_sync(struct tx *tx, struct iofile *f) must_check;
/* Blocks the transaction takes in the log. */
uint64_t log_tx_blocks(const struct tx *tx);
/* Give every part its final fields and seal it; pos is not part of a descriptor. */
int log_tx_seal(struct tx *tx) must_check;
/* Durable now: com becomes what was gathered. */
void log_tx_finish(struct tx *tx);

#endif
