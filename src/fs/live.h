/* live.h: the iofiles of a volume: made when a file's content is first used, at most one per inode, closed when idle and too many. Also the
 * callbacks that the I/O floor makes about them. */
#ifndef COFFER_FS_LIVE_H
#define COFFER_FS_LIVE_H

#include "fs/inode.h"

/* How many iofiles are kept when they are idle. */
#define LIVE_FILES_MAX 1024

/* The iofile of a regular file, made if there is none. Pair with live_put. -EIO (also for a bad inode), -ENFILE, -EISDIR, -EINVAL. */
int live_get(struct volume *v, struct inode *i, struct iofile **ret_f) must_check;
/* The iofile if there is one, else NULL (and then nothing is to be put). */
struct iofile *live_peek(struct volume *v, struct inode *i);
void live_put(struct volume *v, struct inode *i);
/* A file just created with descriptor fd (consumed): its iofile. */
int live_created(struct volume *v, struct inode *i, int fd, const struct stat *st) must_check;

/* For inode.c: end the iofile of an inode that nobody uses. Called with volume->lock, which it drops and takes, and with the caller's reference.
 * true: no iofile is left. false: something is pending, it stays, and the reference is gone. */
bool live_retire(struct volume *v, struct inode *i) must_check;
/* Close all (the volume is being closed; everything is committed and home). -EBUSY: some are left. */
int live_close_all(struct volume *v, bool discard) must_check;

/* Write the held times to the lower inode if they are due. */
int live_store_times(struct volume *v, struct inode *i) must_check;

/* What the I/O floor knows as the owner of an iofile is the inode's number, not its address: a callback may come when the inode has just gone.
 * live_inode: with a reference, NULL: gone. */
void *live_owner(const struct inode *i);
struct inode *live_inode(struct volume *v, const void *owner);

/* The callbacks of struct vio_callbacks that concern files; ctx is the volume. */
void live_home_written(void *ctx, void *owner, int fd);
void live_idle(void *ctx, void *owner);

#endif
