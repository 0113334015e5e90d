#include "base/b64.h"

#include <stdbool.h>

/* All ones if lo <= c <= hi, else 0. */
static int in_range(int c, int lo, int hi)
{
	return ((lo - 1 - c) & (c - hi - 1)) >> 8;
}

static char enc6(unsigned v)
{
	int c = (int)v;

	c += 'A';
	c += (25 - (int)v) >> 8 & ('a' - 'A' - 26);
	c += (51 - (int)v) >> 8 & ('0' - 'a' - 26);
	c += (61 - (int)v) >> 8 & ('+' - '0' - 10);
	c += (62 - (int)v) >> 8 & ('/' - '+' - 1);
	return (char)c;
}

/* 0..63, or -1. */
static int dec6(char ch)
{
	int c = (unsigned char)ch;
	int v = -1;

	v += in_range(c, 'A', 'Z') & (c - 'A' + 1);
	v += in_range(c, 'a', 'z') & (c - 'a' + 27);
	v += in_range(c, '0', '9') & (c - '0' + 53);
	v += in_range(c, '+', '+') & 63;
	v += in_range(c, '/', '/') & 64;
	return v;
}

void b64_encode(const void *p, size_t len, char *out)
{
	const uint8_t *s = p;
	unsigned v;

	for (; len >= 3; s += 3, len -= 3) {
		v = (unsigned)s[0] << 16 | (unsigned)s[1] << 8 | s[2];
		*out++ = enc6(v >> 18);
		*out++ = enc6(v >> 12 & 63);
		*out++ = enc6(v >> 6 & 63);
		*out++ = enc6(v & 63);
	}
	if (len > 0) {
		v = (unsigned)s[0] << 16 | (len == 2 ? (unsigned)s[1] << 8 : 0);
		*out++ = enc6(v >> 18);
		*out++ = enc6(v >> 12 & 63);
		*out++ = len == 2 ? enc6(v >> 6 & 63) : '=';
		*out++ = '=';
	}
	*out = '\0';
}

int b64_decode(const char *text, size_t n, void *out, size_t max, size_t *ret_len)
{
	uint8_t *d = out;
	size_t pad = 0, len, i, k;
	int bad = 0;

	if (n % 4 != 0)
		return -EUCLEAN;
	while (pad < 2 && pad < n && text[n - 1 - pad] == '=')
		pad++;
	len = n / 4 * 3 - pad;
	if (len > max)
		return -EMSGSIZE;

	for (i = 0; i < n; i += 4) {
		size_t take = i + 4 == n ? 3 - pad : 3;
		unsigned v = 0;

		for (k = 0; k < 4; k++) {
			bool padding = i + k >= n - pad;
			int x = padding ? 0 : dec6(text[i + k]);

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
