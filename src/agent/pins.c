/* pins.c: one file an instance: UUID-H.json and UUID-H.volume, H = the first 16 hexadecimal digits of the SHA-256 of
 * handle type, handle length, handle and filesystem id. The name is an index only: what counts is the instance inside. */
#include "agent/pins.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fileio.h"
#include "base/json.h"
#include "base/text.h"
#include "crypt/digest.h"

#define PIN_MAX 65536
#define PIN_VERSION 1
#define HASH_LEN 8
#define NAME_LEN (32 + 1 + 2 * HASH_LEN)

static int name_make(const struct proto_instance *in, const char *suffix, char ret_name[static NAME_LEN + 8])
{
	uint8_t bytes[4 + PROTO_HANDLE_MAX + 8], digest[DIGEST_SHA256_LEN];
	size_t n = 0;
	char uuid[33], hash[2 * HASH_LEN + 1];
	int i, r;

	bytes[n++] = (uint8_t)in->handle_type;
	bytes[n++] = (uint8_t)(in->handle_type >> 8);
	bytes[n++] = (uint8_t)in->handle_len;
	bytes[n++] = (uint8_t)(in->handle_len >> 8);
	memcpy(bytes + n, in->handle, in->handle_len);
	n += in->handle_len;
	for (i = 0; i < 8; i++)
		bytes[n++] = (uint8_t)(in->fsid >> (8 * i));
	r = digest_sha256(bytes, n, digest);
	if (r < 0)
		return r;
	volume_config_uuid_text(in->uuid, uuid);
	text_hex(digest, HASH_LEN, hash);
	(void)snprintf(ret_name, NAME_LEN + 8, "%s-%s%s", uuid, hash, suffix);
	return 0;
}

static int kms_parse(const struct json *o, struct pin *pin)
{
	const struct json *a;
	const char *text;
	size_t i;
	int r;

	r = json_get_array(o, "kms", &a);
	if (r < 0)
		return r;
	if (json_array_len(a) < 1 || json_array_len(a) > SLOTS_MAX)
		return -EUCLEAN;
	for (i = 0; i < json_array_len(a); i++) {
		text = json_text(json_array_at(a, i));
		if (!text || strlen(text) > KMS_URI_MAX)
			return -EUCLEAN;
		memcpy(pin->kms[i], text, strlen(text) + 1);
	}
	pin->kms_count = json_array_len(a);
	return 0;
}

/* Absent where nothing was done yet, or by an agent of before. */
static int done_parse(const struct json *o, struct pin *pin)
{
	const struct json *v;
	int r = json_get_object(o, "done", &v);

	for (int i = 0; i < PROTO_DONES && r >= 0; i++) {
		r = json_get_int(v, proto_done_text((enum proto_done)i), &pin->done_s[i]);
		r = r == -ENOENT ? 0 : r;
	}
	return r == -ENOENT ? 0 : r;
}

static int done_put(struct json *o, const struct pin *pin)
{
	AUTO_JSON struct json *v = json_new_object();
	bool any = false;
	int r = 0;

	for (int i = 0; i < PROTO_DONES && r >= 0; i++) {
		if (!pin->done_s[i])
			continue;
		any = true;
		r = json_put_int(v, proto_done_text((enum proto_done)i), pin->done_s[i]);
	}
	return r < 0 || !any ? r : json_put_json(o, "done", take_ptr(v));
}

static int pin_parse(const void *p, size_t len, struct pin *pin)
{
	AUTO_JSON struct json *o = NULL;
	int64_t version;
	int r;

	r = json_parse(p, len, PIN_MAX, &o);
	if (r < 0)
		return r;
	if (!json_is_object(o))
		return -EUCLEAN;
	r = json_get_int(o, "version", &version);
	if (r >= 0 && version != PIN_VERSION)
		return -EOPNOTSUPP;
	if (r >= 0)
		r = proto_instance_parse(o, "instance", &pin->instance);
	if (r >= 0)
		r = proto_str_parse(o, "tenant", sizeof(pin->tenant), pin->tenant);
	if (r >= 0)
		r = kms_parse(o, pin);
	if (r >= 0)
		r = proto_str_parse(o, "created", sizeof(pin->created), pin->created);
	if (r >= 0)
		r = proto_str_parse(o, "key_uri", sizeof(pin->key_uri), pin->key_uri);
	if (r >= 0)
		r = proto_seen_parse(o, "seen", &pin->seen);
	if (r >= 0)
		r = done_parse(o, pin);
	if (r >= 0) {
		r = json_get_bool(o, "scratch", &pin->scratch);
		r = r == -ENOENT ? 0 : r;
	}
	return r == -ENOENT ? -EUCLEAN : r;
}

int pins_load(int dirfd, const struct proto_instance *instance, struct pin *ret_pin)
{
	AUTO_FREE uint8_t *p = NULL;
	AUTO_FREE struct pin *pin = NULL;
	char name[NAME_LEN + 8];
	size_t len;
	int r;

	r = name_make(instance, ".json", name);
	if (r < 0)
		return r;
	r = fileio_read_at(dirfd, name, PIN_MAX, &p, &len);
	if (r < 0)
		return r;
	pin = calloc(1, sizeof(*pin));
	if (!pin)
		return -ENOMEM;
	r = pin_parse(p, len, pin);
	if (r < 0)
		return r;
	if (!proto_instance_equal(&pin->instance, instance))
		return -EUCLEAN;
	*ret_pin = *pin;
	return 0;
}

static void dir_close_p(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

int pins_has_other(int dirfd, const struct proto_instance *instance, bool *ret_other)
{
	AUTO(dir_close_p) DIR *dir = NULL;
	char name[NAME_LEN + 8];
	struct dirent *e;
	size_t len;
	int fd, r;

	r = name_make(instance, ".json", name);
	if (r < 0)
		return r;
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	for (;;) {
		errno = 0;
		e = readdir(dir);
		if (!e)
			break;
		len = strlen(e->d_name);
		if (len == NAME_LEN + 5 && strncmp(e->d_name, name, 33) == 0 &&
		    strcmp(e->d_name + NAME_LEN, ".json") == 0 && strcmp(e->d_name, name) != 0) {
			*ret_other = true;
			return 0;
		}
	}
	if (errno != 0)
		return -errno;
	*ret_other = false;
	return 0;
}

static int pin_put(const struct pin *pin, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_JSON struct json *a = json_new_array();
	size_t i;
	int r;

	if (!o || !a)
		return -ENOMEM;
	if (pin->kms_count < 1 || pin->kms_count > SLOTS_MAX)
		return -EINVAL;
	for (i = 0; i < pin->kms_count; i++) {
		r = json_append_str(a, pin->kms[i]);
		if (r < 0)
			return r;
	}
	r = json_put_int(o, "version", PIN_VERSION);
	if (r >= 0)
		r = proto_instance_put(o, "instance", &pin->instance);
	if (r >= 0)
		r = json_put_str(o, "tenant", pin->tenant);
	if (r >= 0)
		r = json_put_json(o, "kms", take_ptr(a));
	if (r >= 0)
		r = json_put_str(o, "created", pin->created);
	if (r >= 0)
		r = json_put_str(o, "key_uri", pin->key_uri);
	if (r >= 0)
		r = proto_seen_put(o, "seen", &pin->seen);
	if (r >= 0)
		r = done_put(o, pin);
	if (r >= 0 && pin->scratch)
		r = json_put_bool(o, "scratch", true);
	if (r < 0)
		return r;
	return json_dump(o, ret_text);
}

int pins_store(int dirfd, const struct pin *pin)
{
	AUTO_FREE char *text = NULL;
	char name[NAME_LEN + 8];
	int r;

	r = name_make(&pin->instance, ".json", name);
	if (r < 0)
		return r;
	r = pin_put(pin, &text);
	if (r < 0)
		return r;
	return fileio_replace_at(dirfd, name, text, strlen(text), 0600);
}

int pins_load_config(int dirfd, const struct proto_instance *instance, uint8_t **ret_p, size_t *ret_len)
{
	char name[NAME_LEN + 8];
	int r;

	r = name_make(instance, ".volume", name);
	return r < 0 ? r : fileio_read_at(dirfd, name, VOLUME_CONFIG_MAX, ret_p, ret_len);
}

int pins_store_config(int dirfd, const struct proto_instance *instance, const void *p, size_t len)
{
	AUTO_FREE uint8_t *old = NULL;
	char name[NAME_LEN + 8];
	size_t old_len;
	int r;

	r = name_make(instance, ".volume", name);
	if (r < 0)
		return r;
	r = fileio_read_at(dirfd, name, VOLUME_CONFIG_MAX, &old, &old_len);
	if (r >= 0 && old_len == len && memcmp(old, p, len) == 0)
		return 0;
	if (r == -ENOMEM)
		return r;
	return fileio_replace_at(dirfd, name, p, len, 0600);
}

/* ---- scratch pins */

int pins_forget_scratch(int dirfd, const struct proto_instance *instance)
{
	AUTO_FREE struct pin *pin = calloc(1, sizeof(*pin));
	char name[NAME_LEN + 8];
	int r = pin ? pins_load(dirfd, instance, pin) : -ENOMEM;

	if (r == -ENOENT)
		return 0;
	if (r < 0 || !pin->scratch)
		return r;
	r = name_make(instance, ".volume", name);
	if (r == 0 && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (r == 0)
		r = name_make(instance, ".json", name);
	return r == 0 && unlinkat(dirfd, name, 0) < 0 ? -errno : r;
}

/* fn with each pin whose file's name begins with begin; what is no pin is left where it is: whoever asks for that volume hears of it. */
static int each_pin(int dirfd, const char *begin, int (*fn)(int dirfd, const struct pin *pin, void *arg), void *arg)
{
	AUTO_FREE struct pin *pin = calloc(1, sizeof(*pin));
	AUTO(dir_close_p) DIR *dir = NULL;
	struct dirent *e;
	int fd, r = 0;

	fd = pin ? openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0)
		return pin ? -errno : -ENOMEM;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	errno = 0;
	while (r == 0 && (e = readdir(dir))) {
		AUTO_FREE uint8_t *p = NULL;
		size_t len = strlen(e->d_name);

		memset(pin, 0, sizeof(*pin));
		if (len == NAME_LEN + 5 && strcmp(e->d_name + NAME_LEN, ".json") == 0 && strncmp(e->d_name, begin, strlen(begin)) == 0 &&
		    fileio_read_at(dirfd, e->d_name, PIN_MAX, &p, &len) >= 0 && pin_parse(p, len, pin) >= 0)
			r = fn(dirfd, pin, arg);
		errno = 0;
	}
	return r < 0 ? r : -errno;
}

static int forget_it(int dirfd, const struct pin *pin, void *arg)
{
	(void)arg;
	return pin->scratch ? pins_forget_scratch(dirfd, &pin->instance) : 0;
}

int pins_sweep_scratch(int dirfd)
{
	return each_pin(dirfd, "", forget_it, NULL);
}

struct instances {
	struct proto_instance *list;
	size_t n;
};

static int take_instance(int dirfd, const struct pin *pin, void *arg)
{
	struct instances *t = arg;

	(void)dirfd;
	if (!pin->scratch && t->n < PINS_INSTANCES_MAX)
		t->list[t->n++] = pin->instance;
	return 0;
}

int pins_instances(int dirfd, const uint8_t uuid[static UUID_LEN], struct proto_instance **ret_list, size_t *ret_n)
{
	struct instances t = { .list = calloc(PINS_INSTANCES_MAX, sizeof(*t.list)) };
	char begin[33];
	int r;

	volume_config_uuid_text(uuid, begin);
	r = t.list ? each_pin(dirfd, begin, take_instance, &t) : -ENOMEM;
	if (r < 0) {
		free(t.list);
		return r;
	}
	*ret_list = t.list;
	*ret_n = t.n;
	return 0;
}
