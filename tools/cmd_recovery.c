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

/* ---- bringing one */

static int key_read(const char *file, struct secret **ret_key)
{
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	AUTO_SECRET struct secret *text = NULL;
	size_t len = 0;
	ssize_t n = 1;
	int r;

	if (fd < 0)
		return cmd_fail(cmd_exit_of(-errno), file, "cannot be opened: %s", err_text(-errno));
	r = secret_new(RECOVERY_TEXT_MAX + 1, &text);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), file, "no locked memory: %s", err_text(r));
	while (n > 0 && len <= RECOVERY_TEXT_MAX) {
		n = read(fd, secret_bytes(text) + len, RECOVERY_TEXT_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			return cmd_fail(cmd_exit_of(-errno), file, "cannot be read: %s", err_text(-errno));
		else
			len += (size_t)n;
	}
	r = recovery_parse((const char *)secret_bytes_const(text), len, ret_key);
	if (r == -EBADMSG)
		return cmd_fail(EXIT_CODE_WRONG_KEY, file, "mistyped: the digits do not fit the ID in front of them");
	if (r == -EINVAL)
		return cmd_fail(EXIT_CODE_WRONG_KEY, file, "no recovery key: one line must read coffer-recovery-1 ID DIGITS");
	return r < 0 ? cmd_fail(cmd_exit_of(r), file, "%s", err_text(r)) : 0;
}

int cmd_recovery_bring(const struct cmd_global *g, const char *volume, const char *file)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_CLIENT struct client *c = client_new(g->agent);
	AUTO_SECRET struct secret *key = NULL;
	AUTO_FREE char *path = NULL;
	char uri[KMS_URI_MAX + 1];
	uint64_t ms = 0;
	int r;

	r = cmd_volume_path(g, volume, &path);
	if (r == 0)
		r = cmd_volume_open(path, &v);
	if (r == 0)
		r = key_read(file, &key);
	if (r != 0)
		return r;
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, path, "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (client_recover(c, &v.instance, key, uri, &ms) < 0)
		return cmd_agent_fail(c, path);
	if (g->quiet)
		return 0;
	if (ms)
		(void)printf("%s: opens with %s for at most %llu s, until another of its keys answers or the agent ends; mount it now\n", path, uri,
			     (unsigned long long)ms / 1000);
	else
		(void)printf("%s: opens with %s; the recovery key is not needed and was not used\n", path, uri);
	return 0;
}
