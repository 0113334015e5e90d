/* jsonscan.h: looks up single values of a JSON text where it stands, without a copy of any of it: for answers that carry keys, which stay in
 * the secret memory they were received in. Strict (RFC 8259, UTF-8, depth at most JSONSCAN_DEPTH_MAX, nothing behind the value), but reals are
 * skipped, not refused. Pure: no allocation. For everything else there is json.h. */
#ifndef COFFER_BASE_JSONSCAN_H
#define COFFER_BASE_JSONSCAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONSCAN_DEPTH_MAX 16

/* A value inside the text that was scanned. */
struct jsonscan {
	const char *p; /* its first character; of a string: the one behind the quote */
	size_t len;    /* of a string: without the quotes, escapes as they stand */
	char type;     /* one of { [ " n(umber) t f 0(null) */
};

/* The whole text as a value. -EUCLEAN: not JSON by the rules above. Only what this accepted may be looked into. */
int jsonscan_check(const char *p, size_t len, struct jsonscan *ret_v) must_check;
/* Member of an object. -ENOENT absent, -EUCLEAN when v is no object or has the key twice. A key written with escapes is none of ours. */
int jsonscan_member(const struct jsonscan *v, const char *key, struct jsonscan *ret_v) must_check;
/* Element i of an array. -ENOENT behind the end, -EUCLEAN when v is no array. */
int jsonscan_element(const struct jsonscan *v, size_t i, struct jsonscan *ret_v) must_check;
/* An integer of 0..2^53 without sign, fraction or exponent; else -EUCLEAN. */
int jsonscan_integer(const struct jsonscan *v, uint64_t *ret_n) must_check;
/* A string, its escapes undone, cut where it does not fit; out ends with NUL, max >= 1. Returns the length; 0 when v is no string. */
size_t jsonscan_text(const struct jsonscan *v, char *out, size_t max);

#endif
