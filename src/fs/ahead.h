/* ahead.h: reading below, ahead of those who will ask. A lookup of a file reads its header, and from a cold disk it waits for it. Whoever looks up several
 * files of a directory will want the next ones: they are opened and their first blocks read by a worker that has answered its request, so that they are in
 * the page cache below when they are asked for. Nothing that is read here is looked at or kept, so nothing can be out of date; what fails is left to whoever
 * asks for it. */
#ifndef COFFER_FS_AHEAD_H
#define COFFER_FS_AHEAD_H

#include "fs/inode.h"

/* Entries that are read ahead at once. */
#define AHEAD_WINDOW 256u

/* How much this thread has had read from disks; another number than before: it waited. */
uint64_t ahead_disk(void);

/* A regular file of dir was looked up; waited: for the disk. True: ahead_run(dir) should follow the answer. */
bool ahead_looked(struct volume *v, struct inode *dir, bool waited) must_check;

/* Read the next window of dir. One at a time in a volume: others return at once. go_on is asked now and then. */
void ahead_run(struct volume *v, struct inode *dir, bool (*go_on)(void *ctx), void *ctx);

#endif
