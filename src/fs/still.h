/* still.h: names that hold still for a moment, while somebody copies the volume from below (volume_freeze). A name changes in the backing directory at once, without
 * the commit, so what holds commits does not hold it. Who changes names goes through here; as long as they are held he waits. */
#ifndef COFFER_FS_STILL_H
#define COFFER_FS_STILL_H

#include "base/lock.h"

#define STILL_INSIDE_MS 500u     /* how long those that are inside already are waited for */

struct still {
	struct lock m;           /* a leaf; nothing is called with it */
	pthread_cond_t cond;
	unsigned inside;         /* lock: m, as are the next two */
	bool held;
	struct timespec until;   /* then it ends by itself */
};

void still_init(struct still *s);
void still_done(struct still *s);

/* Around each change of a name; no lock held. Waits as long as names are held. */
void still_enter(struct still *s);
void still_leave(struct still *s);

/* From here on nobody enters, until still_end or for ms; behind it nobody is inside, but for one who does not come out within STILL_INSIDE_MS. */
void still_hold(struct still *s, unsigned ms);
/* Fine also when they are not held. */
void still_end(struct still *s);

#endif
