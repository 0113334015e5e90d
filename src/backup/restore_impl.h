/* restore_impl.h: what restore*.c share; private to them. The calling thread walks the records and makes the entries (restore.c, restore_make.c); threads
 * bring the pieces (restore_fetch.c). */
#ifndef COFFER_BACKUP_RESTORE_IMPL_H
#define COFFER_BACKUP_RESTORE_IMPL_H

#include <pthread.h>

#include "backup/pool.h"
#include "backup/restore.h"

#define RESTORE_PACKS 6u                 /* in memory */
#define RESTORE_VOLUME_MAX (256u * 1024)

/* A regular file that is being written. */
struct restore_file {
	int fd;
	unsigned work;                   /* lock: restore.pool.m; pieces that are not there, and the walk */
	bool solid;                      /* zeros are written, too */
	uint32_t mode, uid, gid;
	struct timespec mtime;
};

struct restore_job {
	struct pool_job queued;          /* first */
	struct restore_file *file;
	struct record_piece piece;
};

struct restore_pack {
	uint8_t hash[RECORD_HASH_LEN];
	uint8_t *p;
	size_t len;
	unsigned refs;
	bool loading;
	uint64_t used;                   /* when, by a counter */
};

/* Another name of it may follow (restore_link.c). */
struct restore_link {
	uint64_t no;
	uint32_t dir;                    /* as restore_dir.link_dir */
	char *name;
};

/* A directory with such an entry in it, or below. */
struct restore_link_dir {
	uint32_t parent;                 /* as restore_dir.link_dir */
	char *name;
};

struct restore_dir {
	uint64_t no;
	int fd;
	size_t path_len;                 /* of the path up to it */
	uint32_t link_dir;               /* its place among restore.link_dirs, from 1 on; 0: the root, or it is none of them yet */
	uint32_t mode, uid, gid;
	struct timespec mtime;
};

struct restore {
	const struct restore_params *p;

	struct pool pool;
	pthread_cond_t packed;
	struct restore_counts counts;    /* lock: pool.m, as are the next two */
	struct restore_pack packs[RESTORE_PACKS];
	uint64_t clock;

	/* The walk alone. */
	struct restore_dir *dirs;        /* the open ones, from the root on */
	size_t ndirs;
	char *path;
	size_t path_max;
	struct restore_file *file;       /* whose pieces come */
	bool skip;                       /* the pieces are nobody's */
	struct restore_link *links;      /* in the order of numbers */
	size_t nlinks, links_max;
	struct restore_link_dir *link_dirs;
	size_t nlink_dirs, link_dirs_max;
	bool in_volume;                  /* the pieces are coffer.volume's */
	bool have_volume;
	struct record_entry volume;
	struct record_piece *volume_pieces;
	size_t nvolume_pieces;
	bool quarantine;
};

/* restore_make.c: open(2) of one component: below dirfd, through no link and into nothing that is mounted. */
int restore_open_below(int dirfd, const char *name, int flags, mode_t mode) must_check;
/* One entry, in the directory that is open last. */
int restore_make(struct restore *s, uint64_t no, const struct record_entry *e) must_check;
/* One whose content alone is wanted: in the root, under a name that goes when all other names are there. */
int restore_make_content(struct restore *s, uint64_t no, const struct record_entry *e) must_check;
int restore_drop_contents(struct restore *s) must_check;
int restore_make_volume(struct restore *s) must_check;
/* Directories are done until depth are left. */
int restore_leave(struct restore *s, size_t depth) must_check;

/* restore_link.c: of the entry of this number, by this name in the directory that is open last, or in the root, other names may follow. */
int restore_link_remember(struct restore *s, uint64_t no, const char *name, bool in_root) must_check;
/* It, as O_PATH. -EUCLEAN: no such entry; -ENOENT: it was left out. */
int restore_link_open(const struct restore *s, uint64_t no, int *ret_fd) must_check;
void restore_link_done(struct restore *s);

/* restore_fetch.c */
int restore_fetch_start(struct restore *s) must_check;
void restore_fetch_stop(struct restore *s);
int restore_fetch_add(struct restore *s, struct restore_file *f, const struct record_piece *e) must_check;
/* Until all is written. */
int restore_fetch_wait(struct restore *s) must_check;
/* The walk, or a piece, is done with the file: the last one gives it what it must have. */
int restore_file_unref(struct restore *s, struct restore_file *f) must_check;
/* A piece into memory: *ret_p has len bytes. Caller frees. */
int restore_fetch_now(struct restore *s, const struct record_piece *e, uint8_t **ret_p, struct store_error *err) must_check;

/* restore_part.c: what says that it is a part. */
int restore_make_partial(struct restore *s) must_check;

#endif
