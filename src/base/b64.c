#include "base/b64.h"

#include <stdbool.h>

/* All ones if lo <= c <= hi, else 0. */
static int in_range(int c, int lo, int hi)
{
	return ((lo - 1 - c) & (c - hi - 1)) >> 8;
}

/* Of the two alphabets (RFC 4648 sections 4 and 5): what stands for 62 and 63. */
static const char standard[2] = { '+', '/' }, url[2] = { '-', '_' };

static char enc6(unsigned v, const char last[static 2])
{
	int c = (int)v;

	c += 'A';
	c += (25 - (int)v) >> 8 & ('a' - 'A' - 26);
	c += (51 - (int)v) >> 8 & ('0' - 'a' - 26);
	c += (61 - (int)v) >> 8 & (last[0] - '0' - 10);
	c += (62 - (int)v) >> 8 & (last[1] - last[0] - 1);
	return (char)c;
}

/* 0..63, or -1. */
static int dec6(char ch, const char last[static 2])
{
	int c = (unsigned char)ch;
	int v = -1;

	v += in_range(c, 'A', 'Z') & (c - 'A' + 1);
	v += in_range(c, 'a', 'z') & (c - 'a' + 27);
	v += in_range(c, '0', '9') & (c - '0' + 53);
	v += in_range(c, last[0], last[0]) & 63;
	v += in_range(c, last[1], last[1]) & 64;
	return v;
}

static char *encode(const void *p, size_t len, const char last[static 2], bool padded, char *out)
{
	const uint8_t *s = p;
	unsigned v;

	for (; len >= 3; s += 3, len -= 3) {
		v = (unsigned)s[0] << 16 | (unsigned)s[1] << 8 | s[2];
		*out++ = enc6(v >> 18, last);
		*out++ = enc6(v >> 12 & 63, last);
		*out++ = enc6(v >> 6 & 63, last);
		*out++ = enc6(v & 63, last);
	}
	if (len > 0) {
		v = (unsigned)s[0] << 16 | (len == 2 ? (unsigned)s[1] << 8 : 0);
		*out++ = enc6(v >> 18, last);
		*out++ = enc6(v >> 12 & 63, last);
		if (len == 2)
			*out++ = enc6(v >> 6 & 63, last);
		for (; padded && len < 3; len++)
			*out++ = '=';
	}
	*out = '\0';
	return out;
}

void b64_encode(const void *p, size_t len, char *out)
{
	(void)encode(p, len, standard, true, out);
}

size_t b64_url_encode(const void *p, size_t len, char *out)
{
	return (size_t)(encode(p, len, url, false, out) - out);
}

/* n counts the padding, which need not be there. */
static int decode(const char *text, size_t n, size_t pad, const char last[static 2], void *out, size_t max, size_t *ret_len)
{
	uint8_t *d = out;
	size_t len = n / 4 * 3 - pad, i, k;
	int bad = 0;

	if (len > max)
		return -EMSGSIZE;

	for (i = 0; i < n; i += 4) {
		size_t take = i + 4 == n ? 3 - pad : 3;
		unsigned v = 0;

		for (k = 0; k < 4; k++) {
			bool padding = i + k >= n - pad;
			int x = padding ? 0 : dec6(text[i + k], last);

			bad |= x;
			v = v << 6 | ((unsigned)x & 63);
		}
		for (k = 0; k < take; k++)
			*d++ = (uint8_t)(v >> (16 - 8 * k));
		/* What padding cuts off must be zero: one encoding for each value. */
		bad |= -(int)((v & ((1u << (24 - 8 * take)) - 1)) != 0);
	}
	if (bad < 0)
		return -EUCLEAN;
	*ret_len = len;
	return 0;
}

int b64_decode(const char *text, size_t n, void *out, size_t max, size_t *ret_len)
{
	size_t pad = 0;

	if (n % 4 != 0)
		return -EUCLEAN;
	while (pad < 2 && pad < n && text[n - 1 - pad] == '=')
		pad++;
	return decode(text, n, pad, standard, out, max, ret_len);
}

int b64_url_decode(const char *text, size_t n, void *out, size_t max, size_t *ret_len)
{
	size_t pad = (4 - n % 4) % 4;

	if (pad == 3)
		return -EUCLEAN;
	return decode(text, n + pad, pad, url, out, max, ret_len);
}
