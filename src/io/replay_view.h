/* replay_view.h: a volume's files as replay would leave them, while not one byte is written (DESIGN section 5, L5, read-only mounts): reads of
 * lower files that the log names get what the log holds of them. */
#ifndef COFFER_IO_REPLAY_VIEW_H
#define COFFER_IO_REPLAY_VIEW_H

#include "io/lower_ro.h"
#include "io/replay.h"

struct replay_view;

/* Consumes *rp (replay_look), also on failure. Memory: that of the records in the log; ciphertext stays in the log and is read when it is
 * asked for. The log's descriptor must live as long as the view. */
int replay_view_new(struct replay **rp, struct replay_view **ret_view) must_check;
void replay_view_free(struct replay_view *view); /* NULL is fine */

/* Let every read through ro see the files as they would be. Reads of a file that the log names must be of whole blocks, into memory aligned to
 * blocks (-EINVAL). Nothing is believed or checked here: tags are the reader's business, as with what lies at home. A file that failed
 * replay gets a header that no tag fits, so it is EIO. */
void replay_view_install(struct replay_view *view, struct lower_ro *ro);

#endif
