/* crash.h: the crash prover: programs of file operations run on a simulated disk; the power is cut before each lower write, flush and name change; every
 * state that may be left (all when few, samples when many) is mounted and read, and must show each file as at one of its committed states, not older than
 * its last acknowledged one. The specification is the class Oracle of tests/model/logmodel.py. */
#ifndef COFFER_TESTS_CRASH_H
#define COFFER_TESTS_CRASH_H

#include "io/rules.h"
#include "io/vio.h"
#include "tests/lib/simfs.h"

#include <pthread.h>

#define NAMES 3                  /* "a", "b", "c" */
#define UIDS_MAX 256             /* files made in one program */
#define PROG_MAX 16
#define SIZE_MAX_MODEL (3u << 20)
#define LOG_BLOCKS 640u          /* a full request fits; the ring is met after some programs */

enum what {
	OP_CREATE, OP_WRITE, OP_APPEND, OP_TRUNCATE, OP_FSYNC, OP_COMMIT_ALL, OP_CHECKPOINT, OP_RENAME, OP_UNLINK, OP_KILL,
	OP_FAIL_LOG, OP_FAIL_HOME, OP_PUNCH, OP_ZERO, OP_ALLOCATE, OP_COPY,
};

struct op {
	enum what what;
	char name;               /* 'a'.. */
	uint64_t off, len;       /* OP_RENAME: off is the other name; OP_TRUNCATE: off is the size; OP_ZERO, OP_ALLOCATE: the file grows */
};

/* One content that a file had when it was gathered (or when it was mounted, or empty when it was made). */
struct seen {
	uint64_t size, hash, seq;
};

struct history {
	struct seen *s;
	size_t n, max;
	size_t acked;            /* index of the last acknowledged one */
	bool exists;             /* its name is durable: it must not be gone */
};

/* What a cut may show; a copy is taken at each cut. */
struct oracle {
	struct history h[UIDS_MAX];
	unsigned uids;
	struct {
		int uid;         /* since a rename over this name: if it shows uid, then in a state from k on; -1: none */
		size_t k;
	} over[NAMES];
};

struct cfile {
	struct world *w;
	char name[2];
	int uid;
	struct iofile *io;
	uint8_t *bytes;          /* the model; with `later`, what the operation under way makes of it */
	uint64_t size;
	uint8_t *later;
	uint64_t later_size;
	bool busy;
	uint8_t *room;           /* VIO_WRITE_MAX and two blocks: for copies out of it */
};

struct world {
	struct simfs *fs;
	struct lower *l;
	int top, root;           /* of the simulated disk; of the volume */
	bool copy;
	bool read_only;          /* to be mounted so */
	struct vio *v;
	unsigned rules_off;
	struct cfile f[NAMES];   /* uid -1: no such file */
	struct oracle o;
	uint64_t ino[UIDS_MAX];
	unsigned events;
	pthread_mutex_t m;       /* the oracle, when two threads run */
	bool threads;
	void (*between)(struct world *w); /* called when a transaction has been gathered and nothing of it is written */
	uint32_t label;
};

struct key_ring *crash_ring(void);
/* Make, mount. */
struct world *world_new(uint64_t seed, enum simfs_mode mode, unsigned rules_off);
/* Mount what is on fs (taken over), whose files are known by inode number. NULL: not mounted, *ret_r says why. */
struct world *world_from(struct simfs **fs, const char *dir, const struct world *like, unsigned rules_off, int *ret_r);
/* The two halves of it: the disk, then the volume. */
struct world *world_attach(struct simfs **fs, const char *dir, const struct world *like, unsigned rules_off);
int world_format(struct world *w);
int world_mount(struct world *w);
/* What worlds put around the lower layer of their disk from now on; NULL: nothing. */
extern struct lower *(*world_wrap)(struct lower *inner);
/* SIGKILL: the files and the volume are dropped; the disk stays. */
void world_kill(struct world *w);
/* What a mount does when it leaves. The first error; then as killed. */
int world_unmount(struct world *w);
/* Do reads of the mounted files give what the model says? */
const char *world_reread(struct world *w);
/* How deep this thread is in the oracle: what it allocates is the test's. */
extern __thread unsigned world_own;
#define VOLUME_DIR "vol"
#define COPY_DIR "copy"          /* world_from(fs, COPY_DIR, …): files are known by the names in VOLUME_DIR */
void world_free(struct world *w);
/* One operation; 0, or -errno that is legal (read-only after failed flushes). */
int world_op(struct world *w, const struct op *op);
/* Compare every file that is there with the oracle; NULL, or what is wrong (static). least: a damaged log; commits behind this sequence may be lost. */
const char *world_check(struct world *w, const struct oracle *o, uint64_t least);
/* What each name shows, mounted read-write or read-only, on a copy of fs: where reading fails, and contents. The copy of a read-only mount
 * refuses every change; *ret_changed: it is another one all the same. */
struct shown {
	int r, file[NAMES];      /* of the mount; of reading: 1, 0 not there, -errno */
	uint64_t size[NAMES], hash[NAMES];
};
void world_show(struct simfs *fs, const struct world *like, unsigned rules_off, bool read_only, struct shown *ret_s, bool *ret_changed);
/* What was found is the state from now on. */
void world_restart(struct world *w);
void oracle_copy(const struct oracle *from, struct oracle *to);
void oracle_done(struct oracle *o);
/* A random operation on the file name; names: also those that make, unlink, rename, kill and fail. */
struct op op_random(struct simfs_rng *rng, char name, bool names);
const char *op_text(const struct op *op, char *buf, size_t n);

#endif
