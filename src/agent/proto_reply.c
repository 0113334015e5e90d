/* proto_reply.c: what the agent answers (docs/protocol.md, "Answers"). Written strictly, read leniently: members that this
 * side does not know are passed over, those it needs must be there and well formed. Pure. */
#include "agent/proto.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

void proto_reply_done(struct proto_reply *reply)
{
	free(reply->slots);
	reply->slots = NULL;
	reply->slot_count = 0;
}

static int slot_put(struct json *a, const struct key_slot *s)
{
	AUTO_JSON struct json *v = json_new_object();
	int r;

	if (s->wrapped_kek_len > sizeof(s->wrapped_kek))
		return -EINVAL;
	r = json_put_str(v, "kms", s->kms);
	if (r >= 0)
		r = json_put_str(v, "key_version", s->key_version);
	if (r >= 0)
		r = json_put_b64(v, "wrapped_kek", s->wrapped_kek, s->wrapped_kek_len);
	if (r >= 0)
		r = json_put_b64(v, "sealed_root", s->sealed_root, sizeof(s->sealed_root));
	if (r >= 0)
		r = json_put_b64(v, "commitment", s->commitment, sizeof(s->commitment));
	if (r >= 0)
		r = json_put_str(v, "created", s->created);
	if (r < 0)
		return r;
	return json_append(a, take_ptr(v));
}

static int slot_parse(const struct json *v, struct key_slot *ret_s)
{
	int r;

	r = proto_str_parse(v, "kms", sizeof(ret_s->kms), ret_s->kms);
	if (r >= 0)
		r = proto_str_parse(v, "key_version", sizeof(ret_s->key_version), ret_s->key_version);
	if (r >= 0)
		r = json_get_b64_var(v, "wrapped_kek", ret_s->wrapped_kek, sizeof(ret_s->wrapped_kek),
				     &ret_s->wrapped_kek_len);
	if (r >= 0)
		r = json_get_b64(v, "sealed_root", ret_s->sealed_root, sizeof(ret_s->sealed_root));
	if (r >= 0)
		r = json_get_b64(v, "commitment", ret_s->commitment, sizeof(ret_s->commitment));
	if (r >= 0)
		r = proto_str_parse(v, "created", sizeof(ret_s->created), ret_s->created);
	ret_s->active = true;
	return r;
}

static int init_put(struct json *o, const struct proto_reply *reply)
{
	AUTO_JSON struct json *a = json_new_array();
	size_t i;
	int r;

	if (!a)
		return -ENOMEM;
	for (i = 0; i < reply->slot_count; i++) {
		r = slot_put(a, &reply->slots[i]);
		if (r < 0)
			return r;
	}
	return json_put_json(o, "slots", take_ptr(a));
}

static int init_parse(const struct json *o, struct proto_reply *reply)
{
	const struct json *a, *v;
	size_t i, n;
	int r;

	r = json_get_array(o, "slots", &a);
	if (r < 0)
		return r;
	n = json_array_len(a);
	if (n < 1 || n > PROTO_KMS_MAX)
		return -EUCLEAN;
	reply->slots = calloc(n, sizeof(*reply->slots));
	if (!reply->slots)
		return -ENOMEM;
	reply->slot_count = n;
	for (i = 0; i < n; i++) {
		v = json_array_at(a, i);
		if (!json_is_object(v))
			return -EUCLEAN;
		r = slot_parse(v, &reply->slots[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int unlock_put(struct json *o, const struct proto_reply *reply)
{
	int r;

	r = json_put_str(o, "tenant", reply->tenant);
	if (r >= 0)
		r = json_put_str(o, "key_uri", reply->key_uri);
	if (r >= 0)
		r = json_put_b64(o, "commitment", reply->commitment, sizeof(reply->commitment));
	if (r >= 0)
		r = proto_seen_put(o, "seen", &reply->seen);
	if (r >= 0 && reply->credential[0])
		r = json_put_str(o, "credential", reply->credential);
	return r;
}

static int unlock_parse(const struct json *o, struct proto_reply *reply)
{
	int r;

	r = proto_str_parse(o, "tenant", sizeof(reply->tenant), reply->tenant);
	if (r >= 0)
		r = proto_str_parse(o, "key_uri", sizeof(reply->key_uri), reply->key_uri);
	if (r >= 0)
		r = json_get_b64(o, "commitment", reply->commitment, sizeof(reply->commitment));
	if (r >= 0)
		r = proto_seen_parse(o, "seen", &reply->seen);
	if (r >= 0) {
		r = proto_str_parse(o, "credential", sizeof(reply->credential), reply->credential);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

/* What a pin says, of `trust` and `keys`. */
static int pin_put(struct json *o, const struct proto_reply *reply)
{
	AUTO_JSON struct json *a = json_new_array();
	size_t i;
	int r;

	if (!a)
		return -ENOMEM;
	for (i = 0; i < reply->kms_count && i < SLOTS_MAX; i++) {
		r = json_append_str(a, reply->kms[i]);
		if (r < 0)
			return r;
	}
	r = json_put_str(o, "tenant", reply->tenant);
	if (r >= 0)
		r = json_put_json(o, "kms", take_ptr(a));
	if (r >= 0)
		r = proto_seen_put(o, "seen", &reply->seen);
	return r;
}

static int pin_parse(const struct json *o, struct proto_reply *reply)
{
	const struct json *a;
	const char *text;
	size_t i;
	int r;

	r = json_get_array(o, "kms", &a);
	if (r < 0)
		return r;
	if (json_array_len(a) > SLOTS_MAX)
		return -EUCLEAN;
	for (i = 0; i < json_array_len(a); i++) {
		text = json_text(json_array_at(a, i));
		if (!text || strlen(text) > KMS_URI_MAX)
			return -EUCLEAN;
		memcpy(reply->kms[i], text, strlen(text) + 1);
	}
	reply->kms_count = json_array_len(a);
	r = proto_str_parse(o, "tenant", sizeof(reply->tenant), reply->tenant);
	if (r >= 0)
		r = proto_seen_parse(o, "seen", &reply->seen);
	return r;
}

static int trust_put(struct json *o, const struct proto_reply *reply)
{
	int r;

	r = pin_put(o, reply);
	if (r >= 0)
		r = json_put_bool(o, "known", reply->known);
	if (r >= 0)
		r = json_put_bool(o, "other_instance", reply->other_instance);
	return r;
}

static int trust_parse(const struct json *o, struct proto_reply *reply)
{
	int r;

	r = pin_parse(o, reply);
	if (r >= 0)
		r = json_get_bool(o, "known", &reply->known);
	if (r >= 0)
		r = json_get_bool(o, "other_instance", &reply->other_instance);
	return r;
}

static int keys_put(struct json *o, const struct proto_reply *reply)
{
	int r;

	r = pin_put(o, reply);
	return r < 0 ? r : json_put_str(o, "key_uri", reply->key_uri);
}

static int keys_parse(const struct json *o, struct proto_reply *reply)
{
	int r;

	r = pin_parse(o, reply);
	return r < 0 ? r : proto_str_parse(o, "key_uri", sizeof(reply->key_uri), reply->key_uri);
}

static int recover_put(struct json *o, const struct proto_reply *reply)
{
	int r;

	r = json_put_str(o, "key_uri", reply->key_uri);
	return r < 0 ? r : proto_u64_put(o, "kept_ms", reply->kept_ms);
}

static int recover_parse(const struct json *o, struct proto_reply *reply)
{
	int r;

	r = proto_str_parse(o, "key_uri", sizeof(reply->key_uri), reply->key_uri);
	return r < 0 ? r : proto_u64_parse(o, "kept_ms", &reply->kept_ms);
}

static int register_put(struct json *o, const struct proto_reply *reply)
{
	return reply->agent_grace_ms ? proto_u64_put(o, "agent_grace_ms", reply->agent_grace_ms) : 0;
}

static int register_parse(const struct json *o, struct proto_reply *reply)
{
	int r;

	r = proto_u64_parse(o, "agent_grace_ms", &reply->agent_grace_ms);
	return r == -ENOENT ? 0 : r;
}

static int unseal_put(struct json *o, const struct proto_reply *reply)
{
	int r;

	r = proto_u64_put(o, "version", reply->credential_version);
	return r < 0 ? r : proto_u64_put(o, "size", reply->size);
}

static int unseal_parse(const struct json *o, struct proto_reply *reply)
{
	int r;

	r = proto_u64_parse(o, "version", &reply->credential_version);
	return r < 0 ? r : proto_u64_parse(o, "size", &reply->size);
}

static int signed_put(struct json *o, const struct proto_reply *reply)
{
	int r = proto_hex_put(o, "public_key", SIGN_PUBLIC_LEN, reply->public_key);

	return r < 0 ? r : proto_hex_put(o, "signature", SIGN_LEN, reply->signature);
}

static int signed_parse(const struct json *o, struct proto_reply *reply)
{
	int r = proto_hex_parse(o, "public_key", SIGN_PUBLIC_LEN, reply->public_key);

	return r < 0 ? r : proto_hex_parse(o, "signature", SIGN_LEN, reply->signature);
}

static int body_put(struct json *o, const struct proto_reply *reply)
{
	int r;

	switch (reply->op) {
	case PROTO_OP_HELLO:
		r = json_put_str(o, "version", reply->version);
		return r < 0 ? r : json_put_int(o, "pid", reply->pid);
	case PROTO_OP_INIT:
		return init_put(o, reply);
	case PROTO_OP_UNLOCK:
		return unlock_put(o, reply);
	case PROTO_OP_TRUST:
		return trust_put(o, reply);
	case PROTO_OP_KEYS:
		return keys_put(o, reply);
	case PROTO_OP_RECOVER:
		return recover_put(o, reply);
	case PROTO_OP_REGISTER:
		return register_put(o, reply);
	case PROTO_OP_LOCK:
	case PROTO_OP_UNLOCK_TENANT:
		return proto_u64_put(o, "mounts", reply->mounts);
	case PROTO_OP_SEAL:
		return proto_u64_put(o, "version", reply->credential_version);
	case PROTO_OP_UNSEAL:
		return unseal_put(o, reply);
	case PROTO_OP_AUDIT:
		return proto_u64_put(o, "next", reply->next_seq);
	case PROTO_OP_BACKUP_SIGN:
		return signed_put(o, reply);
	case PROTO_OP_BACKUP_TAG:
		return proto_hex_put(o, "tag", BACKUP_TAG_LEN, reply->tag);
	default:
		return 0;
	}
}

static int body_parse(const struct json *o, struct proto_reply *reply)
{
	int r;

	switch (reply->op) {
	case PROTO_OP_HELLO:
		r = proto_str_parse(o, "version", sizeof(reply->version), reply->version);
		return r < 0 ? r : json_get_int(o, "pid", &reply->pid);
	case PROTO_OP_INIT:
		return init_parse(o, reply);
	case PROTO_OP_UNLOCK:
		return unlock_parse(o, reply);
	case PROTO_OP_TRUST:
		return trust_parse(o, reply);
	case PROTO_OP_KEYS:
		return keys_parse(o, reply);
	case PROTO_OP_RECOVER:
		return recover_parse(o, reply);
	case PROTO_OP_REGISTER:
		return register_parse(o, reply);
	case PROTO_OP_LOCK:
	case PROTO_OP_UNLOCK_TENANT:
		return proto_u64_parse(o, "mounts", &reply->mounts);
	case PROTO_OP_SEAL:
		return proto_u64_parse(o, "version", &reply->credential_version);
	case PROTO_OP_UNSEAL:
		return unseal_parse(o, reply);
	case PROTO_OP_AUDIT:
		return proto_u64_parse(o, "next", &reply->next_seq);
	case PROTO_OP_BACKUP_SIGN:
		return signed_parse(o, reply);
	case PROTO_OP_BACKUP_TAG:
		return proto_hex_parse(o, "tag", BACKUP_TAG_LEN, reply->tag);
	default:
		return 0;
	}
}

int proto_reply_put(const struct proto_reply *reply, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	int r;

	r = json_put_int(o, "v", PROTO_VERSION);
	if (r >= 0)
		r = json_put_int(o, "id", reply->id);
	if (r >= 0)
		r = json_put_bool(o, "ok", reply->class == PROTO_CLASS_OK);
	if (r >= 0 && reply->class == PROTO_CLASS_OK) {
		r = body_put(o, reply);
	} else if (r >= 0) {
		r = json_put_str(o, "class", proto_class_text(reply->class));
		if (r >= 0)
			r = json_put_str(o, "errno", proto_class_errno_text(reply->class));
		if (r >= 0)
			r = json_put_str(o, "message", reply->message);
	}
	if (r >= 0)
		r = json_dump(o, &text);
	if (r < 0)
		return r;
	if (strlen(text) > PROTO_PACKET_MAX)
		return -EMSGSIZE;
	*ret_text = take_ptr(text);
	return 0;
}

static int reply_parse(const struct json *o, struct proto_reply *reply)
{
	const char *class, *number;
	bool ok;
	int r;

	r = json_get_int(o, "id", &reply->id);
	if (r < 0)
		return r;
	r = json_get_bool(o, "ok", &ok);
	if (r < 0)
		return r;
	if (ok)
		return body_parse(o, reply);
	r = json_get_str(o, "class", &class);
	if (r >= 0)
		r = json_get_str(o, "errno", &number);
	if (r >= 0)
		r = proto_str_parse(o, "message", sizeof(reply->message), reply->message);
	if (r < 0)
		return r;
	reply->class = proto_class_parse(class, number);
	return 0;
}

int proto_reply_parse(const void *p, size_t len, enum proto_op expect, struct proto_reply *reply,
		      struct proto_event *ev, bool *ret_is_event)
{
	AUTO_JSON struct json *o = NULL;
	const char *text;
	int64_t v;
	int r;

	memset(reply, 0, sizeof(*reply));
	reply->op = expect;
	r = json_parse(p, len, PROTO_PACKET_MAX, &o);
	if (r < 0)
		return r;
	if (!json_is_object(o) || json_get_int(o, "v", &v) < 0 || v != PROTO_VERSION)
		return -EUCLEAN;
	if (json_get_str(o, "event", &text) != -ENOENT) {
		r = proto_event_parse(o, ev);
		if (r < 0)
			return r;
		*ret_is_event = true;
		return 0;
	}
	r = reply_parse(o, reply);
	if (r < 0) {
		proto_reply_done(reply);
		return r == -ENOMEM ? r : -EUCLEAN;
	}
	*ret_is_event = false;
	return 0;
}
