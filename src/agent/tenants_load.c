/* tenants_load.c: CONFIG_DIR/tenants.d into a snapshot, whole or not at all. Logs. */
#include "agent/tenants.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/conf_file.h"
#include "agent/tenant_conf.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/text.h"
#include "crypt/digest.h"
#include "format/volume_config.h"

#define PASSWD_BYTES_MAX 65536

struct loader {
	const char *config_dir;
	int dirfd; /* of tenants.d */
	struct tenants *tenants;
	uint8_t hash[DIGEST_SHA256_LEN];
};

/* What was wrong has been logged. */
static int refused(int r)
{
	return r == -ENOMEM ? r : -EBADMSG;
}

static int user_find(void *ctx, const char *name, uid_t *ret_uid)
{
	AUTO_FREE char *buf = malloc(PASSWD_BYTES_MAX);
	struct passwd pw, *found = NULL;
	int r;

	(void)ctx;
	if (!buf)
		return -ENOMEM;
	r = getpwnam_r(name, &pw, buf, PASSWD_BYTES_MAX, &found);
	if (!found)
		return r == 0 || r == ENOENT || r == ESRCH ? -ENOENT : -r;
	*ret_uid = found->pw_uid;
	return 0;
}

/* The one line that matters here; the command that mounts reads the file strictly. */
static int uuid_line(const char *p, const char *end, uint8_t ret_uuid[static UUID_LEN])
{
	char text[33] = "";
	size_t n;

	for (; p < end; p += n + 1) {
		n = strcspn(p, "\n");
		if (strncmp(p, "uuid=", 5) != 0)
			continue;
		if (n != 5 + 32)
			return -EUCLEAN;
		memcpy(text, p + 5, 32);
		return volume_config_uuid_parse(text, ret_uuid) < 0 ? -EUCLEAN : 0;
	}
	return -ENODATA;
}

static int volume_find(void *ctx, const char *name, uint8_t ret_uuid[static UUID_LEN])
{
	const struct loader *l = ctx;
	AUTO_FREE uint8_t *p = NULL;
	AUTO_FREE char *path = NULL, *text = NULL;
	size_t len;
	int r;

	if (asprintf(&path, "%s/volumes.d/%s.conf", l->config_dir, name) < 0)
		return -ENOMEM;
	r = fileio_read_at(AT_FDCWD, path, INI_BYTES_MAX, &p, &len);
	if (r < 0)
		return r;
	text = strndup((const char *)p, len);
	return text ? uuid_line(text, text + strlen(text), ret_uuid) : -ENOMEM;
}

/* hash = SHA-256(hash, name, SHA-256(contents)). */
static int hash_add(struct loader *l, const char *name, const void *p, size_t len)
{
	uint8_t all[2 * DIGEST_SHA256_LEN + TENANT_LEN_MAX + 1] = { 0 };
	int r;

	memcpy(all, l->hash, DIGEST_SHA256_LEN);
	r = digest_sha256(p, len, all + DIGEST_SHA256_LEN);
	if (r < 0)
		return r;
	memcpy(all + 2 * DIGEST_SHA256_LEN, name, strlen(name));
	return digest_sha256(all, sizeof(all), l->hash);
}

static int file_load(struct loader *l, const char *file, const char *shown)
{
	const struct tenant_lookup look = { .user = user_find, .volume = volume_find, .ctx = l, .units = HAVE_LIBSYSTEMD };
	AUTO_TENANT struct tenant *t = NULL;
	AUTO_FREE uint8_t *p = NULL;
	struct ini_error error = { 0 };
	char name[TENANT_LEN_MAX + 2];
	size_t len;
	int r;

	r = conf_file_read(l->dirfd, file, shown, &p, &len);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(".conf")), file); /* one too long stays too long */
	r = tenant_conf_parse(name, p, len, &look, &t, &error);
	if (r == -EUCLEAN) {
		log_err("%s:%u: %s", shown, error.line, error.text);
		return r;
	}
	if (r >= 0)
		r = hash_add(l, name, p, len);
	if (r >= 0)
		r = tenants_add(l->tenants, &t);
	return r < 0 ? log_ret(r, "%s", shown) : 0;
}

static int is_conf(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int files_load(struct loader *l, const char *dir)
{
	struct dirent **list = NULL;
	int i, n, r = 0;

	n = scandirat(l->dirfd, ".", &list, is_conf, by_bytes);
	if (n < 0)
		return log_ret(-errno, "%s", dir);
	for (i = 0; i < n; i++) {
		AUTO_FREE char *shown = NULL;

		if (r >= 0)
			r = asprintf(&shown, "%s/%s", dir, list[i]->d_name) < 0 ? -ENOMEM : file_load(l, list[i]->d_name, shown);
		free(list[i]);
	}
	free(list);
	return r;
}

int tenants_load(const char *config_dir, struct tenants **ret_t)
{
	AUTO_TENANTS struct tenants *t = NULL;
	struct loader l = { .config_dir = config_dir };
	AUTO_CLOSE int dirfd = -1;
	AUTO_FREE char *dir = NULL;
	char hex[2 * DIGEST_SHA256_LEN + 1];
	int r;

	r = tenants_default(&t);
	if (r < 0 || asprintf(&dir, "%s/tenants.d", config_dir) < 0)
		return -ENOMEM;
	l.tenants = t;
	l.dirfd = dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 && errno != ENOENT)
		return refused(log_ret(-errno, "%s", dir));
	if (dirfd >= 0) {
		r = conf_file_check(dirfd, "", dir);
		if (r >= 0)
			r = files_load(&l, dir);
		if (r < 0)
			return refused(r);
	}
	if (tenants_at(t, 0)) {
		text_hex(l.hash, sizeof(l.hash), hex);
		tenants_set_hash(t, hex);
	}
	*ret_t = take_ptr(t);
	return 0;
}
