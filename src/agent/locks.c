/* locks.c: one file for all locks, replaced as a whole. They are few, and what is forgotten here would be opened. */
#include "agent/locks.h"

#include <string.h>

#include "base/fileio.h"
#include "base/json.h"

#define LOCKS_NAME "locks.json"
#define LOCKS_VERSION 1
#define LOCKS_BYTES_MAX (1024 * 1024)

struct locks {
	int dirfd;
	size_t count;
	struct locks_item items[LOCKS_MAX];
};

static int item_parse(const struct json *v, struct locks_item *ret_lock)
{
	static const char *const known[] = { "tenant", "uuid", "uid", "since", "reason", NULL };
	const char *text;
	int r;

	if (!json_is_object(v) || json_unknown_key(v, known))
		return -EUCLEAN;
	r = proto_str_parse(v, "tenant", sizeof(ret_lock->tenant), ret_lock->tenant);
	if (r >= 0 && !volume_config_tenant_ok(ret_lock->tenant))
		r = -EUCLEAN;
	if (r == -ENOENT) {
		r = json_get_str(v, "uuid", &text);
		if (r >= 0)
			r = volume_config_uuid_parse(text, ret_lock->uuid);
	}
	if (r >= 0)
		r = proto_u64_parse(v, "uid", &ret_lock->uid);
	if (r >= 0)
		r = proto_str_parse(v, "since", sizeof(ret_lock->since), ret_lock->since);
	if (r >= 0)
		r = proto_str_parse(v, "reason", sizeof(ret_lock->reason), ret_lock->reason);
	return r < 0 ? -EUCLEAN : 0;
}

static int locks_parse(const void *p, size_t len, struct locks *l)
{
	AUTO_JSON struct json *o = NULL;
	const struct json *a;
	int64_t version;
	size_t i, n;
	int r;

	r = json_parse(p, len, LOCKS_BYTES_MAX, &o);
	if (r < 0)
		return r;
	if (!json_is_object(o) || json_get_int(o, "version", &version) < 0 || version != LOCKS_VERSION)
		return -EUCLEAN;
	if (json_get_array(o, "locks", &a) < 0)
		return -EUCLEAN;
	n = json_array_len(a);
	if (n > LOCKS_MAX)
		return -EUCLEAN;
	for (i = 0; i < n; i++) {
		r = item_parse(json_array_at(a, i), &l->items[i]);
		if (r < 0)
			return r;
	}
	l->count = n;
	return 0;
}

int locks_open(int dirfd, struct locks **ret_l)
{
	AUTO_FREE struct locks *l = calloc(1, sizeof(*l));
	AUTO_FREE uint8_t *p = NULL;
	size_t len;
	int r;

	if (!l)
		return -ENOMEM;
	l->dirfd = dirfd;
	r = fileio_read_at(dirfd, LOCKS_NAME, LOCKS_BYTES_MAX, &p, &len);
	if (r >= 0)
		r = locks_parse(p, len, l);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_l = take_ptr(l);
	return 0;
}

void locks_free(struct locks *l)
{
	free(l);
}

static int item_put(struct json *a, const struct locks_item *lock)
{
	AUTO_JSON struct json *v = json_new_object();
	char uuid[33];
	int r;

	volume_config_uuid_text(lock->uuid, uuid);
	r = lock->tenant[0] ? json_put_str(v, "tenant", lock->tenant) : json_put_str(v, "uuid", uuid);
	if (r >= 0)
		r = proto_u64_put(v, "uid", lock->uid);
	if (r >= 0)
		r = json_put_str(v, "since", lock->since);
	if (r >= 0)
		r = json_put_str(v, "reason", lock->reason);
	if (r < 0)
		return r;
	return json_append(a, take_ptr(v));
}

static int locks_store(const struct locks *l)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_JSON struct json *a = json_new_array();
	AUTO_FREE char *text = NULL;
	size_t i;
	int r;

	if (!o || !a)
		return -ENOMEM;
	for (i = 0; i < l->count; i++) {
		r = item_put(a, &l->items[i]);
		if (r < 0)
			return r;
	}
	r = json_put_int(o, "version", LOCKS_VERSION);
	if (r >= 0)
		r = json_put_json(o, "locks", take_ptr(a));
	if (r >= 0)
		r = json_dump(o, &text);
	if (r < 0)
		return r;
	return fileio_replace_at(l->dirfd, LOCKS_NAME, text, strlen(text), 0600);
}

static bool same_target(const struct locks_item *a, const struct locks_item *b)
{
	if (a->tenant[0] || b->tenant[0])
		return strcmp(a->tenant, b->tenant) == 0;
	return memcmp(a->uuid, b->uuid, UUID_LEN) == 0;
}

const struct locks_item *locks_find_tenant(const struct locks *l, const char *tenant)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (l->items[i].tenant[0] && strcmp(l->items[i].tenant, tenant) == 0)
			return &l->items[i];
	return NULL;
}

const struct locks_item *locks_find(const struct locks *l, const uint8_t uuid[static UUID_LEN], const char *tenant)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (!l->items[i].tenant[0] && memcmp(l->items[i].uuid, uuid, UUID_LEN) == 0)
			return &l->items[i];
	return locks_find_tenant(l, tenant);
}

int locks_add(struct locks *l, const struct locks_item *lock)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (same_target(&l->items[i], lock))
			break;
	if (i == LOCKS_MAX)
		return -ENOSPC;
	l->items[i] = *lock;
	if (i == l->count)
		l->count++;
	return locks_store(l); /* what cannot be stored is locked all the same: that is the safe side */
}

int locks_remove(struct locks *l, const struct locks_item *target)
{
	struct locks_item before;
	size_t i;
	int r;

	for (i = 0; i < l->count; i++)
		if (same_target(&l->items[i], target))
			break;
	if (i == l->count)
		return -ENOENT;
	before = l->items[i];
	l->items[i] = l->items[--l->count];
	r = locks_store(l);
	if (r < 0) {
		l->count++;
		l->items[i] = before;
	}
	return r;
}
