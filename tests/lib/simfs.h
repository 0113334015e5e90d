/* simfs.h: a filesystem in memory behind struct lower, with the disk below it: what a power cut may leave of it. tests/model/lower.py is the
 * specification of what happens to a file's sectors; here they hold real bytes, and names, sizes, handles and locks come with them.
 *
 * Sectors    A write is pending, sector by sector, until the file is flushed (fdatasync, fsync, syncfs). A cut leaves every pending sector at
 *            any of the versions it had since the last flush. A dsync write makes its own sectors durable, and truncates before it.
 * Truncates  and punches (whole 4 KiB blocks; the edges are zeros written), growing truncates and fallocate are a journal of their file, in
 *            order: a cut leaves a prefix. What was written after a truncate or punch that freed its place shows only where that one survived.
 * Sizes      The surviving journal gives the size; surviving sectors behind that make the file longer, up to their end or up to what the writes
 *            made of it: one or the other for each crash state.
 * Names      (create, mkdir, mknod, symlink, link, unlink, rename) are one journal for the whole filesystem; a cut leaves a prefix. fdatasync
 *            makes no name durable. fsync of an inode makes durable: SIMFS_EXT4: the journal up to the last operation on that inode (or, a
 *            directory, in it). SIMFS_BTRFS: only operations on that inode's own names and on the names of the directories that lead there,
 *            for a directory also all names in it; and what must come before them because it is about the same name.
 * Attributes (mode, owner, times) are durable at once. Times are ticks.
 * Cache      Buffered reads see the cache; O_DIRECT reads see the device, on which all that is written has arrived, but for what a failed
 *            flush lost: that stays in the cache until simfs_drop_caches, and never becomes durable unless it is written again.
 *            A flush error is told once to each descriptor that was open, as errseq_t does; nothing is told to one opened after it was told.
 * Handles    live as long as the inode. Inode numbers are never used twice.
 * O_DIRECT   wants 512-byte alignment of offset, length and memory (-EINVAL).
 *
 * Thread safe: one recursive mutex per simfs. Deterministic: own random numbers, no time, no addresses. Out of memory aborts. */
#ifndef COFFER_TESTS_LIB_SIMFS_H
#define COFFER_TESTS_LIB_SIMFS_H

#include "io/lower.h"

struct simfs;

/* ---- random numbers of tests */

struct simfs_rng {
	uint64_t s;
};

uint64_t simfs_rng_next(struct simfs_rng *rng);
/* 0..n-1; n > 0. */
uint64_t simfs_rng_below(struct simfs_rng *rng, uint64_t n);

/* ---- the filesystem */

enum simfs_mode { SIMFS_EXT4, SIMFS_BTRFS };

/* What the backing cannot do. */
#define SIMFS_NO_HANDLES (1u << 0)      /* name_to_handle: -EOPNOTSUPP, open_by_handle: -EOPNOTSUPP */
#define SIMFS_NO_OPEN_HANDLE (1u << 1)  /* open_by_handle: -EPERM */
#define SIMFS_NO_DIRECT (1u << 2)       /* O_DIRECT: -EINVAL */
#define SIMFS_NO_FALLOCATE (1u << 3)    /* fallocate: -EOPNOTSUPP */
#define SIMFS_NO_EXCHANGE (1u << 4)     /* RENAME_EXCHANGE: -EINVAL */
#define SIMFS_READ_ONLY (1u << 5)       /* -EROFS for every change */

struct simfs_params {
	uint64_t seed;
	enum simfs_mode mode;
	uint64_t capacity;       /* 4 KiB blocks of file contents; 0: no end */
	unsigned lacks;
};

struct simfs *simfs_new(const struct simfs_params *p);
void simfs_free(struct simfs *fs);       /* open descriptors and all; NULL is fine */
struct lower *simfs_lower(struct simfs *fs);
/* A new descriptor of the root directory. AT_FDCWD means the root directory too. */
int simfs_open_root(struct simfs *fs);

/* Everything again: cache, what is pending, descriptors under the same numbers. Hook and planned faults are not copied. */
struct simfs *simfs_clone(struct simfs *fs);
/* SIGKILL of whoever has descriptors: all are closed, locks are gone; cache and what is pending stay. */
void simfs_close_all(struct simfs *fs);
/* All is durable (what a failed flush lost is not). */
void simfs_sync(struct simfs *fs);
void simfs_drop_caches(struct simfs *fs);
/* Is anything pending: does a cut have more than one outcome? */
bool simfs_is_pending(struct simfs *fs);
unsigned simfs_open_count(struct simfs *fs);
void simfs_set_capacity(struct simfs *fs, uint64_t blocks);
void simfs_set_lacks(struct simfs *fs, unsigned lacks);
uint64_t simfs_used(struct simfs *fs);   /* blocks */

/* Change bytes behind everybody's back: cache, device and durable. -errno of finding it. */
int simfs_poke(struct simfs *fs, int dirfd, const char *name, uint64_t off, const void *p, size_t len) must_check;
/* Copy a tree (cp -a: new inodes, hard links kept, old handles still open the originals). Everything is made durable before and after. */
int simfs_copy_tree(struct simfs *fs, int dirfd, const char *name, int newdirfd, const char *newname) must_check;

/* ---- faults of the disk (for failing calls see fault.h) */

/* The flush after the next `after` ones, of those that have something pending of a file with a name that matches (fnmatch(3); NULL: any), fails
 * with err: a part of what is pending can still become durable, the rest never will. Flush: fdatasync, fsync, syncfs, dsync write. */
void simfs_fail_flush(struct simfs *fs, const char *pattern, int err, unsigned after);
/* The same now, in the background; the next flush tells. Returns how many files had something pending. */
unsigned simfs_fail_writeback(struct simfs *fs, const char *pattern, int err);
bool simfs_flush_failed(struct simfs *fs);      /* has the planned failure happened? */

/* ---- hook */

enum simfs_call {
	SIMFS_CALL_WRITE,        /* pwritev, ftruncate, fallocate */
	SIMFS_CALL_FLUSH,        /* fdatasync, fsync, syncfs */
	SIMFS_CALL_NAME,         /* whatever changes names; openat that creates */
};

/* Called before each such call, in its thread, with the mutex held: nothing changes meanwhile; simfs_cut*, simfs_clone and the queries above
 * may be called, lower calls on this simfs may not. A dsync write calls it twice: before the write, and before its flush. The thread may hold ranked locks (base/lock.h): mount a cut in another thread. */
typedef void simfs_hook_fn(void *arg, struct simfs *fs, enum simfs_call call);
void simfs_set_hook(struct simfs *fs, simfs_hook_fn *fn, void *arg);

/* ---- power cuts */

enum simfs_choice {
	SIMFS_OLD,               /* nothing pending survives */
	SIMFS_NEW,               /* everything does */
	SIMFS_NEARLY_OLD,        /* but for one or two sectors; journals at random */
	SIMFS_NEARLY_NEW,
	SIMFS_RANDOM,
};

/* One legal state after a cut here: nothing pending, nothing open, no locks. fs itself goes on as if nothing had happened. */
struct simfs *simfs_cut(struct simfs *fs, struct simfs_rng *rng, enum simfs_choice choice);
/* How many there are (UINT64_MAX: at least so many), sizes not counted. */
uint64_t simfs_cut_count(struct simfs *fs);
/* fn for each state if there are at most cap, else for cap of them: all old, all new, then sharp corners and random ones. The state is freed
 * after fn, unless fn takes it (*cut = NULL). Ends early with fn's value if that is not 0. */
typedef int simfs_cut_fn(void *arg, struct simfs **cut);
int simfs_cut_all(struct simfs *fs, uint64_t cap, struct simfs_rng *rng, simfs_cut_fn *fn, void *arg);
/* A number that is the same for two simfs exactly when (but for collisions) names, sizes and contents in the cache are the same. */
uint64_t simfs_digest(struct simfs *fs);

#endif
