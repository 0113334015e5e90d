/* request.c: from a parsed request to its handler and back, and what handlers share (docs/protocol.md, "Requests"). */
#include "agent/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

enum proto_class request_refuse(struct proto_reply *reply, enum proto_class class, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reply->message, sizeof(reply->message), fmt, ap);
	va_end(ap);
	return class;
}

void request_time_text(char ret_text[static TIME_TEXT_MAX])
{
	if (text_time(time(NULL), TIME_TEXT_MAX, ret_text) < 0)
		ret_text[0] = '\0';
}

static enum proto_class recorded(struct call *k, int r)
{
	if (r >= 0)
		return PROTO_CLASS_OK;
	if (!audit_required(k->a->audit)) {
		log_err("audit log: cannot append: %s; going on without, as required=no says", err_text(r));
		return PROTO_CLASS_OK;
	}
	log_err("audit log: cannot append: %s; nothing is unlocked until it can", err_text(r));
	return request_refuse(k->reply, PROTO_CLASS_AUDIT, "%s: the audit log cannot be written: %s",
			      proto_op_text(k->req->op), err_text(r));
}

enum proto_class request_record(struct call *k, const struct audit_event *e)
{
	return recorded(k, audit_append(k->a->audit, e));
}

enum proto_class request_record_key(struct call *k, const struct audit_event *e)
{
	int r = audit_append_later(k->a->audit, e, &k->row);

	k->row_of_volume = e->uuid != NULL;
	(void)snprintf(k->row_tenant, sizeof(k->row_tenant), "%s", e->tenant);
	return recorded(k, r);
}

void request_record_kms(struct audit_event *e, const struct kms_error *kms)
{
	if (!kms || (!kms->attempts && !kms->http_status))
		return; /* a key of this host */
	e->http = kms->http_status;
	e->attempt = kms->attempts;
	e->latency_ms = kms->latency_ms;
	e->req_id = kms->request_id[0] ? kms->request_id : NULL;
	e->credential_source = kms->credential[0] ? kms->credential : NULL;
}

void request_record_refusal(struct call *k, const char *what, const char *tenant, enum proto_class class, const struct kms_error *kms)
{
	const bool by_us = class == PROTO_CLASS_UNTRUSTED || class == PROTO_CLASS_OLDER || class == PROTO_CLASS_DENIED;
	struct audit_event e = { .what = what, .outcome = by_us ? "refused" : "failed", .peer = &k->c->peer, .uuid = k->req->instance.uuid, .tenant = tenant,
				 .class = proto_class_text(class), .detail = k->reply->message };

	request_record_kms(&e, kms);
	audit_note_refusal(k->a->audit, &e);
}

enum proto_class request_pin_find(struct call *k, struct pin *pin)
{
	bool other = false;
	int r;

	r = pins_load(k->a->pins_dirfd, &k->req->instance, pin);
	if (r >= 0)
		return PROTO_CLASS_OK;
	if (r != -ENOENT) {
		log_err("a pin cannot be read: %s", err_text(r));
		return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "the pin of this volume cannot be read: %s",
				      err_text(r));
	}
	r = pins_has_other(k->a->pins_dirfd, &k->req->instance, &other);
	if (r >= 0 && other)
		return request_refuse(k->reply, PROTO_CLASS_UNTRUSTED,
				      "not trusted on this host: the volume of this uuid is another directory, so this is "
				      "a copy or restore of it; to use it too: coffer trust VOLUME");
	return request_refuse(k->reply, PROTO_CLASS_UNTRUSTED,
			      "not trusted on this host; to trust it: coffer trust VOLUME");
}

enum proto_class request_pin_allowed(struct call *k, struct pin *pin)
{
	enum proto_class class = request_pin_find(k, pin);

	return class == PROTO_CLASS_OK ? request_allowed(k, pin->tenant) : class;
}

enum proto_class request_pin_keep(struct call *k, const struct pin *pin)
{
	int r = pins_store(k->a->pins_dirfd, pin);

	if (r >= 0)
		return PROTO_CLASS_OK;
	log_err("a pin cannot be stored: %s", err_text(r));
	return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "the agent's state cannot be written: %s", err_text(r));
}

void request_bind(struct call *k)
{
	k->c->has_instance = true;
	k->c->instance = k->req->instance;
}

struct request_later {
	uint64_t serial;
	struct proto_request req;
};

struct request_later *request_later_new(struct call *k)
{
	struct request_later *l = malloc(sizeof(*l));

	if (!l)
		return NULL;
	l->serial = k->c->serial;
	l->req = *k->req;
	k->c->waits_for_key = true;
	k->later = true;
	return l;
}

void request_later_free(struct call *k, struct request_later *l)
{
	k->c->waits_for_key = false;
	k->later = false;
	free(l);
}

void request_later_answer(struct agent *a, struct request_later *l, enum proto_class (*fn)(struct call *k, const void *arg), const void *arg)
{
	AUTO_FREE struct proto_reply *reply = calloc(1, sizeof(*reply));
	struct conn *c = server_conn(a, l->serial);
	struct call k = { .a = a, .c = c, .req = &l->req, .fd = -1, .reply = reply, .reply_fd = -1 };

	if (c)
		c->waits_for_key = false;
	if (c && (!reply || peer_check(&c->peer) < 0)) {
		server_drop(a, c, reply ? "the process that connected is gone" : "out of memory");
	} else if (c) {
		c->last_ms = clock_boot_ms();
		reply->id = l->req.id;
		reply->op = l->req.op;
		reply->class = fn(&k, arg);
		if (reply->class == PROTO_CLASS_OK && k.row)
			request_held_keep(&k);
		else
			server_reply(a, c, reply, k.reply_fd);
		proto_reply_done(reply);
	}
	free(l);
}

static enum proto_class hello(struct call *k)
{
	k->c->helloed = true;
	(void)snprintf(k->reply->version, sizeof(k->reply->version), "%s", k->a->options.version);
	k->reply->pid = getpid();
	return PROTO_CLASS_OK;
}

static enum proto_class (*const handlers[PROTO_OPS])(struct call *k) = {
	[PROTO_OP_HELLO] = hello,   [PROTO_OP_INIT] = request_key_init,     [PROTO_OP_PIN] = request_key_pin,
	[PROTO_OP_UNLOCK] = request_unlock_start, [PROTO_OP_ACK] = request_key_ack,       [PROTO_OP_TRUST] = request_key_trust,
	[PROTO_OP_EVENT] = request_mount_event,   [PROTO_OP_REGISTER] = request_mount_register,
	[PROTO_OP_STATUS] = request_mount_status, [PROTO_OP_SYNC] = request_mount_sync,
	[PROTO_OP_FREEZE] = request_mount_freeze, [PROTO_OP_THAW] = request_mount_thaw,
	[PROTO_OP_LOCK] = request_lock_lock,       [PROTO_OP_UNLOCK_TENANT] = request_lock_unlock,
	[PROTO_OP_KEYS] = request_keys_tell,       [PROTO_OP_RECOVER] = request_recover_start,
	[PROTO_OP_SEAL] = request_seal_start,      [PROTO_OP_UNSEAL] = request_seal_unseal,
	[PROTO_OP_DONE] = request_done,            [PROTO_OP_AUDIT] = request_audit,
	[PROTO_OP_BACKUP_SIGN] = request_backup_sign, [PROTO_OP_BACKUP_TAG] = request_mount_backup_tag,
};

void request_handle(struct agent *a, struct conn *c, const struct proto_request *req, int fd)
{
	AUTO_FREE struct proto_reply *reply = calloc(1, sizeof(*reply));
	struct call k = { .a = a, .c = c, .req = req, .fd = fd, .reply = reply, .reply_fd = -1 };

	if (!reply) {
		server_drop(a, c, "out of memory");
	} else if (peer_check(&c->peer) < 0) {
		server_drop(a, c, "the process that connected is gone");
	} else {
		reply->id = req->id;
		reply->op = req->op;
		if (!c->helloed && req->op != PROTO_OP_HELLO)
			reply->class = request_refuse(reply, PROTO_CLASS_BADREQ, "say hello first");
		else if (!c->admitted && req->op != PROTO_OP_HELLO)
			reply->class = request_allowed(&k, NULL); /* denies, before anything of it is looked at */
		else
			reply->class = handlers[req->op](&k);
		if (!k.later)
			server_reply(a, c, reply, k.reply_fd);
		proto_reply_done(reply);
	}
	if (fd >= 0)
		(void)close(fd);
}
