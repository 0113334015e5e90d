/* credname.c: see credname.h. */
#include "agent/credname.h"

#include <string.h>

#include "base/text.h"

#define KIND "/unit/"
#define HEX_MAX 16

/* A unit's name, as systemd spells them. */
static bool unit_ok(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return false;
	return len > 0;
}

int credname_parse(const struct sockaddr_un *sa, socklen_t len, struct credname *ret_n)
{
	const size_t before = offsetof(struct sockaddr_un, sun_path) + 1;
	const char *p = sa->sun_path + 1, *slash;
	struct credname n = { 0 };
	size_t left, hex;

	if (len <= before || len > sizeof(*sa) || sa->sun_family != AF_UNIX || sa->sun_path[0] != '\0')
		return -EUCLEAN;
	left = len - before;
	for (hex = 0; hex < left && ((p[hex] >= '0' && p[hex] <= '9') || (p[hex] >= 'a' && p[hex] <= 'f')); hex++)
		;
	if (hex < 1 || hex > HEX_MAX || left - hex < strlen(KIND) || memcmp(p + hex, KIND, strlen(KIND)) != 0)
		return -EUCLEAN;
	p += hex + strlen(KIND);
	left -= hex + strlen(KIND);
	slash = memchr(p, '/', left);
	if (!slash || !unit_ok(p, (size_t)(slash - p)) || left - (size_t)(slash - p) - 1 > CREDENTIAL_NAME_MAX)
		return -EUCLEAN;
	memcpy(n.unit, p, (size_t)(slash - p)); /* both shorter than an address, which is shorter than their room */
	memcpy(n.id, slash + 1, left - (size_t)(slash - p) - 1);
	if (strlen(n.id) != left - (size_t)(slash - p) - 1 || !text_is_name(n.id, CREDENTIAL_NAME_MAX))
		return -EUCLEAN;
	*ret_n = n;
	return 0;
}
