/* audit_host.c: which boot of this host a row belongs to. */
#include "agent/audit_impl.h"

#include <fcntl.h>
#include <string.h>

#include "base/fileio.h"
#include "base/text.h"

int audit_host_boot_id(char ret_id[static AUDIT_ID_LEN])
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	uint8_t check[AUDIT_ID_LEN / 2];
	size_t n = 0, i;
	char text[36];
	int r;

	if (fd < 0)
		return -errno;
	r = fileio_read_full(fd, text, sizeof(text));
	if (r < 0)
		return r;
	for (i = 0; i < sizeof(text) && n < AUDIT_ID_LEN - 1; i++)
		if (text[i] != '-')
			ret_id[n++] = text[i];
	ret_id[n] = '\0';
	return text_hex_parse(ret_id, strlen(ret_id), sizeof(check), check);
}
