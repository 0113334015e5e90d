#include "base/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* reflected */

/* Bit by bit: a few hundred bytes a call, and a table would be looked up by bytes of a key. */
uint32_t crc32c(const void *p, size_t n)
{
	const uint8_t *s = p;
	uint32_t c = ~0u;
	unsigned k;

	for (; n > 0; n--) {
		c ^= *s++;
		for (k = 0; k < 8; k++)
			c = c >> 1 ^ (POLYNOMIAL & (0u - (c & 1)));
	}
	return ~c;
}
