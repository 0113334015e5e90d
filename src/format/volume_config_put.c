/* volume_config_put.c: the writing half of volume_config.c (docs/format.md section 3).
 *
 * What is written is read back by the parser before it is handed out: a configuration that cannot be opened again would be the
 * end of the volume, so no limit is stated here a second time. Features and keys of later formats are not kept; that is why a
 * configuration that names an unknown ro_compat feature is not written at all. */
#include "format/volume_config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define LINE_HEAD_MAX 32
#define MAC_TEXT_LEN (2 * CONFIG_MAC_LEN)

static int put_head(struct json *o, const struct volume_config *c)
{
	char uuid[33];
	int r;

	if (c->config_version > INT64_MAX)
		return -EINVAL;
	volume_config_uuid_text(c->uuid, uuid);
	r = json_put_int(o, "format", 1);
	if (r == 0)
		r = json_put_str(o, "uuid", uuid);
	if (r == 0)
		r = json_put_str(o, "tenant", c->tenant);
	if (r == 0)
		r = json_put_int(o, "config_version", (int64_t)c->config_version);
	if (r == 0)
		r = json_put_str(o, "created", c->created);
	if (r == 0)
		r = json_put_str(o, "content", "xts-stamp");
	if (r == 0)
		r = json_put_str(o, "tag", "egmac");
	if (r == 0)
		r = json_put_str(o, "names", "siv");
	return r;
}

static int put_features(struct json *o)
{
	AUTO_JSON struct json *features = json_new_object();
	int r;

	if (!features)
		return -ENOMEM;
	r = json_put_json(features, "compat", json_new_array());
	if (r == 0)
		r = json_put_json(features, "ro_compat", json_new_array());
	if (r == 0)
		r = json_put_json(features, "incompat", json_new_array());
	if (r < 0)
		return r;
	return json_put_json(o, "features", take_ptr(features));
}

static int put_context(struct json *slot, const struct volume_config *c)
{
	AUTO_JSON struct json *context = json_new_object();
	char uuid[33];
	int r;

	if (!context)
		return -ENOMEM;
	volume_config_uuid_text(c->uuid, uuid);
	r = json_put_str(context, "tenant", c->tenant);
	if (r == 0)
		r = json_put_str(context, "volume", uuid);
	if (r == 0)
		r = json_put_str(context, "purpose", "root");
	if (r < 0)
		return r;
	return json_put_json(slot, "context", take_ptr(context));
}

static int append_slot(struct json *slots, const struct volume_config *c, const struct key_slot *s)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	if (!o)
		return -ENOMEM;
	if (s->wrapped_kek_len > WRAPPED_KEK_MAX)
		return -EINVAL;
	r = json_put_str(o, "kms", s->kms);
	if (r == 0)
		r = json_put_str(o, "key_version", s->key_version);
	if (r == 0)
		r = json_put_b64(o, "wrapped_kek", s->wrapped_kek, s->wrapped_kek_len);
	if (r == 0)
		r = json_put_b64(o, "sealed_root", s->sealed_root, SEALED_ROOT_LEN);
	if (r == 0)
		r = json_put_b64(o, "commitment", s->commitment, COMMITMENT_LEN);
	if (r == 0)
		r = put_context(o, c);
	if (r == 0)
		r = json_put_str(o, "created", s->created);
	if (r == 0)
		r = json_put_str(o, "state", s->active ? "active" : "retired");
	if (r < 0)
		return r;
	return json_append(slots, take_ptr(o));
}

static int put_slots(struct json *o, const struct volume_config *c)
{
	AUTO_JSON struct json *slots = json_new_array();
	size_t i;
	int r;

	if (!slots)
		return -ENOMEM;
	if (c->slot_count > SLOTS_MAX)
		return -EINVAL;
	for (i = 0; i < c->slot_count; i++) {
		r = append_slot(slots, c, &c->slots[i]);
		if (r < 0)
			return r;
	}
	return json_put_json(o, "slots", take_ptr(slots));
}

static int put_body(const struct volume_config *c, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	if (!o)
		return -ENOMEM;
	if (c->key_ring_len > KEY_RING_LEN_MAX)
		return -EINVAL;
	r = put_head(o, c);
	if (r == 0)
		r = put_features(o);
	if (r == 0)
		r = put_slots(o, c);
	if (r == 0)
		r = json_put_b64(o, "key_ring", c->key_ring, c->key_ring_len);
	if (r < 0)
		return r;
	return json_dump(o, ret_text);
}

/* Can it be read again? */
static int check_written(const uint8_t *p, size_t len)
{
	AUTO_FREE struct volume_config *c = malloc(sizeof(*c));
	char what[128];
	int r;

	if (!c)
		return -ENOMEM;
	r = volume_config_parse(p, len, c, what);
	return r == 0 || r == -ENOMEM ? r : -EINVAL;
}

int volume_config_put(const struct volume_config *c, const struct secret *root, uint8_t **ret_p, size_t *ret_len)
{
	AUTO_FREE uint8_t *p = NULL;
	AUTO_FREE char *body = NULL;
	uint8_t mac[CONFIG_MAC_LEN];
	char head[LINE_HEAD_MAX];
	size_t head_len, body_at, body_len, len;
	int r;

	if (c->read_only_only)
		return -EINVAL;
	r = put_body(c, &body);
	if (r < 0)
		return r;
	(void)snprintf(head, sizeof(head), "coffer-volume 1 %u ", (unsigned)c->epoch);
	head_len = strlen(head);
	body_at = head_len + MAC_TEXT_LEN + 1;
	body_len = strlen(body);
	len = body_at + body_len + 1;
	p = malloc(len);
	if (!p)
		return -ENOMEM;
	memcpy(p, head, head_len);
	memcpy(p + body_at, body, body_len);
	p[len - 1] = '\n';
	r = keys_config_mac(root, c->uuid, p, head_len, p + body_at, len - body_at, mac);
	if (r < 0)
		return r;
	text_hex(mac, CONFIG_MAC_LEN, (char *)p + head_len);
	p[body_at - 1] = '\n'; /* over the NUL of the digits */
	r = check_written(p, len);
	if (r < 0)
		return r;
	*ret_p = take_ptr(p);
	*ret_len = len;
	return 0;
}
