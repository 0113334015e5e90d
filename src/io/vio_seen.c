/* vio_seen.c: how new the volume is: what the host is told of it, and what is newer at home than coffer.state (DESIGN section 5; docs/threat-model.md).
 *
 * Every stamp is reserved in both slots, durably, before it is taken, and this mount takes them in order. So an authentic header whose stamps are neither
 * below the limit that the mount found nor taken since was sealed after the state that lies there: state and log were put back. Blocks and entries are
 * sealed before the header that vouches for them and have lower stamps. The host is then told a limit that this volume does not reach, however this mount
 * ends: the next one is refused as older, until somebody says `coffer trust --older`; from then on stamps begin above what the host has seen, so that
 * none is used twice and what lies there can be read. */
#include "io/vio_impl.h"

#include <string.h>

/* More than a mount can reserve between two times it tells. */
#define OUT_OF_REACH (2 * STATE_STAMP_RANGE)

void vio_tell_seen(struct vio *v)
{
	struct volume_state st;
	struct vio_seen seen;
	uint64_t ahead;
	bool again = false;

	if (!v->p.cb.seen)
		return;
	for (;;) {
		ahead = atomic_load(&v->ahead);
		state_get(v->state, &st);
		memcpy(seen.generation, st.generation, GENERATION_LEN);
		seen.stamp_limit = st.stamp_limit;
		if (ahead)
			seen.stamp_limit = ahead > st.stamp_limit + OUT_OF_REACH ? ahead : st.stamp_limit + OUT_OF_REACH;
		if (atomic_exchange(&v->told_limit, seen.stamp_limit) == seen.stamp_limit && !again)
			return;
		v->p.cb.seen(v->p.cb.ctx, &seen);
		if (atomic_load(&v->ahead) == ahead)
			return;
		again = true; /* what another thread told meanwhile may have been overtaken by this */
	}
}

/* Remember the highest; tell when there is a new one. */
static void note_ahead(struct vio *v, uint64_t stamp)
{
	uint64_t was = atomic_load(&v->ahead);

	do {
		if (stamp < was)
			return;
	} while (!atomic_compare_exchange_weak(&v->ahead, &was, stamp + 1));
	vio_tell_seen(v);
}

int vio_check_stamps(struct vio *v, const struct group_header *h)
{
	uint64_t stamp = h->header.stamp > h->entries.stamp ? h->header.stamp : h->entries.stamp;

	if (!state_stamp_is_ahead(v->state, stamp))
		return 0;
	note_ahead(v, stamp);
	return -EKEYEXPIRED;
}
