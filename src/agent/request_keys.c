/* request_keys.c: what this host knows about a volume's keys, and its copy of coffer.volume (docs/protocol.md, "Keys"). Neither is secret. */
#include "agent/request.h"

#include <string.h>

#include "agent/packet.h"
#include "base/log.h"

/* The copy as a sealed memory file; -1: there is none. */
static int copy_of_config(struct call *k)
{
	AUTO_FREE uint8_t *p = NULL;
	size_t len;
	int fd = -1, r;

	r = pins_load_config(k->a->pins_dirfd, &k->req->instance, &p, &len);
	if (r >= 0)
		r = packet_seal(p, len, &fd);
	if (r < 0 && r != -ENOENT)
		log_warning("the copy of a coffer.volume cannot be read: %s; ignoring", err_text(r));
	return r < 0 ? -1 : fd;
}

enum proto_class request_keys_tell(struct call *k)
{
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	struct proto_reply *reply = k->reply;
	AUTO_CLOSE int fd = -1;
	enum proto_class class;

	if (!p)
		return request_refuse(reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_allowed(k, NULL);
	if (class == PROTO_CLASS_OK)
		class = request_pin_find(k, p);
	if (class == PROTO_CLASS_OK)
		class = request_allowed(k, p->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	memcpy(reply->tenant, p->tenant, sizeof(reply->tenant));
	memcpy(reply->key_uri, p->key_uri, sizeof(reply->key_uri));
	reply->kms_count = p->kms_count;
	memcpy(reply->kms, p->kms, sizeof(reply->kms));
	reply->seen = p->seen;
	reply->class = PROTO_CLASS_OK;
	fd = copy_of_config(k);
	server_reply(k->a, k->c, reply, fd); /* here, because a descriptor that the dispatcher sends stays open */
	k->later = true;
	return PROTO_CLASS_OK;
}
