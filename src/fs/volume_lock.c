/* volume_lock.c: a volume without its keys, and back (volume.h).
 *
 * Locking closes the I/O floor as unmounting does, so that nothing is left that could need a key: every file at rest, the log empty, coffer.state clean. What
 * a crash finds while it is locked is a clean volume. Unlocking opens the floor again as mounting does; what is kept between is the table of inodes, which
 * holds numbers, attributes and encrypted names, and the lock on the directory, so that nobody else can have it meanwhile.
 *
 * A freeze of a locked volume has nothing to stop: it only notes that the volume was at rest, and unlocking takes note of that away.
 *
 * An open file survives because an inode finds its lower file again by itself, as it does when its iofile was evicted (reopen.c). */
#include "fs/volume.h"

#include <malloc.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/live.h"
#include "fs/volume_impl.h"
#include "io/freeze.h"

#define UNTAGGED_MAX 16u /* who holds and never asks leaves no heap of them */

void volume_note_seen(struct volume *v, const struct vio_seen *seen)
{
	pthread_mutex_lock(&v->vio_m);
	if (seen->stamp_limit >= v->told.stamp_limit) /* several threads tell */
		v->told = *seen;
	pthread_mutex_unlock(&v->vio_m);
}

static void add_past(struct vio_stats *s, const struct vio_stats *past)
{
	s->read_bytes += past->read_bytes;
	s->write_bytes += past->write_bytes;
	s->integrity_failures += past->integrity_failures;
	s->replayed_transactions += past->replayed_transactions;
	s->commits += past->commits;
	s->checkpoints += past->checkpoints;
	for (unsigned k = 0; k < METER_KINDS; k++)
		s->integrity[k] += past->integrity[k];
	meter_sum_add(&s->commit, &past->commit);
	meter_sum_add(&s->checkpoint, &past->checkpoint);
	if (!s->last_commit_ms)
		s->last_commit_ms = past->last_commit_ms;
}

void volume_io_stats(struct volume *v, struct vio_stats *ret_s)
{
	struct vio_stats s = { 0 };

	pthread_mutex_lock(&v->vio_m);
	if (v->vio) {
		vio_stats(v->vio, &s);
	} else {
		s.log_size_bytes = v->past.log_size_bytes;
		s.read_only = v->past.read_only || v->lock_error < 0;
		s.reserve_whole = v->past.reserve_whole;
	}
	add_past(&s, &v->past);
	pthread_mutex_unlock(&v->vio_m);
	*ret_s = s;
}

bool volume_is_locked(struct volume *v)
{
	bool locked;

	pthread_mutex_lock(&v->vio_m);
	locked = v->locked;
	pthread_mutex_unlock(&v->vio_m);
	return locked;
}

/* From here on whoever asks for numbers gets those of now. */
static struct vio *detach(struct volume *v)
{
	struct vio_stats now;
	struct vio *vio;

	volume_io_stats(v, &now);
	pthread_mutex_lock(&v->vio_m);
	vio = take_ptr(v->vio);
	v->past = now;
	pthread_mutex_unlock(&v->vio_m);
	return vio;
}

/* ---- those that are not requests: they may come at any time */

/* NULL: it is locked. Else leave() when done. */
static struct vio *enter(struct volume *v)
{
	struct vio *vio;

	pthread_mutex_lock(&v->vio_m);
	while (v->locking)
		pthread_cond_wait(&v->vio_cond, &v->vio_m);
	vio = v->vio;
	v->users += vio != NULL;
	pthread_mutex_unlock(&v->vio_m);
	return vio;
}

static void leave(struct volume *v)
{
	pthread_mutex_lock(&v->vio_m);
	v->users--;
	pthread_cond_broadcast(&v->vio_cond);
	pthread_mutex_unlock(&v->vio_m);
}

static int lock_error(struct volume *v)
{
	int r;

	pthread_mutex_lock(&v->vio_m);
	r = v->lock_error;
	pthread_mutex_unlock(&v->vio_m);
	return r;
}

int volume_sync(struct volume *v)
{
	struct vio *vio = enter(v);
	int r;

	if (!vio)
		return lock_error(v); /* it came to rest, or never will */
	r = v->info.read_only ? 0 : vio_sync(vio);
	leave(v);
	return r;
}

/* ---- holding still */

/* With vio_m. */
static void hold_begin(struct volume *v, enum volume_hold hold)
{
	v->hold = hold;
	v->hold_until_ms = clock_boot_ms() + FREEZE_MS;
}

static int freeze_at_rest(struct volume *v)
{
	int r = 0;

	pthread_mutex_lock(&v->vio_m);
	if (!v->locked || v->lock_error < 0)
		r = -ENOKEY;
	else if (v->unlocking || (v->hold == VOLUME_HOLD_REST && clock_boot_ms() < v->hold_until_ms))
		r = -EBUSY;
	if (r == 0)
		hold_begin(v, VOLUME_HOLD_REST);
	pthread_mutex_unlock(&v->vio_m);
	return r;
}

int volume_freeze(struct volume *v)
{
	struct vio *vio = enter(v);
	int r;

	if (!vio)
		return freeze_at_rest(v);
	r = freeze_begin(vio, FREEZE_MS);
	if (r == 0) {
		pthread_mutex_lock(&v->vio_m);
		hold_begin(v, VOLUME_HOLD_LIVE);
		pthread_mutex_unlock(&v->vio_m);
		still_hold(&v->still, FREEZE_MS); /* behind it, so that they need not wait while everything is brought home */
	}
	leave(v);
	return r;
}

/* What the hold was; it is over. */
static enum volume_hold hold_take(struct volume *v)
{
	enum volume_hold hold;

	pthread_mutex_lock(&v->vio_m);
	hold = v->hold;
	if (hold == VOLUME_HOLD_REST && clock_boot_ms() >= v->hold_until_ms)
		hold = VOLUME_HOLD_BROKEN;
	v->hold = VOLUME_HOLD_NONE;
	pthread_mutex_unlock(&v->vio_m);
	return hold;
}

static void hold_lasted(struct volume *v)
{
	pthread_mutex_lock(&v->vio_m);
	if (v->untagged < UNTAGGED_MAX)
		v->untagged++;
	v->held_s = time(NULL);
	pthread_mutex_unlock(&v->vio_m);
}

int volume_thaw(struct volume *v)
{
	struct vio *vio = enter(v);
	enum volume_hold hold = hold_take(v);
	int r;

	still_end(&v->still);
	r = vio ? freeze_end(vio) : 0;
	if (vio)
		leave(v);
	if (r == 0 && (hold == VOLUME_HOLD_BROKEN || hold == VOLUME_HOLD_NONE))
		r = -ETIMEDOUT;
	if (r == 0)
		hold_lasted(v);
	return r;
}

/* ---- backups */

/* Nothing but the newest of what happened here: who may ask today makes no tag for last year, nor one for each thing that he can think of. */
static int tag_take(struct volume *v, const char *statement)
{
	char opened[TIME_TEXT_MAX], held[TIME_TEXT_MAX], uuid[2 * UUID_LEN + 1];
	int r = -EPERM;

	text_hex(v->info.uuid, UUID_LEN, uuid);
	if (!backup_statement_ok(statement, uuid))
		return -EINVAL;
	pthread_mutex_lock(&v->vio_m);
	if (v->untagged > 0 && text_time(v->opened_s, sizeof(opened), opened) == 0 && text_time(v->held_s, sizeof(held), held) == 0 &&
	    backup_statement_within(statement, opened, held)) {
		v->untagged--;
		r = 0;
	}
	pthread_mutex_unlock(&v->vio_m);
	return r;
}

int volume_backup_tag(struct volume *v, const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN])
{
	struct vio *vio = enter(v); /* while we are in, the ring stays */
	int r;

	if (!vio)
		return -ENOKEY;
	r = tag_take(v, statement);
	if (r == 0)
		r = backup_tag_make(key_ring_backup(v->ring), v->info.uuid, statement, ret_tag);
	leave(v);
	return r;
}

int volume_backup_check(struct volume *v, const char *statement, const uint8_t tag[static BACKUP_TAG_LEN])
{
	struct vio *vio = enter(v);
	int r;

	if (!vio)
		return -ENOKEY;
	r = backup_tag_fits(key_ring_backup(v->ring), v->info.uuid, statement, tag);
	leave(v);
	return r == -EBADMSG ? -EKEYREJECTED : r;
}

void volume_names_enter(struct volume *v)
{
	still_enter(&v->still);
}

void volume_names_leave(struct volume *v)
{
	still_leave(&v->still);
}

/* ---- */

static void keep_out(struct volume *v)
{
	pthread_mutex_lock(&v->vio_m);
	v->locking = true;
	while (v->users > 0)
		pthread_cond_wait(&v->vio_cond, &v->vio_m);
	pthread_mutex_unlock(&v->vio_m);
}

int volume_lock(struct volume *v)
{
	int r;

	if (v->locked)
		return v->lock_error;
	keep_out(v);
	pthread_mutex_lock(&v->vio_m);
	if (v->hold == VOLUME_HOLD_LIVE)
		v->hold = VOLUME_HOLD_BROKEN;
	pthread_mutex_unlock(&v->vio_m);
	r = volume_rest(v);
	if (r < 0)
		vio_abandon(detach(v)); /* closing would take the log away from the files that were just dropped */
	else
		r = vio_close(detach(v));
	v->names = NULL;
	key_ring_free(take_ptr(v->ring));
	pthread_mutex_lock(&v->vio_m);
	v->locked = true;
	v->locking = false;
	v->lock_error = r;
	pthread_cond_broadcast(&v->vio_cond);
	pthread_mutex_unlock(&v->vio_m);
	vio_forget_thread();
	(void)malloc_trim(0);
	return r;
}

static int same_volume(const struct volume *v, const struct volume_info *now)
{
	if (memcmp(now->uuid, v->info.uuid, UUID_LEN) != 0 || strcmp(now->tenant, v->info.tenant) != 0) {
		log_err(NAME_VOLUME ": of another volume than the one that was locked");
		return -EKEYREJECTED;
	}
	if (now->config_version < v->info.config_version || now->epoch < v->info.epoch) {
		log_err(NAME_VOLUME ": older than when the volume was locked");
		return -ESTALE;
	}
	return 0;
}

/* It must be as new as we left it, whatever the host remembers. */
static int open_floor(struct volume *v, struct vio **ret_vio)
{
	struct vio_params p;

	volume_fill_params(v, &p);
	pthread_mutex_lock(&v->vio_m);
	if (v->told.stamp_limit) {
		p.min_stamp_limit = v->told.stamp_limit;
		memcpy(p.seen_generation, v->told.generation, GENERATION_LEN);
		p.accept_older = false;
	}
	pthread_mutex_unlock(&v->vio_m);
	p.accept_log_loss = p.remake_state = false;
	return vio_open(&p, ret_vio);
}

static void unlocking(struct volume *v, bool on)
{
	pthread_mutex_lock(&v->vio_m);
	if (v->hold == VOLUME_HOLD_REST)
		v->hold = VOLUME_HOLD_BROKEN;
	v->unlocking = on;
	pthread_mutex_unlock(&v->vio_m);
}

int volume_unlock(struct volume *v, const uint8_t *config, size_t len, struct secret **root)
{
	AUTO_SECRET struct secret *key = take_ptr(*root);
	AUTO_KEY_RING struct key_ring *ring = NULL;
	struct volume_info now;
	struct vio *vio = NULL;
	int r;

	if (!v->locked)
		return 0;
	if (v->lock_error < 0) {
		log_err("the volume did not come to rest when it was locked; unmount, and mount it again");
		return -EIO;
	}
	r = volume_open_config(config, len, key, &now, &ring);
	if (r == 0)
		r = same_volume(v, &now);
	if (r < 0)
		return r;
	v->ring = ring;
	unlocking(v, true);
	r = open_floor(v, &vio);
	vio_forget_thread();
	if (r < 0) {
		unlocking(v, false);
		v->ring = NULL;
		return r;
	}
	ring = NULL;
	v->names = key_ring_names(v->ring);
	v->info.config_version = now.config_version;
	v->info.epoch = now.epoch;
	pthread_mutex_lock(&v->vio_m);
	v->vio = vio;
	v->locked = v->unlocking = false;
	pthread_mutex_unlock(&v->vio_m);
	return 0;
}
