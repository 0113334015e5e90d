/* backup_impl.h: what backup_*.c of a run share; private to them.
 *
 * The thread that called walks the tree (backup_walk.c) and makes an item of each entry. Files that must be read are planned: which parts hold data. Windows
 * become jobs, and threads (backup_work.c) read, verify, hash and send them. Items whose work is done leave at the front of the queue, in the order of the walk,
 * as records (backup_emit.c). Jobs and items that wait are bounded, so memory is. */
#ifndef COFFER_BACKUP_BACKUP_IMPL_H
#define COFFER_BACKUP_BACKUP_IMPL_H

#include <sys/stat.h>
#include <stdatomic.h>

#include "backup/backup.h"
#include "backup/backup_cache.h"
#include "backup/backup_set.h"
#include "backup/merkle.h"
#include "backup/pool.h"
#include "backup/prune.h"

#define BACKUP_ITEMS_MAX 8192u           /* that wait for those before them */
#define BACKUP_BATCH_FILES 512u          /* in a pack */
#define BACKUP_BATCH_DIRS 64u
#define BACKUP_MERGE_GAP (256u * 1024)
#define BACKUP_DIRECT_FROM (1u << 20)
#define BACKUP_RACY_S 2

#define BACKUP_METAS_LEN (BACKUP_WINDOW_GROUPS * (size_t)BLOCK_SIZE)

/* A directory that is open while somebody needs it, as are those around it. So what waits has no path of its own, which may be long. */
struct backup_dir {
	int fd;
	unsigned refs;                   /* lock: backup.pool.m */
	struct backup_dir *parent;       /* one of its refs is ours; NULL: the root */
	char *name;
};

/* Where the walk is. */
struct backup_place {
	struct backup_dir *dir;
	uint64_t entry;                  /* the directory's */
	unsigned depth;
	bool quarantine;                 /* or below it */
};

struct backup_item {
	struct backup_item *next;
	uint8_t *record;                 /* ENTRY, the number of pieces not yet in it */
	size_t record_len;
	bool is_file, checked;           /* checked: it has groups */
	bool cacheable;
	struct backup_cache_file now;    /* its pieces; metas: only of what verified */
	struct backup_cache_file old;    /* as it was remembered; empty: it was not */
	struct backup_cache_key key;
	struct backup_dir *dir;          /* while work is left */
	int clone_fd;                    /* what is read in its place; -1: nothing */
	char name[RECORD_NAME_MAX + 1];
	unsigned work;                   /* lock: backup.pool.m; windows that are not done */
	bool rotten;                     /* lock: backup.pool.m */
};

/* A window of a file: some of its pieces. */
struct backup_unit {
	struct backup_item *item;
	uint64_t window, first, n;
};

struct backup_job {
	struct pool_job queued;          /* first */
	struct backup_unit *units;
	size_t n, max;
	uint64_t packed;                 /* bytes of small pieces */
	struct backup_dir *last_dir;
	size_t dirs;
};

struct backup {
	const struct backup_params *p;
	struct repo repo;
	struct backup_cache_id id;
	struct backup_cache *cache;
	struct prune_mark mark;          /* of the last prune before we looked what is there */
	int64_t started_s;               /* CLOCK_REALTIME */

	struct pool pool;                /* m below: its lock */
	struct backup_counts counts;     /* lock: m */
	struct backup_set segments, packs; /* lock: m; in the store */
	struct backup_set lists;         /* the walk's; that were in it. None where it locks objects */
	struct backup_set fresh[2];      /* lock: m; where the store locks objects: segments and packs that this run has sent (backup_lock.c) */
	struct backup_set slices;        /* lock: m; pieces of packs that are there */
	uint8_t (*slice_packs)[RECORD_HASH_LEN]; /* lock: m */
	size_t nslice_packs, slice_packs_max;

	atomic_bool frozen;              /* the mount holds still: nothing is sent, all is kept */
	atomic_bool cloning;             /* and all that is read meanwhile is a clone: so nobody waits for the reading, and what is read is sent */
	atomic_uint nclones;             /* that are open */
	unsigned clones_max, cloned;     /* the walk's, as the next: of this round */
	uint64_t clone_bytes;
	bool unsteady;                   /* lock: m; a file went or became shorter while it was read */
	struct backup_kept *spool;       /* lock: m, as are the next three (backup_spool.c) */
	size_t spooled;
	struct backup_told *rots;
	size_t nrots;

	/* The walk alone. */
	struct backup_job *batch;
	struct backup_item *items, **items_end;
	size_t nitems;
	uint64_t entries;
	dev_t dev;
	char *xattrs;                    /* backup_entry.c: room to read them; NULL: none yet */
	struct backup_links *links;
	size_t nlinks, links_max;
	struct backup_seen *seen;        /* directories of the round, while frozen */
	size_t nseen, seen_max;

	/* What comes out (backup_emit.c). */
	struct record_buf list, record;
	uint32_t list_records;
	struct merkle merkle;
	struct manifest manifest;
	size_t lists_max;
	struct backup_cache_writer writer;
};

/* A file with several names. */
struct backup_links {
	uint64_t ino, entry;             /* ino 0: free */
};

/* What did not verify. */
struct backup_told {
	char *path;
	struct backup_rot rot;
};

/* A directory, as it was when it was read. */
struct backup_seen {
	char *path;
	uint64_t ino;
	struct timespec ctime;
};

/* backup_live.c: rounds until the state of one instant was seen. -EAGAIN: it changes faster than it can be copied. */
int backup_live(struct backup *b) must_check;
/* The walk is about to read a directory. */
int backup_live_dir(struct backup *b, const char *path, const struct stat *st) must_check;

/* backup_reuse.c */
/* A number for the metadata of a window that is in memory; metas is scratch. */
uint64_t backup_reuse_meta(uint8_t metas[static BACKUP_METAS_LEN], const uint8_t *window, size_t len);
/* 1: the unit's window is as it was, and has its pieces. */
int backup_reuse_window(struct backup *b, int fd, uint8_t metas[static BACKUP_METAS_LEN], const struct backup_unit *u) must_check;

/* backup_spool.c; the first, and those about rots, with b->m held. */
int backup_spool_add(struct backup *b, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], const void *p, size_t len) must_check; /* -ENOBUFS: no room */
int backup_spool_rot(struct backup *b, const char *path, const struct backup_rot *rot) must_check;
void backup_spool_rots_drop(struct backup *b);
/* lists: the round was a snapshot; else they are dropped. No thread is at work. */
int backup_spool_send(struct backup *b, bool lists) must_check;
void backup_spool_rots_tell(struct backup *b);
void backup_spool_done(struct backup *b);

/* backup_clone.c: from here on files are cloned before they are read, until one cannot be, or cloning is set to false. */
void backup_clone_begin(struct backup *b);
/* A clone of fd, which holds size bytes; -1: none. By the walk alone. */
int backup_clone(struct backup *b, int fd, uint64_t size) must_check;
/* -1 is fine. */
void backup_clone_close(struct backup *b, int fd);

/* backup_lock.c: nothing where the store locks no objects. The first with b->m held. */
int backup_lock_sent(struct backup *b, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN]) must_check;
/* Before the manifest: what it names is held at least as long as it will be. */
int backup_lock_hold(struct backup *b, struct store_error *err) must_check;

/* backup_entry.c: fill item, which is zeros but for clone_fd, with an entry; *ret_fd: what was opened for it, a directory always. 1: it has windows to read. */
int backup_entry(struct backup *b, const struct backup_place *at, const char *name, const struct stat *st, struct backup_item *item, int *ret_fd) must_check;

/* backup_walk.c */
int backup_walk(struct backup *b) must_check;

/* backup_plan.c: the parts of a file that hold data, as pieces without hashes. fd of size bytes. */
int backup_plan(int fd, uint64_t size, struct record_piece **ret_pieces, uint64_t *ret_n) must_check;
/* Give the windows of an item to the threads. */
int backup_plan_jobs(struct backup *b, struct backup_item *item) must_check;
int backup_plan_flush(struct backup *b) must_check;

/* backup_work.c */
int backup_work_start(struct backup *b) must_check;
/* Hand over *job; waits while the threads have enough to do. */
int backup_work_add(struct backup *b, struct backup_job **job) must_check;
/* Wait a moment, or until something is done; says how far it is. */
int backup_work_wait(struct backup *b) must_check;
/* Says how far it is, without waiting. */
int backup_work_poll(struct backup *b) must_check;
void backup_job_free(struct backup_job *job);
/* backup_dir.c: a directory of this name in parent (NULL: it is the root); fd stays the caller's. */
int backup_dir_new(struct backup *b, int fd, struct backup_dir *parent, const char *name, struct backup_dir **ret_d) must_check;
void backup_dir_ref(struct backup *b, struct backup_dir *d);
void backup_dir_unref(struct backup *b, struct backup_dir *d);
/* The path of an item with work left, relative to the volume, for messages. malloc'ed; NULL: no memory. */
char *backup_item_path(const struct backup_item *item);

/* backup_emit.c */
void backup_item_free(struct backup *b, struct backup_item *item);
/* Emit what is done at the front of the queue, and wait while more than max are left. */
int backup_emit_until(struct backup *b, size_t max) must_check;
/* The last list, the manifest's numbers and root. */
int backup_emit_end(struct backup *b) must_check;

#endif
