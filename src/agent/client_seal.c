/* client_seal.c: sealed credentials (docs/protocol.md, `seal`, `unseal`). */
#include <string.h>

#include "agent/client_priv.h"
#include "agent/packet.h"
#include "base/text.h"

/* c->req for this credential. */
static int begin(struct client *c, enum proto_op op, const char *tenant, const char *name)
{
	if (!volume_config_tenant_ok(tenant))
		return client_fail(c, -EINVAL, "not a tenant's name: 1 to 64 of A-Z a-z 0-9 _ - and, not first, a dot");
	if (!text_is_name(name, CREDENTIAL_NAME_MAX))
		return client_fail(c, -EINVAL, "not a credential's name: 1 to 64 of A-Z a-z 0-9 _ - and, not first, a dot");
	client_request_begin(c, op);
	memcpy(c->req.tenant, tenant, strlen(tenant) + 1);
	memcpy(c->req.name, name, strlen(name) + 1);
	return 0;
}

int client_seal(struct client *c, const char *tenant, const char *name, uint64_t version, const struct secret *plain, uint8_t **ret_file, size_t *ret_len,
		uint64_t *ret_version)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSE int file_fd = -1;
	int r;

	r = begin(c, PROTO_OP_SEAL, tenant, name);
	if (r < 0)
		return r;
	r = secret_to_fd(plain, &fd);
	if (r < 0)
		return client_fail(c, r, "no locked memory: %s", strerror(-r));
	c->req.version = version;
	c->req.size = secret_len(plain);
	r = client_call(c, &c->req, fd, CLIENT_DEADLINE_MS, &reply, &file_fd);
	if (r < 0)
		return r;
	r = packet_read_sealed(file_fd, CREDENTIAL_FILE_MAX, ret_file, ret_len);
	if (r < 0)
		return client_lost(c, r);
	*ret_version = reply.credential_version;
	return 0;
}

/* The request, and where what it asks for is; two answers do not fit into one frame. */
static int unseal_ask(struct client *c, int file_fd, int *ret_fd, int64_t *ret_id, size_t *ret_size, uint64_t *ret_version)
{
	AUTO_FREE struct proto_reply *reply = calloc(1, sizeof(*reply));
	int r;

	if (!reply)
		return client_fail(c, -ENOMEM, "out of memory");
	r = client_call(c, &c->req, file_fd, CLIENT_DEADLINE_MS, reply, ret_fd);
	if (r >= 0 && (*ret_fd < 0 || reply->size < 1 || reply->size > CREDENTIAL_MAX))
		r = client_lost(c, -EPROTO);
	if (r >= 0) {
		*ret_id = reply->id;
		*ret_size = (size_t)reply->size;
		*ret_version = reply->credential_version;
	}
	proto_reply_done(reply);
	return r;
}

int client_unseal(struct client *c, const char *tenant, const char *name, const void *file, size_t len, struct secret **ret_plain, uint64_t *ret_version)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_SECRET struct secret *plain = NULL;
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSE int plain_fd = -1;
	int64_t id = 0;
	size_t size = 0;
	int r;

	r = begin(c, PROTO_OP_UNSEAL, tenant, name);
	if (r < 0)
		return r;
	r = packet_seal(file, len, &fd);
	if (r < 0)
		return client_fail(c, r, "no memory file: %s", strerror(-r));
	r = unseal_ask(c, fd, &plain_fd, &id, &size, ret_version);
	if (r < 0)
		return r;
	r = secret_from_fd(plain_fd, size, &plain);
	if (r == -EPROTO)
		return client_lost(c, r);
	if (r < 0)
		return client_fail(c, r, "no locked memory: %s", strerror(-r));
	client_request_begin(c, PROTO_OP_ACK);
	c->req.of = id;
	r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, NULL);
	if (r < 0)
		return r;
	*ret_plain = take_ptr(plain);
	return 0;
}
