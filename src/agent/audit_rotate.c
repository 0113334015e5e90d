/* audit_rotate.c: the files of the log: finding its end at start, going on in another file, dropping what is older than retain=.
 *
 * A file is named after its first row and never renamed. Its first row is audit.genesis, in the very first, or audit.rotate, which names the file before;
 * both hold the host's public key, so that every file can be verified from its own beginning.
 *
 *	step of going on                  a crash behind it leaves
 *	1 anchor                          the old file, anchored
 *	2 make the new file               an empty file: the next start removes it
 *	3 write its first row             no row or half of one: the same; a whole one: the newest file
 *	4 flush it and the directory      the newest file */
#include "agent/audit_impl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/host_key.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"

#define LINK_NEW ".audit.log.new"

static int file_open(struct audit *a, uint64_t first_seq, int flags)
{
	audit_files_name(first_seq, a->pos.file);
	a->pos.fd = openat(a->dirfd, a->pos.file, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600);
	return a->pos.fd < 0 ? -errno : 0;
}

static void link_renew(const struct audit *a)
{
	(void)unlinkat(a->dirfd, LINK_NEW, 0);
	if (symlinkat(a->pos.file, a->dirfd, LINK_NEW) < 0 ||
	    renameat(a->dirfd, LINK_NEW, a->dirfd, AUDIT_FILES_NEWEST) < 0)
		log_warning("audit log: " AUDIT_FILES_NEWEST ": %s; ignoring", err_text(-errno));
}

static int first_row(struct audit *a, const char *previous)
{
	AUTO_JSON struct json *o = json_new_object();
	char hex[AUDIT_HEX_LEN];
	uint8_t nonce[32];
	int r;

	text_hex(a->public_key, SIGN_PUBLIC_LEN, hex);
	r = json_put_str(o, "public_key", hex);
	if (r >= 0)
		r = json_put_str(o, "outcome", "ok");
	if (r >= 0 && previous) {
		r = json_put_str(o, "previous_file", previous);
		return r < 0 ? r : audit_row_append(a, "audit.rotate", o);
	}
	if (r >= 0)
		r = secret_random(nonce, sizeof(nonce));
	if (r < 0)
		return r;
	text_hex(nonce, sizeof(nonce), hex);
	r = json_put_str(o, "random", hex);
	return r < 0 ? r : audit_row_append(a, "audit.genesis", o);
}

/* Make the file of the next row. On failure there is none. */
static int file_begin(struct audit *a, const char *previous)
{
	int r;

	a->pos.size = 0;
	a->pos.begun_ns = 0;
	a->pos.torn = a->pos.leave = false;
	r = file_open(a, a->pos.next_seq, O_CREAT | O_EXCL);
	if (r < 0)
		return r;
	r = first_row(a, previous);
	if (r >= 0)
		r = audit_flush(a);
	if (r >= 0 && fsync(a->dirfd) < 0)
		r = -errno;
	if (r >= 0) {
		link_renew(a);
		return 0;
	}
	(void)unlinkat(a->dirfd, a->pos.file, 0);
	auto_close_p(&a->pos.fd);
	return r;
}

/* --- at start --- */

/* The newest file that has a row. What has none is the half-made successor of the one before. 1: found, 0: there is none. */
static int newest_find(struct audit *a, const uint64_t *seqs, size_t *count, struct audit_row *row)
{
	struct stat st;
	int r;

	for (; *count > 0; (*count)--) {
		r = file_open(a, seqs[*count - 1], 0);
		if (r >= 0 && fstat(a->pos.fd, &st) < 0)
			r = -errno;
		if (r >= 0 && !S_ISREG(st.st_mode))
			r = -EUCLEAN;
		if (r >= 0)
			r = audit_files_tail(a->pos.fd, (uint64_t)st.st_size, row, &a->pos.size);
		if (r < 0)
			return log_ret(r, "audit log: %s", a->pos.file);
		if (row->o)
			return 1;
		log_warning("audit log: %s has no row; removing it", a->pos.file);
		auto_close_p(&a->pos.fd);
		a->pos.fd = -1;
		if (unlinkat(a->dirfd, a->pos.file, 0) < 0)
			return log_ret(-errno, "audit log: %s", a->pos.file);
	}
	return 0;
}

static int begun_read(struct audit *a)
{
	int r = audit_files_begun(a->pos.fd, &a->pos.begun_ns);

	/* A beginning that cannot be read is verify's to report, not a reason to serve nobody. */
	if (r == 0)
		a->pos.begun_ns = a->pos.last_ts_ns;
	return r < 0 ? r : 0;
}

static int end_take(struct audit *a, struct audit_row *row)
{
	if (strcmp(row->host_id, a->host_id) != 0)
		return log_ret(-EKEYREJECTED, "audit log: %s is not of this state directory's host.key; if that was replaced on purpose "
			       "move audit-*.log away", a->pos.file);
	a->pos.next_seq = row->seq + 1;
	memcpy(a->pos.hash, row->hash, AUDIT_HASH_LEN);
	memcpy(a->pos.last_boot_id, row->boot_id, AUDIT_ID_LEN);
	a->pos.last_ts_ns = row->ts_ns;
	a->pos.last_mono_ns = row->mono_ns;
	a->pos.torn = true; /* perhaps: audit_torn_close looks */
	return begun_read(a);
}

static int key_open(struct audit *a, int state_dirfd, bool make)
{
	int r;

	r = host_key(state_dirfd, HOST_KEY_AUDIT, make, &a->seed);
	if (r == -ENOENT)
		return log_ret(-EKEYREJECTED, "audit log: host.key is gone, but the log that it signed is here; put it back, or move audit-*.log away");
	if (r >= 0)
		r = sign_public(a->seed, a->public_key);
	if (r >= 0)
		r = audit_row_host_id(a->public_key, a->host_id);
	return r < 0 ? log_ret(r, "host.key") : 0;
}

/* What an agent before this form wrote has the name of our link. */
static int old_refuse(const struct audit *a)
{
	struct stat st;

	if (fstatat(a->dirfd, AUDIT_FILES_NEWEST, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode))
		return log_ret(-EUCLEAN, "audit log: " AUDIT_FILES_NEWEST " is of a form before the first release; move it away");
	return 0;
}

int audit_rotate_start(struct audit *a, int state_dirfd)
{
	struct audit_row row = { 0 };
	AUTO_FREE uint64_t *seqs = NULL;
	size_t count = 0;
	int r;

	r = old_refuse(a);
	if (r < 0)
		return r;
	r = audit_files_list(a->dirfd, &seqs, &count);
	if (r < 0)
		return log_ret(r, "audit log: its directory");
	r = newest_find(a, seqs, &count, &row);
	if (r < 0)
		return r;
	r = key_open(a, state_dirfd, count == 0);
	if (r >= 0 && count > 0) {
		r = end_take(a, &row);
		audit_row_done(&row);
		return r;
	}
	audit_row_done(&row);
	if (r < 0)
		return r;
	a->pos.next_seq = 1;
	r = file_begin(a, NULL);
	return r < 0 ? log_ret(r, "audit log: cannot be begun") : 0;
}

/* --- later --- */

bool audit_rotate_due(const struct audit *a)
{
	struct timespec now;

	if (a->pos.leave || a->pos.size >= a->conf.rotate_bytes)
		return true;
	return clock_gettime(CLOCK_REALTIME, &now) == 0 &&
	       (int64_t)now.tv_sec - a->pos.begun_ns / 1000000000 > (int64_t)(a->conf.rotate_ms / 1000);
}

/* At most one file each time, however far a clock was set: a wrong one must not empty the log. The row is there before the file is gone. */
static void oldest_drop(struct audit *a)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE uint64_t *seqs = NULL;
	char name[AUDIT_FILE_LEN];
	struct timespec now;
	struct stat st;
	size_t count = 0;
	int r;

	if (a->conf.retain_ms == 0 || audit_files_list(a->dirfd, &seqs, &count) < 0 || count < 2)
		return;
	audit_files_name(seqs[0], name);
	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || fstatat(a->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    now.tv_sec - st.st_mtim.tv_sec < (int64_t)(a->conf.retain_ms / 1000))
		return;
	r = json_put_str(o, "object", name);
	if (r >= 0)
		r = json_put_int(o, "expired_to", (int64_t)seqs[1] - 1);
	if (r >= 0)
		r = json_put_str(o, "outcome", "ok");
	if (r >= 0)
		r = audit_row_append(a, "audit.expire", o);
	if (r >= 0)
		r = audit_flush(a);
	if (r >= 0 && unlinkat(a->dirfd, name, 0) < 0)
		r = -errno;
	if (r < 0)
		log_warning("audit log: %s is older than retain= and cannot be dropped: %s", name, err_text(r));
}

int audit_rotate_next(struct audit *a)
{
	struct audit_pos old;
	int r;

	audit_settle(a); /* an anchor that it tells must not come behind a later one */
	if (!a->pos.leave)
		audit_anchor_make(a);
	r = a->pos.torn ? audit_torn_close(a) : 0; /* half an anchor row: what is left behind must be whole */
	if (r < 0)
		return r;
	old = a->pos;
	a->pos.fd = -1;
	r = file_begin(a, old.file);
	if (r < 0) {
		a->pos = old;
		return r;
	}
	(void)close(old.fd);
	oldest_drop(a);
	return 0;
}
