/* prune.c: see prune.h. The order: lock; which manifests the store itself holds, which then stay; what the snapshots that stay need; their names again, for what came meanwhile; the manifests of the others; the objects
 * that nobody needs; a mark that a prune was here; the lock goes. Cut anywhere, what is left over is the next one's. */
#include "backup/prune.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup/backup_set.h"
#include "base/json.h"
#include "base/text.h"
#include "crypt/digest.h"
#include "base/secret.h"

#define LOCK_MAX 4096u
#define REFRESH_S 600
#define ID_LEN 16

struct prune {
	const struct prune_params *p;
	struct store_error *err;
	char lock_name[REPO_NAME_MAX];
	char id[2 * ID_LEN + 1];
	int64_t locked_s;
	struct backup_set used[3];       /* by enum repo_kind */
	struct prune_counts counts;
	enum repo_kind kind;             /* being swept */
};

static int64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

static int say(struct store_error *err, int r, const char *what)
{
	*err = (struct store_error){ 0 };
	(void)snprintf(err->message, sizeof(err->message), "%s", what);
	return r;
}

/* ---- which stay */

static int64_t day_of(const char *name)
{
	struct tm tm = { 0 };
	char part[5] = { 0 };

	memcpy(part, name, 4);
	tm.tm_year = (int)strtol(part, NULL, 10) - 1900;
	memcpy(part, name + 4, 2);
	part[2] = '\0';
	tm.tm_mon = (int)strtol(part, NULL, 10) - 1;
	memcpy(part, name + 6, 2);
	tm.tm_mday = (int)strtol(part, NULL, 10);
	return timegm(&tm) / 86400;
}

static int64_t bucket(const char *name, unsigned rule)
{
	char part[9] = { 0 };

	switch (rule) {
	case 0:
		return day_of(name);
	case 1:
		return (day_of(name) + 3) / 7; /* 1970-01-01 was a Thursday */
	default:
		memcpy(part, name, rule == 2 ? 6 : 4);
		return strtol(part, NULL, 10);
	}
}

void prune_choose(const struct repo_snapshot *list, size_t n, const struct prune_keep *keep, bool *ret_kept)
{
	const uint64_t rules[] = { keep->daily, keep->weekly, keep->monthly, keep->yearly };

	for (size_t i = 0; i < n; i++)
		ret_kept[i] = n - i <= (keep->last ? keep->last : 1);
	for (unsigned k = 0; k < sizeof(rules) / sizeof(rules[0]); k++) {
		uint64_t left = rules[k];
		int64_t last = INT64_MIN;

		for (size_t i = n; i-- > 0 && left > 0;) {
			int64_t b = bucket(list[i].name, k);

			if (b == last)
				continue;
			last = b;
			left--;
			ret_kept[i] = true;
		}
	}
}

/* ---- the lock */

static int lock_text(const struct prune *s, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();

	return json_put_str(o, "id", s->id) < 0 || json_put_int(o, "until", now_s() + PRUNE_LOCK_S) < 0 ? -ENOMEM : json_dump(o, ret_text);
}

/* What stands in the lock: until when, and whose. -ENOENT. One that cannot be read counts for as long as it lies there. */
static int lock_read(const struct repo *r, int64_t *ret_until, char ret_id[static 2 * ID_LEN + 1], struct store_error *err)
{
	AUTO_JSON struct json *o = NULL;
	char name[REPO_NAME_MAX];
	AUTO_FREE void *p = NULL;
	const char *id;
	size_t len;
	int e;

	(void)snprintf(name, sizeof(name), "%s/lock", r->uuid_text);
	e = store_get(r->store, name, 0, LOCK_MAX, &p, &len, err);
	if (e < 0)
		return e;
	*ret_until = INT64_MAX;
	ret_id[0] = '\0';
	if (json_parse(p, len, LOCK_MAX, &o) == 0 && json_is_object(o)) {
		(void)!json_get_int(o, "until", ret_until);
		if (json_get_str(o, "id", &id) == 0)
			(void)snprintf(ret_id, 2 * ID_LEN + 1, "%s", id);
	}
	return 0;
}

int prune_is_locked(const struct repo *r, struct store_error *err)
{
	char id[2 * ID_LEN + 1];
	int64_t until;
	int e = lock_read(r, &until, id, err);

	return e == -ENOENT ? 0 : e < 0 ? e : until > now_s();
}

static int lock_put(struct prune *s, unsigned flags)
{
	AUTO_FREE char *text = NULL;
	int r;

	r = lock_text(s, &text);
	if (r == 0)
		r = store_put(s->p->repo->store, s->lock_name, text, strlen(text), flags, s->err);
	if (r == 0)
		s->locked_s = now_s();
	return r;
}

/* For good where that can be: in a bucket with versions a plain deletion leaves a marker, which not every server takes for nothing. */
static int lock_delete(struct prune *s, struct store_error *err)
{
	int64_t until;
	int r = store_drop(s->p->repo->store, s->lock_name, &until, err);

	return r == -EPERM ? store_delete(s->p->repo->store, s->lock_name, err) : r; /* the bucket itself holds all that is put */
}

/* Who may put and not delete would leave the lock behind, and keep everybody out for an hour: so this is tried first. */
static int may_delete(struct prune *s)
{
	char name[REPO_NAME_MAX];
	int64_t until;
	int r;

	(void)snprintf(name, sizeof(name), "%s/prune", s->p->repo->uuid_text);
	r = store_put(s->p->repo->store, name, s->id, strlen(s->id), 0, s->err);
	return r < 0 ? r : store_drop(s->p->repo->store, name, &until, s->err);
}

static int lock_take(struct prune *s)
{
	uint8_t id[ID_LEN];
	int r;

	r = secret_random(id, sizeof(id));
	if (r < 0)
		return r;
	text_hex(id, sizeof(id), s->id);
	r = may_delete(s);
	if (r < 0)
		return r;
	(void)snprintf(s->lock_name, sizeof(s->lock_name), "%s/lock", s->p->repo->uuid_text);
	r = lock_put(s, STORE_EXCL);
	if (r != -EEXIST)
		return r;
	r = prune_is_locked(s->p->repo, s->err);
	if (r != 0)
		return r < 0 ? r : say(s->err, -EBUSY, "somebody else prunes this volume's backups; his lock expires within the hour");
	r = lock_delete(s, s->err); /* its owner died */
	if (r == 0)
		r = lock_put(s, STORE_EXCL);
	return r == -EEXIST ? say(s->err, -EBUSY, "somebody else has begun to prune") : r;
}

/* Still ours? From time to time, for another hour. */
static int lock_keep(struct prune *s)
{
	char id[2 * ID_LEN + 1];
	int64_t until;
	int r;

	if (s->p->progress && !s->p->progress(s->p->ctx))
		return -EINTR;
	if (s->p->dry_run || now_s() - s->locked_s < REFRESH_S)
		return 0;
	r = lock_read(s->p->repo, &until, id, s->err);
	if (r == -ENOENT || (r == 0 && strcmp(id, s->id) != 0))
		return say(s->err, -EBUSY, "the lock was lost to somebody else");
	return r < 0 ? r : lock_put(s, 0);
}

/* ---- what is needed */

static int use_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct prune *s = ctx;
	int r = lock_keep(s); /* to read a large snapshot may take longer than a lock lasts */

	for (size_t i = 0; i < n && r == 0; i++)
		r = backup_set_add(&s->used[pieces[i].packed ? REPO_PACK : REPO_SEGMENT], pieces[i].packed ? pieces[i].pack : pieces[i].hash, NULL);
	return r;
}

static int use_snapshot(struct prune *s, const char *name)
{
	struct snapshot_walk w = { .ctx = s, .pieces = use_pieces };
	AUTO_MANIFEST struct manifest m = { 0 };
	uint8_t hash[RECORD_HASH_LEN];
	int r;

	r = lock_keep(s);
	if (r == 0)
		r = repo_manifest(s->p->repo, name, &m, hash, s->err);
	for (size_t i = 0; r == 0 && i < m.nlists; i++)
		r = backup_set_add(&s->used[REPO_LIST], m.lists[i].hash, NULL);
	return r == 0 ? snapshot_walk(s->p->repo, &m, &w, s->err) : r;
}

/* Snapshots that have come since: theirs, too. */
static int use_new(struct prune *s, const struct repo_snapshot *list, size_t n)
{
	AUTO_FREE struct repo_snapshot *now = NULL;
	size_t count, k = 0;
	int r;

	r = repo_snapshots(s->p->repo, &now, &count, s->err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		while (k < n && strcmp(list[k].name, now[i].name) < 0)
			k++;
		if (k == n || strcmp(list[k].name, now[i].name) != 0)
			r = use_snapshot(s, now[i].name);
	}
	return r;
}

/* ---- taking away */

static void stays_locked(struct prune *s, int64_t until)
{
	s->counts.locked++;
	if (until > s->counts.locked_until)
		s->counts.locked_until = until;
}

/* 0: gone, or it would be; 1: object lock holds it, until *ret_until. */
static int drop(struct prune *s, const char *name, int64_t *ret_until)
{
	int r;

	*ret_until = 0;
	r = s->p->dry_run ? store_lock_until(s->p->repo->store, name, ret_until, s->err) : store_drop(s->p->repo->store, name, ret_until, s->err);
	if (*ret_until == 0)
		return r == -ENOENT ? 0 : r;
	stays_locked(s, *ret_until);
	return 1;
}

static int sweep_object(void *arg, const char *name, uint64_t size, int64_t mtime_s)
{
	uint8_t hash[RECORD_HASH_LEN];
	struct prune *s = arg;
	int64_t until;
	int r;

	r = lock_keep(s);
	if (r < 0)
		return r;
	if (!repo_object_hash(s->p->repo, s->kind, name, hash) || backup_set_find(&s->used[s->kind], hash) ||
	    mtime_s > now_s() - (int64_t)s->p->grace_s)
		return 0;
	r = drop(s, name, &until);
	if (r == 0) {
		s->counts.objects++;
		s->counts.bytes += size;
	}
	return r < 0 ? r : 0;
}

static int sweep(struct prune *s)
{
	int r = 0;

	for (unsigned k = 0; k < 3 && r == 0; k++) {
		s->kind = (enum repo_kind)k;
		r = repo_list(s->p->repo, s->kind, sweep_object, s, s->err);
	}
	return r;
}

static void snapshot_name(const struct prune *s, const struct repo_snapshot *snapshot, char ret_name[static REPO_NAME_MAX])
{
	(void)snprintf(ret_name, REPO_NAME_MAX, "%s/snapshots/%s", s->p->repo->uuid_text, snapshot->name);
}

/* Those that would go, but that object lock holds, stay: each needs its objects, as long as it is there. */
static int keep_locked(struct prune *s, const struct repo_snapshot *list, size_t n, bool *kept, int64_t *ret_until)
{
	char name[REPO_NAME_MAX];
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (kept[i])
			continue;
		snapshot_name(s, &list[i], name);
		r = store_lock_until(s->p->repo->store, name, &ret_until[i], s->err);
		if (ret_until[i] != 0) {
			kept[i] = true;
			stays_locked(s, ret_until[i]);
		}
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

static int drop_snapshots(struct prune *s, const struct repo_snapshot *list, size_t n, bool *kept, int64_t *until)
{
	char name[REPO_NAME_MAX];
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		snapshot_name(s, &list[i], name);
		if (!kept[i])
			r = drop(s, name, &until[i]);
		if (r == 1) /* since we looked */
			kept[i] = true;
		if (r >= 0 && s->p->snapshot)
			s->p->snapshot(s->p->ctx, list[i].name, kept[i], until[i]);
		s->counts.kept += kept[i];
		s->counts.snapshots += !kept[i] && r >= 0;
	}
	return r < 0 ? r : 0;
}

static int mark_put(struct prune *s)
{
	char name[REPO_NAME_MAX];

	(void)snprintf(name, sizeof(name), "%s/pruned", s->p->repo->uuid_text);
	return store_put(s->p->repo->store, name, s->id, strlen(s->id), 0, s->err);
}

static int all(struct prune *s)
{
	AUTO_FREE struct repo_snapshot *list = NULL;
	AUTO_FREE int64_t *until = NULL;
	AUTO_FREE bool *kept = NULL;
	size_t n;
	int r;

	r = repo_snapshots(s->p->repo, &list, &n, s->err);
	if (r < 0)
		return r;
	kept = calloc(n ? n : 1, sizeof(*kept));
	until = calloc(n ? n : 1, sizeof(*until));
	if (!kept || !until)
		return -ENOMEM;
	prune_choose(list, n, &s->p->keep, kept);
	r = keep_locked(s, list, n, kept, until);
	for (size_t i = 0; i < n && r == 0; i++)
		if (kept[i])
			r = use_snapshot(s, list[i].name);
	if (r == 0)
		r = use_new(s, list, n);
	if (r == 0 && !s->p->dry_run)
		r = mark_put(s); /* before the first object goes: a backup that ends now must look */
	if (r == 0)
		r = drop_snapshots(s, list, n, kept, until);
	return r == 0 ? sweep(s) : r;
}

int prune_run(const struct prune_params *p, struct prune_counts *ret_c, struct store_error *ret_err)
{
	struct prune s = { .p = p, .err = ret_err };
	struct store_error ignored;
	int r;

	*ret_err = (struct store_error){ 0 };
	r = p->dry_run ? 0 : lock_take(&s);
	if (r == 0) {
		r = all(&s);
		if (!p->dry_run)
			(void)!lock_delete(&s, &ignored); /* else it expires */
	}
	for (unsigned k = 0; k < 3; k++)
		backup_set_done(&s.used[k]);
	*ret_c = s.counts;
	return r;
}

/* ---- for backups */

static int mark_get(const struct repo *r, struct prune_mark *ret_m, struct store_error *err)
{
	char name[REPO_NAME_MAX];
	AUTO_FREE void *p = NULL;
	size_t len;
	int e;

	*ret_m = (struct prune_mark){ 0 };
	(void)snprintf(name, sizeof(name), "%s/pruned", r->uuid_text);
	e = store_get(r->store, name, 0, LOCK_MAX, &p, &len, err);
	if (e == -ENOENT)
		return 0;
	ret_m->there = true;
	return e < 0 ? e : digest_sha256(p, len, ret_m->hash);
}

/* The mark first: who has put his by then, and holds no lock any more, is done. */
int prune_mark(const struct repo *r, struct prune_mark *ret_m, struct store_error *err)
{
	int e;

	e = mark_get(r, ret_m, err);
	if (e == 0)
		e = prune_is_locked(r, err);
	ret_m->locked = e == 1;
	return e < 0 ? e : 0;
}

int prune_look(const struct repo *r, const struct prune_mark *m, struct store_error *err)
{
	struct prune_mark now;
	int e;

	e = m->locked ? 1 : prune_is_locked(r, err);
	if (e != 0)
		return e;
	e = mark_get(r, &now, err);
	return e < 0 ? e : now.there != m->there || memcmp(now.hash, m->hash, sizeof(m->hash)) != 0;
}
