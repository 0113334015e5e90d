/* audit_anchor.c: telling somebody else where the log ends: its newest hash, signed, into anchor-file= and into the journal.
 *
 * First a row audit.anchor with a signature over the rows before it is added and flushed with them; then that row's own hash is signed and told. So an
 * anchor never names a row that a crash could lose, and the log carries signatures itself, for a reader who has no anchors. */
#include "agent/audit_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

static int row_make(struct audit *a)
{
	AUTO_JSON struct json *o = json_new_object();
	uint8_t signature[SIGN_LEN];
	char hex[2 * SIGN_LEN + 1];
	int r;

	r = audit_row_sign(a->seed, a->pos.hash, signature);
	if (r < 0)
		return r;
	text_hex(signature, sizeof(signature), hex);
	r = json_put_str(o, "signature", hex);
	if (r >= 0)
		r = json_put_str(o, "outcome", "ok");
	return r < 0 ? r : audit_row_append(a, "audit.anchor", o);
}

/* The file may be replaced, unmounted or mounted at any time: it is opened anew for each anchor. */
int audit_anchor_write(int dirfd, const char *path, const char *line)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	AUTO_FREE char *text = NULL;
	struct stat st;
	char last = '\n';
	int n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EUCLEAN;
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1)
		return -EIO;
	n = asprintf(&text, "%s%s\n", last == '\n' ? "" : "\n", line); /* a torn anchor is closed off */
	if (n < 0)
		return -ENOMEM;
	n = fileio_write_full(fd, text, (size_t)n);
	if (n >= 0 && fdatasync(fd) < 0)
		n = -errno;
	return n;
}

static int line_make(const struct audit *a, char **ret_line)
{
	struct audit_anchor anchor = { .seq = a->pos.next_seq - 1, .ts_ns = a->pos.last_ts_ns };

	memcpy(anchor.hash, a->pos.hash, AUDIT_HASH_LEN);
	memcpy(anchor.host_id, a->host_id, AUDIT_ID_LEN);
	memcpy(anchor.file, a->pos.file, AUDIT_FILE_LEN);
	return audit_row_anchor_put(&anchor, a->seed, ret_line);
}

const char *audit_anchor_path(const struct audit *a)
{
	return a->conf.anchor_file[0] ? a->conf.anchor_file : AUDIT_FILES_ANCHORS;
}

int audit_anchor_prepare(struct audit *a, char **ret_line)
{
	int r;

	r = row_make(a);
	return r < 0 ? r : line_make(a, ret_line);
}

void audit_anchor_told(struct audit *a, int r, const char *line, uint64_t seq)
{
	a->anchor_ms = clock_boot_ms(); /* also after a failure: again in a minute */
	if (line)
		log_fields(LOG_LEVEL_INFO, &(struct journal_field){ "COFFER_ANCHOR", line }, 1, "audit anchor: %s", line);
	if (line && r >= 0) {
		a->rows_since_anchor = a->pos.next_seq - 1 - seq;
		a->anchor_fails = false;
		return;
	}
	a->rows_since_anchor = 1;
	if (!a->anchor_fails)
		log_err("audit log: no anchor: %s; what is recorded from now on could be cut off unnoticed",
			err_text(r));
	a->anchor_fails = true;
}

void audit_anchor_make(struct audit *a)
{
	AUTO_FREE char *line = NULL;
	int r;

	if (a->rows_since_anchor == 0)
		return;
	r = a->pos.torn ? audit_torn_close(a) : 0;
	if (r >= 0)
		r = audit_anchor_prepare(a, &line);
	if (r >= 0)
		r = audit_flush(a);
	if (r < 0)
		free(take_ptr(line));
	else
		r = audit_anchor_write(a->dirfd, audit_anchor_path(a), line);
	audit_anchor_told(a, r, line, a->pos.next_seq - 1);
}
