/* vectors.h: reading tests/golden/vectors.json in tests. Whatever is missing or of another form fails the test. Include after
 * cmocka.h. */
#ifndef COFFER_TESTS_VECTORS_H
#define COFFER_TESTS_VECTORS_H

#include "base/fileio.h"
#include "base/json.h"
#include "crypt/keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define VECTORS_MAX (4u << 20)

/* The file: $COFFER_VECTORS, else in the source tree $top_srcdir, else in the current directory. */
static inline struct json *vectors_load(void)
{
	AUTO_FREE uint8_t *buf = NULL;
	const char *file = getenv("COFFER_VECTORS"), *top = getenv("top_srcdir");
	struct json *v = NULL;
	char path[4096];
	size_t len;

	snprintf(path, sizeof(path), "%s%s", file ? file : top ? top : ".", file ? "" : "/tests/golden/vectors.json");
	assert_int_equal(fileio_read_at(AT_FDCWD, path, VECTORS_MAX, &buf, &len), 0);
	assert_int_equal(json_parse(buf, len, VECTORS_MAX, &v), 0);
	return v;
}

static inline int vectors_setup(void **state)
{
	*state = vectors_load();
	return 0;
}

static inline int vectors_teardown(void **state)
{
	json_free(*state);
	return 0;
}

static inline const struct json *vec_object(const struct json *o, const char *key)
{
	const struct json *v = NULL;

	assert_int_equal(json_get_object(o, key, &v), 0);
	return v;
}

/* An array that is not empty. */
static inline const struct json *vec_array(const struct json *o, const char *key)
{
	const struct json *v = NULL;

	assert_int_equal(json_get_array(o, key, &v), 0);
	assert_true(json_array_len(v) > 0);
	return v;
}

static inline int64_t vec_int(const struct json *o, const char *key)
{
	int64_t n = 0;

	assert_int_equal(json_get_int(o, key, &n), 0);
	return n;
}

static inline const char *vec_text(const struct json *o, const char *key)
{
	const char *s = NULL;

	assert_int_equal(json_get_str(o, key, &s), 0);
	return s;
}

static inline bool vec_has(const struct json *o, const char *key)
{
	const char *s;

	return json_get_str(o, key, &s) == 0;
}

/* Hexadecimal digits, at most max bytes of them. */
static inline size_t vec_hex_var(const struct json *o, const char *key, uint8_t *p, size_t max)
{
	const char *s = vec_text(o, key);
	size_t i, len = strlen(s) / 2;
	unsigned byte;

	assert_int_equal(strlen(s) % 2, 0);
	assert_true(len <= max);
	for (i = 0; i < len; i++) {
		assert_int_equal(sscanf(s + 2 * i, "%2x", &byte), 1);
		p[i] = (uint8_t)byte;
	}
	return len;
}

static inline void vec_hex(const struct json *o, const char *key, uint8_t *p, size_t len)
{
	assert_int_equal(vec_hex_var(o, key, p, len), len);
}

static inline struct secret *vec_secret(const struct json *o, const char *key)
{
	uint8_t buf[KEY_LEN];
	struct secret *s = NULL;

	vec_hex(o, key, buf, sizeof(buf));
	assert_int_equal(secret_new_copy(buf, sizeof(buf), &s), 0);
	return s;
}

/* The ring of the file, opened with its root key. */
static inline struct key_ring *vec_ring(const struct json *v)
{
	AUTO_SECRET struct secret *root = vec_secret(vec_object(v, "volume"), "root_key");
	uint8_t uuid[UUID_LEN], sealed[KEY_RING_LEN_MAX];
	struct key_ring *ring = NULL;
	size_t len;

	vec_hex(vec_object(v, "volume"), "uuid", uuid, sizeof(uuid));
	len = vec_hex_var(vec_object(v, "key_ring"), "sealed", sealed, sizeof(sealed));
	assert_int_equal(key_ring_open(root, uuid, sealed, len, &ring), 0);
	return ring;
}

/* Byte i of a payload or plain block: i * 7 + (i >> 8) * 13 + seed modulo 256. */
static inline void vec_pattern(uint8_t *p, size_t len, int64_t seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + (uint64_t)seed);
}

#endif
