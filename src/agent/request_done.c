/* request_done.c: a scrub, a backup or the verification of one has ended well. It is evidence, so it is recorded or refused; and metrics tell when it was, so that somebody hears
 * of the one that did not come. Who tells needs no key: it is a matter of administration. */
#include "agent/request.h"

#include <string.h>
#include <time.h>

static const char *const rows[PROTO_DONES] = {
	[PROTO_DONE_SCRUB] = "scrub", [PROTO_DONE_BACKUP] = "backup", [PROTO_DONE_VERIFY] = "backup.verify",
};

/* Mounts of it that are there. */
static void mounts_tell(struct agent *a, const struct pin *p)
{
	for (struct conn *c = a->conns; c; c = c->next)
		if (c->mount && !c->dead && proto_instance_equal(&c->instance, &p->instance))
			memcpy(c->mount->done_s, p->done_s, sizeof(p->done_s));
}

enum proto_class request_done(struct call *k)
{
	struct audit_event e = { .what = rows[k->req->done], .peer = &k->c->peer, .uuid = k->req->instance.uuid, .detail = k->req->detail };
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	enum proto_class class;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_allowed(k, NULL);
	if (class == PROTO_CLASS_OK)
		class = request_pin_allowed(k, p);
	if (class != PROTO_CLASS_OK)
		return class;
	e.tenant = p->tenant;
	class = request_record(k, &e);
	if (class != PROTO_CLASS_OK)
		return class;
	p->done_s[k->req->done] = (int64_t)time(NULL);
	class = request_pin_keep(k, p);
	if (class == PROTO_CLASS_OK)
		mounts_tell(k->a, p);
	return class;
}
