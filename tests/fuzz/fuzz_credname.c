/* fuzz_credname.c: an abstract address, after its first NUL. What is read is what stands there. */
#include "agent/credname.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct credname n;
	char *at;

	if (len >= sizeof(sa.sun_path))
		return 0;
	memcpy(sa.sun_path + 1, p, len);
	if (credname_parse(&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len), &n) < 0)
		return 0;
	at = strchr(sa.sun_path + 1, '/');
	if (!at || strncmp(at, "/unit/", 6) != 0 || strncmp(at + 6, n.unit, strlen(n.unit)) != 0 || at[6 + strlen(n.unit)] != '/' ||
	    strlen(at) != 6 + strlen(n.unit) + 1 + strlen(n.id) || strchr(n.id, '/') || n.unit[0] == '\0' || n.id[0] == '\0')
		abort();
	return 0;
}
