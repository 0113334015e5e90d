/* fuzz_recovery.c: the text of a recovery key. What parses is written as a line that parses to the same key. */
#include "agent/recovery.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	AUTO_SECRET struct secret *key = NULL;
	AUTO_SECRET struct secret *line = NULL;
	AUTO_SECRET struct secret *again = NULL;

	if (recovery_parse((const char *)p, len, &key) < 0)
		return 0;
	if (recovery_put(key, &line) < 0 ||
	    recovery_parse((const char *)secret_bytes_const(line), secret_len(line), &again) < 0 ||
	    !secret_equal(secret_bytes(key), secret_bytes(again), KEY_LEN))
		abort();
	return 0;
}
