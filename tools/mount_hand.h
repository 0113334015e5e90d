/* mount_hand.h: a mount that goes on in another program (docs/internals.md, "Follow one restart"): the program that comes. It is told by a variable of the environment
 * that it is one, finds the state in a sealed memfd, and either says whether it could go on (HAND_ASK) or does (HAND_TAKE). */
#ifndef COFFER_TOOLS_MOUNT_HAND_H
#define COFFER_TOOLS_MOUNT_HAND_H

#include "fs/volume_hand.h"
#include "tools/mount_link.h"

#include <signal.h>

struct mount_hand {
	const uint8_t *map;
	size_t len;
	int fd;
	struct hand_in in;       /* behind the seeks */
	struct hand_head head;
	struct hand_seek *seeks;
	struct ops_hand ops;
};

/* Is this process such a program? Then m->hand is there. 0, or an exit code after a message: what it was handed cannot be used. */
int mount_hand_load(struct mounting *m) must_check;
void mount_hand_done(struct mounting *m);
/* What is to be mounted where is what was handed over; what volumes.d says now must be that still. 0, or an exit code after a message. */
int mount_hand_what(struct mounting *m, const char *dir, const struct volume_conf *conf, const char *path) must_check;
/* HAND_ASK: could this program go on? With the key, which it is asked for, and gives back. 0, or an exit code after a message. */
int mount_hand_ask(struct mounting *m) must_check;
/* The key, as at a start; but users wait, so an agent or a key service that is away for a moment is asked again. 0, or an exit code after a message. */
int mount_hand_unlock(struct mounting *m, const struct cmd_volume *v, struct client_unlocked *ret_u, struct secret **ret_root) must_check;
/* How the volume is to be opened: with the lock that is held, and as new as it was left. */
void mount_hand_options(struct mounting *m, struct volume_options *o);
/* It has been opened. -errno. */
int mount_hand_take(struct mounting *m) must_check;
/* It is served: whoever asked for the restart is told, and all that was handed over is forgotten. */
void mount_hand_ready(struct mounting *m);

/* The signal by which a restart is asked for; and those that wait while one program becomes the other. */
#define MOUNT_RESTART_SIGNAL SIGUSR1
void mount_hand_signals(sigset_t *ret_set);

#endif
