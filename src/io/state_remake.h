/* state_remake.h: coffer.state made anew when no slot of it verifies (fsck --repair --accept-log-loss), out of what the log and the host still know.
 *
 * Stamps must never be used twice. The lost state reserved them, so the new limit lies STATE_REMAKE_JUMP above the highest of: the stamps of the log's
 * descriptors and generations, what this host has seen, and the limits of earlier remakes (their record is in coffer.quarantine). A stamp is used for
 * a sealed block of 4096 bytes or reserved 2^24 at a time by a mount or after 64 GiB of writing, so between the newest of those and the newest used
 * lie at most what was written and mounted since: to reach 2^48 of them takes 2^60 bytes, or 16 million mounts, of which none left a trace. Whoever destroys
 * all those traces on purpose gets what a clone gives him, and docs/crypto.md has that bound.
 *
 * The log is not thrown away: the newest generation in it, and in that the longest run of whole transactions to its end, is what the new state names.
 * The run may begin before the old tail: those transactions are home already, and replaying them again comes to the same end, because the last record of
 * a block or group is what counts and all later ones are in the run. */
#ifndef COFFER_IO_STATE_REMAKE_H
#define COFFER_IO_STATE_REMAKE_H

#include "io/vio.h"

#define STATE_REMAKE_JUMP (1ull << 48)

/* Saves what is left of the old one in coffer.quarantine, writes both slots, flushed. May be cut and repeated. -EUCLEAN: coffer.log is larger than any log;
 * -EOVERFLOW: no stamps are left, or a record in coffer.quarantine says so. Logs. */
int state_remake(const struct vio_params *p) must_check;

#endif
