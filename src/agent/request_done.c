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

static enum proto_class done_one(struct call *k, struct pin *p)
{
	struct audit_event e = { .what = rows[k->req->done], .peer = &k->c->peer, .uuid = k->req->instance.uuid, .tenant = p->tenant,
				 .detail = k->req->detail };
	enum proto_class class = request_record(k, &e);

	if (class != PROTO_CLASS_OK)
		return class;
	p->done_s[k->req->done] = (int64_t)time(NULL);
	class = request_pin_keep(k, p);
	if (class == PROTO_CLASS_OK)
		mounts_tell(k->a, p);
	return class;
}

/* A backup was read back: that is about a volume, whichever directory it is on this host. */
static enum proto_class done_all(struct call *k, struct pin *p)
{
	AUTO_FREE struct proto_instance *list = NULL;
	enum proto_class class = PROTO_CLASS_OK;
	size_t n = 0;

	if (pins_instances(k->a->pins_dirfd, k->req->instance.uuid, &list, &n) < 0)
		return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "the pins of this volume cannot be read");
	if (n == 0)
		return request_refuse(k->reply, PROTO_CLASS_UNTRUSTED, "no volume of this uuid is trusted on this host");
	for (size_t i = 0; i < n && class == PROTO_CLASS_OK; i++) {
		if (pins_load(k->a->pins_dirfd, &list[i], p) < 0)
			continue;
		class = request_allowed(k, p->tenant);
		if (class == PROTO_CLASS_OK)
			class = done_one(k, p);
	}
	return class;
}

enum proto_class request_done(struct call *k)
{
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	enum proto_class class;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_allowed(k, NULL);
	if (class == PROTO_CLASS_OK && k->req->instance.handle_len == 0 && k->req->instance.fsid == 0)
		return done_all(k, p);
	if (class == PROTO_CLASS_OK)
		class = request_pin_allowed(k, p);
	return class == PROTO_CLASS_OK ? done_one(k, p) : class;
}
