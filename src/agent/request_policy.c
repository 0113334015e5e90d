/* request_policy.c: what a handler asks the rules, and the refusals that follow from them (docs/protocol.md, "Who may ask what"). */
#include "agent/request.h"

#include <string.h>

static void denied(struct call *k, const char *tenant, const char *rule, const char *detail)
{
	struct audit_event e = { .what = "peer.denied", .outcome = "refused", .peer = &k->c->peer, .tenant = tenant, .rule = rule, .class = "DENIED",
				 .object = proto_op_text(k->req->op), .detail = detail };

	audit_note_refusal(k->a->audit, &e);
}

struct policy_peer request_who(const struct conn *c)
{
	return (struct policy_peer){ .uid = c->peer.uid, .unit = c->peer.unit[0] ? c->peer.unit : NULL };
}

enum proto_class request_allowed_for(struct call *k, const char *tenant, const uint8_t *uuid)
{
	const struct policy_object about = { .tenant = tenant, .uuid = uuid };
	const struct policy_peer peer = request_who(k->c);
	struct policy_verdict v = policy_decide(&k->a->policy, k->a->tenants, &peer, k->req->op, &about);

	if (v.allow)
		return PROTO_CLASS_OK;
	denied(k, tenant, v.rule, NULL);
	return request_refuse(k->reply, PROTO_CLASS_DENIED, "%s: denied by policy for uid %lu",
			      proto_op_text(k->req->op), (unsigned long)k->c->peer.uid);
}

enum proto_class request_allowed(struct call *k, const char *tenant)
{
	return request_allowed_for(k, tenant, k->req->op == PROTO_OP_INIT ? k->req->uuid : k->req->instance.uuid);
}

enum proto_class request_keys_allowed(struct call *k, const char *tenant, size_t count, const char (*kms)[KMS_URI_MAX + 1])
{
	const struct tenant *t = tenants_find(k->a->tenants, tenant);
	struct kms_uri uri;
	size_t i;

	for (i = 0; i < count; i++) {
		if (tenant_key_allowed(t, kms[i]) || (kms_uri_parse(kms[i], &uri) >= 0 && kms_uri_is_recovery(&uri)))
			continue;
		denied(k, tenant, "kms", kms[i]);
		return request_refuse(k->reply, PROTO_CLASS_DENIED, "%s: no kms= of tenant %s allows %.200s",
				      proto_op_text(k->req->op), tenant, kms[i]);
	}
	return PROTO_CLASS_OK;
}

enum proto_class request_recovery_allowed(struct call *k, const char *tenant)
{
	if (tenants_find(k->a->tenants, tenant)->recovery_allowed)
		return PROTO_CLASS_OK;
	denied(k, tenant, "recovery", NULL);
	return request_refuse(k->reply, PROTO_CLASS_DENIED, "%s: tenant %s allows no recovery keys (recovery=allow in its file)", proto_op_text(k->req->op), tenant);
}

enum proto_class request_pin_taken(struct call *k, const char *tenant)
{
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	/* What cannot be read has no owner to ask; the handler decides what that means. */
	if (pins_load(k->a->pins_dirfd, &k->req->instance, p) < 0 || strcmp(p->tenant, tenant) == 0)
		return PROTO_CLASS_OK;
	return request_allowed(k, p->tenant);
}
