/* audit_impl.h: what audit.c (rows), audit_flush.c, audit_torn.c, audit_rotate.c (files), audit_anchor.c, audit_event.c and audit_host.c share. Of those alone. */
#ifndef COFFER_AGENT_AUDIT_IMPL_H
#define COFFER_AGENT_AUDIT_IMPL_H

#include "agent/audit.h"
#include "agent/audit_files.h"

#define AUDIT_ANCHOR_ROWS 256
#define AUDIT_ANCHOR_MS 60000
#define AUDIT_REFUSERS 16            /* uids counted apart in one minute; all others share one count */

struct json;

struct audit_refuser {
	uid_t uid;
	unsigned rows;
	uint64_t suppressed;
};

/* Where the log ends. */
struct audit_pos {
	int fd;                              /* the newest file */
	char file[AUDIT_FILE_LEN];
	uint64_t size;                       /* bytes of it up to the end of its last whole row */
	int64_t begun_ns;                    /* ts of its first row; 0: it has none yet */

	uint64_t next_seq;
	uint8_t hash[AUDIT_HASH_LEN];        /* of the last row */
	int64_t last_ts_ns, last_mono_ns;
	char last_boot_id[AUDIT_ID_LEN];

	bool torn;                           /* there may be bytes behind size that are no row */
	bool leave;                          /* a flush of this file failed: nothing more goes into it */
};

struct audit {
	int dirfd;
	struct audit_conf conf;
	char version[64];
	struct secret *seed;                 /* of the host key */
	uint8_t public_key[SIGN_PUBLIC_LEN];
	char host_id[AUDIT_ID_LEN], boot_id[AUDIT_ID_LEN];

	struct audit_pos pos;
	bool anchor_fails, rotate_fails;     /* said already */
	uint64_t rows_since_anchor;
	uint64_t anchor_ms;                  /* when the oldest row without an anchor was written, clock_boot_ms() */

	struct audit_flusher *flusher;       /* NULL: whoever writes flushes */
	uint64_t flushed_seq;                /* rows up to here are durable */
	uint64_t lost_seq;                   /* rows up to here that were not: a flush behind them has failed */
	bool anchor_wanted;                  /* of the thread */

	uint64_t minute;
	size_t refuser_count;
	struct audit_refuser refusers[AUDIT_REFUSERS + 1];
};

/* audit.c. Each appends one row to the newest file and does not flush; o is consumed. */
int audit_row_append(struct audit *a, const char *event, struct json *o) must_check;
int audit_flush(struct audit *a) must_check;

/* audit_journal.c: for rows that somebody alarms on. */
void audit_journal(const struct audit_event *e);

/* audit_torn.c: close off what is behind the last whole row, and record it. Logs. */
int audit_torn_close(struct audit *a) must_check;

/* audit_rotate.c */
/* Find the newest file and where it ends, or begin the log. Logs. */
int audit_rotate_start(struct audit *a, int state_dirfd) must_check;
bool audit_rotate_due(const struct audit *a);
/* Go on in another file; on failure all is as before. */
int audit_rotate_next(struct audit *a) must_check;

/* audit_anchor.c: logs what fails; an anchor that could not be made delays nothing. */
void audit_anchor_make(struct audit *a);
/* The same in steps, for the thread: the row and what is to be told (malloc'ed); tell it, on any thread; and what became of it (line NULL: the row is not durable). */
int audit_anchor_prepare(struct audit *a, char **ret_line) must_check;
const char *audit_anchor_path(const struct audit *a);
int audit_anchor_write(int dirfd, const char *path, const char *line) must_check;
void audit_anchor_told(struct audit *a, int r, const char *line, uint64_t seq);

/* audit_flush.c: wait until the thread has nothing under way; end it. Without one: nothing. */
void audit_settle(struct audit *a);
void audit_thread_stop(struct audit *a);

/* audit_host.c */
int audit_host_boot_id(char ret_id[static AUDIT_ID_LEN]) must_check;

/* audit_event.c */
int audit_event_put(struct json *o, const struct audit_event *e) must_check;

#endif
