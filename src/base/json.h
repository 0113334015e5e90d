/* json.h: the door to jansson. Strict reading: UTF-8, duplicate keys refused, depth at most JSON_DEPTH_MAX, size at
 * most what the caller allows, trailing bytes refused; every allocation is wiped when freed. Pure. Writing is compact
 * and keeps the order of insertion, so that the same calls give the same bytes. */
#ifndef COFFER_BASE_JSON_H
#define COFFER_BASE_JSON_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 16

struct json; /* a value: object, array, string, integer, boolean or null; reals are refused */

/* Parse len bytes; -EUCLEAN malformed, -EFBIG len > max, -ENOMEM. Caller: json_free. */
int json_parse(const void *p, size_t len, size_t max, struct json **ret_v) must_check;
void json_free(struct json *v);
DEFINE_AUTO(struct json, json_free)
#define AUTO_JSON AUTO(json_free_p)

/* Not json_object() and json_array(): jansson exports those, and ours would stand in for its own. */
struct json *json_new_object(void); /* NULL: out of memory */
struct json *json_new_array(void);

/* Put into an object (0, -ENOMEM, -EINVAL when o is NULL or text is not UTF-8). _json consumes v, also on failure; v may be NULL (-ENOMEM). */
int json_put_str(struct json *o, const char *key, const char *text) must_check;
int json_put_int(struct json *o, const char *key, int64_t n) must_check;
int json_put_bool(struct json *o, const char *key, bool b) must_check;
int json_put_null(struct json *o, const char *key) must_check;
int json_put_json(struct json *o, const char *key, struct json *v) must_check;
/* Take a member out; nothing happens when there is none. */
void json_drop(struct json *o, const char *key);
int json_append(struct json *a, struct json *v) must_check; /* consumes v */
int json_append_str(struct json *a, const char *text) must_check;
int json_append_int(struct json *a, int64_t n) must_check;

/* Get from an object: -ENOENT when absent, -EUCLEAN when of another type. Strings belong to the object. */
int json_get_str(const struct json *o, const char *key, const char **ret_text) must_check;
int json_get_int(const struct json *o, const char *key, int64_t *ret_n) must_check;
int json_get_bool(const struct json *o, const char *key, bool *ret_b) must_check;
int json_get_object(const struct json *o, const char *key, const struct json **ret_v) must_check;
int json_get_array(const struct json *o, const char *key, const struct json **ret_v) must_check;
bool json_is_object(const struct json *v);
size_t json_array_len(const struct json *a);
const struct json *json_array_at(const struct json *a, size_t i); /* NULL behind the end */
/* The number of an integer value. -EUCLEAN: it is none (NULL: likewise). */
int json_int(const struct json *v, int64_t *ret_n) must_check;
/* The text of a string value, NULL if it is none. */
const char *json_text(const struct json *v);
/* Keys of an object that stand in no entry of the NULL-terminated list: the first such key, else NULL. */
const char *json_unknown_key(const struct json *o, const char *const *known);

/* Compact text, NUL-terminated, malloc'ed; -ENOMEM. json_dump_sorted has the keys of each object in the order of their bytes;
 * json_dump_pretty indents by one space for people. */
int json_dump(const struct json *v, char **ret_text) must_check;
int json_dump_sorted(const struct json *v, char **ret_text) must_check;
int json_dump_pretty(const struct json *v, char **ret_text) must_check;

/* Standard base64 with padding (RFC 4648 section 4), strict both ways. */
int json_put_b64(struct json *o, const char *key, const void *p, size_t len) must_check;
/* Decodes exactly len bytes into p; -EUCLEAN on any other length or character. */
int json_get_b64(const struct json *o, const char *key, void *p, size_t len) must_check;
/* Up to max bytes; *ret_len is set. */
int json_get_b64_var(const struct json *o, const char *key, void *p, size_t max, size_t *ret_len) must_check;

#endif
