/* hand.h: what a mount hands over to the program that goes on serving it (docs/internals.md, "Follow one restart"), as bytes: pure. Both are this program, perhaps of
 * another version, on this host, in this process. Numbers are little-endian. There is no key and no clear name in it: names are lower names.
 *
 *   8  "coffhand"      then the head, the seeks, and the inodes, each of its own length
 *   4  version         HAND_VERSION; another one is -EOPNOTSUPP
 *   4  kind
 *   8  length of all
 *   8  hash of all behind this number; never for authenticity: whoever could change these bytes is this process */
#ifndef COFFER_FS_HAND_H
#define COFFER_FS_HAND_H

#include "fs/inode.h"

#define HAND_VERSION 1
#define HAND_BYTES_MAX (UINT64_C(1) << 32) /* some 16 million inodes */
#define HAND_INIT_MAX 256u
#define HAND_TEXT_MAX 4096u
#define HAND_SEEKS_MAX 65536u

enum hand_kind {
	HAND_ASK = 1,            /* could you? Without inodes and descriptors */
	HAND_TAKE,
};

struct hand_head {
	enum hand_kind kind;
	bool read_only;
	uint32_t token;          /* of whoever asked for the restart */
	uint8_t uuid[UUID_LEN];
	uint64_t root_ino, root_dev;
	int fuse_fd, deep_fd, lock_fd; /* inherited; -1: none */
	int32_t watcher;         /* process id; 0: none */
	struct vio_seen told;    /* stamp_limit 0: nothing was */
	uint64_t next_id, inodes;
	uint32_t seeks;
	uint8_t due[INODE_DUE_BITS / 8];
	size_t init_len, answer_len; /* the kernel's INIT, with its header, and the body of what it was answered */
	uint8_t init[HAND_INIT_MAX], answer[HAND_INIT_MAX];
	char path[HAND_TEXT_MAX], mountpoint[HAND_TEXT_MAX];
};

/* A request that was taken from the kernel and is to be answered by the next program. */
struct hand_seek {
	uint64_t unique, node, off;
	uint32_t whence;
};

enum hand_flags {
	HAND_GONE = 1, HAND_BAD = 2, HAND_TIMES_DUE = 4, HAND_ATTR_DUE = 8, HAND_CREATED = 16, HAND_TOLD = 32, HAND_NAMES_DUE = 64,
	HAND_FLAGS = 127,
};

struct hand_inode {
	uint64_t id, parent;     /* 0: no parent, and no name */
	uint64_t nlookup;
	uint32_t flags;          /* HAND_* */
	int pin_fd;              /* inherited; -1 */
	struct inode_attr attr;
	char name[LOWER_NAME_LEN_MAX + 1];
	struct lower_handle handle; /* len 0: none */
};

/* Writing: p NULL only counts. Nothing is written beyond max; len goes on counting. Then hand_close(). */
struct hand_out {
	uint8_t *p;
	uint64_t len, max;
};
void hand_put_head(struct hand_out *o, const struct hand_head *h);
void hand_put_seek(struct hand_out *o, const struct hand_seek *s);
void hand_put_inode(struct hand_out *o, const struct hand_inode *i);
/* Length and hash. -ENOSPC: it did not fit; -EFBIG: more than HAND_BYTES_MAX. */
int hand_close(struct hand_out *o) must_check;

/* Reading: the head, then h->seeks times a seek, h->inodes times an inode, and nothing is left: each -EUCLEAN if it is malformed. What is read has the form that is
 * said above; whether ids, parents and descriptors are there is the reader's business. */
struct hand_in {
	const uint8_t *p;
	uint64_t len, at;
};
int hand_get_head(struct hand_in *in, struct hand_head *ret_h) must_check;
int hand_get_seek(struct hand_in *in, struct hand_seek *ret_s) must_check;
int hand_get_inode(struct hand_in *in, struct hand_inode *ret_i) must_check;
int hand_get_end(const struct hand_in *in) must_check;

#endif
