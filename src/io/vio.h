/* vio.h: the volume's I/O: files as rows of authenticated blocks that cannot lose a committed byte (docs/internals.md, DESIGN of the
 * log L1-L7). This is what src/fs uses. Names belong to fs; contents, sizes, the log, checkpoints and replay belong here.
 *
 * struct vio     one open volume
 * struct iofile  one lower regular file that is being used. Made on first use, at most one per lower inode (fs sees to that).
 *
 * All functions: 0 or count, or -errno; -EIO for what does not authenticate, -EROFS after the log has failed, -ENOSPC before anything
 * changed. Everything is thread safe unless it says otherwise. "Owner" is fs's inode, passed through untouched. */
#ifndef COFFER_IO_VIO_H
#define COFFER_IO_VIO_H

#include "base/meter.h"
#include "format/group.h"
#include "io/ioq.h"
#include "io/lower.h"

enum vio_backing { VIO_BACKING_AUTO, VIO_BACKING_BUFFERED, VIO_BACKING_DIRECT };

/* What a host remembers of a volume, told after it is durable in the volume. */
struct vio_seen {
	uint8_t generation[GENERATION_LEN];
	uint64_t stamp_limit;
};

enum vio_event {
	VIO_EVENT_INTEGRITY,     /* a block, group or header does not verify; text names lower path or inode and block */
	VIO_EVENT_READ_ONLY,     /* the volume turned read-only */
	VIO_EVENT_UNLINKED,      /* replay: a file_id of the log was found nowhere */
	VIO_EVENT_QUARANTINE,    /* replay: a file failed */
	VIO_EVENT_NO_RESERVE,    /* the ballast was spent; VIO_EVENT_RESERVE: it is whole again */
	VIO_EVENT_RESERVE,
};

struct vio;
struct iofile;

struct vio_callbacks {
	void *ctx;
	/* Open the owner's lower file anew (flags: O_RDWR or O_RDONLY), checked to be the same inode. A descriptor or -errno. */
	int (*reopen)(void *ctx, void *owner, int flags);
	/* Make the names that lead to the owner durable: directories in which this mount made a coffer.dir or long-name link, and its parent
	 * (L7). Called without locks of vio. */
	int (*sync_names)(void *ctx, void *owner);
	/* Home writes have changed the lower mtime: set it back to what the user was told. Called without locks of vio. */
	void (*home_written)(void *ctx, void *owner, int fd);
	/* The iofile has nothing pending any more; fs may drop it if it wants. Called without locks of vio. */
	void (*idle)(void *ctx, void *owner);
	void (*seen)(void *ctx, const struct vio_seen *seen);
	void (*event)(void *ctx, enum vio_event ev, const char *text);
	/* Replay has come a step further. Often, from the thread that opens; it only counts. NULL is fine. */
	void (*step)(void *ctx);
};

struct vio_params {
	struct lower *lower;
	int root_fd;                     /* borrowed: the volume directory */
	struct key_ring *ring;           /* borrowed; outlives the vio */
	struct vio_callbacks cb;
	enum vio_backing backing;
	size_t cache_bytes;              /* metadata cache; 0: 64 MiB */
	size_t dirty_bytes;              /* dirty table; 0: 128 MiB */
	unsigned commit_seconds;         /* periodic commit; 0: 5 */
	uint64_t log_blocks;             /* change the log's size at mount (it is empty then); 0: keep */
	bool read_only;                  /* write not one byte; what the log of an unclean volume holds is read through it */
	bool no_threads;                 /* tests: no timer, no background commit or checkpoint */
	uint64_t min_stamp_limit;        /* highest stamp limit this host has seen; a lower one is -ESTALE unless accept_older */
	uint8_t seen_generation[GENERATION_LEN]; /* with it; one of a lower stamp, or of this stamp and another history, likewise; zero: none seen */
	bool accept_older;
	bool accept_log_loss;            /* go on without acknowledged transactions that are missing (fsck --repair); vio_stats says which */
	bool remake_state;               /* with it: make coffer.state anew if no slot of it verifies (state_remake.h) */
	unsigned rules_off;              /* test builds only: bits of rules.h that are switched off */
	int gather_log_fd;               /* test builds only: gather_log.h; 0: none */
	void (*test_gathered)(void *ctx, void *owner, uint64_t sequence); /* test builds only: a file was gathered, its lock is held; ctx of cb */
	void (*test_between)(void *ctx); /* test builds only: a transaction was gathered and nothing of it is written; no lock is held; ctx of cb */
};

/* What is in coffer.state when a volume is made: writes coffer.log (zero-filled, log_blocks), coffer.state (both slots) and coffer.reserve
 * (best effort) below root_fd, all flushed. -EEXIST. Logs. */
int vio_format(const struct vio_params *p, uint64_t log_blocks) must_check;

/* Open: read state and log past the page cache, check, replay, new generation in both slots, reserve stamps, start threads.
 * -EBADMSG/-EUCLEAN state or log not accepted, -EKEYREJECTED, -ESTALE older than seen, -ENODATA an acknowledged transaction is missing. Logs. */
int vio_open(const struct vio_params *p, struct vio **ret_v) must_check;
/* Commit all, checkpoint, clean state, stop threads, free. All iofiles must have been closed. Returns the first error; frees in any case. */
int vio_close(struct vio *v) must_check;
/* Free without writing anything: what is committed comes home at the next mount. For a volume that could not be brought to rest, and tests. */
void vio_abandon(struct vio *v);

/* Free and wipe what the calling thread keeps between calls: keyed contexts, scratch memory and its ring, and what stands on its stack. Outside any call. */
void vio_forget_thread(void);

/* Commit everything handed over so far and wait. */
int vio_sync(struct vio *v) must_check;
/* Commit nothing new, but bring all that is committed home and empty the log as far as possible. */
int vio_checkpoint(struct vio *v) must_check;

struct vio_stats {
	uint64_t log_size_bytes, log_used_bytes, dirty_bytes, read_bytes, write_bytes, integrity_failures, replayed_transactions;
	uint64_t commits, checkpoints, stamps_used;
	bool state_remade, log_remade;
	uint64_t lost_first, lost_last;  /* sequences that accept_log_loss gave up; 0: none */
	uint64_t last_commit_ms;         /* CLOCK_BOOTTIME of the last commit's end, 0: none */
	uint64_t integrity[METER_KINDS]; /* of integrity_failures: those of this floor */
	struct meter_sum commit, checkpoint;
	bool read_only, reserve_whole;
};
void vio_stats(struct vio *v, struct vio_stats *ret_s);
bool vio_is_read_only(const struct vio *v);
/* For whoever reads lower files without an iofile (fsck): the layer through which they are as replay leaves them. Its reads are of whole blocks. */
struct lower *vio_lower(struct vio *v);

/* ---- files */

/* The plain size of a lower file without making an iofile: what lookup needs. fd: open for reading. Reads the first 4 KiB and checks H.
 * -EIO (header does not verify, or none where one must be, or DAMAGED). */
int vio_peek(struct vio *v, int fd, const struct stat *st, uint64_t *ret_size) must_check;
/* The same for n files in one batch through io_uring (readdirplus); ret_size[i] or ret_r[i] < 0 each. */
int vio_peek_batch(struct vio *v, const int *fds, const struct stat *st, size_t n, uint64_t *ret_size, int *ret_r) must_check;
/* Have the first block of each read into the page cache below; whatever comes of it. */
void vio_peek_ahead(struct vio *v, const int *fds, size_t n);

/* Start to use a lower file. fd is consumed (also on failure): O_RDWR, or O_RDONLY on a read-only volume. created: just created by us, so
 * its first fsync also makes the name durable. */
int iofile_open(struct vio *v, int fd, const struct stat *st, void *owner, bool created, struct iofile **ret_f) must_check;
/* True when nothing is pending: iofile_close is allowed. */
bool iofile_is_idle(struct iofile *f);
/* -EBUSY when something is pending (then idle() will be called later). Frees. */
int iofile_close(struct iofile *f) must_check;
/* The last link and the last reference are gone: drop what is pending, free. */
void iofile_discard(struct iofile *f);

uint64_t iofile_size(struct iofile *f);
/* Bytes of content known at home or pending, for st_blocks (512-byte units are the caller's). Estimate: blocks that are not holes are not
 * counted one by one; lower st_blocks is the base. */

/* Read up to len bytes at off into buf (BLOCK_SIZE aligned memory, room for len rounded up to whole blocks plus one). Returns the count, short
 * at end of file. */
ssize_t iofile_read(struct iofile *f, void *buf, size_t len, uint64_t off) must_check;
/* The same in three steps, so that one thread can have several under way: begin each, wait for all, end each. begin: true if all of it seems to lie in one
 * run at home, with its metadata in memory; whole blocks, at most IOFILE_EARLY_MAX bytes, into memory aligned to BLOCK_SIZE. end must follow, and gives what
 * iofile_read would give then. Nothing is locked in between: end verifies what came by what is true then, and reads again what has changed. */
#define IOFILE_EARLY_MAX (64u << 10)
struct iofile_early {
	struct iofile *f;
	void *buf;
	size_t len;
	uint64_t off;
	struct iovec iov;
	struct ioq_req req;
};
bool iofile_early_begin(struct iofile *f, void *buf, size_t len, uint64_t off, struct iofile_early *ret_e) must_check;
/* n > 0, all of one volume; on this thread. */
void iofile_early_wait(struct iofile_early *e, size_t n);
ssize_t iofile_early_end(struct iofile_early *e) must_check;
/* Write all of len bytes, at most VIO_WRITE_MAX; append: at the current end, off is ignored. Returns len or -errno; with -errno nothing has
 * changed. */
#define VIO_WRITE_MAX (1u << 20)
ssize_t iofile_write(struct iofile *f, const void *buf, size_t len, uint64_t off, bool append) must_check;
int iofile_truncate(struct iofile *f, uint64_t size) must_check;
/* The range reads as zeros: whole blocks become holes. Without IOFILE_KEEP_SIZE the size becomes at least off + len; else what lies behind the size stays
 * there. IOFILE_GIVE_BACK: the lower space goes back to the backing filesystem, behind a checkpoint. A range over more than 4 groups goes in steps of up to 64
 * groups that exist; each is atomic, and after an error some may be done. ret_freed: blocks that were not holes before (at most). -EFBIG. */
#define IOFILE_KEEP_SIZE 1u
#define IOFILE_GIVE_BACK 2u
int iofile_punch(struct iofile *f, uint64_t off, uint64_t len, unsigned flags, uint64_t *ret_freed) must_check;
/* Lower space for a later write to the range, so that it does not fail for want of it; without keep_size the size becomes at least off + len. -EOPNOTSUPP: the
 * backing cannot, -ENOSPC, -EFBIG. Contents are as before in any case. */
int iofile_allocate(struct iofile *f, uint64_t off, uint64_t len, bool keep_size) must_check;
/* Copy up to len bytes at off to to_off of another file, or of the same where they do not overlap (-EINVAL). buf: BLOCK_SIZE aligned, room for VIO_WRITE_MAX
 * and two blocks. Returns the count, short at the end of `from`, or behind an error that came later. */
ssize_t iofile_copy(struct iofile *from, uint64_t off, struct iofile *to, uint64_t to_off, size_t len, void *buf) must_check;
/* The first byte from off on that is in a hole (or in data); the end of the file is a hole. -ENXIO: off is at or behind the end, or there is no data. */
int iofile_seek(struct iofile *f, uint64_t off, bool hole, uint64_t *ret_off) must_check;
/* Commit this file's pending changes, or wait for the commit that already has them; includes L7. attr_changed: owner, mode, xattr or link
 * changes since the last lower fsync, so one is due. */
int iofile_fsync(struct iofile *f, bool attr_changed) must_check;
/* The descriptor for fs's own calls on the lower inode (fchmod, futimens, fsetxattr): pinned until iofile_unpin. */
int iofile_pin(struct iofile *f, int *ret_fd) must_check;
void iofile_unpin(struct iofile *f);

#endif
