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
		class = request_pin_allowed(k, p);
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

enum proto_class request_keys_brought(struct call *k, struct secret **ret_key, char ret_uri[static KMS_RECOVERY_URI_MAX])
{
	AUTO_SECRET struct secret *key = NULL;
	uint8_t id[RECOVERY_ID_LEN];
	int r;

	r = k->fd < 0 ? -EPROTO : packet_read_secret(k->fd, KEY_LEN, &key);
	if (r == -EPROTO)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "%s: no key beside the request", proto_op_text(k->req->op));
	if (r >= 0)
		r = keys_recovery_id(key, id);
	if (r < 0)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "key: no locked memory: %s", err_text(r));
	kms_recovery_uri(id, ret_uri);
	*ret_key = take_ptr(key);
	return PROTO_CLASS_OK;
}
