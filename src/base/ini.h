/* ini.h: the door to libinih: our configuration files, read strictly. What a file may hold is a table; a section or key
 * that is not in it, a value of the wrong type and a key given twice are refused with the line. Pure.
 *
 * The form: "[section]" or, where the table says so, "[section label]" repeatedly; "key=value"; comments are lines that begin
 * with '#' or ';'. No continuation lines, no quotes, no comment behind a value; UTF-8 without control characters. */
#ifndef COFFER_BASE_INI_H
#define COFFER_BASE_INI_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INI_BYTES_MAX 65536

enum ini_type {
	INI_STRING,
	INI_BOOL,    /* yes no true false on off 1 0 */
	INI_INTEGER, /* decimal, not negative */
	INI_TIME,    /* seconds, or a number with s, m, h or d: in seconds */
	INI_SIZE,    /* bytes, or a number with K, M or G (powers of 1024): in bytes */
};

struct ini_error {
	unsigned line; /* 0: the file as a whole */
	char text[160];
};

/* Say what is wrong in which line: for faults of what a file means, found behind ini_read. Returns -EUCLEAN. */
int ini_refuse(struct ini_error *ret_error, unsigned line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Tables end with a name of NULL. */
struct ini_key {
	const char *name;
	enum ini_type type;
	bool many; /* may be given more than once in a section */
};

struct ini_rule {
	const char *section;
	const struct ini_key *keys;
	bool many; /* "[section]", "[section 2]", "[section abc]", ... */
};

struct ini;
struct ini_section;

/* Parse len bytes. -EUCLEAN with *ret_error set, -EFBIG above INI_BYTES_MAX, -ENOMEM. Caller: ini_free. */
int ini_read(const void *p, size_t len, const struct ini_rule *rules, struct ini **ret_ini,
	     struct ini_error *ret_error) must_check;
void ini_free(struct ini *ini);
DEFINE_AUTO(struct ini, ini_free)
#define AUTO_INI AUTO(ini_free_p)

/* The i-th section of that name in the order of the file, NULL behind the last. */
const struct ini_section *ini_section(const struct ini *ini, const char *name, size_t i);
/* What stands behind the name: "2" of "[allow 2]", "" of "[allow]". */
const char *ini_label(const struct ini_section *s);

/* For what follows: s may be NULL, which holds nothing; the key is one of the table, of that type. */
size_t ini_count(const struct ini_section *s, const char *key);
/* The i-th value of key in s, NULL behind the last. */
const char *ini_string(const struct ini_section *s, const char *key, size_t i);
bool ini_bool(const struct ini_section *s, const char *key, bool otherwise);
/* INI_INTEGER, INI_TIME and INI_SIZE. */
int64_t ini_number(const struct ini_section *s, const char *key, int64_t otherwise);
/* The line of the section, or of the i-th value of key in s (0 when there is none): for errors found later. */
unsigned ini_section_line(const struct ini_section *s);
unsigned ini_line(const struct ini_section *s, const char *key, size_t i);

/* One value, for values that are made of several. -EUCLEAN malformed, -ERANGE above 2^53. */
int ini_value_bool(const char *text, bool *ret_b) must_check;
int ini_value_number(const char *text, enum ini_type type, int64_t *ret_n) must_check;

#endif
