/* priv.h: the privileges a mount keeps. Capabilities belong to threads, so each thread of a mount is told: the first one before it starts others,
 * the others as the first thing they do. A process that has none to lose loses none. */
#ifndef COFFER_BASE_PRIV_H
#define COFFER_BASE_PRIV_H

#include "base/err.h"

#include <stdbool.h>

/* For the only thread of a process that is going to mount and serve. With user (a name, or NULL) it becomes that user for good, and keeps nothing that
 * reaches files of others. Else it keeps what serving everybody's files needs: CHOWN, FOWNER, FSETID, DAC_OVERRIDE, DAC_READ_SEARCH; MKNOD with
 * devices. Beside those it keeps SYS_ADMIN, but cannot use it outside priv_mounting(), and until priv_opened() SYS_PTRACE, by which a volume in use
 * is told by its user. Memory it locks later is no longer bounded by RLIMIT_MEMLOCK if it was not so before.
 * -ENOENT: no such user; -EPERM: only root becomes another. On failure the process is to end: it may be half-way. */
int priv_for_mount(const char *user, bool devices) must_check;
/* The same thread, once the volume is open. */
void priv_opened(void);
/* The same thread: before and behind mount(2) and umount(2). */
void priv_mounting(bool on);
/* The same thread: a program that it executes keeps what this thread may have. False: it may not mount, so neither could that. */
bool priv_hand_on(void);
/* A thread that may have to end the mount by umount(2), between priv_mounting() as above. */
void priv_thread_ending(void);
/* Any other thread: gives up for good all but what serving needs. */
void priv_thread(void);

#endif
