/* cmd_common.c: finding and opening a volume for the commands, and turning failures into one line and an exit code. */
#include "tools/cmd.h"

#include "base/fileio.h"
#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define DESCRIPTORS_MIN 64u

enum coffer_exit cmd_exit_of(int r)
{
	static const struct {
		int err;
		enum coffer_exit code;
	} table[] = {
		{ EKEYREJECTED, EXIT_CODE_WRONG_KEY }, { EBADMSG, EXIT_CODE_WRONG_KEY }, { EUCLEAN, EXIT_CODE_DAMAGE },
		{ EIO, EXIT_CODE_DAMAGE }, { ENODATA, EXIT_CODE_DAMAGE }, { EOPNOTSUPP, EXIT_CODE_UNSUPPORTED },
		{ EBUSY, EXIT_CODE_IN_USE }, { ESTALE, EXIT_CODE_OLDER }, { EPERM, EXIT_CODE_DENIED },
		{ ENOKEY, EXIT_CODE_KMS_REFUSED }, { EMEDIUMTYPE, EXIT_CODE_HOST_LACKS }, { ENODEV, EXIT_CODE_HOST_LACKS },
		{ ENOSYS, EXIT_CODE_HOST_LACKS }, { ENOSPC, EXIT_CODE_NO_RESOURCE }, { EDQUOT, EXIT_CODE_NO_RESOURCE },
		{ EMFILE, EXIT_CODE_NO_RESOURCE }, { ENFILE, EXIT_CODE_NO_RESOURCE }, { ENOMEM, EXIT_CODE_NO_RESOURCE },
		{ EEXIST, EXIT_CODE_EXISTS }, { ENOTEMPTY, EXIT_CODE_EXISTS }, { ENOENT, EXIT_CODE_NOT_FOUND },
		{ ENOTDIR, EXIT_CODE_NOT_FOUND }, { EINTR, EXIT_CODE_INTERRUPTED }, { ECONNREFUSED, EXIT_CODE_AGENT_UNREACHABLE },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].err == -r)
			return table[i].code;
	return EXIT_CODE_OTHER;
}

int cmd_agent_fail(const struct client *c, const char *object)
{
	const struct client_error *e = client_error(c);

	return cmd_fail((enum coffer_exit)e->exit_code, object, "%s", e->message);
}

char *cmd_printable(const char *text)
{
	size_t len = strlen(text), max = 4 * len + 4;
	char *out = malloc(max);

	if (out)
		(void)text_escape(text, len, out, max);
	return out;
}

int cmd_dir_sync(const char *path)
{
	AUTO_FREE char *parent = strdup(path);
	AUTO_CLOSE int fd = -1;
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* ---- opening */

int cmd_descriptors(const char *object)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return cmd_fail(EXIT_CODE_OTHER, object, "no limit of descriptors: %s", err_text(-errno));
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
	if (rl.rlim_max >= DESCRIPTORS_MIN)
		return 0;
	return cmd_fail(EXIT_CODE_NO_RESOURCE, object, "not opened: this process may have %llu descriptors, and a volume needs %u; raise the "
			"limit (ulimit -n)", (unsigned long long)rl.rlim_max, DESCRIPTORS_MIN);
}

void cmd_volume_done(struct cmd_volume *v)
{
	auto_close_p(&v->root_fd);
	free(v->config);
	free(v->parsed);
}

int cmd_instance(int root_fd, const uint8_t uuid[static UUID_LEN], struct proto_instance *ret_i)
{
	struct lower *l = lower_real();
	struct proto_instance i = { 0 };
	struct lower_handle h = { 0 };
	uint64_t magic;
	struct statvfs st;
	int r;

	memcpy(i.uuid, uuid, UUID_LEN);
	r = l->ops->statfs(l, root_fd, &st, &i.fsid, &magic);
	if (r < 0)
		return r;
	if (l->ops->name_to_handle(l, root_fd, &h) == 0 && h.len <= PROTO_HANDLE_MAX) {
		i.handle_type = h.type;
		i.handle_len = h.len;
		memcpy(i.handle, h.bytes, h.len);
	}
	*ret_i = i;
	return 0;
}

int cmd_volume_parse(const char *path, struct cmd_volume *v)
{
	char what[128];
	int r;

	v->parsed = calloc(1, sizeof(*v->parsed));
	if (!v->parsed)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, path, "out of memory");
	r = volume_config_parse(v->config, v->config_len, v->parsed, what);
	if (r == -EOPNOTSUPP)
		return cmd_fail(EXIT_CODE_UNSUPPORTED, path, "this version cannot use it: %s; use a newer coffer", what);
	return r < 0 ? cmd_fail(EXIT_CODE_NOT_A_VOLUME, path, "not a volume: %s is malformed", NAME_VOLUME) : 0;
}

int cmd_volume_open(const char *path, struct cmd_volume *ret_v)
{
	struct stat st;
	int r;

	ret_v->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret_v->root_fd < 0)
		return cmd_fail(cmd_exit_of(-errno), path, "cannot be opened: %s", err_text(-errno));
	r = fstatat(ret_v->root_fd, NAME_VOLUME, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	if (r == 0) /* what is not a file is not even opened */
		r = S_ISREG(st.st_mode) ? fileio_read_at(ret_v->root_fd, NAME_VOLUME, VOLUME_CONFIG_MAX, &ret_v->config, &ret_v->config_len) : -EUCLEAN;
	if (r == -ENOENT || r == -EUCLEAN)
		return cmd_fail(EXIT_CODE_NOT_A_VOLUME, path, r == -ENOENT ? "not a volume: it has no %s" : "not a volume: %s is not a file", NAME_VOLUME);
	if (r == -EFBIG)
		return cmd_fail(EXIT_CODE_NOT_A_VOLUME, path, "not a volume: %s is malformed", NAME_VOLUME);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), path, "%s: %s", NAME_VOLUME, err_text(r));
	r = cmd_volume_parse(path, ret_v);
	if (r != 0)
		return r;
	r = cmd_instance(ret_v->root_fd, ret_v->parsed->uuid, &ret_v->instance);
	return r < 0 ? cmd_fail(cmd_exit_of(r), path, "cannot be identified: %s", err_text(r)) : 0;
}

int cmd_claim(const char *name, const char *source, int root_fd, int *ret_lock, char **ret_mountpoint)
{
	struct lower *l = lower_real();
	struct stat st;
	int fd, r;

	fd = lower_open_regular(l, root_fd, NAME_LOCK, O_RDONLY, 0, &st);
	if (fd == -ENOENT)
		return 0; /* whoever mounts makes it; nobody has yet */
	r = fd < 0 ? fd : l->ops->lock(l, fd, false);
	if (r == 0) {
		*ret_lock = fd;
		return 0;
	}
	if (fd >= 0)
		lower_close(l, fd);
	if (r != -EAGAIN)
		return cmd_fail(cmd_exit_of(r), name, "%s: %s", NAME_LOCK, err_text(r));
	*ret_mountpoint = cmd_mountpoint_of_source(source);
	return *ret_mountpoint ? 0 : cmd_fail(EXIT_CODE_IN_USE, name, "in use, and not by a mount that is seen from here");
}

int cmd_unlock(const struct cmd_global *g, const char *path, const char *purpose, const struct cmd_volume *v, struct client **ret_c,
	       struct client_unlocked *ret_u, struct secret **ret_root)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	struct proto_seen now = { .config_version = v->parsed->config_version };
	int r;

	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, path, "out of memory");
	r = client_connect(c);
	if (r < 0)
		return cmd_agent_fail(c, "agent");
	r = client_unlock(c, purpose, v->config, v->config_len, &v->instance, ret_u, ret_root);
	if (r < 0)
		return cmd_agent_fail(c, path);
	if (now.config_version < ret_u->seen.config_version && !ret_u->seen.older_ok)
		return cmd_fail(EXIT_CODE_OLDER, path, "%s is older than this host has seen; if that is right: coffer trust --older %s",
				NAME_VOLUME, path);
	*ret_c = take_ptr(c);
	return 0;
}

int cmd_open_fail(const char *path, int r, const char *holder)
{
	char why[CMD_WHY_MAX] = "";

	if (!log_release(why, sizeof(why)))
		(void)snprintf(why, sizeof(why), "%s", err_text(r));
	switch (r) {
	case -EBUSY:
		return cmd_fail(EXIT_CODE_IN_USE, path, "in use: %s", *holder ? holder : "somebody else has it open");
	case -ESTALE:
		return cmd_fail(EXIT_CODE_OLDER, path, "older than this host has seen it; if that is right: coffer trust --older %s", path);
	case -EKEYREJECTED:
		return cmd_fail(EXIT_CODE_WRONG_KEY, path, "not opened: wrong key, or %s was changed", NAME_VOLUME);
	case -EBADMSG:
	case -EUCLEAN:
	case -ENODATA:
	case -ENOENT: /* coffer.volume was there, so one of the others has gone */
		return cmd_fail(EXIT_CODE_DAMAGE, path, "not opened: %s; restore it from a backup, or give up what cannot be replayed: coffer fsck "
				"--repair --accept-log-loss %s", why, path);
	case -EMEDIUMTYPE:
		return cmd_fail(EXIT_CODE_HOST_LACKS, path, "%s", why);
	default:
		return cmd_fail(cmd_exit_of(r), path, "not opened: %s", why);
	}
}

static void done_tell(const struct cmd_global *g, const char *name, const struct proto_instance *instance, enum proto_done what, const char *detail,
		      bool must_be_here)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);

	if (c && client_connect(c) >= 0 && client_done(c, instance, what, detail) < 0 &&
	    (must_be_here || client_error(c)->class != PROTO_CLASS_UNTRUSTED))
		(void)fprintf(stderr, "coffer: %s: the agent did not take note of this %s: %s\n", name, proto_done_text(what), client_error(c)->message);
}

void cmd_done(const struct cmd_global *g, const char *name, const struct proto_instance *instance, enum proto_done what, const char *detail)
{
	done_tell(g, name, instance, what, detail, true);
}

void cmd_done_uuid(const struct cmd_global *g, const char *name, const uint8_t uuid[static UUID_LEN], enum proto_done what, const char *detail)
{
	struct proto_instance any = { 0 };

	memcpy(any.uuid, uuid, UUID_LEN);
	done_tell(g, name, &any, what, detail, false);
}
