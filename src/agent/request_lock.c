/* request_lock.c: lock, unlock-tenant, and the events `lock` and `unlock` (docs/protocol.md, "Locks").
 *
 * An operator's lock is stored before any mount is told, and whoever asks is answered when every mount has answered or its time is over. Opening again is the
 * mount's own `unlock` request, a real unwrap: what the KMS refuses stays locked, whatever an operator says. */
#include "agent/request.h"

#include <stdio.h>
#include <string.h>

#include "agent/credkeys.h"
#include "agent/kept.h"
#include "agent/lease_run.h"
#include "agent/packet.h"
#include "base/clock.h"
#include "base/log.h"

/* Somebody who asked, and the events first..last that he waits for. */
struct lock_wait {
	struct lock_wait *next;
	struct conn *asker;
	int64_t id;
	enum proto_op op;
	int64_t first, last;
	uint64_t pending, obeyed;
	bool stored;
	char message[PROTO_MESSAGE_MAX]; /* of the first mount that has not obeyed */
};

static void waits_tell(struct agent *a, const struct conn *c, int64_t id, const char *why);

/* --- one mount --- */

static void mount_record(struct agent *a, const struct conn *c, const char *what, const char *class, const char *reason)
{
	struct audit_event e = { .what = what, .peer = &c->peer, .uuid = c->instance.uuid, .tenant = c->mount->tenant,
				 .key_uri = c->mount->key_uri, .mountpoint = c->mount->said->mountpoint, .class = class,
				 .outcome = class ? "failed" : NULL, .reason = reason };

	audit_note(a->audit, &e);
}

void request_lock_mount(struct agent *a, struct conn *c, const char *reason)
{
	struct proto_event ev = { .push = PROTO_PUSH_LOCK, .id = ++a->next_event_id };
	struct mount *m = c->mount;

	(void)snprintf(ev.reason, sizeof(ev.reason), "%s", reason);
	(void)snprintf(m->locked_reason, sizeof(m->locked_reason), "%s", reason);
	if (!m->locked)
		request_time_text(m->locked_since);
	m->locked = true;
	if (m->lock_id)
		waits_tell(a, c, m->lock_id, "it was locked anew before it had answered");
	m->lock_id = ev.id;
	m->lock_deadline_ms = clock_boot_ms() + AGENT_LOCK_MS;
	server_push(a, c, &ev);
}

void request_lock_open_mount(struct agent *a, struct conn *c)
{
	struct proto_event ev = { .push = PROTO_PUSH_UNLOCK, .id = ++a->next_event_id };
	uint64_t now = clock_boot_ms();

	if (c->mount->unlock_id)
		waits_tell(a, c, c->mount->unlock_id, "it was asked anew before it had answered");
	c->mount->unlock_id = ev.id;
	c->mount->unlock_deadline_ms = now + AGENT_LOCK_MS;
	server_push(a, c, &ev);
}

static const struct locks_item *mount_operator(const struct agent *a, const struct conn *c)
{
	return locks_find(a->locks, c->instance.uuid, c->mount->tenant);
}

static void lock_text(const struct locks_item *lock, char ret_text[static PROTO_MESSAGE_MAX])
{
	(void)snprintf(ret_text, PROTO_MESSAGE_MAX, "%s locked by uid %llu at %s%s%s", lock->tenant[0] ? "tenant" : "volume",
		       (unsigned long long)lock->uid, lock->since, lock->reason[0] ? ": " : "", lock->reason);
}

void request_lock_registered(struct agent *a, struct conn *c, bool fresh)
{
	const struct locks_item *lock = mount_operator(a, c);
	struct mount *m = c->mount;
	char text[PROTO_MESSAGE_MAX];

	if (m->said->locked) {
		m->locked = true;
		request_time_text(m->locked_since);
		(void)snprintf(m->locked_reason, sizeof(m->locked_reason), "it was locked when it registered");
	}
	lease_run_begin(a, c, fresh, lock != NULL);
	if (lock) {
		lock_text(lock, text);
		request_lock_mount(a, c, text);
	}
}

/* --- who waits --- */

static void wait_answer(struct agent *a, struct lock_wait *w)
{
	struct proto_reply reply = { .id = w->id, .op = w->op, .mounts = w->obeyed };

	if (!w->stored)
		reply.class = request_refuse(&reply, PROTO_CLASS_INTERNAL, "locked until the agent ends only: the lock cannot be stored");
	else if (w->message[0])
		reply.class = request_refuse(&reply, PROTO_CLASS_BUSY, "%s", w->message);
	server_reply(a, w->asker, &reply, -1);
}

static void wait_end(struct agent *a, struct lock_wait *w)
{
	struct lock_wait **at;

	for (at = &a->lock_waits; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	w->asker->relays--;
	free(w);
}

/* The event has an end: why is NULL when the mount obeyed. */
static void waits_tell(struct agent *a, const struct conn *c, int64_t id, const char *why)
{
	struct lock_wait *w;

	for (w = a->lock_waits; w; w = w->next)
		if (id >= w->first && id <= w->last)
			break;
	if (!w)
		return;
	if (!why)
		w->obeyed++;
	else if (!w->message[0])
		(void)snprintf(w->message, sizeof(w->message), "it is done, but not at %.200s: %.200s", c->mount->said->mountpoint, why);
	if (--w->pending > 0)
		return;
	wait_answer(a, w);
	wait_end(a, w);
}

static void lock_over(struct agent *a, struct conn *c, const char *why, const char *class)
{
	int64_t id = c->mount->lock_id;

	c->mount->lock_id = 0;
	if (why)
		log_err("%s: not locked in order: %s", c->mount->said->mountpoint, why);
	else
		log_info("%s: locked: %s", c->mount->said->mountpoint, c->mount->locked_reason);
	mount_record(a, c, "key.lock", class, why ? why : c->mount->locked_reason);
	waits_tell(a, c, id, why);
}

static void unlock_over(struct agent *a, struct conn *c, const char *why)
{
	struct mount *m = c->mount;
	int64_t id = m->unlock_id;

	m->unlock_id = 0;
	/* A lock that was sent behind this event is obeyed behind it. */
	if (!why && !m->lock_id) {
		m->locked = false;
		m->locked_reason[0] = '\0';
		log_info("%s: unlocked", m->said->mountpoint);
		mount_record(a, c, "key.unlock", NULL, NULL);
	} else if (why) {
		log_warning("%s: stays locked: %s", m->said->mountpoint, why);
	}
	lease_run_unlocked(a, c, !why);
	waits_tell(a, c, id, why);
}

void request_lock_event_done(struct agent *a, struct conn *c, const struct proto_event *ev)
{
	const char *why = ev->class == PROTO_CLASS_OK ? NULL : ev->message[0] ? ev->message : "it refused";
	const char *class = why ? proto_class_text(ev->class) : NULL;

	if (ev->push == PROTO_PUSH_LOCK && c->mount->lock_id && ev->id == c->mount->lock_id)
		lock_over(a, c, why, class);
	else if (ev->push == PROTO_PUSH_UNLOCK && c->mount->unlock_id && ev->id == c->mount->unlock_id)
		unlock_over(a, c, why);
}

void request_lock_tick(struct agent *a, uint64_t now_ms)
{
	struct conn *c;

	for (c = a->conns; c; c = c->next) {
		struct mount *m = c->mount;

		if (!m || c->dead)
			continue;
		if (m->lock_id && now_ms >= m->lock_deadline_ms)
			lock_over(a, c, "no answer in 30 s", "TRANSIENT");
		if (m->unlock_id && now_ms >= m->unlock_deadline_ms)
			unlock_over(a, c, "no answer in 30 s");
	}
}

void request_lock_forget(struct agent *a, struct conn *c)
{
	struct lock_wait *w, *next;

	for (w = a->lock_waits; w; w = next) {
		next = w->next;
		if (w->asker == c)
			wait_end(a, w);
	}
	if (c->mount && c->mount->lock_id)
		waits_tell(a, c, c->mount->lock_id, NULL); /* a mount that is gone has no keys */
	if (c->mount && c->mount->unlock_id)
		waits_tell(a, c, c->mount->unlock_id, "the mount has gone away");
}

/* --- the operator --- */

enum proto_class request_lock_check(struct call *k, const uint8_t *uuid, const char *tenant)
{
	const struct locks_item *lock = uuid ? locks_find(k->a->locks, uuid, tenant) : locks_find_tenant(k->a->locks, tenant);
	char text[PROTO_MESSAGE_MAX];

	if (!lock)
		return PROTO_CLASS_OK;
	lock_text(lock, text);
	return request_refuse(k->reply, PROTO_CLASS_LOCKED, "%.440s; to undo it: coffer unlock %s", text,
			      lock->tenant[0] ? "--tenant T" : "VOLUME");
}

/* Tell every mount that it concerns; the answer is given when all have answered. */
static enum proto_class tell_all(struct call *k, const struct locks_item *lock, bool stored)
{
	struct agent *a = k->a;
	struct lock_wait *w = calloc(1, sizeof(*w));
	char text[PROTO_MESSAGE_MAX];
	struct conn *c;

	if (!w)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	lock_text(lock, text);
	*w = (struct lock_wait){ .asker = k->c, .id = k->req->id, .op = k->req->op, .stored = stored,
				 .first = a->next_event_id + 1 };
	for (c = a->conns; c; c = c->next) {
		if (!c->mount || c->dead ||
		    (lock->tenant[0] ? strcmp(c->mount->tenant, lock->tenant) != 0 : memcmp(c->instance.uuid, lock->uuid, UUID_LEN) != 0))
			continue;
		if (k->req->op == PROTO_OP_UNLOCK_TENANT && (!c->mount->locked || mount_operator(a, c)))
			continue;
		w->pending++;
		if (k->req->op == PROTO_OP_LOCK) {
			lease_run_operator_lock(c);
			request_lock_mount(a, c, text);
		} else {
			lease_run_open(c);
			request_lock_open_mount(a, c);
		}
	}
	w->last = a->next_event_id;
	w->next = a->lock_waits;
	a->lock_waits = w;
	k->c->relays++;
	k->later = true;
	if (w->pending == 0) {
		wait_answer(a, w);
		wait_end(a, w);
	}
	return PROTO_CLASS_OK;
}

/* e: the row about it, which names the one or the other. */
static enum proto_class target_take(struct call *k, struct locks_item *ret_lock, struct audit_event *e)
{
	/* A volume's uuid is for its maker to choose: locked by it alone, another tenant's could be meant. That is for who administers the host ("" has no file). */
	enum proto_class class = request_allowed_for(k, k->req->tenant, NULL);

	memcpy(ret_lock->tenant, k->req->tenant, sizeof(ret_lock->tenant));
	memcpy(ret_lock->uuid, k->req->uuid, UUID_LEN);
	memcpy(ret_lock->reason, k->req->reason, sizeof(ret_lock->reason));
	ret_lock->uid = k->c->peer.uid;
	request_time_text(ret_lock->since);
	e->tenant = ret_lock->tenant[0] ? ret_lock->tenant : NULL;
	e->uuid = ret_lock->tenant[0] ? NULL : ret_lock->uuid;
	if (class == PROTO_CLASS_OK && k->c->relays >= AGENT_RELAYS_PER_CONNECTION)
		class = request_refuse(k->reply, PROTO_CLASS_BUSY, "%s: too many requests wait already", proto_op_text(k->req->op));
	return class;
}

enum proto_class request_lock_lock(struct call *k)
{
	struct locks_item lock = { 0 };
	struct audit_event e = { .what = "operator.lock", .peer = &k->c->peer, .reason = lock.reason };
	enum proto_class class = target_take(k, &lock, &e);
	int r;

	if (class != PROTO_CLASS_OK)
		return class;
	audit_note(k->a->audit, &e); /* nothing is opened by locking: it is done all the same */
	kept_lock(k->a, lock.tenant, lock.uuid);
	credkeys_lock(k->a, lock.tenant);
	r = locks_add(k->a->locks, &lock);
	if (r == -ENOSPC)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "lock: %d locks are there already; lock the tenant", LOCKS_MAX);
	if (r < 0)
		log_err("locks.json: %s", err_text(r));
	return tell_all(k, &lock, r >= 0);
}

enum proto_class request_lock_unlock(struct call *k)
{
	struct locks_item lock = { 0 };
	struct audit_event e = { .what = "operator.unlock", .peer = &k->c->peer };
	enum proto_class class = target_take(k, &lock, &e);
	int r;

	if (class != PROTO_CLASS_OK)
		return class;
	class = request_record(k, &e);
	if (class != PROTO_CLASS_OK)
		return class;
	r = locks_remove(k->a->locks, &lock);
	if (r < 0 && r != -ENOENT)
		return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "unlock: the agent's state cannot be written: %s", err_text(r));
	return tell_all(k, &lock, true);
}
