/* scrub_impl.h: what scrub*.c share; private to them. */
#ifndef COFFER_FS_SCRUB_IMPL_H
#define COFFER_FS_SCRUB_IMPL_H

#include "fs/scrub.h"
#include "io/ioq.h"

#define SCRUB_PATH_MAX 16384
#define SCRUB_CHUNK_GROUPS 2u            /* 1056768 bytes a request */
#define SCRUB_CHUNK_LEN (SCRUB_CHUNK_GROUPS * GROUP_LOWER)

/* A group on which something did not fit while the volume is mounted. */
struct scrub_suspect {
	char *path;
	uint64_t ino;
	uint32_t group;
	bool rest;                       /* group 0, without which nothing behind it was looked at */
	bool again;                      /* and now it can be */
};

struct scrub_file {
	struct scrub_file *next;         /* in the order in which they were met */
	char *path;
	uint64_t size, ino;              /* below */
	int fd;
	bool direct;
	bool first_sent, known;          /* chunk 0 was asked for; shape is known */
	bool over;                       /* nothing more is asked for */
	bool suspect;                    /* of the group being looked at */
	bool again;                      /* it was counted before */
	uint8_t file_id[FILE_ID_LEN];
	struct file_shape shape;
	uint64_t next_group;
	unsigned in_flight;
	struct scrub_problem run;        /* neighbouring blocks, not told yet */
};

struct scrub_slot {
	struct ioq_req req;
	struct iovec iov;
	struct scrub_file *f;            /* NULL: free */
	uint32_t group;
	uint8_t *buf;                    /* SCRUB_CHUNK_LEN */
};

struct scrub {
	struct lower *l;
	int root_fd;
	const struct scrub_params *p;
	struct ioq *q;
	struct scrub_log *log;
	struct scrub_slot *slots;
	uint8_t *bufs;
	struct scrub_file *files, **files_end;
	unsigned open_files;
	struct scrub_suspect *suspects;
	size_t nsuspects, suspects_max;
	char **again;                    /* paths of files of which only group 0 has been looked at */
	size_t nagain, again_max;
	bool certain;                    /* what does not fit is told: not mounted, or held */
	bool collect;                    /* not told yet: the hold may turn out to have ended */
	struct scrub_problem *held;      /* backing_path is malloc'ed */
	size_t nheld, held_max;
	struct scrub_counts counts;
};

/* ---- scrub_check.c: what is in memory */
/* Up to count groups of f from first on that lie in buf, of which len bytes are there. */
int scrub_check_groups(struct scrub *s, struct scrub_file *f, uint32_t first, unsigned count, uint8_t *buf, size_t len) must_check;
/* One group; *ret_bad: something does not fit. */
int scrub_check_group(struct scrub *s, struct scrub_file *f, uint32_t group, uint8_t *p, size_t len) must_check;
int scrub_tell(struct scrub *s, struct scrub_file *f) must_check; /* the run that is pending */
int scrub_problem(struct scrub *s, struct scrub_file *f, enum scrub_kind kind, uint64_t number, int error) must_check;
/* Only what group 0 (n bytes of it) says of the file's shape. */
int scrub_shape(struct scrub *s, struct scrub_file *f, const uint8_t *p, size_t n) must_check;

/* ---- scrub_suspect.c: what has to be read again while the mount holds still */
int scrub_suspect_add(struct scrub *s, const struct scrub_file *f, uint32_t group) must_check;
int scrub_suspect_settle(struct scrub *s) must_check;
/* Open a path below the volume, never through a link, past the page cache if that can be had. */
int scrub_open(struct scrub *s, const char *path, bool *ret_direct) must_check;
void scrub_suspect_done(struct scrub *s);

#endif
