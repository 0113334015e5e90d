/* fuzz_proto.c: the agent's messages. The first byte chooses the side:
 *
 *   0       what a client sent, to the agent: the hostile direction
 *   1..     what the agent sent, as the answer to op (byte - 1) mod PROTO_OPS
 *
 * Property: what is accepted can be put again, and what was put is accepted and the same. */
#include "agent/proto.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct side {
	struct proto_request req;
	struct proto_event ev;
	struct proto_reply reply;
};

static void event_again(const struct proto_event *ev)
{
	char *text = NULL, *again = NULL;
	static struct side b;
	bool is_event = false;
	enum proto_type type;
	char why[128];
	int64_t id;

	assert(proto_event_put(ev, &text) == 0);
	if (ev->done) {
		assert(proto_request_parse(text, strlen(text), &type, &b.req, &b.ev, &id, why) == 0);
		assert(type == PROTO_TYPE_EVENT_DONE);
	} else {
		assert(proto_reply_parse(text, strlen(text), PROTO_OP_HELLO, &b.reply, &b.ev, &is_event) == 0);
		assert(is_event);
	}
	assert(proto_event_put(&b.ev, &again) == 0);
	assert(strcmp(text, again) == 0);
	free(text);
	free(again);
}

static void from_client(const uint8_t *p, size_t len)
{
	static struct side a, b;
	char *text = NULL, why[128] = "";
	enum proto_type type;
	int64_t id = -1;
	int r;

	r = proto_request_parse(p, len, &type, &a.req, &a.ev, &id, why);
	assert(id >= 0);
	if (r < 0)
		return;
	if (type == PROTO_TYPE_EVENT_DONE) {
		event_again(&a.ev);
		return;
	}
	assert(proto_request_put(&a.req, &text) == 0);
	assert(proto_request_parse(text, strlen(text), &type, &b.req, &b.ev, &id, why) == 0);
	assert(type == PROTO_TYPE_REQUEST);
	assert(memcmp(&a.req, &b.req, sizeof(a.req)) == 0);
	free(text);
}

static void from_agent(const uint8_t *p, size_t len, enum proto_op op)
{
	static struct side a, b;
	bool is_event = false;
	char *text = NULL;

	if (proto_reply_parse(p, len, op, &a.reply, &a.ev, &is_event) < 0)
		return;
	if (is_event) {
		event_again(&a.ev);
		return;
	}
	/* Accepted and within a packet, so it fits again unless text grew by escapes. */
	if (proto_reply_put(&a.reply, &text) == 0) {
		assert(proto_reply_parse(text, strlen(text), op, &b.reply, &b.ev, &is_event) == 0);
		assert(!is_event && b.reply.class == a.reply.class && b.reply.slot_count == a.reply.slot_count);
		proto_reply_done(&b.reply);
		free(text);
	}
	proto_reply_done(&a.reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	if (len < 1)
		return 0;
	if (p[0] == 0)
		from_client(p + 1, len - 1);
	else
		from_agent(p + 1, len - 1, (enum proto_op)((p[0] - 1) % PROTO_OPS));
	return 0;
}
