/* vio_impl.h: what the modules of src/io share, and nobody else may include: the objects of an open volume and their invariants.
 *
 * A group has up to three views of its metadata (struct gmeta, shared by reference, never changed while shared):
 *   cur   what reads and writes see
 *   fl    as gathered by the commit in flight
 *   com   as in the newest durable commit; NULL: that commit has no such group
 *   home  the image last written home, NULL: none that counts
 * A clean group has cur == com == home and no fl. A group without a node is clean, or does not exist (f->shape says which).
 *
 * A data block has up to three sealed versions in memory (struct dblk), each valid for the view whose entry has its stamp:
 *   state     who names it                          where it goes
 *   DBLK_U    cur only                              the log, at the next commit of its file
 *   DBLK_F    the commit in flight                  the log, being written
 *   DBLK_C    the newest durable commit             home, by the checkpoint; freed when home is flushed
 * A block of cur without a version in memory lies at home; it is uncommitted there if its bit in g->uhome is set.
 *
 * Locks: docs/internals.md. In short: f->shape_lock (read: reads and writes; write: truncate, giving space back) > range locks (group) > f->m >
 * v->m; the commit has a turn (v->commit_running), not a lock; the checkpoint has v->ckpt_m. */
#ifndef COFFER_IO_VIO_IMPL_H
#define COFFER_IO_VIO_IMPL_H

#include "base/lock.h"
#include "format/log_record.h"
#include "base/hash.h"
#include "io/ioq.h"
#include "io/lower_ro.h"
#include "io/replay_view.h"
#include "io/reserve.h"
#include "io/rules.h"
#include "io/state.h"
#include "io/vio.h"

#include <stdatomic.h>

#define VIO_BULK_MIN (128u << 10)        /* requests from here on go straight home where they may, with O_DIRECT */
#define VIO_RANGE_LOCKS 512
#define VIO_EXTENTS_MAX 32
#define IOFILE_AHEAD_MAX 4
#define VIO_SYNCFS_MIN 64                /* more files than this: one syncfs instead of a flush each */
#define VIO_SCRATCH_LEN (2u << 20)
#define VIO_HEADS_LEN (4u * BLOCK_SIZE)
#define VIO_TX_BLOCKS_MAX (63u * 1024)   /* blocks of a transaction that log.c can write at once */

struct gmeta {
	atomic_uint refs;
	uint16_t epoch;
	bool sealed;             /* the entries' seal fits ent */
	struct seal entries, header;
	uint8_t ent[ENTRIES_LEN]; /* as on disk */
};

enum dblk_state { DBLK_U, DBLK_F, DBLK_C };

struct dblk {
	struct dblk *next;       /* other versions of the block */
	atomic_uint refs;
	enum dblk_state state;
	bool written;            /* DBLK_C: written home in this checkpoint, not flushed yet */
	uint64_t stamp;
	uint8_t *buf;            /* BLOCK_SIZE bytes of ciphertext, from the pool */
};

struct gnode {
	struct gnode *hash_next;
	struct gnode *lru_prev, *lru_next;  /* lock: v->m; clean ones only */
	bool in_lru;
	struct iofile *f;
	uint32_t no;
	unsigned pins;           /* users outside f->m */
	struct gmeta *cur, *fl, *com, *home;
	struct dblk **d;         /* GROUP_BLOCKS chains, or NULL */
	unsigned ndblk;
	uint64_t uhome[2];
	uint64_t freed[2];       /* blocks that a punch freed and whose lower space is not given back yet */
	bool changed;            /* on f->changed: differs from what was gathered last */
	bool base_empty;         /* cur does not build on com: new, out of a gap, cut and made again */
	bool fresh;              /* cur's metadata block lies at home, sealed, with all its data */
	bool home_pending;       /* on f->home_list: com is not home */
	struct gnode *changed_next, *fl_next, *home_next;
};

/* All fields but the marked ones: lock f->m. */
struct iofile {
	struct vio *v;           /* constant */
	void *owner;             /* constant */
	uint64_t ino, dev;       /* constant */
	pthread_rwlock_t shape_lock;
	struct lock m;

	bool has_id;
	atomic_bool has_header;     /* a header with file_id is at home; these two are looked at without the lock, and never become false again */
	atomic_bool header_durable; /* and flushed */
	uint8_t file_id[FILE_ID_LEN];
	struct file_keys *keys;  /* of keys_epoch, in secret memory */
	uint16_t keys_epoch;
	struct lower_handle handle;
	struct file_shape cur, fl, com, home_shape;
	bool in_fl, in_com;      /* fl, com hold something */
	uint64_t com_seq;        /* the transaction that com is of */

	struct gnode **tab;      /* hash of nodes by group number */
	unsigned tab_size, nodes;
	struct gnode *changed_list, *fl_list, *home_list;
	atomic_bool changed;           /* something waits for a commit */
	bool cut, fl_cut;        /* groups were cut since the last gather; in the commit in flight */
	unsigned claims;         /* writes under way that will add groups */
	uint64_t freed_low, freed_end, freed_seq; /* blocks freed_low.. were cut or punched by a commit (freed_seq) that nothing vouches for yet */
	bool giveback;           /* a commit has cut groups: the lower file may be cut too */
	bool punched;            /* some node has freed blocks */

	struct block_range { uint64_t first, end; } ahead[IOFILE_AHEAD_MAX]; /* blocks known to be allocated ahead below */
	unsigned naheads;
	uint64_t extended;       /* iofile_extend.c: the lower file is at least as long, of its doing; 0: nothing is known */
	bool allocated;          /* somebody has allocated space ahead, or it cannot be had: no more of that */

	bool needs_sync;         /* created by us, no lower fsync yet (L7) */
	bool attr_sync;          /* owner, mode, links changed: a lower fsync is due */
	struct lock flush_m;     /* one flush of the home writes at a time: an error is told once, to one of those that flush */
	_Atomic uint64_t home_gen, home_flushed; /* home writes done; of which flushed. Changed under m */
	uint64_t header_gen;     /* the home write that was L7's header; 0: none by us */
	uint64_t sync_gen;       /* home writes that the lower fsync of the commit under way covers */
	uint64_t fails, mended;  /* lower fsyncs of L7 that failed; of which everything due was written again */
	struct gap_extent { uint64_t off, end; } ext[VIO_EXTENTS_MAX]; /* lower ranges written since the last good flush */
	unsigned next;
	uint64_t named_ticket;   /* the last batch that gathered this file */
	uint64_t err_count;      /* errors so far; an fsync that sees it rise returns err */
	int err;
	uint64_t lost_count, lost_told; /* the same of what may be lost, whoever was the first to hear of it: told by the next fsync, once */
	int lost_err;

	unsigned refs;           /* lock: v->m. 1 of the owner, 1 dirty list, 1 home list, and transient ones */
	atomic_bool gone;         /* lock: v->m. discarded by the owner */
	bool joined;             /* lock: v->commit_m */
	struct iofile *join_next;        /* lock: v->commit_m */
	bool in_dirty, in_home;  /* lock: v->m */
	struct iofile *dirty_prev, *dirty_next, *home_prev, *home_next; /* lock: v->m */
	uint64_t dirty_no;       /* lock: v->m. its number on the dirty list, rising */

	/* descriptors; lock: v->fd_m */
	int fd, fd_direct;
	unsigned fd_pins;
	bool fd_lost;            /* closed with home writes unflushed: an error of theirs may have gone unheard */
	struct iofile *fd_prev, *fd_next;
};

enum freeze_state { FREEZE_NONE, FREEZE_STARTING, FREEZE_HELD, FREEZE_EXPIRED, FREEZE_ENDING, FREEZE_FAILED };
struct freeze {                  /* freeze.c */
	struct lock m;
	pthread_cond_t cond;     /* CLOCK_MONOTONIC */
	pthread_t thread;
	enum freeze_state state; /* lock: m */
	unsigned ms;
	int result;
};

struct vio {
	struct vio_params p;
	struct lower *l;         /* p.lower, or around it ro */
	struct lower_ro ro;      /* of a read-only volume: nothing can be written, and reads see what the log holds */
	struct replay_view *view; /* what it holds; NULL: nothing */
	struct state *state;
	struct reserve *reserve;
	int log_fd;
	atomic_bool read_only;

	pthread_rwlock_t range[VIO_RANGE_LOCKS];

	struct lock m;           /* lists, counters */
	struct gnode lru;        /* head of the clean nodes */
	uint64_t nodes;          /* all nodes */
	struct iofile dirty, home; /* heads: files with changes; files with committed blocks not home */
	uint64_t dirty_no;       /* given last to a file of the dirty list */
	uint64_t pend_blocks;    /* blocks and groups waiting for the log, and reservations of writes under way */
	uint64_t dirty_blocks;   /* dblk in memory, and groups whose metadata is not home */
	bool names_due;          /* a file with something pending was discarded: its unlink must be durable before the tail passes its commits */
	uint64_t reserved;       /* of pend_blocks: reservations of writes under way */
	uint64_t pend_hard, pend_soft, dirty_max; /* constant */
	pthread_cond_t room;

	struct lock commit_m;
	pthread_cond_t commit_cond;
	bool commit_running, join_all;
	struct iofile *join;
	uint64_t ticket_next, ticket_done;
	int batch_err;
	uint64_t batch_err_count;

	/* the log: changed by the commit that has the turn (head, seq, durable) and by the checkpoint (tail) */
	_Atomic uint64_t head, tail, seq, durable, tail_seq, vouched;
	uint64_t done_seq, done_pos; /* lock: commit_m. the newest transaction whose files are on the home list, and the place behind it */
	uint64_t log_blocks;

	struct lock ckpt_m;
	struct freeze freeze;

	struct lock fd_m;        /* descriptors */
	struct iofile fd_lru, fd_kept; /* of files that nobody uses; kept: home writes were not flushed when it was put there */
	unsigned fds, fds_max;
	int ckpt_fd;             /* of the root, for the checkpoint's syncfs alone: it tells each descriptor once what failed */
	bool syncfs_failed;      /* lock: ckpt_m. what it failed for is unknown: files are flushed one by one from then on */

	struct lock pool_m;
	void *pool_free;         /* list through the buffers */
	void **pool_chunks;
	size_t pool_nchunks;
	void *keys_free;
	struct secret **keys_chunks;
	size_t keys_nchunks;

	pthread_t timer;
	bool timer_runs, stopping, kick;
	struct lock timer_m;
	_Atomic uint64_t told_limit; /* stamp limit last told to seen() */
	_Atomic uint64_t ahead;  /* one above the highest stamp met at home that the state does not know; 0: none */
	pthread_cond_t timer_cond;

	_Atomic uint64_t read_bytes, write_bytes, commits, checkpoints, last_commit_ms;
	_Atomic uint64_t integrity[METER_KINDS];
	struct meter commit_time, checkpoint_time;
	uint64_t replayed, lost_first, lost_last;
	bool state_remade, log_remade;
};

/* ---- cache.c: nodes, views, versions, the buffer pool */
struct gmeta *cache_meta_new(uint16_t epoch);                    /* all holes, unsealed; NULL: no memory */
struct gmeta *cache_meta_dup(const struct gmeta *m);
struct gmeta *cache_meta_ref(struct gmeta *m);                   /* NULL is fine */
void cache_meta_unref(struct gmeta *m);
void cache_meta_set(struct gmeta **slot, struct gmeta *m);       /* consumes m */
uint64_t cache_entry_stamp(const struct gmeta *m, unsigned i);
bool cache_entry_is_hole(const struct gmeta *m, unsigned i);
void cache_entry_get(const struct gmeta *m, unsigned i, struct entry *ret_e);
void cache_entry_set(struct gmeta *m, unsigned i, const struct entry *e); /* NULL: hole */

uint8_t *cache_buf_get(struct vio *v);                           /* BLOCK_SIZE aligned; NULL: no memory */
void cache_buf_put(struct vio *v, uint8_t *buf);
struct dblk *cache_dblk_new(struct vio *v);
struct dblk *cache_dblk_ref(struct dblk *b);
void cache_dblk_unref(struct vio *v, struct dblk *b);
/* The version with this stamp, or in this state; NULL. lock: f->m */
struct dblk *cache_dblk_find(const struct gnode *g, unsigned i, uint64_t stamp);
struct dblk *cache_dblk_state(const struct gnode *g, unsigned i, enum dblk_state st);
bool cache_node_has_committed(const struct gnode *g); /* a DBLK_C is left */
void cache_dblk_drop(struct gnode *g, unsigned i, struct dblk *b);

/* lock: f->m for all of these */
struct gnode *cache_node_find(struct iofile *f, uint32_t no);
int cache_node_add(struct iofile *f, uint32_t no, struct gnode **ret_g) must_check;
void cache_node_free_if_empty(struct gnode *g);                  /* no view left: out of the table, freed */
void cache_node_touch(struct gnode *g);                          /* clean: (back) to the young end of the LRU; else out of it */
int cache_node_own(struct gnode *g) must_check;                  /* cur may be changed now: not shared, not sealed */
void cache_node_mark_changed(struct gnode *g);
void cache_node_mark_home(struct gnode *g);
void cache_file_drop_nodes(struct iofile *f);                    /* everything, at close or discard */
/* Bring the number of nodes under the bound, by at most so many clean ones. No lock held. */
#define CACHE_TRIM_STEP 64u /* of a request, so that none pays for all */
void cache_trim(struct vio *v, uint64_t most);
struct file_keys *cache_keys_get(struct vio *v);                 /* secret memory; NULL: no memory */
void cache_keys_put(struct vio *v, struct file_keys *k);
void cache_init(struct vio *v);
void cache_done(struct vio *v);

/* ---- iofile.c */
void iofile_ref(struct iofile *f);
void iofile_unref(struct iofile *f);                              /* no lock held; may free */
void iofile_mark_dirty(struct iofile *f);                         /* lock: f->m held; goes on v->dirty */
void iofile_list_dirty(struct iofile *f);                         /* lock: f->m held; without a change: something of it is due a commit */
void iofile_mark_home(struct iofile *f);                          /* lock: f->m held; goes on v->home: the checkpoint comes by */
int iofile_fd(struct iofile *f, bool direct, int *ret_fd) must_check; /* pinned; iofile_fd_put */
void iofile_fd_put(struct iofile *f);
/* Keys of an epoch: of the file's cache, or derived into *own. */
int iofile_keys(struct iofile *f, uint16_t epoch, struct file_keys *own, const struct file_keys **ret_keys) must_check;
int iofile_assign_id(struct iofile *f) must_check;                /* lock: f->m */
void iofile_fail(struct iofile *f, int err);                      /* the fsyncs that wait see err; nothing is lost */
void iofile_lost(struct iofile *f, int err);                      /* they see err, or if none waits the next one */
/* After a write to the lower file: it must be flushed before it counts. lock: none */
void iofile_note_home(struct iofile *f, uint64_t off, uint64_t len);
void iofile_note_home_locked(struct iofile *f, uint64_t off, uint64_t len); /* lock: f->m */
void iofile_flushed(struct iofile *f, uint64_t gen); /* a flush that began when home_gen was gen has succeeded */
/* Is L7's header all that is not flushed? Its flush may run beside the log's. lock: f->m */
bool iofile_only_header_due(const struct iofile *f);
/* Flush home writes; after a failure everything since the last good flush is written again, once. */
int iofile_flush_home(struct iofile *f) must_check;
/* Write the header of an empty file home if there is none (L7); flush: and flush it. */
int iofile_ident(struct iofile *f, bool flush) must_check;

/* ---- iofile_punch.c: what truncate shares with it */
/* The bytes from..to-1 of block i of g become zero: a new version, sealed, not in the group yet. Range or shape lock held, f->m not. */
int iofile_seal_zeroed(struct iofile *f, struct gnode *g, unsigned i, size_t from, size_t to, struct dblk **ret_b,
		       struct entry *ret_e) must_check;
/* b (consumed) is what cur says of block i. lock: f->m. Cannot fail: cur is private and g->d is there. */
void iofile_put_version(struct gnode *g, unsigned i, struct dblk **b, const struct entry *e);
/* Block i of cur goes. whole: all of cur will be replaced (it may be shared and is not touched); else it is private. lock: f->m */
void iofile_forget_block(struct gnode *g, unsigned i, bool whole);
/* Blocks first..end-1 were cut or punched: no new space until the commit that says so is vouched for. lock: f->m */
void iofile_note_freed(struct iofile *f, uint64_t first, uint64_t end);
/* Has a commit that nothing vouches for yet (or none so far) freed one of the blocks first..last? lock: f->m */
bool iofile_is_freed(const struct iofile *f, uint64_t first, uint64_t last);

/* ---- iofile_alloc.c. lock: f->m */
bool iofile_is_ahead(const struct iofile *f, uint64_t block);
void iofile_forget_ahead(struct iofile *f, uint64_t first, uint64_t end);
/* Space allocated ahead in whole groups of off..end-1 (plain bytes) that exist in no view goes back at once. No lock held. */
void iofile_give_back_ahead(struct iofile *f, uint64_t off, uint64_t end);

/* ---- iofile_extend.c. Before blocks first..last are written home in bulk: make room for them and more. Shape lock held (reading is enough). */
void iofile_extend(struct iofile *f, uint64_t first, uint64_t last);

/* ---- blockio.c */
/* Make sure group no has a node with cur, read from home if need be. The group exists in f->cur. Range lock held, f->m not. Pinned. */
int blockio_node(struct iofile *f, uint32_t no, struct gnode **ret_g) must_check;
void blockio_node_put(struct gnode *g);
/* The plain text of one block of cur. Range lock held, f->m not. */
int blockio_block(struct iofile *f, struct gnode *g, unsigned i, uint8_t *ret_plain) must_check;
void blockio_range_lock(struct iofile *f, uint32_t first, uint32_t last, bool exclusive);
void blockio_range_unlock(struct iofile *f, uint32_t first, uint32_t last);
/* Check a metadata block read from home, and make the node of a clean group. f->m not held. */
int blockio_node_parse(struct iofile *f, uint32_t no, const uint8_t *p) must_check;
int blockio_node_install(struct iofile *f, uint32_t no, const uint8_t *p, const struct group_header *h) must_check;
/* Check and decrypt; cipher == ret_plain is allowed. -EBADMSG. */
int blockio_open_block(struct iofile *f, uint16_t epoch, uint64_t block, const struct entry *e, const uint8_t *cipher,
		       uint8_t *ret_plain) must_check;
int blockio_integrity(struct iofile *f, enum meter_kind kind, const char *what, uint64_t number); /* counts, tells, returns -EIO */
/* r of checking something: 0, and -ENOMEM, which says nothing about it, stay; all else is blockio_integrity. */
int blockio_verdict(struct iofile *f, int r, enum meter_kind kind, const char *what, uint64_t number);

/* ---- log.c, checkpoint.c, checkpoint_space.c */
/* Commit one file, or all (f NULL), and wait: joins the next batch. */
int log_commit(struct vio *v, struct iofile *f) must_check;
int checkpoint_run(struct vio *v) must_check;
/* All that is committed is home, and no checkpoint begins before the release; the caller has the commit's turn. */
int checkpoint_hold(struct vio *v) must_check;
void checkpoint_release(struct vio *v);
/* The commit's turn: while it is taken nothing is committed. */
void log_turn_take(struct vio *v);
void log_turn_drop(struct vio *v);
/* Store and flush in the state what is durable in the log. No lock held. */
int checkpoint_vouch(struct vio *v) must_check;
/* Lower space that a commit freed and no view has. No lock held but v->ckpt_m. */
void checkpoint_give_back(struct iofile *f);
/* Seal a group's entries (if unsealed) and header with fresh stamps. shape: group 0's, else NULL. */
int log_seal_group(struct iofile *f, uint32_t no, struct gmeta *m, const struct file_shape *shape) must_check;
/* The 4096 bytes of a metadata block. */
void log_meta_image(const struct iofile *f, uint32_t no, const struct gmeta *m, const struct file_shape *shape, uint8_t *ret_p);

/* ---- vio_peek.c */
/* The first 4 KiB into p (BLOCK_SIZE bytes): 1 a header, 0 none (an empty file), or -errno. */
int vio_read_header(struct vio *v, int fd, const struct stat *st, uint8_t *p, struct group_header *ret_h) must_check;
/* -EIO, counted and told, for what does not verify; other errors as they are. */
int vio_header_error(struct vio *v, const struct stat *st, int r) must_check;

/* ---- vio_seen.c */
/* Tell the host how new the volume is, if that has changed, after the state that says so is durable. No lock held. */
void vio_tell_seen(struct vio *v);
/* A verified header from home: 0, or -EKEYEXPIRED (which no lower call gives) if it was sealed after the state; the host is told then. No lock held. */
int vio_check_stamps(struct vio *v, const struct group_header *h) must_check;

/* ---- vio.c */
uint8_t *vio_scratch(struct vio *v);                              /* VIO_SCRATCH_LEN bytes of this thread, aligned; NULL: no memory */
uint8_t *vio_heads(struct vio *v);                                /* VIO_HEADS_LEN bytes likewise, for the metadata blocks of a read: no huge page for those */
struct ioq *vio_ioq(struct vio *v);                               /* of this thread; NULL: no memory */
void vio_turn_read_only(struct vio *v, const char *why, int err);
void vio_kick(struct vio *v);                                     /* wake the timer thread */
/* Wait for room for n blocks, committing or checkpointing if need be; on 0 n are reserved (vio_unreserve). No lock held. */
int vio_reserve(struct vio *v, uint64_t n) must_check;
void vio_unreserve(struct vio *v, uint64_t n);
void vio_pend(struct vio *v, int64_t pend, int64_t dirty);
void vio_event(struct vio *v, enum vio_event ev, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
