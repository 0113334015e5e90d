/* restore_part.c: the mark of a volume that is a part of a snapshot. It keeps a part from being taken for the whole where that would hurt: by whoever looks for a file
 * that is not there, and by a backup, whose newest snapshot it would become. It is no secret and nothing vouches for it: who can take it away can take away files, too. */
#include "backup/restore_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fileio.h"

#define PARTIAL_MAX 256
#define PARTIAL_HEAD "coffer-partial 1 "

int restore_make_partial(struct restore *s)
{
	char text[PARTIAL_MAX];

	(void)snprintf(text, sizeof(text), PARTIAL_HEAD "%s %s\n", s->p->repo->uuid_text, s->p->snapshot);
	return fileio_replace_at(s->p->root_fd, RESTORE_PARTIAL, text, strlen(text), 0644);
}

int restore_partial_of(int root_fd, char ret_snapshot[static REPO_SNAPSHOT_MAX])
{
	const size_t head = sizeof(PARTIAL_HEAD) - 1 + 2 * (size_t)UUID_LEN + 1;
	AUTO_FREE uint8_t *have = NULL;
	const char *text;
	size_t len;
	int r;

	ret_snapshot[0] = '\0';
	r = fileio_read_at(root_fd, RESTORE_PARTIAL, PARTIAL_MAX, &have, &len);
	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -EFBIG && r != -EUCLEAN)
		return r;
	(void)snprintf(ret_snapshot, REPO_SNAPSHOT_MAX, "?");
	text = r == 0 ? (const char *)have : "";
	if (r < 0 || len <= head + 1 || len - head - 1 >= REPO_SNAPSHOT_MAX || strncmp(text, PARTIAL_HEAD, sizeof(PARTIAL_HEAD) - 1) != 0 || text[len - 1] != '\n' ||
	    !record_name_is_sane(text + head, len - head - 1))
		return 0;
	memcpy(ret_snapshot, text + head, len - head - 1);
	ret_snapshot[len - head - 1] = '\0';
	return 0;
}
