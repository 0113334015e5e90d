/* cmd_recovery.c: files of recovery keys. Digits stay in secret memory; write(2) and read(2) go there and back directly. */
#include "tools/cmd.h"

#include "agent/recovery.h"
#include "base/fileio.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int cmd_recovery_begin(struct cmd_recovery *r)
{
	int e;

	r->fd = open(r->file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (r->fd < 0 && errno == EEXIST)
		return cmd_fail(EXIT_CODE_EXISTS, r->file, "is there already; a recovery key needs a new file");
	if (r->fd < 0)
		return cmd_fail(cmd_exit_of(-errno), r->file, "cannot be made: %s", err_text(-errno));
	e = secret_new(KEY_LEN, &r->key);
	if (e >= 0)
		e = secret_random(secret_bytes(r->key), KEY_LEN);
	return e < 0 ? cmd_fail(cmd_exit_of(e), r->file, "no key: %s", err_text(e)) : 0;
}

static int head_write(int fd, const char *volume, const struct volume_config *c)
{
	AUTO_FREE char *name = cmd_printable(volume), *text = NULL;
	char uuid[33];

	volume_config_uuid_text(c->uuid, uuid);
	if (!name || asprintf(&text, "# Recovery key of a coffer volume. With it and the volume's files everything in the volume can be read.\n"
			      "# Print it or take it to a safe place, and remove this file from the host.\n"
			      "#\n# volume %.1024s\n# uuid   %s\n# tenant %s\n#\n"
			      "# For the day when no key service answers, on a host that has the volume pinned, as root:\n"
			      "#   coffer unlock VOLUME --recovery-key FILE\n", name, uuid, c->tenant) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return fileio_write_full(fd, text, strlen(text));
}

int cmd_recovery_write(struct cmd_recovery *r, const char *volume, const struct volume_config *c)
{
	AUTO_SECRET struct secret *line = NULL;
	int e;

	e = head_write(r->fd, volume, c);
	if (e >= 0)
		e = recovery_put(r->key, &line);
	if (e >= 0)
		e = fileio_write_full(r->fd, secret_bytes(line), secret_len(line));
	if (e >= 0 && fsync(r->fd) < 0)
		e = -errno;
	if (e >= 0)
		e = cmd_dir_sync(r->file);
	return e < 0 ? cmd_fail(cmd_exit_of(e), r->file, "not written: %s", err_text(e)) : 0;
}

void cmd_recovery_end(struct cmd_recovery *r, bool keep)
{
	if (r->fd < 0)
		return;
	if (!keep && (unlink(r->file) < 0 || cmd_dir_sync(r->file) < 0))
		(void)fprintf(stderr, "coffer: %s: opens nothing, but cannot be removed: %s\n", r->file, err_text(-errno));
	auto_close_p(&r->fd);
	secret_free(r->key);
	r->key = NULL;
}
