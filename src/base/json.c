/* json.c: the door to jansson. A struct json is a json_t; the name keeps jansson.h out of our headers.
 * jansson's allocator is set once for the process: what it frees is wiped, since answers carry keys. */
#include "base/json.h"

#include <limits.h>
#include <pthread.h>
#include <stdalign.h>
#include <string.h>

#include <jansson.h>

#include "base/b64.h"
#include "base/text.h"

#undef json_is_object /* jansson's macro; ours is a function */

struct block {
	alignas(max_align_t) size_t len;
	unsigned char bytes[];
};

/* An allocation failed. jansson says "malformed" of some, and of others nothing: then a text is cut short. */
static __thread bool out_of_memory;

static void *wiping_malloc(size_t len)
{
	struct block *b;

	if (len > SIZE_MAX - sizeof(*b))
		return NULL;
	b = malloc(sizeof(*b) + len);
	if (!b) {
		out_of_memory = true;
		return NULL;
	}
	b->len = len;
	return b->bytes;
}

static void wiping_free(void *p)
{
	struct block *b;

	if (!p)
		return;
	b = (void *)((unsigned char *)p - offsetof(struct block, bytes));
	explicit_bzero(b, sizeof(*b) + b->len);
	free(b);
}

static void set_allocator(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
}

static void use_allocator(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_allocator);
}

static json_t *to_jansson(struct json *v)
{
	return (json_t *)v;
}

static const json_t *to_jansson_const(const struct json *v)
{
	return (const json_t *)v;
}

/* jansson parses recursively and holds nothing but its own high limit; so look before. */
static bool too_deep(const char *p, size_t len)
{
	bool in_string = false;
	int depth = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == '{' || p[i] == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return true;
		} else if (p[i] == '}' || p[i] == ']') {
			depth--;
		}
	}
	return false;
}

/* Recursion is bounded by JSON_DEPTH_MAX. */
static bool has_real(json_t *v)
{
	const char *key;
	json_t *sub;
	size_t i;

	if (json_is_real(v))
		return true;
	json_object_foreach(v, key, sub) {
		if (has_real(sub))
			return true;
	}
	json_array_foreach(v, i, sub) {
		if (has_real(sub))
			return true;
	}
	return false;
}

int json_parse(const void *p, size_t len, size_t max, struct json **ret_v)
{
	json_error_t error;
	json_t *v;

	if (len > max)
		return -EFBIG;
	use_allocator();
	if (too_deep(p, len))
		return -EUCLEAN;
	out_of_memory = false;
	v = json_loadb(p, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!v)
		return out_of_memory ? -ENOMEM : -EUCLEAN;
	if (out_of_memory || has_real(v)) {
		json_decref(v);
		return out_of_memory ? -ENOMEM : -EUCLEAN;
	}
	*ret_v = (struct json *)v;
	return 0;
}

void json_free(struct json *v)
{
	json_decref(to_jansson(v));
}

struct json *json_new_object(void)
{
	use_allocator();
	return (struct json *)json_object();
}

struct json *json_new_array(void)
{
	use_allocator();
	return (struct json *)json_array();
}

/* Consumes v, also on failure; v NULL means its maker was out of memory. */
static int put(struct json *o, const char *key, json_t *v)
{
	if (!v)
		return -ENOMEM;
	if (!json_is_object(o) || !text_is_utf8(key, strlen(key))) {
		json_decref(v);
		return -EINVAL;
	}
	return json_object_set_new(to_jansson(o), key, v) < 0 ? -ENOMEM : 0;
}

int json_put_str(struct json *o, const char *key, const char *text)
{
	if (!text || !text_is_utf8(text, strlen(text)))
		return -EINVAL;
	return put(o, key, json_string(text));
}

int json_put_int(struct json *o, const char *key, int64_t n)
{
	return put(o, key, json_integer(n));
}

int json_put_bool(struct json *o, const char *key, bool b)
{
	return put(o, key, json_boolean(b));
}

int json_put_null(struct json *o, const char *key)
{
	return put(o, key, json_null());
}

int json_put_json(struct json *o, const char *key, struct json *v)
{
	return put(o, key, to_jansson(v));
}

void json_drop(struct json *o, const char *key)
{
	if (o)
		(void)json_object_del(to_jansson(o), key);
}

int json_append(struct json *a, struct json *v)
{
	if (!v)
		return -ENOMEM;
	if (!a || !json_is_array(to_jansson(a))) {
		json_free(v);
		return -EINVAL;
	}
	return json_array_append_new(to_jansson(a), to_jansson(v)) < 0 ? -ENOMEM : 0;
}

int json_append_str(struct json *a, const char *text)
{
	if (!text || !text_is_utf8(text, strlen(text)))
		return -EINVAL;
	return json_append(a, (struct json *)json_string(text));
}

int json_append_int(struct json *a, int64_t n)
{
	return json_append(a, (struct json *)json_integer(n));
}

int json_int(const struct json *v, int64_t *ret_n)
{
	if (!v || !json_is_integer(to_jansson_const(v)))
		return -EUCLEAN;
	*ret_n = json_integer_value(to_jansson_const(v));
	return 0;
}

static int get(const struct json *o, const char *key, const json_t **ret_v)
{
	const json_t *v;

	if (!json_is_object(o))
		return -EUCLEAN;
	v = json_object_get(to_jansson_const(o), key);
	if (!v)
		return -ENOENT;
	*ret_v = v;
	return 0;
}

int json_get_str(const struct json *o, const char *key, const char **ret_text)
{
	const json_t *v;
	int r;

	r = get(o, key, &v);
	if (r < 0)
		return r;
	if (!json_is_string(v))
		return -EUCLEAN;
	*ret_text = json_string_value(v);
	return 0;
}

int json_get_int(const struct json *o, const char *key, int64_t *ret_n)
{
	const json_t *v;
	int r;

	r = get(o, key, &v);
	if (r < 0)
		return r;
	if (!json_is_integer(v))
		return -EUCLEAN;
	*ret_n = json_integer_value(v);
	return 0;
}

int json_get_bool(const struct json *o, const char *key, bool *ret_b)
{
	const json_t *v;
	int r;

	r = get(o, key, &v);
	if (r < 0)
		return r;
	if (!json_is_boolean(v))
		return -EUCLEAN;
	*ret_b = json_is_true(v);
	return 0;
}

int json_get_object(const struct json *o, const char *key, const struct json **ret_v)
{
	const json_t *v;
	int r;

	r = get(o, key, &v);
	if (r < 0)
		return r;
	if (json_typeof(v) != JSON_OBJECT)
		return -EUCLEAN;
	*ret_v = (const struct json *)v;
	return 0;
}

int json_get_array(const struct json *o, const char *key, const struct json **ret_v)
{
	const json_t *v;
	int r;

	r = get(o, key, &v);
	if (r < 0)
		return r;
	if (!json_is_array(v))
		return -EUCLEAN;
	*ret_v = (const struct json *)v;
	return 0;
}

bool json_is_object(const struct json *v)
{
	return v && json_typeof(to_jansson_const(v)) == JSON_OBJECT;
}

size_t json_array_len(const struct json *a)
{
	return json_array_size(to_jansson_const(a));
}

const struct json *json_array_at(const struct json *a, size_t i)
{
	return (const struct json *)json_array_get(to_jansson_const(a), i);
}

const char *json_text(const struct json *v)
{
	return json_string_value(to_jansson_const(v));
}

const char *json_unknown_key(const struct json *o, const char *const *known)
{
	const char *const *k;
	void *it;

	/* jansson's iterators take no const object, but these calls do not write. */
	for (it = json_object_iter((json_t *)(uintptr_t)o); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)o, it)) {
		const char *key = json_object_iter_key(it);

		for (k = known; *k && strcmp(*k, key) != 0; k++)
			;
		if (!*k)
			return key;
	}
	return NULL;
}

static int dump(const struct json *v, size_t flags, char **ret_text)
{
	char *text, *copy;

	out_of_memory = false;
	text = json_dumps(to_jansson_const(v), flags | JSON_ENCODE_ANY);
	if (!text)
		return -ENOMEM;
	if (out_of_memory) {
		wiping_free(text);
		return -ENOMEM;
	}
	copy = strdup(text);
	wiping_free(text);
	if (!copy)
		return -ENOMEM;
	*ret_text = copy;
	return 0;
}

int json_dump(const struct json *v, char **ret_text)
{
	return dump(v, JSON_COMPACT, ret_text);
}

int json_dump_sorted(const struct json *v, char **ret_text)
{
	return dump(v, JSON_COMPACT | JSON_SORT_KEYS, ret_text);
}

int json_dump_pretty(const struct json *v, char **ret_text)
{
	return dump(v, JSON_INDENT(1), ret_text);
}

int json_put_b64(struct json *o, const char *key, const void *p, size_t len)
{
	char *text;
	int r;

	if (len > INT_MAX)
		return -EINVAL;
	use_allocator();
	text = wiping_malloc(B64_LEN(len) + 1);
	if (!text)
		return -ENOMEM;
	b64_encode(p, len, text);
	r = put(o, key, json_string(text));
	wiping_free(text);
	return r;
}

int json_get_b64_var(const struct json *o, const char *key, void *p, size_t max, size_t *ret_len)
{
	const char *text;
	int r;

	r = json_get_str(o, key, &text);
	if (r < 0)
		return r;
	r = b64_decode(text, strlen(text), p, max, ret_len);
	return r == -EMSGSIZE ? -EUCLEAN : r;
}

int json_get_b64(const struct json *o, const char *key, void *p, size_t len)
{
	size_t got;
	int r;

	r = json_get_b64_var(o, key, p, len, &got);
	if (r < 0)
		return r;
	return got == len ? 0 : -EUCLEAN;
}
