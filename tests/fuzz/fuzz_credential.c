/* fuzz_credential.c: a sealed credential. A head that parses is the only form of what it says; what opens is as long as was said. */
#include "crypt/credential.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	AUTO_SECRET struct secret *key = NULL;
	AUTO_SECRET struct secret *plain = NULL;
	static uint8_t head[CREDENTIAL_HEAD_MAX];
	static struct credential c;
	uint8_t bytes[KEY_LEN];
	int r;

	if (credential_parse(p, len, &c) < 0)
		return 0;
	if (credential_head_put(&c, head) != c.head_len || memcmp(head, p, c.head_len) != 0)
		abort();
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	if (secret_new_copy(bytes, sizeof(bytes), &key) < 0)
		return 0;
	r = credential_open(key, &c, p, len, &plain);
	if (r < 0 ? r != -EKEYREJECTED && r != -ENOMEM : secret_len(plain) != c.plain_len)
		abort();
	return 0;
}
