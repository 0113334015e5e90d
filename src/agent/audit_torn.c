/* audit_torn.c: what a crash or a full disk left behind the last whole row.
 *
 *	behind the last row is                        then
 *	nothing                                       nothing
 *	the next row, whole but for its line feed     it gets its line feed and counts
 *	anything else                                 a line feed, then an audit.torn row with length and SHA-256 of it: it stays, is covered by the chain
 *	                                              and can be seen
 *
 * When that row cannot be written either, what there is of it is taken back: it was ours, a moment ago. */
#include "agent/audit_impl.h"

#include <string.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#define SPAN_MAX (4 * AUDIT_ROW_MAX)

static int span_read(const struct audit *a, uint64_t size, char **ret_p, size_t *ret_len)
{
	AUTO_FREE char *p = NULL;
	size_t len, done = 0;
	ssize_t n;

	if (size - a->pos.size > SPAN_MAX)
		return -EFBIG;
	len = (size_t)(size - a->pos.size);
	p = malloc(len + 1);
	if (!p)
		return -ENOMEM;
	while (done < len) {
		n = pread(a->pos.fd, p + done, len - done, (off_t)(a->pos.size + done));
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	*ret_p = take_ptr(p);
	*ret_len = len;
	return 0;
}

static bool is_next(const struct audit *a, const struct audit_row *row)
{
	return row->seq == a->pos.next_seq && memcmp(row->prev, a->pos.hash, AUDIT_HASH_LEN) == 0;
}

/* 1: it was the next row, and is one now. */
static int whole_take(struct audit *a, const char *p, size_t len)
{
	struct audit_row row;
	int r;

	r = audit_row_parse(p, len, &row);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = is_next(a, &row) ? fileio_write_full(a->pos.fd, "\n", 1) : -ENODATA;
	if (r >= 0) {
		memcpy(a->pos.hash, row.hash, AUDIT_HASH_LEN);
		memcpy(a->pos.last_boot_id, row.boot_id, AUDIT_ID_LEN);
		a->pos.next_seq++;
		a->pos.size += len + 1;
		a->pos.last_ts_ns = row.ts_ns;
		a->pos.last_mono_ns = row.mono_ns;
		r = 1;
	}
	audit_row_done(&row);
	return r == -ENODATA ? 0 : r;
}

static int torn_row(struct audit *a, const char *p, size_t len)
{
	AUTO_JSON struct json *o = json_new_object();
	uint8_t digest[DIGEST_SHA256_LEN];
	char hex[AUDIT_HEX_LEN];
	int r;

	r = digest_sha256(p, len, digest);
	if (r < 0)
		return r;
	text_hex(digest, sizeof(digest), hex);
	r = json_put_int(o, "torn_bytes", (int64_t)len);
	if (r >= 0)
		r = json_put_str(o, "torn_sha256", hex);
	if (r >= 0)
		r = json_put_str(o, "outcome", "ok");
	return r < 0 ? r : audit_row_append(a, "audit.torn", o);
}

/* Several torn lines have line feeds between them; the last may have its own. */
static int span_close(struct audit *a, const char *p, size_t len)
{
	const struct audit_pos before = a->pos;
	const bool closed = p[len - 1] == '\n';
	int r;

	r = closed ? 0 : fileio_write_full(a->pos.fd, "\n", 1);
	a->pos.size += len + (closed ? 0 : 1);
	if (r >= 0)
		r = torn_row(a, p, closed ? len - 1 : len);
	if (r >= 0)
		return 0;
	a->pos = before;
	if (ftruncate(a->pos.fd, (off_t)(before.size + len)) < 0)
		log_err("audit log: %s: cannot take half a row back: %s", a->pos.file, err_text(-errno));
	return r;
}

int audit_torn_close(struct audit *a)
{
	AUTO_FREE char *p = NULL;
	size_t len = 0;
	struct stat st;
	int r;

	if (fstat(a->pos.fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > a->pos.size) {
		r = span_read(a, (uint64_t)st.st_size, &p, &len);
		if (r >= 0)
			r = whole_take(a, p, len);
		if (r == 0) {
			log_warning("audit log: %s: %zu bytes behind row %llu are no row", a->pos.file, len,
				    (unsigned long long)a->pos.next_seq - 1);
			r = span_close(a, p, len);
		}
		if (r < 0)
			return r;
	}
	a->pos.torn = false;
	return 0;
}
