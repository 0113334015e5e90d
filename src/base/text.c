#include "base/text.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"

static const char digits[] = "0123456789abcdef";

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t text_utf8_len(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p;
	uint32_t c;

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2) /* a tail, or an overlong form of ASCII */
		return 0;
	if (s[0] < 0xe0)
		return n >= 2 && is_tail(s[1]) ? 2 : 0;
	if (s[0] < 0xf0) {
		if (n < 3 || !is_tail(s[1]) || !is_tail(s[2]))
			return 0;
		c = (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
		return c >= 0x800 && (c < 0xd800 || c > 0xdfff) ? 3 : 0;
	}
	if (s[0] > 0xf4 || n < 4 || !is_tail(s[1]) || !is_tail(s[2]) || !is_tail(s[3]))
		return 0;
	c = (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 |
	    (s[3] & 0x3f);
	return c >= 0x10000 && c <= 0x10ffff ? 4 : 0;
}

bool text_is_utf8(const char *p, size_t n)
{
	size_t len;

	for (; n > 0; p += len, n -= len) {
		len = text_utf8_len(p, n);
		if (len == 0)
			return false;
	}
	return true;
}

/* Length of the character at p if it may be shown as it is, else 0. C1 controls (U+0080..U+009F) act on
 * terminals as C0 does; U+2028 and U+2029 end lines; U+202A..U+202E and U+2066..U+2069 turn text around. */
static size_t printable_len(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t len = text_utf8_len(p, n);

	if (len == 1 && (s[0] < 0x20 || s[0] == 0x7f || s[0] == '\\'))
		return 0;
	if (len == 2 && s[0] == 0xc2 && s[1] < 0xa0)
		return 0;
	if (len == 3 && s[0] == 0xe2 && s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae)
		return 0;
	if (len == 3 && s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)
		return 0;
	return len;
}

size_t text_escape(const char *p, size_t n, char *out, size_t max)
{
	size_t at = 0, fits = 0, len, put;

	/* fits is the last place where "..." could still follow. */
	for (; n > 0; p += len, n -= len) {
		len = printable_len(p, n);
		put = len ? len : 4;
		if (at + put + 1 > max)
			break;
		if (at + 4 <= max)
			fits = at;
		if (len) {
			memcpy(out + at, p, len);
		} else {
			unsigned char c = (unsigned char)*p;

			memcpy(out + at, "\\x", 2);
			out[at + 2] = digits[c >> 4];
			out[at + 3] = digits[c & 15];
			len = 1;
		}
		at += put;
	}
	if (n > 0 && max >= 4) {
		if (at + 4 > max)
			at = fits;
		memcpy(out + at, "...", 3);
		at += 3;
	}
	out[at] = '\0';
	return at;
}

void text_mask(char *text)
{
	for (char *c = text; *c; c++)
		*c = *c < ' ' || *c > '~' ? '?' : *c;
}

bool text_is_name(const char *text, size_t max)
{
	size_t i;

	for (i = 0; text[i]; i++) {
		char c = text[i];
		bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
			  (c == '.' && i > 0);

		if (!ok || i >= max)
			return false;
	}
	return i > 0;
}

int text_time(time_t t, size_t max, char *ret_text)
{
	struct tm tm;

	return gmtime_r(&t, &tm) && strftime(ret_text, max, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0 ? 0 : -EINVAL;
}

void text_hex(const void *p, size_t n, char *ret_text)
{
	const uint8_t *byte = p;

	for (size_t i = 0; i < n; i++) {
		ret_text[2 * i] = digits[byte[i] >> 4];
		ret_text[2 * i + 1] = digits[byte[i] & 15];
	}
	ret_text[2 * n] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int text_hex_parse(const char *text, size_t len, size_t n, uint8_t *ret_p)
{
	int hi, lo;

	if (len != 2 * n)
		return -EUCLEAN;
	for (size_t i = 0; i < n; i++) {
		hi = hex_value(text[2 * i]);
		lo = hex_value(text[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return -EUCLEAN;
		ret_p[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}
