/* text.h: text that came from outside, made fit for a terminal, a journal or a JSON string. Pure. */
#ifndef COFFER_BASE_TEXT_H
#define COFFER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Bytes of the well-formed UTF-8 sequence (RFC 3629: shortest form, no surrogates) at p, 1..4; 0 if there is none
 * within n bytes. */
size_t text_utf8_len(const char *p, size_t n);
bool text_is_utf8(const char *p, size_t n);

/* Copy n bytes of p to out[max], max >= 1, printable characters as they are, everything else and the
 * backslash as \xHH; ends with NUL, and with "..." where it had to be cut (max >= 4).
 * Returns the length of what stands in out. */
size_t text_escape(const char *p, size_t n, char *out, size_t max);

/* Whatever is no printable ASCII becomes '?', in place: a line of somebody else's on its way to a terminal. */
void text_mask(char *text);

/* 1..max of A-Z a-z 0-9 _ - and, not first, dot: a tenant's name. */
bool text_is_name(const char *text, size_t max);

/* t as RFC 3339 in UTC with whole seconds, 2026-01-02T03:04:05Z, and a NUL. -EINVAL: a year that does not fit, or max. */
int text_time(time_t t, size_t max, char *ret_text) __attribute__((warn_unused_result));

/* n bytes as 2 * n lower-case hexadecimal digits and a NUL. */
void text_hex(const void *p, size_t n, char *ret_text);
/* len characters of text, which must be the 2 * n lower-case digits of n bytes: -EUCLEAN. On failure ret_p may be half written. */
int text_hex_parse(const char *text, size_t len, size_t n, uint8_t *ret_p) __attribute__((warn_unused_result));

#endif
