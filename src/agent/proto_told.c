/* proto_told.c: see proto_told.h. Pure. */
#include "agent/proto_told.h"

int proto_told_event_parse(const struct json *o, struct proto_request *req)
{
	const char *text;
	int k, r;

	r = json_get_str(o, "kind", &text);
	if (r < 0)
		return r;
	k = proto_kind_parse(text);
	if (k < 0)
		return -EUCLEAN;
	req->kind = (enum proto_kind)k;
	if (req->kind == PROTO_KIND_SEEN)
		return proto_seen_parse(o, "seen", &req->seen);
	r = proto_str_parse(o, "object", sizeof(req->object), req->object);
	if (r >= 0)
		r = proto_str_parse(o, "detail", sizeof(req->detail), req->detail);
	if (r >= 0)
		r = proto_u64_parse(o, "count", &req->count);
	return r;
}

int proto_told_event_put(struct json *o, const struct proto_request *req)
{
	int r;

	r = json_put_str(o, "kind", proto_kind_text(req->kind));
	if (r < 0)
		return r;
	if (req->kind == PROTO_KIND_SEEN)
		return proto_seen_put(o, "seen", &req->seen);
	r = json_put_str(o, "object", req->object);
	if (r >= 0)
		r = json_put_str(o, "detail", req->detail);
	if (r >= 0)
		r = proto_u64_put(o, "count", req->count);
	return r;
}

int proto_told_done_parse(const struct json *o, struct proto_request *req)
{
	const char *text;
	int what, r;

	r = proto_instance_parse(o, "instance", &req->instance);
	if (r >= 0)
		r = proto_str_parse(o, "detail", sizeof(req->detail), req->detail);
	if (r >= 0)
		r = json_get_str(o, "what", &text);
	if (r < 0)
		return r;
	what = proto_done_parse(text);
	if (what < 0)
		return -EUCLEAN;
	req->done = (enum proto_done)what;
	return 0;
}

int proto_told_done_put(struct json *o, const struct proto_request *req)
{
	int r;

	r = proto_instance_put(o, "instance", &req->instance);
	if (r >= 0)
		r = json_put_str(o, "what", proto_done_text(req->done));
	return r < 0 ? r : json_put_str(o, "detail", req->detail);
}

int proto_told_statement_parse(const struct json *o, struct proto_request *req)
{
	int r = proto_instance_parse(o, "instance", &req->instance);

	return r < 0 ? r : proto_str_parse(o, "statement", sizeof(req->statement), req->statement);
}

int proto_told_statement_put(struct json *o, const struct proto_request *req)
{
	int r = proto_instance_put(o, "instance", &req->instance);

	return r < 0 ? r : json_put_str(o, "statement", req->statement);
}
