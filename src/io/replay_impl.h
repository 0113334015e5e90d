/* replay_impl.h: what replay*.c, quarantine.c, reapply.c, state_remake.c and scrub_log.c share; private to them.
 *
 * The order of work (docs/format.md section 7): replay_log_gather() reads the ring and fills rp->files through replay_gather_*;
 * replay_find() finds each file below; replay_file_run() checks one file and writes it home. Nothing is written before all files
 * have been looked for. Nothing here copies ciphertext into memory for longer than it takes to check or to write it: the tables hold
 * positions of the ring, so their size follows from the records in it. */
#ifndef COFFER_IO_REPLAY_IMPL_H
#define COFFER_IO_REPLAY_IMPL_H

#include "format/log_record.h"
#include "io/replay.h"
#include "io/rules.h"

#define REPLAY_CHUNK_BLOCKS 256u         /* read from the ring at a time */
#define REPLAY_NO_POS UINT64_MAX

struct replay_block {
	struct entry entry;              /* zero: hole */
	uint64_t pos;                    /* of the ciphertext in the ring, or REPLAY_NO_POS: at home, or a hole */
	uint16_t epoch;                  /* of the GROUP that brought it */
	uint8_t index;
};

struct replay_group {
	struct replay_group *next;       /* in its bucket */
	uint32_t no;
	uint8_t base;
	uint16_t epoch;
	struct seal entries, header;
	unsigned n, max;                 /* blocks; at most GROUP_BLOCKS */
	struct replay_block *blocks;
	uint8_t at[GROUP_BLOCKS];        /* 1 + place in blocks of this index, 0: not recorded */
};

struct replay_file {
	struct replay_file *next;        /* in its bucket */
	uint32_t no;                     /* place in rp->files */
	uint8_t file_id[FILE_ID_LEN];
	bool counts;                     /* named by a transaction that counts */
	struct file_shape shape;
	struct seal header;
	struct lower_handle handle;
	struct replay_group **tab;
	size_t tab_size, groups;
	/* replay_find: */
	bool found, by_handle, handle_fits, twice;
	dev_t dev;                       /* of the found one, as is ino */
	ino_t ino;
	char *path;                      /* relative to the volume directory, unless by_handle */
	/* replay_file_run: */
	bool failed;                     /* in quarantine, or would be (check_only) */
	bool skipped;                    /* home says that an earlier replay marked it as damaged */
};

/* The keys of tags of one file and epoch, kept from call to call. */
struct replay_key {
	bool set;
	uint16_t epoch;
	uint8_t file_id[FILE_ID_LEN];
	struct key_tag key;
};

struct replay {
	const struct vio_params *p;
	struct lower *l;
	struct state *s;
	struct volume_state st;
	struct blockcrypt *bc;
	bool accept_log_loss, check_only;
	bool quiet;                      /* tells no events */
	struct replay_result res;
	struct replay_key key;

	/* replay_log.c: the ring */
	int log_fd, log_direct;          /* the caller's; ours, past the page cache, or -1 */
	uint8_t *chunk, *spare;
	uint64_t chunk_pos;              /* first position in chunk */
	size_t chunk_n;                  /* blocks in it */
	struct log_desc d;               /* the descriptor being looked at, and its records */
	struct log_file lf;
	struct log_group lg;

	/* replay_gather.c: what the log says */
	struct replay_file **files, **tab;
	size_t nfiles, files_max, tab_size;
	uint64_t *seen;                  /* set of what the transaction has named so far */
	size_t nseen, seen_size;

	/* replay_find.c */
	bool no_handles;
	dev_t dev;                       /* of the volume directory */
	uint64_t missing;                /* files not found yet */
	uint64_t unreadable, unknown;    /* lower files that could not be read; whose header does not verify */
};

/* ---- replay.c */
/* The tag key of a file's groups of an epoch; -EBADMSG: no such epoch in the ring. */
int replay_tag_key(struct replay *rp, uint16_t epoch, const uint8_t file_id[static FILE_ID_LEN],
		   const struct key_tag **ret_key) must_check;
/* A second descriptor that reads past the page cache; -EINVAL: the backing has none. No other error may be taken for that. */
int replay_direct(struct replay *rp, int fd) must_check;
void replay_event(struct replay *rp, enum vio_event ev, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* It goes on: told for each transaction, directory and group. */
static inline void replay_step(const struct replay *rp)
{
	if (rp->p->cb.step)
		rp->p->cb.step(rp->p->cb.ctx);
}
/* 32 digits and NUL. */
void replay_id_text(const uint8_t file_id[static FILE_ID_LEN], char ret_text[static 33]);

/* ---- replay_log.c */
int replay_log_init(struct replay *rp, int log_fd) must_check;
void replay_log_done(struct replay *rp);
void replay_log_trim(struct replay *rp); /* give back the memory that only gathering needs */
/* All transactions that count, in order, into the tables; res.head, sequence and transactions. */
int replay_log_gather(struct replay *rp) must_check;
/* Does a whole transaction stand at rp->st's tail? 1 yes, 0 no. */
int replay_log_is_whole(struct replay *rp) must_check;
/* -ENODATA: something authentic says that the first transaction that is missing was durable; if loss is accepted, res.lost_* instead. Logs. */
int replay_log_check_durable(struct replay *rp) must_check;
/* n blocks from pos on into p (BLOCK_SIZE aligned). */
int replay_log_read(struct replay *rp, uint64_t pos, size_t n, uint8_t *p) must_check;
/* Each descriptor of the transactions that count, in rp->d, with its position; < 0 from fn ends it. */
typedef int replay_desc_fn(struct replay *rp, uint64_t pos, void *arg);
int replay_log_each(struct replay *rp, replay_desc_fn *fn, void *arg) must_check;

/* ---- replay_gather.c */
/* The file of this id, made if need be. */
int replay_gather_file(struct replay *rp, const uint8_t file_id[static FILE_ID_LEN], struct replay_file **ret_f) must_check;
struct replay_file *replay_gather_find(struct replay *rp, const uint8_t file_id[static FILE_ID_LEN]);
/* Note that the transaction names the file (group 0 .. : that group; REPLAY_WHOLE_FILE: its FILE). -EUCLEAN: for the second time. */
#define REPLAY_WHOLE_FILE UINT32_MAX
int replay_gather_seen(struct replay *rp, const struct replay_file *f, uint32_t group) must_check;
void replay_gather_forget_seen(struct replay *rp);
/* What the log has of a group; NULL: nothing. */
const struct replay_group *replay_gather_group(const struct replay_file *f, uint32_t no);
/* The block of this index if the log holds its ciphertext; g NULL is fine. */
const struct replay_block *replay_gather_logged(const struct replay_group *g, unsigned index);
void replay_gather_apply_file(struct replay *rp, struct replay_file *f, const struct log_file *lf);
/* pos: of the first block in the log of this GROUP. */
int replay_gather_apply_group(struct replay *rp, struct replay_file *f, const struct log_group *lg, uint64_t pos) must_check;
/* The groups by falling number; malloc'ed. */
int replay_gather_sorted(const struct replay_file *f, struct replay_group ***ret_groups) must_check;
void replay_gather_done(struct replay *rp);

/* ---- replay_find.c */
/* A lower file, and a second descriptor that reads past the page cache (-1: there is none). */
struct replay_home {
	int fd, direct;
	struct stat st;
};
int replay_find(struct replay *rp) must_check;
/* Open a found file; O_RDWR or O_RDONLY. */
int replay_find_open(struct replay *rp, const struct replay_file *f, int flags, struct replay_home *ret_h) must_check;
/* One block at off (BLOCK_SIZE aligned memory); what lies behind the end of the file is zero. */
int replay_home_read(struct replay *rp, struct replay_home *h, uint64_t off, uint8_t *p) must_check;
void replay_home_close(struct replay *rp, struct replay_home *h);

/* ---- replay_file.c */
/* Check one found file and write it home; flush: fsync it too. A file that fails is put in quarantine and counted. */
int replay_file_run(struct replay *rp, struct replay_file *f, bool flush) must_check;
/* The header of a group as the log has it. g NULL: group 0 without a record, whose epoch and entries' seal are those of home's header. */
void replay_file_header(const struct replay_file *f, const struct replay_group *g, const struct group_header *home,
			struct group_header *ret_h);
/* The records of a group over what stands at home (p, BLOCK_SIZE bytes; zeros when its base is EMPTY): its metadata block as it must
 * become. Nothing is checked. */
void replay_file_image(const struct replay_group *g, const struct group_header *h, uint8_t *p);

/* ---- quarantine.c */
/* Save what the log has of the file and (h not NULL) what lies at home where replay would write, then seal its header anew as DAMAGED
 * (head not NULL: the authentic one at home). All flushed. */
int quarantine_file(struct replay *rp, const struct replay_file *f, struct replay_home *h, const struct group_header *head) must_check;

#endif
