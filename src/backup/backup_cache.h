/* backup_cache.h: what a run remembers of the files it read, so that those whose inode, size and ctime are the same need not be read again: for the next run
 * in a file of the caller's cache directory, between the rounds of one run in memory. Losing it costs reading, nothing else: what it says is used only
 * where the store has the objects, each of its entries has a checksum, and a file of another volume, directory or store counts as none. */
#ifndef COFFER_BACKUP_BACKUP_CACHE_H
#define COFFER_BACKUP_BACKUP_CACHE_H

#include "backup/record.h"
#include "format/volume_config.h"

#include <stdbool.h>
#include <time.h>

struct backup_cache;

struct backup_cache_key {
	uint64_t ino, size;
	int64_t ctime_s;
	uint32_t ctime_ns;
};

/* Of which volume, directory and store. */
struct backup_cache_id {
	uint8_t uuid[UUID_LEN];
	uint64_t root_ino;
	uint8_t store[RECORD_HASH_LEN];
};

/* Take over a descriptor that backup_cache_end wrote. -EUCLEAN: none of ours, or of another id; fd is then closed as well. */
int backup_cache_open(int *fd, const struct backup_cache_id *id, struct backup_cache **ret_c) must_check;
void backup_cache_close(struct backup_cache *c);         /* NULL is fine */
/* Its file. */
void backup_cache_bytes(const struct backup_cache *c, const void **ret_p, size_t *ret_len);
/* All pieces in it, also of files that must be read again: the store may have them. fn returns 0 to go on. */
int backup_cache_each(const struct backup_cache *c, int (*fn)(void *arg, const struct record_piece *pieces, size_t n), void *arg) must_check;
/* The pieces of a file, and what the metadata of the window of each was (0: not known); its attributes, as an ENTRY record has them. malloc'ed. */
struct backup_cache_file {
	struct record_piece *pieces;
	uint64_t *metas;
	uint64_t n;
	uint8_t *xattrs;
	size_t xattrs_len;
	unsigned nxattrs;
};
void backup_cache_file_done(struct backup_cache_file *f);
/* 2: the file of this key; 1: of this inode, but it has changed or may have; 0: not there. */
int backup_cache_find(const struct backup_cache *c, const struct backup_cache_key *key, struct backup_cache_file *ret_f) must_check;

struct backup_cache_writer {
	int fd;                          /* borrowed */
	struct record_buf buf, index;
	uint64_t at, count;
};

/* fd: empty. */
void backup_cache_begin(struct backup_cache_writer *w, int fd);
/* sure: a file with this key has these pieces and attributes; else it must be read again. */
int backup_cache_add(struct backup_cache_writer *w, const struct backup_cache_key *key, const struct backup_cache_file *f, bool sure) must_check;
int backup_cache_end(struct backup_cache_writer *w, const struct backup_cache_id *id) must_check;
void backup_cache_writer_done(struct backup_cache_writer *w);

#endif
