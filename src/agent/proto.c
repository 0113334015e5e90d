/* proto.c: the tables of the protocol and the members that several messages share (docs/protocol.md). Requests stand in
 * proto_request.c, answers in proto_reply.c, pushed events in proto_event.c. Pure. */
#include "agent/proto.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define HEX_LEN(n) (2 * (n) + 1)

static const char *const op_texts[PROTO_OPS] = {
	[PROTO_OP_HELLO] = "hello",   [PROTO_OP_INIT] = "init",         [PROTO_OP_PIN] = "pin",
	[PROTO_OP_UNLOCK] = "unlock", [PROTO_OP_ACK] = "ack",           [PROTO_OP_TRUST] = "trust",
	[PROTO_OP_EVENT] = "event",   [PROTO_OP_REGISTER] = "register", [PROTO_OP_STATUS] = "status",
	[PROTO_OP_SYNC] = "sync",     [PROTO_OP_FREEZE] = "freeze",     [PROTO_OP_THAW] = "thaw",
	[PROTO_OP_LOCK] = "lock",     [PROTO_OP_UNLOCK_TENANT] = "unlock-tenant",
	[PROTO_OP_KEYS] = "keys",     [PROTO_OP_RECOVER] = "recover",
	[PROTO_OP_SEAL] = "seal",     [PROTO_OP_UNSEAL] = "unseal",
	[PROTO_OP_DONE] = "done",     [PROTO_OP_AUDIT] = "audit",
	[PROTO_OP_BACKUP_SIGN] = "backup-sign", [PROTO_OP_BACKUP_TAG] = "backup-tag",
};

static const char *const done_texts[PROTO_DONES] = {
	[PROTO_DONE_SCRUB] = "scrub", [PROTO_DONE_BACKUP] = "backup", [PROTO_DONE_VERIFY] = "verify",
};

static const char *const push_texts[PROTO_PUSHES] = {
	[PROTO_PUSH_LOCK] = "lock",     [PROTO_PUSH_UNLOCK] = "unlock", [PROTO_PUSH_SYNC] = "sync",
	[PROTO_PUSH_FREEZE] = "freeze", [PROTO_PUSH_THAW] = "thaw",     [PROTO_PUSH_STATS] = "stats",
	[PROTO_PUSH_BACKUP_TAG] = "backup-tag",
};

static const char *const kind_texts[PROTO_KINDS] = {
	[PROTO_KIND_SEEN] = "seen",
	[PROTO_KIND_INTEGRITY] = "integrity",
	[PROTO_KIND_OLDER] = "older",
	[PROTO_KIND_REPLAY] = "replay",
	[PROTO_KIND_DRILL] = "drill",
};

/* The pair (class, errno) is unique on the wire; "DENIED" alone is not: policy and KMS both say it. */
static const struct {
	const char *text;
	const char *errno_text;
	int r;
	enum coffer_exit exit_code;
} classes[PROTO_CLASSES] = {
	[PROTO_CLASS_OK] = { "OK", "", 0, EXIT_CODE_OK },
	[PROTO_CLASS_DENIED] = { "DENIED", "EPERM", -EPERM, EXIT_CODE_DENIED },
	[PROTO_CLASS_UNTRUSTED] = { "UNTRUSTED", "EPERM", -EPERM, EXIT_CODE_DENIED },
	[PROTO_CLASS_OLDER] = { "OLDER", "ESTALE", -ESTALE, EXIT_CODE_OLDER },
	[PROTO_CLASS_REVOKED] = { "REVOKED", "ENOKEY", -ENOKEY, EXIT_CODE_KMS_REFUSED },
	[PROTO_CLASS_KMS_DENIED] = { "DENIED", "ENOKEY", -ENOKEY, EXIT_CODE_KMS_REFUSED },
	[PROTO_CLASS_LOCKED] = { "LOCKED", "ENOKEY", -ENOKEY, EXIT_CODE_KMS_REFUSED },
	[PROTO_CLASS_AUTH] = { "AUTH", "EACCES", -EACCES, EXIT_CODE_KMS_REFUSED },
	[PROTO_CLASS_TRANSIENT] = { "TRANSIENT", "EAGAIN", -EAGAIN, EXIT_CODE_KMS_UNREACHABLE },
	[PROTO_CLASS_THROTTLED] = { "THROTTLED", "EAGAIN", -EAGAIN, EXIT_CODE_KMS_UNREACHABLE },
	[PROTO_CLASS_CORRUPT] = { "CORRUPT", "EKEYREJECTED", -EKEYREJECTED, EXIT_CODE_WRONG_KEY },
	[PROTO_CLASS_BADREQ] = { "BADREQ", "EPROTO", -EPROTO, EXIT_CODE_OTHER },
	[PROTO_CLASS_CONFIG] = { "CONFIG", "EINVAL", -EINVAL, EXIT_CODE_CONFIG },
	[PROTO_CLASS_NOT_VOLUME] = { "NOTVOLUME", "EUCLEAN", -EUCLEAN, EXIT_CODE_NOT_A_VOLUME },
	[PROTO_CLASS_UNSUPPORTED] = { "UNSUPPORTED", "EOPNOTSUPP", -EOPNOTSUPP, EXIT_CODE_UNSUPPORTED },
	[PROTO_CLASS_EXISTS] = { "EXISTS", "EEXIST", -EEXIST, EXIT_CODE_EXISTS },
	[PROTO_CLASS_NOT_MOUNTED] = { "NOTMOUNTED", "ENOTCONN", -ENOTCONN, EXIT_CODE_MOUNT_POINT },
	[PROTO_CLASS_BUSY] = { "BUSY", "EBUSY", -EBUSY, EXIT_CODE_BUSY },
	[PROTO_CLASS_AUDIT] = { "AUDIT", "EIO", -EIO, EXIT_CODE_AUDIT_BROKEN },
	[PROTO_CLASS_RESOURCE] = { "RESOURCE", "ENOMEM", -ENOMEM, EXIT_CODE_NO_RESOURCE },
	[PROTO_CLASS_INTERNAL] = { "INTERNAL", "EIO", -EIO, EXIT_CODE_OTHER },
};

const char *proto_op_text(enum proto_op op)
{
	return op < PROTO_OPS ? op_texts[op] : "?";
}

const char *proto_push_text(enum proto_push p)
{
	return p < PROTO_PUSHES ? push_texts[p] : "?";
}

const char *proto_done_text(enum proto_done d)
{
	return d < PROTO_DONES ? done_texts[d] : "?";
}

const char *proto_kind_text(enum proto_kind k)
{
	return k < PROTO_KINDS ? kind_texts[k] : "?";
}

enum proto_class proto_class_say(char message[static PROTO_MESSAGE_MAX], enum proto_class class, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, PROTO_MESSAGE_MAX, fmt, ap);
	va_end(ap);
	return class;
}

const char *proto_class_text(enum proto_class c)
{
	return c < PROTO_CLASSES ? classes[c].text : "?";
}

const char *proto_class_errno_text(enum proto_class c)
{
	return c < PROTO_CLASSES ? classes[c].errno_text : "?";
}

int proto_class_errno(enum proto_class c)
{
	return c < PROTO_CLASSES ? classes[c].r : -EIO;
}

enum coffer_exit proto_class_exit(enum proto_class c)
{
	return c < PROTO_CLASSES ? classes[c].exit_code : EXIT_CODE_OTHER;
}

enum proto_class proto_class_parse(const char *text, const char *errno_text)
{
	int i;

	for (i = PROTO_CLASS_OK + 1; i < PROTO_CLASSES; i++)
		if (strcmp(classes[i].text, text) == 0 && strcmp(classes[i].errno_text, errno_text) == 0)
			return (enum proto_class)i;
	return PROTO_CLASS_INTERNAL;
}

/* Index of text among n texts, or -ENOENT. */
static int text_index(const char *const *texts, int n, const char *text)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(texts[i], text) == 0)
			return i;
	return -ENOENT;
}

int proto_op_parse(const char *text)
{
	return text_index(op_texts, PROTO_OPS, text);
}

int proto_push_parse(const char *text)
{
	return text_index(push_texts, PROTO_PUSHES, text);
}

int proto_kind_parse(const char *text)
{
	return text_index(kind_texts, PROTO_KINDS, text);
}

int proto_done_parse(const char *text)
{
	return text_index(done_texts, PROTO_DONES, text);
}

int proto_u64_parse(const struct json *o, const char *key, uint64_t *ret_n)
{
	int64_t n;
	int r;

	r = json_get_int(o, key, &n);
	if (r < 0)
		return r;
	if (n < 0)
		return -EUCLEAN;
	*ret_n = (uint64_t)n;
	return 0;
}

int proto_u64_put(struct json *o, const char *key, uint64_t n)
{
	if (n > INT64_MAX)
		return -EINVAL;
	return json_put_int(o, key, (int64_t)n);
}

int proto_str_parse(const struct json *o, const char *key, size_t max, char *ret_text)
{
	const char *text;
	size_t len;
	int r;

	r = json_get_str(o, key, &text);
	if (r < 0)
		return r;
	len = strlen(text);
	if (len >= max)
		return -EUCLEAN;
	memcpy(ret_text, text, len + 1);
	return 0;
}

int proto_hex_parse(const struct json *o, const char *key, size_t n, uint8_t *ret_p)
{
	const char *text;
	int r;

	r = json_get_str(o, key, &text);
	if (r < 0)
		return r;
	return text_hex_parse(text, strlen(text), n, ret_p);
}

int proto_hex_put(struct json *o, const char *key, size_t n, const uint8_t *p)
{
	char text[HEX_LEN(64)];

	if (n > 64)
		return -EINVAL;
	text_hex(p, n, text);
	return json_put_str(o, key, text);
}

bool proto_instance_equal(const struct proto_instance *a, const struct proto_instance *b)
{
	return memcmp(a->uuid, b->uuid, UUID_LEN) == 0 && a->fsid == b->fsid &&
	       a->handle_type == b->handle_type && a->handle_len == b->handle_len &&
	       memcmp(a->handle, b->handle, a->handle_len) == 0;
}

int proto_instance_parse(const struct json *o, const char *key, struct proto_instance *ret_i)
{
	static const char *const known[] = { "uuid", "handle_type", "handle", "fsid", NULL };
	struct proto_instance in = { 0 };
	const struct json *v;
	uint64_t type;
	uint8_t fsid[8];
	size_t len, i;
	int r;

	r = json_get_object(o, key, &v);
	if (r < 0)
		return r;
	if (json_unknown_key(v, known))
		return -EUCLEAN;
	r = proto_hex_parse(v, "uuid", UUID_LEN, in.uuid);
	if (r < 0)
		return -EUCLEAN;
	r = proto_u64_parse(v, "handle_type", &type);
	if (r < 0 || type > UINT16_MAX)
		return -EUCLEAN;
	in.handle_type = (uint16_t)type;
	r = json_get_b64_var(v, "handle", in.handle, sizeof(in.handle), &len);
	if (r < 0 || len > sizeof(in.handle))
		return -EUCLEAN;
	in.handle_len = (uint16_t)len;
	r = proto_hex_parse(v, "fsid", sizeof(fsid), fsid);
	if (r < 0)
		return -EUCLEAN;
	for (i = 0; i < sizeof(fsid); i++)
		in.fsid = in.fsid << 8 | fsid[i];
	*ret_i = in;
	return 0;
}

int proto_instance_put(struct json *o, const char *key, const struct proto_instance *i)
{
	AUTO_JSON struct json *v = json_new_object();
	char uuid[HEX_LEN(UUID_LEN)], fsid[17];
	int r;

	if (i->handle_len > sizeof(i->handle))
		return -EINVAL;
	text_hex(i->uuid, UUID_LEN, uuid);
	(void)snprintf(fsid, sizeof(fsid), "%016llx", (unsigned long long)i->fsid);
	r = json_put_str(v, "uuid", uuid);
	if (r >= 0)
		r = json_put_int(v, "handle_type", i->handle_type);
	if (r >= 0)
		r = json_put_b64(v, "handle", i->handle, i->handle_len);
	if (r >= 0)
		r = json_put_str(v, "fsid", fsid);
	if (r < 0)
		return r;
	return json_put_json(o, key, take_ptr(v));
}

int proto_seen_parse(const struct json *o, const char *key, struct proto_seen *ret_s)
{
	static const char *const known[] = { "config_version", "stamp_limit", "generation", "older_ok", NULL };
	struct proto_seen s = { 0 };
	const struct json *v;
	int r;

	r = json_get_object(o, key, &v);
	if (r < 0)
		return r;
	if (json_unknown_key(v, known))
		return -EUCLEAN;
	r = proto_u64_parse(v, "config_version", &s.config_version);
	if (r >= 0)
		r = proto_u64_parse(v, "stamp_limit", &s.stamp_limit);
	if (r >= 0)
		r = proto_hex_parse(v, "generation", sizeof(s.generation), s.generation);
	if (r >= 0)
		r = json_get_bool(v, "older_ok", &s.older_ok);
	if (r < 0)
		return -EUCLEAN;
	*ret_s = s;
	return 0;
}

int proto_seen_put(struct json *o, const char *key, const struct proto_seen *s)
{
	AUTO_JSON struct json *v = json_new_object();
	char generation[HEX_LEN(PROTO_GENERATION_LEN)];
	int r;

	text_hex(s->generation, PROTO_GENERATION_LEN, generation);
	r = proto_u64_put(v, "config_version", s->config_version);
	if (r >= 0)
		r = proto_u64_put(v, "stamp_limit", s->stamp_limit);
	if (r >= 0)
		r = json_put_str(v, "generation", generation);
	if (r >= 0)
		r = json_put_bool(v, "older_ok", s->older_ok);
	if (r < 0)
		return r;
	return json_put_json(o, key, take_ptr(v));
}

/* The stamp with which a generation begins (docs/format.md section 4), little endian. */
static uint64_t generation_stamp(const uint8_t generation[static PROTO_GENERATION_LEN])
{
	uint64_t n = 0;
	int i;

	for (i = 7; i >= 0; i--)
		n = n << 8 | generation[i];
	return n;
}

bool proto_seen_is_older(const struct proto_seen *now, const struct proto_seen *seen)
{
	uint64_t a = generation_stamp(now->generation), b = generation_stamp(seen->generation);

	if (now->config_version < seen->config_version || now->stamp_limit < seen->stamp_limit || a < b)
		return true;
	return a == b && memcmp(now->generation, seen->generation, PROTO_GENERATION_LEN) != 0;
}
