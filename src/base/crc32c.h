/* crc32c.h: CRC-32C (Castagnoli, RFC 3720 appendix B.4), by which Google's key service and we tell each other what was meant. A checksum: it finds
 * damage, not forgery. No lookup depends on the bytes, which may be key bytes. Pure. */
#ifndef COFFER_BASE_CRC32C_H
#define COFFER_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *p, size_t n);

#endif
