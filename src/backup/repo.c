/* repo.c: see repo.h. */
#include "backup/repo.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "crypt/digest.h"

#define HEX_LEN ((size_t)2 * RECORD_HASH_LEN)
#define ID_LEN 16u
#define TIME_LEN 16u                     /* 20260102T030405Z */
#define VOLUMES "volumes/"

static const char *const dirs[] = { [REPO_SEGMENT] = "segments", [REPO_PACK] = "packs", [REPO_LIST] = "lists" };

static int say(struct store_error *err, int r, const char *object, const char *what)
{
	*err = (struct store_error){ 0 };
	(void)snprintf(err->message, sizeof(err->message), "%s: %s", object, what);
	return r;
}

void repo_open(struct repo *r, struct store *store, const uint8_t uuid[static UUID_LEN])
{
	*r = (struct repo){ .store = store };
	memcpy(r->uuid, uuid, UUID_LEN);
	text_hex(uuid, UUID_LEN, r->uuid_text);
}

size_t repo_object_max(enum repo_kind kind)
{
	return kind == REPO_SEGMENT ? RECORD_SEGMENT_LEN : kind == REPO_PACK ? RECORD_PACK_MAX : RECORD_LIST_MAX;
}

void repo_object_name(const struct repo *r, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], char ret_name[static REPO_NAME_MAX])
{
	char hex[HEX_LEN + 1];

	text_hex(hash, RECORD_HASH_LEN, hex);
	(void)snprintf(ret_name, REPO_NAME_MAX, "%s/%s/%.2s/%s", r->uuid_text, dirs[kind], hex, hex);
}

int repo_list(const struct repo *r, enum repo_kind kind, store_each *fn, void *arg, struct store_error *err)
{
	char prefix[REPO_NAME_MAX];

	(void)snprintf(prefix, sizeof(prefix), "%s/%s/", r->uuid_text, dirs[kind]);
	return store_list(r->store, prefix, fn, arg, err);
}

bool repo_object_hash(const struct repo *r, enum repo_kind kind, const char *name, uint8_t ret_hash[static RECORD_HASH_LEN])
{
	char again[REPO_NAME_MAX];
	size_t len = strlen(name);

	if (len < HEX_LEN || text_hex_parse(name + len - HEX_LEN, HEX_LEN, RECORD_HASH_LEN, ret_hash) < 0)
		return false;
	repo_object_name(r, kind, ret_hash, again);
	return strcmp(name, again) == 0;
}

int repo_put(const struct repo *r, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], const void *p, size_t len, struct store_error *err)
{
	char name[REPO_NAME_MAX];
	int e;

	repo_object_name(r, kind, hash, name);
	/* Of lists nobody has looked whether they are there: a bucket with object lock would keep the same one twice, each for its time. */
	e = kind == REPO_LIST && store_locks(r->store) ? store_lock_extend(r->store, name, err) : -ENOENT;
	return e == -ENOENT ? store_put(r->store, name, p, len, STORE_KEEP_LONGER, err) : e;
}

int repo_get(const struct repo *r, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], uint8_t **ret_p, size_t *ret_len,
	     struct store_error *err)
{
	uint8_t got[RECORD_HASH_LEN];
	AUTO_FREE void *p = NULL;
	char name[REPO_NAME_MAX];
	size_t len;
	int e;

	repo_object_name(r, kind, hash, name);
	e = store_get(r->store, name, 0, repo_object_max(kind), &p, &len, err);
	if (e == -ENOENT)
		return say(err, e, name, "is not in the store");
	if (e == 0)
		e = digest_sha256(p, len, got);
	if (e < 0)
		return e;
	if (memcmp(got, hash, RECORD_HASH_LEN) != 0)
		return say(err, -EBADMSG, name, "is not what its name says: rotten, cut or exchanged");
	*ret_p = take_ptr(p);
	*ret_len = len;
	return 0;
}

static int get_part(const struct repo *r, const struct record_piece *e, uint8_t **ret_p, struct store_error *err)
{
	uint8_t got[RECORD_HASH_LEN];
	AUTO_FREE void *p = NULL;
	char name[REPO_NAME_MAX];
	size_t len;
	int c;

	repo_object_name(r, REPO_PACK, e->pack, name);
	c = store_get(r->store, name, e->at, e->len, &p, &len, err);
	if (c == -ENOENT)
		return say(err, c, name, "is not in the store");
	if (c == 0)
		c = digest_sha256(p, len, got);
	if (c < 0)
		return c;
	if (len != e->len || memcmp(got, e->hash, RECORD_HASH_LEN) != 0)
		return say(err, -EBADMSG, name, "has not the piece that the snapshot names");
	*ret_p = take_ptr(p);
	return 0;
}

int repo_get_piece(const struct repo *r, const struct record_piece *e, uint8_t **ret_p, struct store_error *err)
{
	AUTO_FREE uint8_t *p = NULL;
	size_t len;
	int c;

	if (e->packed)
		return get_part(r, e, ret_p, err);
	c = repo_get(r, REPO_SEGMENT, e->hash, &p, &len, err);
	if (c < 0)
		return c;
	if (len != e->len)
		return say(err, -EBADMSG, "a piece", "is not what its record says");
	*ret_p = take_ptr(p);
	return 0;
}

/* ---- volumes */

struct volumes {
	uint8_t (*list)[UUID_LEN];
	size_t n, max;
};

static int add_volume(void *arg, const char *name, uint64_t size, int64_t mtime_s)
{
	size_t prefix = sizeof(VOLUMES) - 1;
	struct volumes *v = arg;
	uint8_t uuid[UUID_LEN];

	(void)size;
	(void)mtime_s;
	if (strncmp(name, VOLUMES, prefix) != 0 || text_hex_parse(name + prefix, strlen(name + prefix), UUID_LEN, uuid) < 0)
		return 0;
	if (v->n == v->max) {
		size_t max = v->max ? v->max * 2 : 16;
		void *more = max <= REPO_VOLUMES_MAX * 2 ? reallocarray(v->list, max, UUID_LEN) : NULL;

		if (!more)
			return max <= REPO_VOLUMES_MAX * 2 ? -ENOMEM : -EFBIG;
		v->list = more;
		v->max = max;
	}
	memcpy(v->list[v->n++], uuid, UUID_LEN);
	return 0;
}

int repo_volumes(struct store *s, uint8_t (**ret_uuids)[UUID_LEN], size_t *ret_n, struct store_error *err)
{
	struct volumes v = { 0 };
	int e;

	e = store_list(s, VOLUMES, add_volume, &v, err);
	if (e < 0) {
		free(v.list);
		return e;
	}
	*ret_uuids = v.list;
	*ret_n = v.n;
	return 0;
}

int repo_volume_put(const struct repo *r, struct store_error *err)
{
	static const char text[] = "coffer-backup 1\n";
	char name[REPO_NAME_MAX];
	uint64_t size;
	int e;

	(void)snprintf(name, sizeof(name), VOLUMES "%s", r->uuid_text);
	e = store_head(r->store, name, &size, err);
	return e == -ENOENT ? store_put(r->store, name, text, sizeof(text) - 1, 0, err) : e;
}

/* ---- snapshots */

struct snapshots {
	const char *prefix;
	struct repo_snapshot *list;
	size_t n, max;
};

static bool snapshot_is_sane(const char *name)
{
	uint8_t id[ID_LEN / 2];

	if (strlen(name) != TIME_LEN + 1 + ID_LEN || name[TIME_LEN] != '-' || text_hex_parse(name + TIME_LEN + 1, ID_LEN, sizeof(id), id) < 0)
		return false;
	for (size_t i = 0; i < TIME_LEN; i++)
		if (i == 8 ? name[i] != 'T' : i == TIME_LEN - 1 ? name[i] != 'Z' : name[i] < '0' || name[i] > '9')
			return false;
	return true;
}

static int add_snapshot(void *arg, const char *name, uint64_t size, int64_t mtime_s)
{
	struct snapshots *s = arg;
	const char *base = name + strlen(s->prefix);

	(void)mtime_s;
	if (strncmp(name, s->prefix, strlen(s->prefix)) != 0 || !snapshot_is_sane(base))
		return 0;
	if (s->n == s->max) {
		size_t max = s->max ? s->max * 2 : 64;
		void *more = max <= (size_t)2 * REPO_SNAPSHOTS_MAX ? reallocarray(s->list, max, sizeof(*s->list)) : NULL;

		if (!more)
			return max <= (size_t)2 * REPO_SNAPSHOTS_MAX ? -ENOMEM : -EFBIG;
		s->list = more;
		s->max = max;
	}
	memcpy(s->list[s->n].name, base, strlen(base) + 1);
	s->list[s->n++].size = size;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct repo_snapshot *)a)->name, ((const struct repo_snapshot *)b)->name);
}

int repo_snapshots(const struct repo *r, struct repo_snapshot **ret_list, size_t *ret_n, struct store_error *err)
{
	char prefix[REPO_NAME_MAX];
	struct snapshots s = { .prefix = prefix };
	int e;

	(void)snprintf(prefix, sizeof(prefix), "%s/snapshots/", r->uuid_text);
	e = store_list(r->store, prefix, add_snapshot, &s, err);
	if (e < 0) {
		free(s.list);
		return e;
	}
	if (s.n > 0)
		qsort(s.list, s.n, sizeof(*s.list), by_name);
	*ret_list = s.list;
	*ret_n = s.n;
	return 0;
}

/* TIME of a snapshot's name. */
static void name_time(const struct manifest *m, char ret_when[static TIME_LEN + 1])
{
	size_t n = 0;

	for (const char *c = m->time; *c && n < TIME_LEN; c++)
		if (*c != '-' && *c != ':')
			ret_when[n++] = *c;
	ret_when[n] = '\0';
}

int repo_manifest(const struct repo *r, const char *snapshot, struct manifest *ret_m, uint8_t ret_hash[static RECORD_HASH_LEN], struct store_error *err)
{
	char name[REPO_NAME_MAX], hex[HEX_LEN + 1], when[TIME_LEN + 1];
	struct manifest m = { 0 };
	AUTO_FREE void *p = NULL;
	size_t len;
	int e;

	if (!snapshot_is_sane(snapshot))
		return say(err, -ENOENT, snapshot, "is not the name of a snapshot");
	(void)snprintf(name, sizeof(name), "%s/snapshots/%s", r->uuid_text, snapshot);
	e = store_get(r->store, name, 0, MANIFEST_MAX + 1, &p, &len, err);
	if (e == -ENOENT)
		return say(err, e, name, "is not in the store");
	if (e == 0)
		e = digest_sha256(p, len, ret_hash);
	if (e < 0)
		return e;
	text_hex(ret_hash, RECORD_HASH_LEN, hex);
	if (strncmp(hex, snapshot + TIME_LEN + 1, ID_LEN) != 0)
		return say(err, -EBADMSG, name, "the manifest is not what its name says: rotten, cut or exchanged");
	e = manifest_parse(p, len, &m);
	if (e < 0)
		return say(err, e, name, e == -EOPNOTSUPP ? "the manifest is of a format that this version does not know" : "the manifest is malformed");
	if (memcmp(m.uuid, r->uuid, UUID_LEN) != 0) {
		manifest_done(&m);
		return say(err, -EBADMSG, name, "the manifest is another volume's");
	}
	name_time(&m, when);
	if (strlen(when) != TIME_LEN || strncmp(when, snapshot, TIME_LEN) != 0) {
		manifest_done(&m);
		return say(err, -EBADMSG, name, "the manifest is of another time than its name says: an old one in the place of a newer one");
	}
	*ret_m = m;
	return 0;
}

int repo_manifest_put(const struct repo *r, const struct manifest *m, const char *json, char ret_name[static REPO_SNAPSHOT_MAX],
		      uint8_t ret_hash[static RECORD_HASH_LEN], struct store_error *err)
{
	char name[REPO_NAME_MAX], hex[HEX_LEN + 1], when[TIME_LEN + 1];
	AUTO_FREE char *text = NULL;
	size_t len;
	int e;

	e = manifest_put(m, json, &text, &len);
	if (e == 0)
		e = digest_sha256(text, len, ret_hash);
	if (e < 0)
		return e;
	name_time(m, when);
	text_hex(ret_hash, RECORD_HASH_LEN, hex);
	(void)snprintf(ret_name, REPO_SNAPSHOT_MAX, "%s-%.16s", when, hex);
	(void)snprintf(name, sizeof(name), "%s/snapshots/%s", r->uuid_text, ret_name);
	/* What is there by this name has these bytes. A server that knows no condition is asked without. */
	e = store_put(r->store, name, text, len, STORE_EXCL | STORE_KEEP, err);
	if (e == -EOPNOTSUPP)
		e = store_put(r->store, name, text, len, STORE_KEEP, err);
	return e == -EEXIST ? 0 : e;
}
