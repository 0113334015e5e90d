/* proto_request.c: what clients send (docs/protocol.md, "Requests"). Each op has a row in one table that names its
 * members, its reader and its writer; a member that the row does not name is refused. Pure. */
#include "agent/proto_told.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

struct request_form {
	const char *const *known;
	int (*parse)(const struct json *o, struct proto_request *req);
	int (*put)(struct json *o, const struct proto_request *req);
};

/* Of a member that may be absent: then it is 0. */
static int absent_ok(int r)
{
	return r == -ENOENT ? 0 : r;
}

static int none_parse(const struct json *o, struct proto_request *req)
{
	(void)o;
	(void)req;
	return 0;
}

static int none_put(struct json *o, const struct proto_request *req)
{
	(void)o;
	(void)req;
	return 0;
}

static int tenant_parse(const struct json *o, struct proto_request *req)
{
	int r = proto_str_parse(o, "tenant", sizeof(req->tenant), req->tenant);

	return r < 0 || volume_config_tenant_ok(req->tenant) ? r : -EUCLEAN;
}

static int tenant_put(struct json *o, const struct proto_request *req)
{
	return volume_config_tenant_ok(req->tenant) ? json_put_str(o, "tenant", req->tenant) : -EINVAL;
}

static int init_parse(const struct json *o, struct proto_request *req)
{
	const struct json *a;
	const char *text;
	size_t i;
	int r;

	r = tenant_parse(o, req);
	if (r >= 0)
		r = json_get_str(o, "uuid", &text);
	if (r < 0)
		return r;
	r = volume_config_uuid_parse(text, req->uuid);
	if (r < 0)
		return -EUCLEAN;
	r = json_get_array(o, "kms", &a);
	if (r < 0)
		return r;
	if (json_array_len(a) > PROTO_KMS_MAX)
		return -EUCLEAN;
	for (i = 0; i < json_array_len(a); i++) {
		text = json_text(json_array_at(a, i));
		if (!text || strlen(text) > KMS_URI_MAX)
			return -EUCLEAN;
		memcpy(req->kms[i], text, strlen(text) + 1);
	}
	req->kms_count = json_array_len(a);
	return 0;
}

static int init_put(struct json *o, const struct proto_request *req)
{
	AUTO_JSON struct json *a = json_new_array();
	char uuid[33];
	size_t i;
	int r;

	if (!a)
		return -ENOMEM;
	if (req->kms_count > PROTO_KMS_MAX)
		return -EINVAL;
	volume_config_uuid_text(req->uuid, uuid);
	for (i = 0; i < req->kms_count; i++) {
		r = json_append_str(a, req->kms[i]);
		if (r < 0)
			return r;
	}
	r = tenant_put(o, req);
	if (r >= 0)
		r = json_put_str(o, "uuid", uuid);
	if (r >= 0)
		r = json_put_json(o, "kms", take_ptr(a));
	return r;
}

static int pin_parse(const struct json *o, struct proto_request *req)
{
	return proto_instance_parse(o, "instance", &req->instance);
}

static int pin_put(struct json *o, const struct proto_request *req)
{
	return proto_instance_put(o, "instance", &req->instance);
}

static int unlock_parse(const struct json *o, struct proto_request *req)
{
	int r;

	r = proto_instance_parse(o, "instance", &req->instance);
	return r < 0 ? r : proto_str_parse(o, "purpose", sizeof(req->purpose), req->purpose);
}

static int unlock_put(struct json *o, const struct proto_request *req)
{
	int r;

	r = proto_instance_put(o, "instance", &req->instance);
	return r < 0 ? r : json_put_str(o, "purpose", req->purpose);
}

static int ack_parse(const struct json *o, struct proto_request *req)
{
	return json_get_int(o, "of", &req->of);
}

static int ack_put(struct json *o, const struct proto_request *req)
{
	return json_put_int(o, "of", req->of);
}

static int trust_parse(const struct json *o, struct proto_request *req)
{
	int r;

	r = proto_instance_parse(o, "instance", &req->instance);
	if (r >= 0)
		r = json_get_bool(o, "older", &req->older);
	return r < 0 ? r : absent_ok(json_get_bool(o, "scratch", &req->scratch));
}

static int trust_put(struct json *o, const struct proto_request *req)
{
	int r;

	r = proto_instance_put(o, "instance", &req->instance);
	if (r >= 0)
		r = json_put_bool(o, "older", req->older);
	return r < 0 || !req->scratch ? r : json_put_bool(o, "scratch", true);
}

static int register_parse(const struct json *o, struct proto_request *req)
{
	int r;

	r = proto_instance_parse(o, "instance", &req->instance);
	if (r >= 0)
		r = proto_str_parse(o, "volume", sizeof(req->volume), req->volume);
	if (r >= 0)
		r = proto_str_parse(o, "source", sizeof(req->source), req->source);
	if (r >= 0)
		r = proto_str_parse(o, "mountpoint", sizeof(req->mountpoint), req->mountpoint);
	if (r >= 0)
		r = json_get_bool(o, "read_only", &req->read_only);
	return r < 0 ? r : absent_ok(json_get_bool(o, "locked", &req->locked));
}

static int register_put(struct json *o, const struct proto_request *req)
{
	int r;

	r = proto_instance_put(o, "instance", &req->instance);
	if (r >= 0)
		r = json_put_str(o, "volume", req->volume);
	if (r >= 0)
		r = json_put_str(o, "source", req->source);
	if (r >= 0)
		r = json_put_str(o, "mountpoint", req->mountpoint);
	if (r >= 0)
		r = json_put_bool(o, "read_only", req->read_only);
	if (r >= 0)
		r = json_put_bool(o, "locked", req->locked);
	return r;
}

static int sync_parse(const struct json *o, struct proto_request *req)
{
	int r = json_get_int(o, "mounter", &req->mounter);

	if (r == -ENOENT)
		req->mounter = -1;
	else if (r < 0 || req->mounter < 0 || req->mounter > UINT32_MAX)
		return -EUCLEAN;
	return proto_str_parse(o, "mountpoint", sizeof(req->mountpoint), req->mountpoint);
}

static int sync_put(struct json *o, const struct proto_request *req)
{
	int r = json_put_str(o, "mountpoint", req->mountpoint);

	return r >= 0 && req->mounter >= 0 ? json_put_int(o, "mounter", req->mounter) : r;
}

static int tag_parse(const struct json *o, struct proto_request *req)
{
	int r = sync_parse(o, req);

	if (r >= 0)
		r = proto_str_parse(o, "statement", sizeof(req->statement), req->statement);
	if (r < 0)
		return r;
	r = proto_hex_parse(o, "tag", BACKUP_TAG_LEN, req->tag);
	req->has_tag = r >= 0;
	return absent_ok(r);
}

static int tag_put(struct json *o, const struct proto_request *req)
{
	int r = sync_put(o, req);

	if (r >= 0)
		r = json_put_str(o, "statement", req->statement);
	return r >= 0 && req->has_tag ? proto_hex_put(o, "tag", BACKUP_TAG_LEN, req->tag) : r;
}

/* Exactly one of tenant and uuid. */
static int target_parse(const struct json *o, struct proto_request *req)
{
	const char *text;
	int r;

	r = json_get_str(o, "uuid", &text);
	if (r >= 0) {
		if (volume_config_uuid_parse(text, req->uuid) < 0 || json_get_str(o, "tenant", &text) != -ENOENT)
			return -EUCLEAN;
		return 0;
	}
	return r == -ENOENT ? tenant_parse(o, req) : r;
}

static int target_put(struct json *o, const struct proto_request *req)
{
	char uuid[33];

	if (req->tenant[0])
		return tenant_put(o, req);
	volume_config_uuid_text(req->uuid, uuid);
	return json_put_str(o, "uuid", uuid);
}

static int lock_parse(const struct json *o, struct proto_request *req)
{
	int r = target_parse(o, req);

	return r < 0 ? r : proto_str_parse(o, "reason", sizeof(req->reason), req->reason);
}

static int lock_put(struct json *o, const struct proto_request *req)
{
	int r = target_put(o, req);

	return r < 0 ? r : json_put_str(o, "reason", req->reason);
}

/* Tenant and name, of seal and unseal. */
static int unseal_parse(const struct json *o, struct proto_request *req)
{
	int r;

	r = tenant_parse(o, req);
	if (r >= 0)
		r = proto_str_parse(o, "name", sizeof(req->name), req->name);
	return r < 0 || text_is_name(req->name, CREDENTIAL_NAME_MAX) ? r : -EUCLEAN;
}

static int unseal_put(struct json *o, const struct proto_request *req)
{
	int r;

	if (!text_is_name(req->name, CREDENTIAL_NAME_MAX))
		return -EINVAL;
	r = tenant_put(o, req);
	return r < 0 ? r : json_put_str(o, "name", req->name);
}

static int seal_parse(const struct json *o, struct proto_request *req)
{
	int r;

	r = unseal_parse(o, req);
	if (r >= 0)
		r = proto_u64_parse(o, "size", &req->size);
	return r < 0 ? r : absent_ok(proto_u64_parse(o, "version", &req->version)); /* absent: the next one */
}

static int seal_put(struct json *o, const struct proto_request *req)
{
	int r;

	r = unseal_put(o, req);
	if (r >= 0)
		r = proto_u64_put(o, "size", req->size);
	return r < 0 || !req->version ? r : proto_u64_put(o, "version", req->version);
}

static int audit_parse(const struct json *o, struct proto_request *req)
{
	int r;

	r = tenant_parse(o, req);
	if (r >= 0)
		r = proto_u64_parse(o, "since", &req->since_ns);
	return r < 0 ? r : proto_u64_parse(o, "from", &req->from_seq);
}

static int audit_put(struct json *o, const struct proto_request *req)
{
	int r;

	r = tenant_put(o, req);
	if (r >= 0)
		r = proto_u64_put(o, "since", req->since_ns);
	return r < 0 ? r : proto_u64_put(o, "from", req->from_seq);
}

#define KNOWN(...) ((const char *const[]){ "v", "id", "op", ##__VA_ARGS__, NULL })

static const struct request_form forms[PROTO_OPS] = {
	[PROTO_OP_HELLO] = { KNOWN(), none_parse, none_put },
	[PROTO_OP_INIT] = { KNOWN("tenant", "uuid", "kms"), init_parse, init_put },
	[PROTO_OP_PIN] = { KNOWN("instance"), pin_parse, pin_put },
	[PROTO_OP_UNLOCK] = { KNOWN("instance", "purpose"), unlock_parse, unlock_put },
	[PROTO_OP_ACK] = { KNOWN("of"), ack_parse, ack_put },
	[PROTO_OP_TRUST] = { KNOWN("instance", "older", "scratch"), trust_parse, trust_put },
	[PROTO_OP_REGISTER] = { KNOWN("instance", "volume", "source", "mountpoint", "read_only", "locked"),
				register_parse, register_put },
	[PROTO_OP_EVENT] = { KNOWN("kind", "seen", "object", "detail", "count"), proto_told_event_parse, proto_told_event_put },
	[PROTO_OP_STATUS] = { KNOWN(), none_parse, none_put },
	[PROTO_OP_SYNC] = { KNOWN("mountpoint", "mounter"), sync_parse, sync_put },
	[PROTO_OP_FREEZE] = { KNOWN("mountpoint", "mounter"), sync_parse, sync_put },
	[PROTO_OP_THAW] = { KNOWN("mountpoint", "mounter"), sync_parse, sync_put },
	[PROTO_OP_LOCK] = { KNOWN("tenant", "uuid", "reason"), lock_parse, lock_put },
	[PROTO_OP_UNLOCK_TENANT] = { KNOWN("tenant", "uuid"), target_parse, target_put },
	[PROTO_OP_KEYS] = { KNOWN("instance"), pin_parse, pin_put },
	[PROTO_OP_RECOVER] = { KNOWN("instance"), pin_parse, pin_put },
	[PROTO_OP_SEAL] = { KNOWN("tenant", "name", "version", "size"), seal_parse, seal_put },
	[PROTO_OP_UNSEAL] = { KNOWN("tenant", "name"), unseal_parse, unseal_put },
	[PROTO_OP_DONE] = { KNOWN("instance", "what", "detail"), proto_told_done_parse, proto_told_done_put },
	[PROTO_OP_AUDIT] = { KNOWN("tenant", "since", "from"), audit_parse, audit_put },
	[PROTO_OP_BACKUP_TAG] = { KNOWN("mountpoint", "mounter", "statement", "tag"), tag_parse, tag_put },
	[PROTO_OP_BACKUP_SIGN] = { KNOWN("instance", "statement"), proto_told_statement_parse, proto_told_statement_put },
};

static int refuse(char why[static 128], const char *text, const char *what)
{
	(void)snprintf(why, 128, "%s%s%.60s", text, what ? ": " : "", what ? what : "");
	return -EUCLEAN;
}

static int body_parse(const struct json *o, int64_t id, struct proto_request *req, char why[static 128])
{
	const char *text, *unknown;
	int op, r;

	r = json_get_str(o, "op", &text);
	if (r < 0)
		return refuse(why, "no op", NULL);
	op = proto_op_parse(text);
	if (op < 0)
		return refuse(why, "unknown op", text);
	unknown = json_unknown_key(o, forms[op].known);
	if (unknown)
		return refuse(why, "unknown member", unknown);
	memset(req, 0, sizeof(*req));
	req->id = id;
	req->op = (enum proto_op)op;
	r = forms[op].parse(o, req);
	if (r < 0)
		return refuse(why, "a member is missing or malformed", text);
	return 0;
}

int proto_request_parse(const void *p, size_t len, enum proto_type *ret_type, struct proto_request *req,
			struct proto_event *ev, int64_t *id, char why[static 128])
{
	AUTO_JSON struct json *o = NULL;
	const char *text;
	int64_t n;
	int r;

	*id = 0;
	r = json_parse(p, len, PROTO_PACKET_MAX, &o);
	if (r == -EUCLEAN)
		return refuse(why, "not JSON", NULL);
	if (r < 0)
		return r;
	if (!json_is_object(o))
		return refuse(why, "not a JSON object", NULL);
	r = json_get_int(o, "id", &n);
	if (r < 0 || n < 1)
		return refuse(why, "no id", NULL);
	*id = n;
	r = json_get_int(o, "v", &n);
	if (r < 0)
		return refuse(why, "no protocol version", NULL);
	if (n != PROTO_VERSION) {
		(void)refuse(why, "this agent speaks protocol version 1", NULL);
		return -EOPNOTSUPP;
	}
	r = json_get_str(o, "event", &text);
	if (r == -ENOENT) {
		*ret_type = PROTO_TYPE_REQUEST;
		return body_parse(o, *id, req, why);
	}
	r = proto_event_parse(o, ev);
	if (r < 0 || !ev->done)
		return refuse(why, "malformed answer to an event", NULL);
	*ret_type = PROTO_TYPE_EVENT_DONE;
	return 0;
}

int proto_request_put(const struct proto_request *req, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	int r;

	if (!o)
		return -ENOMEM;
	if ((unsigned int)req->op >= PROTO_OPS || req->id < 1)
		return -EINVAL;
	r = json_put_int(o, "v", PROTO_VERSION);
	if (r >= 0)
		r = json_put_int(o, "id", req->id);
	if (r >= 0)
		r = json_put_str(o, "op", proto_op_text(req->op));
	if (r >= 0)
		r = forms[req->op].put(o, req);
	if (r >= 0)
		r = json_dump(o, &text);
	if (r < 0)
		return r;
	if (strlen(text) > PROTO_PACKET_MAX)
		return -EMSGSIZE;
	*ret_text = take_ptr(text);
	return 0;
}
