/* credstore.c: credentials/TENANT.json in the state directory, replaced whole. */
#include "agent/credstore.h"

#include <stdio.h>
#include <string.h>

#include "base/fileio.h"
#include "base/json.h"
#include "base/text.h"

#define FILE_MAX (256 * 1024)
#define STORE_VERSION 1
#define FILE_NAME_MAX (TENANT_LEN_MAX + sizeof(".json"))

void credstore_free(struct credstore *s)
{
	if (!s)
		return;
	free(s->names);
	free(s);
}

int credstore_new(const char *tenant, struct credstore **ret_s)
{
	struct credstore *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	(void)snprintf(s->tenant, sizeof(s->tenant), "%s", tenant);
	*ret_s = s;
	return 0;
}

static int names_parse(const struct json *o, struct credstore *s)
{
	const struct json *a, *v;
	int r;

	r = json_get_array(o, "sealed", &a);
	if (r < 0)
		return r;
	if (json_array_len(a) > CREDSTORE_NAMES_MAX)
		return -EUCLEAN;
	s->names = calloc(json_array_len(a) + 1, sizeof(*s->names));
	if (!s->names)
		return -ENOMEM;
	while (s->name_count < json_array_len(a)) {
		v = json_array_at(a, s->name_count);
		if (!json_is_object(v))
			return -EUCLEAN;
		r = proto_str_parse(v, "name", sizeof(s->names->name), s->names[s->name_count].name);
		if (r >= 0)
			r = proto_u64_parse(v, "version", &s->names[s->name_count].version);
		if (r < 0)
			return r;
		s->name_count++;
	}
	return 0;
}

static int parse(const void *p, size_t len, struct credstore *s)
{
	AUTO_JSON struct json *o = NULL;
	const char *text;
	int64_t version;
	int r;

	r = json_parse(p, len, FILE_MAX, &o);
	if (r < 0)
		return r;
	if (!json_is_object(o))
		return -EUCLEAN;
	r = json_get_int(o, "version", &version);
	if (r >= 0 && version != STORE_VERSION)
		return -EOPNOTSUPP;
	if (r >= 0)
		r = proto_str_parse(o, "tenant", sizeof(s->tenant), s->tenant);
	if (r >= 0)
		r = json_get_str(o, "id", &text);
	if (r >= 0)
		r = text_hex_parse(text, strlen(text), sizeof(s->key.id), s->key.id);
	if (r >= 0)
		r = proto_str_parse(o, "kms", sizeof(s->key.uri), s->key.uri);
	if (r >= 0)
		r = proto_str_parse(o, "key_version", sizeof(s->key.version), s->key.version);
	if (r >= 0)
		r = json_get_b64_var(o, "wrapped", s->key.wrapped, sizeof(s->key.wrapped), &s->key.wrapped_len);
	if (r >= 0)
		r = proto_str_parse(o, "created", sizeof(s->created), s->created);
	return r >= 0 ? names_parse(o, s) : r;
}

int credstore_load(int dirfd, const char *tenant, struct credstore **ret_s)
{
	AUTO_CREDSTORE struct credstore *s = NULL;
	AUTO_FREE uint8_t *p = NULL;
	char name[FILE_NAME_MAX];
	size_t len;
	int r;

	(void)snprintf(name, sizeof(name), "%s.json", tenant);
	r = fileio_read_at(dirfd, name, FILE_MAX, &p, &len);
	if (r < 0)
		return r;
	r = credstore_new("", &s);
	if (r >= 0)
		r = parse(p, len, s);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	if (strcmp(s->tenant, tenant) != 0)
		return -EUCLEAN;
	*ret_s = take_ptr(s);
	return 0;
}

static int names_put(struct json *o, const struct credstore *s)
{
	AUTO_JSON struct json *a = json_new_array();
	int r;

	for (size_t i = 0; i < s->name_count; i++) {
		AUTO_JSON struct json *v = json_new_object();

		r = json_put_str(v, "name", s->names[i].name);
		if (r >= 0)
			r = proto_u64_put(v, "version", s->names[i].version);
		if (r >= 0)
			r = a ? json_append(a, take_ptr(v)) : -ENOMEM;
		if (r < 0)
			return r;
	}
	return json_put_json(o, "sealed", take_ptr(a));
}

int credstore_save(int dirfd, const struct credstore *s)
{
	AUTO_JSON struct json *o = json_new_object();
	char name[FILE_NAME_MAX], id[2 * CREDENTIAL_ID_LEN + 1];
	AUTO_FREE char *text = NULL;
	int r;

	if (!o)
		return -ENOMEM;
	text_hex(s->key.id, sizeof(s->key.id), id);
	r = json_put_int(o, "version", STORE_VERSION);
	if (r >= 0)
		r = json_put_str(o, "tenant", s->tenant);
	if (r >= 0)
		r = json_put_str(o, "id", id);
	if (r >= 0)
		r = json_put_str(o, "kms", s->key.uri);
	if (r >= 0)
		r = json_put_str(o, "key_version", s->key.version);
	if (r >= 0)
		r = json_put_b64(o, "wrapped", s->key.wrapped, s->key.wrapped_len);
	if (r >= 0)
		r = json_put_str(o, "created", s->created);
	if (r >= 0)
		r = names_put(o, s);
	if (r >= 0)
		r = json_dump(o, &text);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%s.json", s->tenant);
	return fileio_replace_at(dirfd, name, text, strlen(text), 0600);
}

static struct credstore_name *find(const struct credstore *s, const char *name)
{
	for (size_t i = 0; i < s->name_count; i++)
		if (strcmp(s->names[i].name, name) == 0)
			return &s->names[i];
	return NULL;
}

uint64_t credstore_newest(const struct credstore *s, const char *name)
{
	const struct credstore_name *n = find(s, name);

	return n ? n->version : 0;
}

int credstore_sealed(struct credstore *s, const char *name, uint64_t version)
{
	struct credstore_name *n = find(s, name), *more;

	if (!n) {
		if (s->name_count == CREDSTORE_NAMES_MAX)
			return -ENOSPC;
		more = realloc(s->names, (s->name_count + 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->names = more;
		n = &s->names[s->name_count++];
		(void)snprintf(n->name, sizeof(n->name), "%s", name);
	}
	n->version = version;
	return 0;
}
