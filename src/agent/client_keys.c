/* client_keys.c: what the agent knows about a volume's keys (docs/protocol.md, `keys`). */
#include <string.h>

#include "agent/client_priv.h"
#include "agent/packet.h"

int client_keys(struct client *c, const struct proto_instance *instance, struct client_keys *ret_keys)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_FREE uint8_t *p = NULL;
	AUTO_CLOSE int fd = -1;
	size_t len = 0;
	int r;

	client_request_begin(c, PROTO_OP_KEYS);
	c->req.instance = *instance;
	r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, &fd);
	if (r < 0)
		return r;
	if (fd >= 0)
		r = packet_read_sealed(fd, VOLUME_CONFIG_MAX, &p, &len);
	if (r < 0)
		return client_lost(c, r);
	memcpy(ret_keys->tenant, reply.tenant, sizeof(ret_keys->tenant));
	memcpy(ret_keys->key_uri, reply.key_uri, sizeof(ret_keys->key_uri));
	memcpy(ret_keys->kms, reply.kms, sizeof(ret_keys->kms));
	ret_keys->kms_count = reply.kms_count;
	ret_keys->seen = reply.seen;
	ret_keys->config = take_ptr(p);
	ret_keys->config_len = len;
	return 0;
}

void client_keys_done(struct client_keys *k)
{
	free(k->config);
	k->config = NULL;
}

int client_recover(struct client *c, const struct proto_instance *instance, const struct secret *key, char *ret_uri, uint64_t *ret_ms)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_CLOSE int fd = -1;
	int r;

	r = secret_to_fd(key, &fd);
	if (r < 0)
		return client_fail(c, r, "key: no locked memory: %s", strerror(-r));
	client_request_begin(c, PROTO_OP_RECOVER);
	c->req.instance = *instance;
	r = client_call(c, &c->req, fd, CLIENT_DEADLINE_MS, &reply, NULL);
	if (r < 0)
		return r;
	memcpy(ret_uri, reply.key_uri, sizeof(reply.key_uri));
	*ret_ms = reply.kept_ms;
	return 0;
}

int client_done(struct client *c, const struct proto_instance *instance, enum proto_done what, const char *detail)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };

	client_request_begin(c, PROTO_OP_DONE);
	c->req.instance = *instance;
	c->req.done = what;
	client_text_copy(detail, sizeof(c->req.detail), c->req.detail);
	return client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, NULL);
}

static int statement_fill(struct client *c, const char *statement)
{
	if (strlen(statement) >= sizeof(c->req.statement))
		return client_fail(c, -EINVAL, "not a statement about a backup");
	memcpy(c->req.statement, statement, strlen(statement) + 1);
	return 0;
}

int client_backup_sign(struct client *c, const struct proto_instance *instance, const char *statement, uint8_t ret_public[static SIGN_PUBLIC_LEN],
		       uint8_t ret_signature[static SIGN_LEN])
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	int r;

	client_request_begin(c, PROTO_OP_BACKUP_SIGN);
	c->req.instance = *instance;
	r = statement_fill(c, statement);
	if (r == 0)
		r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, NULL);
	if (r < 0)
		return r;
	memcpy(ret_public, reply.public_key, SIGN_PUBLIC_LEN);
	memcpy(ret_signature, reply.signature, SIGN_LEN);
	return 0;
}

/* tag: what it should be, or NULL. */
static int ask_tag(struct client *c, const char *mountpoint, int64_t mounter, const char *statement, const uint8_t *tag, uint8_t ret_tag[static BACKUP_TAG_LEN])
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	int r;

	client_request_begin(c, PROTO_OP_BACKUP_TAG);
	client_text_copy(mountpoint, sizeof(c->req.mountpoint), c->req.mountpoint);
	c->req.mounter = mounter;
	c->req.has_tag = tag;
	if (tag)
		memcpy(c->req.tag, tag, BACKUP_TAG_LEN);
	r = statement_fill(c, statement);
	if (r == 0)
		r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, NULL);
	if (r < 0)
		return r;
	memcpy(ret_tag, reply.tag, BACKUP_TAG_LEN);
	return 0;
}

int client_backup_tag(struct client *c, const char *mountpoint, int64_t mounter, const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN])
{
	return ask_tag(c, mountpoint, mounter, statement, NULL, ret_tag);
}

int client_backup_check(struct client *c, const char *mountpoint, int64_t mounter, const char *statement, const uint8_t tag[static BACKUP_TAG_LEN])
{
	uint8_t same[BACKUP_TAG_LEN];
	int r = ask_tag(c, mountpoint, mounter, statement, tag, same);

	return r == 0 && !secret_equal(same, tag, BACKUP_TAG_LEN) ? client_fail(c, -EPROTO, "the mount has answered with another tag") : r;
}
