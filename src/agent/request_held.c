/* request_held.c: keys that wait for their rows of the audit log. No audit, no unlock: a key was decided about, opened and recorded, and goes out when the row is durable; the loop serves others
 * meanwhile. What may have changed in that time is asked once more. The answer waits, and so does the connection: it has no other key under way. */
#include "agent/request.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

struct held {
	struct held *next;
	uint64_t serial, row;
	struct proto_request req;
	struct proto_reply reply;
	bool of_volume;
	char tenant[TENANT_LEN_MAX + 1];
};

void request_held_keep(struct call *k)
{
	struct held *h = malloc(sizeof(*h)), **at;

	if (!h) {
		server_drop(k->a, k->c, "out of memory");
		return;
	}
	h->next = NULL;
	h->serial = k->c->serial;
	h->row = k->row;
	h->req = *k->req;
	h->reply = *k->reply;
	k->reply->slots = NULL;
	k->reply->slot_count = 0;
	h->of_volume = k->row_of_volume;
	memcpy(h->tenant, k->row_tenant, sizeof(h->tenant));
	for (at = &k->a->held; *at; at = &(*at)->next)
		;
	*at = h;
	k->c->waits_for_key = true;
	k->c->handover.deadline_ms = UINT64_MAX;
}

static enum proto_class held_check(struct call *k, const struct held *h, enum audit_fate fate)
{
	const uint8_t *uuid = h->of_volume ? h->req.instance.uuid : NULL;
	enum proto_class class;

	if (fate == AUDIT_LOST && audit_required(k->a->audit))
		return request_refuse(k->reply, PROTO_CLASS_AUDIT, "%s: the audit log cannot be written", proto_op_text(h->req.op));
	if (fate == AUDIT_LOST)
		log_err("audit log: a row is lost; going on without, as required=no says");
	class = request_allowed_for(k, h->tenant, uuid);
	return class == PROTO_CLASS_OK ? request_lock_check(k, uuid, h->tenant) : class;
}

static void held_end(struct agent *a, struct held *h, enum audit_fate fate)
{
	struct conn *c = server_conn(a, h->serial);
	struct call k = { .a = a, .c = c, .req = &h->req, .fd = -1, .reply = &h->reply, .reply_fd = -1 };

	if (c && peer_check(&c->peer) < 0) {
		server_drop(a, c, "the process that connected is gone");
	} else if (c) {
		c->waits_for_key = false;
		c->last_ms = clock_boot_ms();
		c->handover.deadline_ms = c->last_ms + AGENT_ACK_MS;
		h->reply.class = held_check(&k, h, fate);
		if (h->reply.class != PROTO_CLASS_OK)
			request_key_handover_end(c);
		server_reply(a, c, &h->reply, c->handover.fd);
	}
	proto_reply_done(&h->reply);
	free(h);
}

void request_held_release(struct agent *a)
{
	enum audit_fate fate;
	struct held *h;

	while ((h = a->held) && (fate = audit_fate(a->audit, h->row)) != AUDIT_PENDING) {
		a->held = h->next;
		held_end(a, h, fate);
	}
}

void request_held_free_all(struct agent *a)
{
	struct held *h;

	while ((h = a->held)) {
		a->held = h->next;
		proto_reply_done(&h->reply);
		free(h);
	}
}
