/* volume_impl.h: the body of struct volume, for src/fs alone. */
#ifndef COFFER_FS_VOLUME_IMPL_H
#define COFFER_FS_VOLUME_IMPL_H

#include <time.h>

#include "base/lock.h"
#include "fs/inode.h"
#include "fs/still.h"
#include "fs/volume.h"
#include "io/lower_ro.h"

/* What a freeze left, until a thaw or the next freeze. BROKEN: the volume was locked or unlocked, or its time is over. */
enum volume_hold { VOLUME_HOLD_NONE, VOLUME_HOLD_LIVE, VOLUME_HOLD_REST, VOLUME_HOLD_BROKEN };

struct volume {
	struct lower *lower;     /* as given, or around it ro */
	struct lower_ro ro;      /* of a read-only volume */
	int root_fd;
	int lock_fd;
	dev_t dev;               /* of the root: entries on another device are refused */
	struct key_ring *ring;
	const struct name_keys *names; /* of ring */
	struct vio *vio;
	struct volume_options options;
	struct volume_events events;
	pthread_mutex_t watch_m; /* held while watch is called */
	void (*watch)(void *ctx, uint64_t id);
	void *watch_ctx;
	struct volume_info info;
	pthread_mutex_t vio_m;   /* guards all down to held_s, and where vio points for those that are not requests: volume_lock.c */
	pthread_cond_t vio_cond; /* users, locking */
	unsigned users;          /* syncs and freezes under way */
	bool locking;            /* waits for users, and lets no more in */
	struct vio_seen told;    /* the newest that was told */
	struct vio_stats past;   /* of the times before it was locked */
	bool locked;             /* changed by lock and unlock alone, of which there is one at a time */
	int lock_error;          /* what kept it from coming to rest when it was locked: it stays so */
	struct still still;      /* names, while it is frozen */
	enum volume_hold hold;
	bool unlocking;          /* what lies below is being changed again */
	uint64_t hold_until_ms;  /* REST: the end of its time, which LIVE has in io/freeze.h */
	unsigned untagged;       /* holds that lasted to their end, and of which no backup was tagged */
	time_t opened_s, held_s; /* CLOCK_REALTIME: volume_open; the end of the last such hold */
	bool handles;            /* inodes can be opened by handle */
	size_t files_max, dirs_max, batch_max; /* shares of the descriptors we may have */

	/* Guards the table, all inodes and all below. Never held across a call of lower, vio or libfuse. */
	struct lock lock;
	pthread_cond_t changed;  /* some inode's file_state */
	pthread_cond_t moved;    /* some inode's moving */
	struct inode_table table;
	struct inode *root;
	struct inode_link files; /* LRU of iofiles without users; the oldest is files.next */
	struct inode_link dirs;  /* LRU of directory descriptors without users */
	size_t file_count, dir_count;
	uint64_t file_closes;    /* iofiles ever closed */
	unsigned pins_closing[2], pins_turn; /* inode.c: pins being closed, by the turn in which that began */
	pthread_cond_t pins_closed;
	bool ahead_useful, ahead_runs; /* ahead.c: the last window was of use; there is one under way */
	uint64_t undecryptable;
	_Atomic uint64_t integrity[METER_KINDS]; /* of names, directories and attributes */
	uint64_t due[INODE_DUE_BITS / 64]; /* inode.c */
};

/* ---- volume.c. Each time something of a name, a directory or an attribute does not verify, told or not. */
void volume_count(struct volume *v, enum meter_kind kind);

/* ---- volume.c, for volume_lock.c */
int volume_open_config(const uint8_t *config, size_t len, const struct secret *root, struct volume_info *ret_info,
		       struct key_ring **ret_ring) must_check;
void volume_fill_params(struct volume *v, struct vio_params *p);
/* End a freeze, bring everything home, close all files. After an error they are closed too, and what was pending is dropped. */
int volume_rest(struct volume *v) must_check;

/* ---- volume_lock.c, for volume.c */
void volume_note_seen(struct volume *v, const struct vio_seen *seen);
void volume_io_stats(struct volume *v, struct vio_stats *ret_s);

#endif
