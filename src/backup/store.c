/* store.c: the door to all kinds of stores: what must be true of every call (names, sizes, somewhere to put the message) is checked here once, the
 * kinds behind it (store_file.c, store_s3.c) do the work. */
#include "backup/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup/store_impl.h"
#include "base/clock.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

int store_fail(struct store_error *err, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	return r;
}

/* --- names --- */

/* Components from the first on; the last one may be cut off anywhere when it is a prefix. */
static bool path_ok(const char *p, bool prefix)
{
	size_t n, depth = 0;

	if (strnlen(p, STORE_NAME_MAX + 1) > STORE_NAME_MAX)
		return false;
	for (;;) {
		n = strspn(p, NAME_CHARS);
		if (p[n] == '\0' && n == 0)
			return prefix;
		if (n == 0 || n > STORE_COMPONENT_MAX || p[0] == '.' || ++depth > STORE_DEPTH_MAX)
			return false;
		if (p[n] == '\0')
			return true;
		if (p[n] != '/')
			return false;
		p += n + 1;
	}
}

bool store_name_ok(const char *name)
{
	return path_ok(name, false);
}

bool store_prefix_ok(const char *prefix)
{
	return path_ok(prefix, true);
}

static int name_check(const char *name, struct store_error *err)
{
	return store_name_ok(name) ? 0 : store_fail(err, -EINVAL, "%.80s: not a name for an object", name);
}

/* --- rates --- */

static void wait_ms(uint64_t ms)
{
	struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

static void take(struct store *s, struct store_rate *b, uint64_t n)
{
	uint64_t ms;

	lock_take(&s->m);
	ms = store_rate_take(b, n, clock_boot_ms());
	lock_drop(&s->m);
	if (ms > 0)
		wait_ms(ms);
}

void store_up(struct store *s, uint64_t n)
{
	take(s, &s->up, n);
}

void store_down(struct store *s, uint64_t n)
{
	take(s, &s->down, n);
}

/* --- open and close --- */

static const struct {
	const char *scheme;
	int (*make)(const char *rest, const struct store_conf *conf, struct store **ret_s, struct store_error *err);
} kinds[] = {
	{ "file://", store_file_new },
	{ "s3://", store_s3_new },
};

int store_open(const char *uri, const struct store_conf *conf, struct store **ret_s, struct store_error *ret_err)
{
	struct store_error own, *err = ret_err ? ret_err : &own;
	struct store_conf defaults;
	uint64_t now = clock_boot_ms();
	struct store *s;
	size_t i;
	int r;

	*err = (struct store_error){ 0 };
	store_conf_init(&defaults);
	if (!conf)
		conf = &defaults;
	if (strnlen(uri, STORE_URI_MAX + 1) > STORE_URI_MAX)
		return store_fail(err, -EINVAL, "the URI of the store is too long");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].scheme);

		if (strncmp(uri, kinds[i].scheme, n) != 0)
			continue;
		r = kinds[i].make(uri + n, conf, &s, err);
		if (r < 0)
			return r;
		if (conf->lock != STORE_LOCK_NONE && !s->ops->lock_check) {
			s->ops->close(s);
			return store_fail(err, -EOPNOTSUPP, "%.200s: object-lock= is for s3://; a directory has none", uri);
		}
		s->locks = conf->lock != STORE_LOCK_NONE;
		lock_init(&s->m, LOCK_RANK_POOL);
		store_rate_init(&s->up, conf->limit_upload, now);
		store_rate_init(&s->down, conf->limit_download, now);
		*ret_s = s;
		return 0;
	}
	return store_fail(err, -EINVAL, "%.200s: not a store: file:///DIR or s3://BUCKET/PREFIX", uri);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	lock_done(&s->m);
	free(s->label);
	s->ops->close(s);
}

const char *store_label(const struct store *s)
{
	return s->label;
}

/* --- calls --- */

#define BEGIN(ret_err)                                                         \
	struct store_error own_err, *err = (ret_err) ? (ret_err) : &own_err;   \
	int r;                                                                 \
                                                                               \
	*err = (struct store_error){ 0 }

int store_put(struct store *s, const char *name, const void *data, size_t len, unsigned flags, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = name_check(name, err);
	if (r < 0)
		return r;
	if (len > (flags & STORE_EXCL ? STORE_EXCL_MAX : STORE_OBJECT_MAX) || (flags & ~(STORE_EXCL | STORE_KEEP_LONGER)) != 0)
		return store_fail(err, -EINVAL, "%s: an object of %zu bytes is not put at once", name, len);
	return s->ops->put(s, name, data, len, flags, err);
}

int store_get(struct store *s, const char *name, uint64_t off, size_t max, void **ret_data, size_t *ret_len, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = name_check(name, err);
	if (r < 0)
		return r;
	if (max == 0 || max > STORE_OBJECT_MAX || off > INT64_MAX - STORE_OBJECT_MAX)
		return store_fail(err, -EINVAL, "%s: such a range is not got", name);
	return s->ops->get(s, name, off, max, ret_data, ret_len, err);
}

int store_head(struct store *s, const char *name, uint64_t *ret_size, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = name_check(name, err);
	return r < 0 ? r : s->ops->head(s, name, ret_size, err);
}

int store_list(struct store *s, const char *prefix, store_each *each, void *arg, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = store_prefix_ok(prefix) ? 0 : store_fail(err, -EINVAL, "%.80s: no name begins like that", prefix);
	return r < 0 ? r : s->ops->list(s, prefix, each, arg, err);
}

int store_delete(struct store *s, const char *name, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = name_check(name, err);
	return r < 0 ? r : s->ops->delete(s, name, err);
}

int store_excl_check(struct store *s, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = s->ops->excl_check(s, err);
	return r;
}

int store_sweep(struct store *s, uint64_t age_s, uint64_t *ret_n, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = s->ops->sweep(s, age_s, ret_n, err);
	return r;
}

/* --- object lock --- */

bool store_locks(const struct store *s)
{
	return s->locks;
}

int store_lock_check(struct store *s, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = s->locks ? s->ops->lock_check(s, err) : 0;
	return r;
}

int store_lock_until(struct store *s, const char *name, int64_t *ret_until, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = name_check(name, err);
	if (r == 0 && s->locks)
		return s->ops->lock_until(s, name, ret_until, err);
	*ret_until = 0;
	return r;
}

int store_lock_extend(struct store *s, const char *name, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = name_check(name, err);
	return r == 0 && s->locks ? s->ops->lock_extend(s, name, err) : r;
}

int store_drop(struct store *s, const char *name, int64_t *ret_until, struct store_error *ret_err)
{
	BEGIN(ret_err);

	r = name_check(name, err);
	if (r < 0)
		return r;
	return s->locks ? s->ops->drop(s, name, ret_until, err) : s->ops->delete(s, name, err);
}
