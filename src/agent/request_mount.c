/* request_mount.c: register, event, status, sync, freeze, thaw and backup-tag (docs/protocol.md, "Mounts"). */
#include "agent/request.h"

#include <stdio.h>
#include <string.h>

bool request_mount_bound(const struct call *k, const struct proto_instance *in)
{
	return k->c->has_instance && proto_instance_equal(&k->c->instance, in);
}

void request_mount_free(struct conn *c)
{
	if (!c->mount)
		return;
	free(c->mount->said);
	free(c->mount);
	c->mount = NULL;
}

static enum proto_class mount_make(struct call *k, const struct pin *p)
{
	struct mount *m = calloc(1, sizeof(*m));

	if (!m)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	m->said = malloc(sizeof(*m->said));
	if (!m->said) {
		free(m);
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	}
	*m->said = *k->req;
	memcpy(m->tenant, p->tenant, sizeof(m->tenant));
	memcpy(m->key_uri, p->key_uri, sizeof(m->key_uri));
	memcpy(m->done_s, p->done_s, sizeof(m->done_s));
	request_time_text(m->since);
	request_mount_free(k->c);
	k->c->mount = m;
	return PROTO_CLASS_OK;
}

enum proto_class request_mount_register(struct call *k)
{
	struct audit_event e = { .what = "mount.register", .peer = &k->c->peer, .uuid = k->req->instance.uuid,
				 .mountpoint = k->req->mountpoint };
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	bool fresh;
	enum proto_class class;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_allowed(k, NULL);
	if (class != PROTO_CLASS_OK)
		return class;
	if (k->c->has_instance && !request_mount_bound(k, &k->req->instance))
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "register: another volume was unlocked here");
	class = request_pin_allowed(k, p); /* a second time, with the tenant now known */
	if (class != PROTO_CLASS_OK)
		return class;
	e.tenant = p->tenant;
	/* A mount that is there already comes back whether or not this can be recorded: it has its key, and without us it would lock. */
	audit_note(k->a->audit, &e);
	fresh = k->c->has_instance && !k->c->mount; /* unlocked on this connection */
	class = mount_make(k, p);
	if (class != PROTO_CLASS_OK)
		return class;
	request_bind(k);
	k->reply->agent_grace_ms = tenants_find(k->a->tenants, p->tenant)->lease.agent_grace_ms;
	/* The answer first: what follows may be an event. */
	server_reply(k->a, k->c, k->reply, -1);
	k->later = true;
	request_lock_registered(k->a, k->c, fresh);
	return PROTO_CLASS_OK;
}

static enum proto_class seen_keep(struct call *k, struct pin *p)
{
	if (proto_seen_is_older(&k->req->seen, &p->seen) && !p->seen.older_ok)
		return request_refuse(k->reply, PROTO_CLASS_OLDER, "seen: older than this host has seen");
	p->seen = k->req->seen;
	p->seen.older_ok = false;
	return request_pin_keep(k, p);
}

enum proto_class request_mount_event(struct call *k)
{
	static const struct {
		const char *what, *outcome;
	} kinds[PROTO_KINDS] = {
		[PROTO_KIND_SEEN] = { "volume.seen", "refused" },
		[PROTO_KIND_INTEGRITY] = { "mount.integrity", "failed" },
		[PROTO_KIND_OLDER] = { "volume.older", "refused" },
		[PROTO_KIND_REPLAY] = { "mount.replay", "ok" },
		[PROTO_KIND_DRILL] = { "drill", "ok" },
	};
	struct audit_event e = { .what = kinds[k->req->kind].what, .outcome = kinds[k->req->kind].outcome, .peer = &k->c->peer, .uuid = k->c->instance.uuid,
				 .object = k->req->object, .detail = k->req->detail, .count = k->req->count };
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	enum proto_class class;
	int r;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = k->c->mount ? PROTO_CLASS_OK : request_allowed(k, NULL);
	if (class != PROTO_CLASS_OK)
		return class;
	if (!k->c->has_instance)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "event: no volume was unlocked or registered here");
	r = pins_load(k->a->pins_dirfd, &k->c->instance, p);
	if (r < 0)
		return request_refuse(k->reply, PROTO_CLASS_UNTRUSTED, "event: the volume is not trusted any more");
	/* A mount goes on telling whatever the rules say now: it is given nothing for it. */
	if (!k->c->mount)
		class = request_allowed_for(k, p->tenant, k->c->instance.uuid);
	if (class != PROTO_CLASS_OK)
		return class;
	e.tenant = p->tenant;
	if (k->req->kind == PROTO_KIND_DRILL)
		return request_record(k, &e); /* evidence: not limited in rate, and not done when it cannot be written */
	class = k->req->kind == PROTO_KIND_SEEN ? seen_keep(k, p) : PROTO_CLASS_OK;
	if (k->req->kind != PROTO_KIND_SEEN || class == PROTO_CLASS_OLDER)
		audit_note_refusal(k->a->audit, &e);
	return class;
}

static enum proto_class relayed(struct call *k, int r)
{
	if (r >= 0) {
		k->later = true;
		return PROTO_CLASS_OK;
	}
	if (r == -ENOTCONN)
		return request_refuse(k->reply, PROTO_CLASS_NOT_MOUNTED, "%s: nothing is mounted there",
				      proto_op_text(k->req->op));
	return request_refuse(k->reply, PROTO_CLASS_BUSY, "%s: too many requests wait already",
			      proto_op_text(k->req->op));
}

enum proto_class request_mount_status(struct call *k)
{
	enum proto_class class = request_allowed(k, NULL);

	if (class != PROTO_CLASS_OK)
		return class;
	return relayed(k, relay_status(k->a, k->c, k->req->id));
}

static enum proto_class relay_to_mount(struct call *k, enum proto_push push)
{
	struct conn *m = relay_mount_at(k->a, k->req->mountpoint, k->req->mounter);
	enum proto_class class = request_allowed_for(k, m ? m->mount->tenant : NULL, m ? m->instance.uuid : NULL);

	if (class != PROTO_CLASS_OK)
		return class;
	return relayed(k, relay_sync(k->a, k->c, k->req, push, m));
}

enum proto_class request_mount_sync(struct call *k)
{
	return relay_to_mount(k, PROTO_PUSH_SYNC);
}

enum proto_class request_mount_freeze(struct call *k)
{
	return relay_to_mount(k, PROTO_PUSH_FREEZE);
}

enum proto_class request_mount_thaw(struct call *k)
{
	return relay_to_mount(k, PROTO_PUSH_THAW);
}

/* What a mount does for nobody but us, and only of a hold; that it was asked is on record first. */
enum proto_class request_mount_backup_tag(struct call *k)
{
	struct audit_event e = { .what = "backup.tag", .peer = &k->c->peer, .mountpoint = k->req->mountpoint };
	struct conn *m = relay_mount_at(k->a, k->req->mountpoint, k->req->mounter);
	enum proto_class class = request_allowed_for(k, m ? m->mount->tenant : NULL, m ? m->instance.uuid : NULL);
	char detail[96], uuid[33];

	if (class != PROTO_CLASS_OK)
		return class;
	if (!m)
		return relayed(k, -ENOTCONN);
	volume_config_uuid_text(m->instance.uuid, uuid);
	if (!backup_statement_ok(k->req->statement, uuid))
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "backup-tag: not a statement about a backup of the volume that is mounted there");
	/* Its last line: the manifest's SHA-256. */
	(void)snprintf(detail, sizeof(detail), "manifest %.64s", k->req->statement + strlen(k->req->statement) - 65);
	e.uuid = m->instance.uuid;
	e.tenant = m->mount->tenant;
	e.detail = detail;
	class = k->req->has_tag ? PROTO_CLASS_OK : request_record(k, &e); /* a look gives nothing away */
	return class == PROTO_CLASS_OK ? relayed(k, relay_sync(k->a, k->c, k->req, PROTO_PUSH_BACKUP_TAG, m)) : class;
}
