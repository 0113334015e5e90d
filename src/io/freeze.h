/* freeze.h: hold a mounted volume's home still for a moment: all that is committed is home, and until the end nothing is committed or checkpointed. Reads go
 * on, and writes until they need a commit. Names are not its own: fs/still.h. For a scrub, and whoever copies the volume from below. */
#ifndef COFFER_IO_FREEZE_H
#define COFFER_IO_FREEZE_H

#include "io/vio.h"

#define FREEZE_MS 5000u          /* then it ends by itself: whoever asked may have died */

/* Commit, checkpoint, hold. -EBUSY: it is held already; -EROFS: the volume has failed. */
int freeze_begin(struct vio *v, unsigned ms) must_check;
/* -ETIMEDOUT: it had ended before. 0 also when nothing was held. */
int freeze_end(struct vio *v) must_check;

#endif
