/* mount_watch.h: somebody beside a mount who looks whether it answers, and tells systemd. */
#ifndef COFFER_TOOLS_MOUNT_WATCH_H
#define COFFER_TOOLS_MOUNT_WATCH_H

#include "base/err.h"

struct mount_watch;

/* Before the process has threads, keys or /dev/fuse: a process of its own, which has none of them. While the volume is opened it asks systemd for more time as
 * long as replay goes on (mount_watch_step); once it is served it reads its root's attributes through the kernel and says WATCHDOG=1 when an answer came.
 * Nothing is started where nobody listens: *ret_w is NULL, which is fine for all of these. -errno. */
int mount_watch_start(const char *mountpoint, struct mount_watch **ret_w) must_check;
void mount_watch_step(struct mount_watch *w);
void mount_watch_serving(struct mount_watch *w);
/* Its process, for the program that goes on with this mount: mount_watch_left there. 0: none. */
int mount_watch_pid(const struct mount_watch *w);
/* End the process of a watch that another program of this process had; and forget it, when the mount is served. */
void mount_watch_left(int pid);
void mount_watch_reap(int pid);
/* The mount ends: no word any more. Frees. */
void mount_watch_end(struct mount_watch *w);

#endif
