/* cmd_keys_copy.c: keys export and import: coffer.volume out of the agent's state, and back into a volume that has lost it.
 *
 * Without that file no key opens the volume, so the agent keeps the bytes that it verified last. It knows them by the instance: the uuid, and which directory it is.
 * The directory is still there; the uuid stands in clear in coffer.state, or somebody knows it. A wrong one is not pinned, so it costs a refusal and no more. */
#include "tools/cmd.h"

#include "base/fileio.h"
#include "format/volume_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct copy_args {
	const char *volume, *file, *uuid_text;
	char *path;                   /* of the volume */
	int root_fd;
	struct proto_instance instance;
	uint8_t *bytes;               /* import: what is to be put there */
	size_t len;
	struct volume_config *parsed;
};

static void copy_args_done(struct copy_args *a)
{
	auto_close_p(&a->root_fd);
	free(a->path);
	free(a->bytes);
	free(a->parsed);
}
#define AUTO_COPY_ARGS __attribute__((cleanup(copy_args_done)))

static int args_take(const struct cmd_global *g, bool uuid, int argc, char **argv, struct copy_args *a)
{
	int r;

	for (int i = 1; i < argc; i++) {
		if (uuid && strcmp(argv[i], "--uuid") == 0 && i + 1 < argc)
			a->uuid_text = argv[++i];
		else if (argv[i][0] == '-' || a->file)
			return cmd_usage("keys", "%s does not understand %s", argv[0], argv[i]);
		else if (a->volume)
			a->file = argv[i];
		else
			a->volume = argv[i];
	}
	if (!a->volume)
		return cmd_usage("keys", "%s needs one VOLUME", argv[0]);
	r = cmd_volume_path(g, a->volume, &a->path);
	if (r != 0)
		return r;
	a->root_fd = open(a->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return a->root_fd < 0 ? cmd_fail(cmd_exit_of(-errno), a->path, "cannot be opened: %s", err_text(-errno)) : 0;
}

/* ---- export */

static int uuid_of_state(int root_fd, uint8_t ret_uuid[static UUID_LEN])
{
	AUTO_FREE uint8_t *p = NULL;
	size_t len;
	int r;

	r = fileio_read_at(root_fd, NAME_STATE, (size_t)STATE_SLOTS * STATE_SLOT_LEN, &p, &len);
	if (r < 0)
		return r;
	if (len != (size_t)STATE_SLOTS * STATE_SLOT_LEN)
		return -EUCLEAN;
	r = volume_state_uuid(p, ret_uuid);
	return r < 0 ? volume_state_uuid(p + STATE_SLOT_LEN, ret_uuid) : 0;
}

static int instance_find(struct copy_args *a)
{
	uint8_t uuid[UUID_LEN];
	int r;

	if (a->uuid_text && volume_config_uuid_parse(a->uuid_text, uuid) < 0)
		return cmd_usage("keys", "--uuid: 32 lower-case hexadecimal digits");
	if (!a->uuid_text && uuid_of_state(a->root_fd, uuid) < 0)
		return cmd_fail(EXIT_CODE_NOT_A_VOLUME, a->path, "no %s tells whose volume it is; say it: --uuid UUID", NAME_STATE);
	r = cmd_instance(a->root_fd, uuid, &a->instance);
	return r < 0 ? cmd_fail(cmd_exit_of(r), a->path, "cannot be identified: %s", err_text(r)) : 0;
}

/* -EEXIST: it is there already; nothing is left of a failure. */
static int file_make(const char *path, const void *p, size_t len)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = fileio_write_full(fd, p, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = cmd_dir_sync(path);
	if (r < 0)
		(void)unlink(path);
	return r;
}

int cmd_keys_export(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_COPY_ARGS struct copy_args a = { .root_fd = -1 };
	AUTO_FREE struct client_keys *k = calloc(1, sizeof(*k));
	AUTO_CLIENT struct client *c = client_new(g->agent);
	int r;

	r = args_take(g, true, argc, argv, &a);
	if (r == 0)
		r = instance_find(&a);
	if (r != 0)
		return r;
	if (!c || !k)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, a.path, "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (client_keys(c, &a.instance, k) < 0)
		return cmd_agent_fail(c, a.path);
	if (!k->config)
		return cmd_fail(EXIT_CODE_NOT_FOUND, a.path, "the agent has no copy of its %s", NAME_VOLUME);
	r = a.file ? file_make(a.file, k->config, k->config_len) : fileio_write_full(STDOUT_FILENO, k->config, k->config_len);
	client_keys_done(k);
	return r < 0 ? cmd_fail(cmd_exit_of(r), a.file ? a.file : "standard output", "not written: %s", err_text(r)) : 0;
}

/* ---- import */

static int input_read(struct copy_args *a)
{
	AUTO_CLOSE int file = a->file ? open(a->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	const char *name = a->file ? a->file : "standard input";
	char what[128] = "";
	ssize_t n = 1;
	int r;

	if (a->file && file < 0)
		return cmd_fail(cmd_exit_of(-errno), name, "%s", err_text(-errno));
	a->bytes = malloc(VOLUME_CONFIG_MAX + 1);
	a->parsed = calloc(1, sizeof(*a->parsed));
	if (!a->bytes || !a->parsed)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, name, "out of memory");
	while (n > 0 && a->len <= VOLUME_CONFIG_MAX) {
		n = read(a->file ? file : STDIN_FILENO, a->bytes + a->len, VOLUME_CONFIG_MAX + 1 - a->len);
		if (n < 0 && errno != EINTR)
			return cmd_fail(cmd_exit_of(-errno), name, "%s", err_text(-errno));
		a->len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	r = a->len > VOLUME_CONFIG_MAX ? -EUCLEAN : volume_config_parse(a->bytes, a->len, a->parsed, what);
	if (r == -EOPNOTSUPP)
		return cmd_fail(EXIT_CODE_UNSUPPORTED, name, "this version cannot use it: %s; use a newer coffer", what);
	return r < 0 ? cmd_fail(EXIT_CODE_NOT_A_VOLUME, name, "no %s: malformed", NAME_VOLUME) : 0;
}

/* The agent unwraps, checks commitment, code, pin and age; the key it gives is of no use here. Its class, or OK. */
static enum proto_class verify(struct client *c, const uint8_t *p, size_t len, const struct proto_instance *instance)
{
	AUTO_SECRET struct secret *root = NULL;
	struct client_unlocked u;

	if (client_unlock(c, "import", p, len, instance, &u, &root) == 0)
		return PROTO_CLASS_OK;
	return client_error(c)->class == PROTO_CLASS_OK ? PROTO_CLASS_INTERNAL : client_error(c)->class;
}

/* May what stands there be replaced? 0: yes; else the exit code, or -1: it is the same. */
static int replaceable(struct client *c, const struct copy_args *a)
{
	AUTO_FREE struct volume_config *there = calloc(1, sizeof(*there));
	struct proto_instance instance = a->instance;
	AUTO_FREE uint8_t *p = NULL;
	enum proto_class class;
	char what[128];
	size_t len;
	int r;

	if (!there)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, a->path, "out of memory");
	r = fileio_read_at(a->root_fd, NAME_VOLUME, VOLUME_CONFIG_MAX, &p, &len);
	if (r == -ENOENT || r == -EFBIG)
		return 0;
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), a->path, "the %s that is there cannot be read: %s", NAME_VOLUME, err_text(r));
	if (len == a->len && memcmp(p, a->bytes, len) == 0)
		return -1;
	r = volume_config_parse(p, len, there, what);
	if (r == -EOPNOTSUPP)
		return cmd_fail(EXIT_CODE_UNSUPPORTED, a->path, "the %s that is there is of a newer coffer: %s", NAME_VOLUME, what);
	if (r < 0)
		return 0;
	memcpy(instance.uuid, there->uuid, UUID_LEN);
	class = verify(c, p, len, &instance);
	if (class == PROTO_CLASS_OLDER || class == PROTO_CLASS_CORRUPT || class == PROTO_CLASS_UNTRUSTED)
		return 0; /* put back, or changed: the new one is neither */
	if (class != PROTO_CLASS_OK)
		return cmd_agent_fail(c, a->path);
	if (memcmp(there->uuid, a->parsed->uuid, UUID_LEN) == 0 && there->config_version < a->parsed->config_version)
		return 0;
	return cmd_fail(EXIT_CODE_EXISTS, a->path, "its own %s is valid, and not older (version %llu)", NAME_VOLUME,
			(unsigned long long)there->config_version);
}

/* Of the directory's owner, who may be the one that mounts it. */
static int put_there(const struct copy_args *a)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	r = fileio_replace_at(a->root_fd, NAME_VOLUME, a->bytes, a->len, 0600);
	if (r < 0)
		return r;
	fd = openat(a->root_fd, NAME_VOLUME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(a->root_fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int cmd_keys_import(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_COPY_ARGS struct copy_args a = { .root_fd = -1 };
	AUTO_CLIENT struct client *c = client_new(g->agent);
	int r;

	r = args_take(g, false, argc, argv, &a);
	if (r == 0)
		r = input_read(&a);
	if (r != 0)
		return r;
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, a.path, "out of memory");
	r = cmd_instance(a.root_fd, a.parsed->uuid, &a.instance);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), a.path, "cannot be identified: %s", err_text(r));
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (verify(c, a.bytes, a.len, &a.instance) != PROTO_CLASS_OK)
		return cmd_agent_fail(c, a.path);
	r = replaceable(c, &a);
	if (r > 0)
		return r;
	if (r == 0)
		r = put_there(&a);
	else
		r = 1;
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), a.path, "%s not written: %s", NAME_VOLUME, err_text(r));
	if (!g->quiet)
		(void)printf("%s: %s %s (version %llu)\n", a.path, NAME_VOLUME, r ? "is there already" : "put there",
			     (unsigned long long)a.parsed->config_version);
	return 0;
}
