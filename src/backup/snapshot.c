/* snapshot.c: see snapshot.h. One list is in memory at a time. */
#include "backup/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "backup/merkle.h"
#include "base/text.h"
#include "crypt/digest.h"

#define SPOOL_START 1u                   /* an offset of 0 says that a list is not there */

struct reading {
	const struct snapshot_walk *w;
	const struct manifest *m;
	struct record_order order;
	struct merkle merkle;
	struct record_entry entry;
	struct record_piece pieces[RECORD_PIECES_MAX];
};

static int say(struct store_error *err, int r, const char *object, const char *what)
{
	*err = (struct store_error){ 0 };
	(void)snprintf(err->message, sizeof(err->message), "%s: %s", object, what);
	return r;
}

static int malformed(struct store_error *err)
{
	return say(err, -EUCLEAN, "the snapshot's list", "is malformed");
}

/* Before anybody is told of it. */
static int within(const struct reading *s, struct store_error *err)
{
	if (s->order.entries > s->m->entries || s->order.bytes > s->m->bytes)
		return say(err, -EUCLEAN, "the snapshot", "has more in it than its manifest says");
	return 0;
}

static int do_entry(struct reading *s, const uint8_t *p, size_t len, struct store_error *err)
{
	unsigned depth;
	int r;

	if (record_parse_entry(p, len, &s->entry) < 0 || record_order_entry(&s->order, &s->entry) < 0)
		return malformed(err);
	r = within(s, err);
	if (r < 0)
		return r;
	depth = s->order.depth - (s->entry.type == RECORD_DIR && s->order.entries > 1);
	return s->w->entry ? s->w->entry(s->w->ctx, s->order.entries - 1, depth, &s->entry) : 0;
}

static int do_pieces(struct reading *s, const uint8_t *p, size_t len, struct store_error *err)
{
	size_t n;
	int r;

	if (record_parse_pieces(p, len, s->pieces, &n) < 0 || record_order_pieces(&s->order, s->pieces, n) < 0)
		return malformed(err);
	r = within(s, err);
	if (r < 0)
		return r;
	return s->w->pieces ? s->w->pieces(s->w->ctx, s->pieces, n) : 0;
}

static int do_list(struct reading *s, const uint8_t *p, size_t len, uint32_t records, struct store_error *err)
{
	size_t at = RECORD_LIST_HEAD, n;
	const uint8_t *record;
	uint32_t count, i;
	int kind, r = 0;

	if (record_list_open(p, len, &count) < 0 || count != records)
		return malformed(err);
	for (i = 0; i < records && r == 0; i++) {
		if (record_list_next(p, len, &at, &record, &n) <= 0)
			return malformed(err);
		kind = record_kind(record, n);
		r = kind < 0 ? malformed(err) : merkle_add(&s->merkle, record, n);
		if (r == 0)
			r = kind == RECORD_KIND_ENTRY ? do_entry(s, record, n, err) : do_pieces(s, record, n, err);
	}
	return r == 0 && at != len ? malformed(err) : r;
}

/* ---- lists */

void snapshot_spool_init(struct snapshot_spool *s, int dirfd, const struct manifest *m)
{
	*s = (struct snapshot_spool){ .fd = -1, .end = SPOOL_START, .at = calloc(m->nlists ? m->nlists : 1, sizeof(*s->at)) };
	if (s->at)
		s->fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

void snapshot_spool_done(struct snapshot_spool *s)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s->at);
	*s = (struct snapshot_spool){ .fd = -1 };
}

static bool spool_get(const struct snapshot_spool *s, const struct manifest *m, size_t i, uint8_t **ret_p)
{
	AUTO_FREE uint8_t *p = NULL;
	uint8_t hash[RECORD_HASH_LEN];

	if (!s || s->fd < 0 || s->at[i] == 0)
		return false;
	p = malloc(m->lists[i].len);
	if (!p || pread(s->fd, p, m->lists[i].len, (off_t)s->at[i]) != (ssize_t)m->lists[i].len || digest_sha256(p, m->lists[i].len, hash) < 0 ||
	    memcmp(hash, m->lists[i].hash, RECORD_HASH_LEN) != 0)
		return false;
	*ret_p = take_ptr(p);
	return true;
}

static void spool_put(struct snapshot_spool *s, size_t i, const uint8_t *p, size_t len)
{
	if (!s || s->fd < 0 || pwrite(s->fd, p, len, (off_t)s->end) != (ssize_t)len)
		return;
	s->at[i] = s->end;
	s->end += len;
}

/* List i has the length that the manifest says. */
static int get_list(const struct repo *r, const struct manifest *m, size_t i, struct snapshot_spool *spool, uint8_t **ret_p, struct store_error *err)
{
	AUTO_FREE uint8_t *p = NULL;
	size_t len;
	int e;

	if (spool_get(spool, m, i, ret_p))
		return 0;
	e = repo_get(r, REPO_LIST, m->lists[i].hash, &p, &len, err);
	if (e < 0)
		return e;
	if (len != m->lists[i].len)
		return say(err, -EUCLEAN, "the snapshot's list", "is of another length than its manifest says");
	spool_put(spool, i, p, len);
	*ret_p = take_ptr(p);
	return 0;
}

int snapshot_walk(const struct repo *r, const struct manifest *m, const struct snapshot_walk *w, struct store_error *err)
{
	AUTO_FREE struct reading *s = calloc(1, sizeof(*s));
	uint8_t root[MERKLE_LEN];
	int e = 0;

	if (!s)
		return -ENOMEM;
	s->w = w;
	s->m = m;
	*err = (struct store_error){ 0 };
	for (size_t i = 0; i < m->nlists && e == 0; i++) {
		AUTO_FREE uint8_t *p = NULL;

		e = get_list(r, m, i, w->spool, &p, err);
		if (e == 0)
			e = do_list(s, p, m->lists[i].len, m->lists[i].records, err);
	}
	if (e == 0)
		e = merkle_root(&s->merkle, root);
	if (e != 0)
		return e;
	if (record_order_end(&s->order) < 0 || s->order.entries != m->entries || s->order.bytes != m->bytes || memcmp(root, m->root, MERKLE_LEN) != 0)
		return say(err, -EBADMSG, "the snapshot", "is not what its manifest says");
	return 0;
}

/* ---- finding */

int snapshot_volume(struct store *s, const char *uuid, struct repo *ret_r, struct store_error *err)
{
	AUTO_FREE uint8_t (*list)[UUID_LEN] = NULL;
	char text[2 * UUID_LEN + 1];
	size_t n, found = 0, at = 0;
	int r;

	r = repo_volumes(s, &list, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		text_hex(list[i], UUID_LEN, text);
		if (uuid && strncmp(text, uuid, strlen(uuid)) != 0)
			continue;
		found++;
		at = i;
	}
	if (found != 1)
		return say(err, found ? -EEXIST : -ENOENT, uuid ? uuid : "the store",
			   found ? "more than one volume: say which by --volume UUID" : "no backup of a volume there");
	repo_open(ret_r, s, list[at]);
	return 0;
}

int snapshot_find(const struct repo *r, const char *text, char ret_name[static REPO_SNAPSHOT_MAX], struct store_error *err)
{
	AUTO_FREE struct repo_snapshot *list = NULL;
	size_t n, found = 0, at = 0, len = strlen(text);
	int e;

	e = repo_snapshots(r, &list, &n, err);
	if (e < 0)
		return e;
	for (size_t i = 0; i < n; i++) {
		const char *id = strchr(list[i].name, '-');

		if (strcmp(text, "latest") == 0 ? i + 1 == n : strncmp(list[i].name, text, len) == 0 || (id && strncmp(id + 1, text, len) == 0)) {
			found++;
			at = i;
		}
	}
	if (found != 1)
		return say(err, found ? -EEXIST : -ENOENT, text, found ? "more than one snapshot begins so" : "no such snapshot of this volume");
	memcpy(ret_name, list[at].name, REPO_SNAPSHOT_MAX);
	return 0;
}
