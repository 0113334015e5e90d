/* mount_restart.h: a mount that goes on in another program (docs/internals.md, "Follow one restart"): the program that leaves. */
#ifndef COFFER_TOOLS_MOUNT_RESTART_H
#define COFFER_TOOLS_MOUNT_RESTART_H

#include "tools/mount_link.h"

/* Remember how this process was started; before anything changes that. -errno. */
int mount_restart_prepare(struct mounting *m) must_check;
void mount_restart_done(struct mounting *m);
/* restart() of struct ops_params; ctx: the struct mounting. Executes the program, or says why not: in coffer.lock, to systemd and in the journal. */
void mount_restart(void *ctx, struct ops *o, uint32_t token);

#endif
