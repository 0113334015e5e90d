/* volume.h: one open volume: its directory, keys, lock, I/O and inodes. Everything of src/fs hangs from here. This header, ops.h and
 * check.h are what tools use. Nothing here knows libfuse. */
#ifndef COFFER_FS_VOLUME_H
#define COFFER_FS_VOLUME_H

#include "crypt/backup_tag.h"
#include "format/volume_config.h"
#include "io/vio.h"

struct volume;

/* Zero is the default of every field. */
struct volume_options {
	bool read_only;
	bool dev;                /* device nodes may be made */
	bool unsafe_backing;     /* accept a backing filesystem that cannot keep the promise */
	enum vio_backing backing;
	size_t cache_bytes, dirty_bytes;
	unsigned commit_seconds;
	uint64_t log_blocks;
	int lock_fd;             /* coffer.lock, locked already and inherited, consumed; 0: none (volume_hand.h) */
	unsigned lock_wait_ms;   /* how long to wait for a leaving writer; 0: VOLUME_LOCK_WAIT_MS */
	uint64_t min_stamp_limit;                /* what this host has seen last; io/vio.h */
	uint8_t seen_generation[GENERATION_LEN];
	bool accept_older;
	bool accept_log_loss, remake_state;      /* fsck --repair; io/vio.h */
	bool no_threads;         /* tests */
	unsigned rules_off;      /* test builds */
	int gather_log_fd;       /* test builds: io/gather_log.h */
};

#define VOLUME_LOCK_WAIT_MS 10000
#define VOLUME_HOLDER_MAX 256

/* Told from any thread, without locks. Text never holds a plain name. Any may be NULL. */
struct volume_events {
	void *ctx;
	void (*seen)(void *ctx, const struct vio_seen *seen);
	void (*event)(void *ctx, enum vio_event ev, const char *text);
	void (*step)(void *ctx); /* while volume_open replays: it has come further. Often; it only counts */
};

/* Make a new volume in the empty directory root_fd (borrowed): state, log and ballast, then coffer.volume (config: the bytes of
 * volume_config_put) last, all durable. *root is consumed. -EEXIST: there is a volume, -ENOTEMPTY, -EMEDIUMTYPE: the backing
 * filesystem cannot (no symbolic links, or unsafe), -EKEYREJECTED. Logs. */
int volume_create(struct lower *l, int root_fd, const uint8_t *config, size_t len, struct secret **root, uint64_t log_blocks,
		  const struct volume_options *o) must_check;

/* Open the volume in root_fd, whose coffer.volume reads config. root_fd and *root are consumed, also on failure.
 * -EKEYREJECTED wrong key or config changed, -EUCLEAN, -EOPNOTSUPP (config), -EMEDIUMTYPE: backing filesystem,
 * -EBUSY: ret_holder (VOLUME_HOLDER_MAX) says who has it, otherwise the errors of vio_open. Until the key has proven right nothing is
 * written. Logs. */
int volume_open(struct lower *l, int root_fd, const uint8_t *config, size_t len, struct secret **root, const struct volume_options *o,
		const struct volume_events *e, char *ret_holder, struct volume **ret_v) must_check;
/* Commit, bring home, mark clean, unlock, free. Nobody may use the volume any more. The first error; frees in any case. NULL is fine. */
int volume_close(struct volume *v) must_check;

/* Commit everything handed over so far and wait. */
int volume_sync(struct volume *v) must_check;

/* Hold what lies below still (io/freeze.h), names included: everything handed over and committed is home. A locked volume is at rest anyway, and may be held too. The end:
 * -ETIMEDOUT if it had ended by itself, or the volume was locked or unlocked meanwhile. -EBUSY: it is held already; -ENOKEY: it is locked, and did not come to rest. */
int volume_freeze(struct volume *v) must_check;
int volume_thaw(struct volume *v) must_check;
/* Around each request that changes a name: it waits while the volume holds still (fs/still.h). No lock held. */
void volume_names_enter(struct volume *v);
void volume_names_leave(struct volume *v);

/* The tag of a backup's statement (crypt/backup_tag.h): one for each hold that lasted to its end, of a backup that was begun since the volume was opened and before that
 * end. -ENOKEY: it is locked; -EPERM: not of such a backup, or there was no hold; -EINVAL: no statement about this volume. */
int volume_backup_tag(struct volume *v, const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN]) must_check;

/* Give up the keys, and everything that was made of them: commit, bring home, mark clean, close the I/O floor, free the key ring. Inodes and what the kernel
 * remembers of them stay, so that it can be opened again. Nobody may use the volume meanwhile or until then but for inode_forget and the functions of this
 * header. -errno: not everything came to rest (what was committed is in the log); it is locked all the same, and cannot be unlocked any more. Logs. */
int volume_lock(struct volume *v) must_check;
/* Open it again with coffer.volume as it is now; *root is consumed. -EKEYREJECTED: wrong key, or another volume's; -ESTALE: older than when it was locked;
 * -EIO: it had not come to rest; otherwise the errors of volume_open. It stays locked then. Logs. */
int volume_unlock(struct volume *v, const uint8_t *config, size_t len, struct secret **root) must_check;
bool volume_is_locked(struct volume *v);

/* Is this the tag of that statement by the volume's key? Any time. -EKEYREJECTED: it is not; -ENOKEY: it is locked; -EINVAL. */
int volume_backup_check(struct volume *v, const char *statement, const uint8_t tag[static BACKUP_TAG_LEN]) must_check;

struct volume_info {
	uint8_t uuid[UUID_LEN];
	char tenant[TENANT_LEN_MAX + 1];
	uint64_t config_version;
	uint16_t epoch;
	bool read_only;          /* asked for, or by a feature of the volume */
};
void volume_info(const struct volume *v, struct volume_info *ret_i);

/* fn is told the node id of an inode whose blocks are not what the kernel was told (they are counted anew when all is home). Called without locks, from any
 * thread, and must not wait for requests. NULL: nobody; when this returns the last call is over. */
void volume_watch(struct volume *v, void (*fn)(void *ctx, uint64_t id), void *ctx);

struct volume_stats {
	struct vio_stats io;
	uint64_t undecryptable;  /* entries that were skipped */
	uint64_t integrity[METER_KINDS]; /* io's, and names, directories and attributes */
	uint64_t inodes, files, dirs; /* held: inodes, files in use, directory descriptors */
};
void volume_stats(struct volume *v, struct volume_stats *ret_s);

#endif
