/* volume_hand.h: the inodes of a mount, for the program that goes on with it (hand.h). What the kernel knows by number stays what it is, and what it remembers of it
 * stays true. Nobody may use the volume meanwhile; it is locked (volume_lock), so nothing is pending and no file is open below but pins. */
#ifndef COFFER_FS_VOLUME_HAND_H
#define COFFER_FS_VOLUME_HAND_H

#include "fs/hand.h"
#include "fs/volume.h"

/* What the head says of the volume; the rest of it is left alone. */
void volume_hand_head(struct volume *v, struct hand_head *h);
/* All inodes, h->inodes of them. */
void volume_hand_put(struct volume *v, struct hand_out *o);
/* The descriptors that they need, coffer.lock's too, are inherited (on) or not by a program that is executed. -errno. */
int volume_hand_fds(struct volume *v, bool on) must_check;

/* Into a volume that has just been opened, with h->lock_fd as its lock: the inodes that follow in in. The descriptors in it are then the volume's. -ESTALE: another
 * volume, or another directory; -EUCLEAN: they do not fit together, or a descriptor is not what it should be; -ENOMEM. Close the volume after an error. Logs. */
int volume_hand_take(struct volume *v, const struct hand_head *h, struct hand_in *in) must_check;

/* Tell in coffer.lock how the restart ended that was asked for under this token; why NULL: well. For `coffer restart`. -errno. */
int volume_hand_say(struct volume *v, uint32_t token, const char *why) must_check;

#endif
