/* record.h: the records of a snapshot's lists, and the lists (docs/backup.md section 3). Pure. What is parsed comes from a store, which may be anybody's: nothing
 * of it is believed, every count has a maximum, and a name that parsed is one component that format 1 can have. */
#ifndef COFFER_BACKUP_RECORD_H
#define COFFER_BACKUP_RECORD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORD_HASH_LEN 32
#define RECORD_NAME_MAX 255
#define RECORD_TARGET_MAX 4095
#define RECORD_XATTRS_MAX 1024
#define RECORD_XATTR_PREFIX "user.coffer."
#define RECORD_PIECES_MAX 1024           /* in one record */
#define RECORD_MAX (512u * 1024)
#define RECORD_LIST_MAX (8u << 20)
#define RECORD_LIST_HEAD 12
#define RECORD_DEPTH_MAX 1024
#define RECORD_SEGMENT_LEN (16u * 528384u) /* 16 groups */
#define RECORD_PACK_MAX (16u << 20)
#define RECORD_PACKED_BELOW (1u << 20)
#define RECORD_FILE_MAX ((uint64_t)528384 << 29)

enum record_type {
	RECORD_FILE = 1,
	RECORD_DIR,
	RECORD_SYMLINK,
	RECORD_FIFO,
	RECORD_SOCKET,
	RECORD_CHAR,
	RECORD_BLOCK,
	RECORD_LINK,
};

#define RECORD_FLAG_SPACE 1u             /* only space of this size */
#define RECORD_FLAG_LINKED 2u            /* other names follow */

struct record_entry {
	enum record_type type;
	unsigned flags;
	uint64_t parent;
	uint32_t mode, uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size;
	uint64_t number;
	char name[RECORD_NAME_MAX + 1];
	char target[RECORD_TARGET_MAX + 1];
	unsigned nxattrs;
	const uint8_t *xattrs;           /* xattrs × ( lp(name) ‖ lp(value) ); borrowed */
	size_t xattrs_len;
};

struct record_piece {
	uint64_t off;
	uint32_t len;
	bool packed;
	uint32_t at;                     /* packed: in the pack */
	uint8_t hash[RECORD_HASH_LEN];
	uint8_t pack[RECORD_HASH_LEN];
};

#define RECORD_KIND_ENTRY 1
#define RECORD_KIND_PIECES 2

/* Bytes that grow. */
struct record_buf {
	uint8_t *p;
	size_t len, max;
};
void record_buf_done(struct record_buf *b);
#define AUTO_RECORD_BUF __attribute__((cleanup(record_buf_done)))
int record_buf_add(struct record_buf *b, const void *p, size_t len) must_check;

/* Append a record, without its length. -ENOMEM; -EINVAL what a reader would refuse. */
int record_put_entry(struct record_buf *b, const struct record_entry *e) must_check;
int record_put_pieces(struct record_buf *b, const struct record_piece *pieces, size_t n) must_check;

/* The kind of a record, or -EUCLEAN. */
int record_kind(const uint8_t *p, size_t len) must_check;
/* -EUCLEAN: not such a record. The order among records is record_order's. */
int record_parse_entry(const uint8_t *p, size_t len, struct record_entry *ret_e) must_check;
int record_parse_pieces(const uint8_t *p, size_t len, struct record_piece ret_pieces[static RECORD_PIECES_MAX], size_t *ret_n) must_check;

/* The attributes of an entry that parsed: at *at, which begins with 0 and moves on. False: no more. */
struct record_xattr {
	char name[RECORD_NAME_MAX + 1];
	const uint8_t *value;
	size_t len;
};
bool record_next_xattr(const struct record_entry *e, size_t *at, struct record_xattr *ret_x);
/* A component of format 1's names. */
bool record_name_is_sane(const char *name, size_t len);

/* Begin a list in b, which is empty; add a record of it; put the count into its head. */
int record_list_begin(struct record_buf *b) must_check;
int record_list_add(struct record_buf *b, const void *record, size_t len) must_check;
void record_list_end(struct record_buf *b, uint32_t count);
/* How many records a list has. -EUCLEAN: no list. */
int record_list_open(const uint8_t *p, size_t len, uint32_t *ret_count) must_check;
/* The record at *at, which begins with RECORD_LIST_HEAD: 1; 0 at the end; -EUCLEAN. */
int record_list_next(const uint8_t *p, size_t len, size_t *at, const uint8_t **ret_record, size_t *ret_len) must_check;

/* What must be true from record to record: parents, depth, how many pieces follow, where they lie. */
struct record_order {
	uint64_t entries, bytes;
	uint64_t path[RECORD_DEPTH_MAX]; /* numbers of the open directories */
	unsigned depth;
	uint64_t pieces_left, end, size;
};
/* -EUCLEAN. An entry's depth is o->depth behind it, the root's 0; a directory is then open as path[depth]. */
int record_order_entry(struct record_order *o, const struct record_entry *e) must_check;
int record_order_pieces(struct record_order *o, const struct record_piece *pieces, size_t n) must_check;
int record_order_end(const struct record_order *o) must_check;

#endif
