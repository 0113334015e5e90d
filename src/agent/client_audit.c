/* client_audit.c: a tenant's rows of the audit log (docs/protocol.md, `audit`). */
#include <string.h>

#include "agent/client_priv.h"
#include "agent/packet.h"

int client_audit(struct client *c, const char *tenant, uint64_t since_ns, uint64_t from_seq, char **ret_text, size_t *ret_len, uint64_t *ret_next)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_FREE uint8_t *p = NULL;
	AUTO_CLOSE int fd = -1;
	size_t len;
	int r;

	if (!volume_config_tenant_ok(tenant))
		return client_fail(c, -EINVAL, "not a tenant's name: 1 to 64 of A-Z a-z 0-9 _ - and, not first, a dot");
	client_request_begin(c, PROTO_OP_AUDIT);
	memcpy(c->req.tenant, tenant, strlen(tenant) + 1);
	c->req.since_ns = since_ns;
	c->req.from_seq = from_seq;
	r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, &fd);
	if (r < 0)
		return r;
	/* One that leads back would never end. */
	if (fd < 0 || (reply.next_seq && reply.next_seq <= from_seq))
		return client_lost(c, -EPROTO);
	r = packet_read_sealed(fd, PROTO_STATUS_MAX, &p, &len);
	if (r < 0)
		return client_lost(c, r);
	*ret_text = (char *)take_ptr(p);
	*ret_len = len;
	*ret_next = reply.next_seq;
	return 0;
}
