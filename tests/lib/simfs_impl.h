/* simfs_impl.h: the parts of simfs. Private to tests/lib/simfs*.c. */
#ifndef COFFER_TESTS_LIB_SIMFS_IMPL_H
#define COFFER_TESTS_LIB_SIMFS_IMPL_H

#include "simfs.h"

#include <pthread.h>
#include <stdatomic.h>

#define SECTOR 512u
#define PAGE 4096u
#define PAGE_SECTORS (PAGE / SECTOR)
#define NODE_PAGES 64u
#define NAME_LEN_MAX 255u
#define SECTOR_END (UINT64_MAX / SECTOR)
#define SIZE_KEEP UINT64_MAX

void *sim_alloc(size_t n);                    /* zeroed; aborts when there is none */
void *sim_grow(void *p, size_t *cap, size_t n, size_t each); /* room for n things; new ones are not zeroed */

/* ---- simfs_map.c: bytes of a file; a missing page is a hole. Shared, copied when written to (also the page, so that a crash state costs what it changes). */

struct sim_page {
	atomic_uint refs;
	uint8_t b[PAGE];
};

struct sim_node {
	atomic_uint refs;
	unsigned npages;
	struct sim_page *page[NODE_PAGES];
};

struct sim_ref {
	uint64_t index;          /* of a node: page / NODE_PAGES */
	struct sim_node *node;
};

struct sim_map {
	atomic_uint refs;
	uint64_t npages;
	size_t n, cap;
	struct sim_ref *at;      /* by rising index */
};

struct sim_map *sim_map_new(void);
struct sim_map *sim_map_ref(struct sim_map *m);
void sim_map_unref(struct sim_map *m);
/* *mp = a reference to m, the old one is given up. */
void sim_map_set(struct sim_map **mp, struct sim_map *m);
/* The page, or NULL for a hole. */
const uint8_t *sim_map_page(const struct sim_map *m, uint64_t page);
void sim_map_read(const struct sim_map *m, uint64_t off, void *p, size_t len);
void sim_map_write(struct sim_map **mp, uint64_t off, const void *p, size_t len);
/* 512 bytes; NULL: zeros (a hole stays one). */
void sim_map_put_sector(struct sim_map **mp, uint64_t sector, const uint8_t *p);
/* Pages p0 .. p1 - 1 become holes; existing ones, or zeros. */
void sim_map_free(struct sim_map **mp, uint64_t p0, uint64_t p1);
void sim_map_allocate(struct sim_map **mp, uint64_t p0, uint64_t p1);
bool sim_map_has(const struct sim_map *m, uint64_t p0, uint64_t p1);
/* How many of these pages are holes. */
uint64_t sim_map_holes(const struct sim_map *m, uint64_t p0, uint64_t p1);

/* ---- what is pending of a file */

struct sim_blob {
	atomic_uint refs;
	uint8_t b[];
};

enum sim_op_kind {
	OP_WRITE,                /* sectors s0..s1-1 from blob */
	OP_FREE,                 /* truncate or punch of sectors s0..s1-1 (whole pages) */
	OP_ALLOC,                /* fallocate of them */
	OP_SIZE,                 /* nothing but the size */
};

struct sim_op {
	enum sim_op_kind kind;
	uint64_t s0, s1;
	uint64_t size;           /* OP_WRITE: the file's size after it; else: the size it sets, or SIZE_KEEP */
	struct sim_blob *blob;
	size_t at;               /* offset in blob */
};

/* ---- names */

struct sim_str {
	atomic_uint refs;
	uint32_t hash;
	char s[];
};

struct sim_dent {
	struct sim_str *name;
	uint64_t ino;
	int64_t cookie;
};

struct sim_dents {
	atomic_uint refs;
	size_t n, cap;
	struct sim_dent *at;     /* by rising cookie */
};

struct sim_slot {                /* one name gets another meaning */
	uint64_t dir;
	struct sim_str *name;
	uint64_t ino;            /* 0: none */
	uint64_t old;            /* 0: none */
	int64_t cookie;
};

struct sim_nop {                 /* one operation on names: whole or not at all */
	unsigned n;
	struct sim_slot slot[2];
};

/* As errseq_t: an error that nobody was told of is told to descriptors opened later, too. */
struct sim_err {
	unsigned seq;
	int err;
	bool told;
};

struct sim_inode {
	uint64_t ino;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	dev_t rdev;
	unsigned nlink, nopen;
	struct timespec atime, mtime, ctime;
	/* regular file */
	uint64_t size, dur_size;
	struct sim_map *cur;     /* the cache */
	struct sim_map *dur;     /* durable */
	struct sim_map *dev;     /* dur and pending applied, once a flush has failed; NULL: the same as cur */
	struct sim_op *op;
	size_t nops, ops_cap;
	unsigned nfree;          /* of kind OP_FREE */
	struct sim_err err;
	/* directory */
	struct sim_dents *dcur, *ddur;
	uint64_t parent;
	/* symbolic link */
	struct sim_str *target;
};

struct sim_fd {
	uint64_t ino;            /* 0: free */
	int flags;
	int lock;                /* F_UNLCK, F_RDLCK, F_WRLCK */
	unsigned err_seq, sb_seq; /* the last errors that were told here */
};

struct sim_fault {
	bool armed, happened;
	char *pattern;
	int err;
	unsigned after;
};

struct simfs {
	struct lower l;          /* first: struct lower * is struct simfs * */
	pthread_mutex_t m;
	struct simfs_params p;
	struct simfs_rng rng;
	uint64_t next_ino;
	int64_t next_cookie;
	uint64_t tick;
	uint64_t used;           /* pages in the caches of inodes that live */
	struct sim_inode **inode; /* by rising number */
	size_t ninodes, inodes_cap;
	struct sim_nop *nop;
	size_t nnops, nops_cap;
	struct sim_fd *fd;
	size_t nfds, fds_cap;
	struct sim_fault fault;
	struct sim_err sb_err;
	simfs_hook_fn *hook;
	void *hook_arg;
};

#define ROOT_INO 2u

/* simfs.c */
struct simfs *sim_new_empty(const struct simfs_params *p);
struct sim_inode *sim_inode_find(const struct simfs *fs, uint64_t ino);
struct sim_inode *sim_inode_get(const struct simfs *fs, uint64_t ino); /* it is there */
/* A new inode; numbers rise. */
struct sim_inode *sim_inode_add(struct simfs *fs, uint64_t ino, mode_t mode);
void sim_inode_free(struct sim_inode *i);
/* Called when a link or a descriptor has gone: gives back space and, if no cut could bring it back, the inode. */
void sim_inode_drop(struct simfs *fs, struct sim_inode *i);
/* Free the inodes that nothing leads to, if nothing is pending. */
void sim_collect(struct simfs *fs);
void sim_touch(struct simfs *fs, struct sim_inode *i);

/* simfs_file.c: contents */
ssize_t sim_file_write(struct simfs *fs, struct sim_inode *i, const struct iovec *iov, int n, uint64_t off, bool dsync);
int sim_file_truncate(struct simfs *fs, struct sim_inode *i, uint64_t size);
int sim_file_allocate(struct simfs *fs, struct sim_inode *i, int mode, uint64_t off, uint64_t len);

/* simfs_flush.c: what becomes durable, and what is lost */
void sim_op_push(struct sim_inode *i, struct sim_op op);
void sim_op_apply(const struct sim_op *op, struct sim_map **mp);
void sim_ops_clear(struct sim_inode *i);
struct sim_blob *sim_blob_new(size_t len);
struct sim_blob *sim_blob_ref(struct sim_blob *b);
void sim_blob_unref(struct sim_blob *b);
void sim_file_flush(struct simfs *fs, struct sim_inode *i);
/* The newest op, a write, becomes durable, and what must be before it. */
void sim_file_flush_last(struct simfs *fs, struct sim_inode *i);
/* Writes from op number first on are lost, or some of them. */
void sim_file_lose(struct simfs *fs, struct sim_inode *i, size_t first, int err);
void sim_file_drop_cache(struct simfs *fs, struct sim_inode *i);
/* Does the planned fault hit this inode now? */
bool sim_fault_hits(struct simfs *fs, const struct sim_inode *i);
bool sim_name_matches(const struct simfs *fs, const struct sim_inode *i, const char *pattern);
unsigned sim_err_sample(const struct sim_err *e);
int sim_err_tell(struct sim_err *e, unsigned *seen);

/* simfs_dir.c: directories and their journal */
struct sim_str *sim_str_new(const char *s);
struct sim_str *sim_str_ref(struct sim_str *s);
void sim_str_unref(struct sim_str *s);
struct sim_dents *sim_dents_new(void);
struct sim_dents *sim_dents_ref(struct sim_dents *d);
void sim_dents_unref(struct sim_dents *d);
struct sim_dent *sim_dents_find(const struct sim_dents *d, const char *name);
/* Give the name its new meaning in *dp. */
void sim_dents_set(struct sim_dents **dp, const struct sim_slot *slot);
/* Slot number n of *nop: name in dir means ino from now on (0: nothing). */
void sim_nop_slot(struct simfs *fs, struct sim_nop *nop, struct sim_inode *dir, const char *name, uint64_t ino);
/* Do it, and put it into the journal. */
void sim_nop_commit(struct simfs *fs, struct sim_nop *nop);
void sim_nop_done(struct sim_nop *nop);
void sim_names_flush(struct simfs *fs, const struct sim_inode *i); /* NULL: all */

/* simfs_names.c: the calls that change names */
void sim_names_fill(struct lower_ops *ops);
/* The inode a path means; no link is followed. -errno. */
int sim_lookup(struct simfs *fs, int dirfd, const char *path, struct sim_inode **ret_i);
/* Make a new inode and its name. */
int sim_create(struct simfs *fs, int dirfd, const char *path, mode_t mode, struct sim_inode **ret_i);

/* simfs_fd.c: descriptors and what is done with them */
void sim_fd_fill(struct lower_ops *ops);
struct sim_fd *sim_fd_of(const struct simfs *fs, int fd); /* NULL: EBADF */
int sim_fd_open(struct simfs *fs, struct sim_inode *i, int flags);
void sim_fd_close(struct simfs *fs, struct sim_fd *f);
int sim_dir_of(struct simfs *fs, int dirfd, struct sim_inode **ret_i);
/* With the mutex held: the hook; -EROFS. */
int sim_begin(struct simfs *fs, enum simfs_call call);

/* simfs_attr.c: the calls about attributes, handles, directories' lists */
void sim_attr_fill(struct lower_ops *ops);

static inline struct simfs *sim_of(struct lower *l)
{
	return (struct simfs *)l;
}

static inline void sim_unlock_p(struct simfs **fs)
{
	pthread_mutex_unlock(&(*fs)->m);
}

#define SIM_LOCK(fs)                                                                         \
	__attribute__((cleanup(sim_unlock_p), unused)) struct simfs *sim_locked_ =           \
		(pthread_mutex_lock(&(fs)->m), (fs))

#endif
