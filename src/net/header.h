/* header.h: lines of an HTTP answer's head. Pure. */
#ifndef COFFER_NET_HEADER_H
#define COFFER_NET_HEADER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_LINE_MAX 8192
#define HEADER_RETRY_MAX_MS (3600u * 1000)

/* A line "Name: value" with or without its line end: is it this header (case does not matter)? Then its value, blanks around it cut,
 * control characters refused, stands in out; -EMSGSIZE when it does not fit, -ENOENT another header, -EUCLEAN malformed. */
int header_value(const char *line, size_t len, const char *name, char *out, size_t max) must_check;
/* An HTTP date in its one current form, "Wed, 25 Nov 2026 23:51:32 GMT", as seconds since 1970. -EUCLEAN. */
int header_date(const char *text, int64_t *ret_seconds) must_check;
/* Retry-After: seconds, or a date (then now is needed). At least 1 and at most HEADER_RETRY_MAX_MS. -EUCLEAN. */
int header_retry_after(const char *text, int64_t now_seconds, uint32_t *ret_ms) must_check;

#endif
