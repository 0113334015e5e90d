/* request_audit.c: a tenant's own rows of the audit log, for whom its rules give the right to read them (docs/protocol.md, "audit"). The log is read on a thread; the right is asked for before and
 * behind it. That somebody read is a row itself, limited like refusals: whoever may read must not be able to fill the disk. */
#include "agent/request.h"

#include <string.h>

#include "agent/audit_tenant.h"
#include "agent/jobs.h"
#include "agent/packet.h"
#include "base/log.h"

struct reading {
	struct jobs_item item;      /* first */
	struct request_later *later;
	int dirfd;
	char tenant[TENANT_LEN_MAX + 1];
	int64_t since_ns;
	uint64_t from_seq;
	/* results */
	int r, fd;
	char *text;
	size_t len;
	uint64_t next_seq;
};

static void reading_free(struct reading *g)
{
	if (!g)
		return;
	auto_close_p(&g->dirfd);
	auto_close_p(&g->fd);
	free(g->text);
	free(g);
}
DEFINE_AUTO(struct reading, reading_free)

static void run(struct jobs_item *item)
{
	struct reading *g = (struct reading *)item;

	g->r = audit_tenant_page(g->dirfd, g->tenant, g->since_ns, g->from_seq, &g->text, &g->len, &g->next_seq);
	if (g->r >= 0)
		g->r = packet_seal(g->text ? g->text : "", g->len, &g->fd);
}

static enum proto_class give(struct call *k, const void *arg)
{
	const struct audit_event e = { .what = "audit.read", .peer = &k->c->peer, .tenant = k->req->tenant };
	const struct reading *g = arg;
	enum proto_class class = request_allowed_for(k, k->req->tenant, NULL); /* the rules may be others by now */

	if (class != PROTO_CLASS_OK)
		return class;
	if (g->r < 0) {
		log_err("audit log: cannot be read for tenant %s: %s", k->req->tenant, err_text(g->r));
		return request_refuse(k->reply, g->r == -ENOMEM ? PROTO_CLASS_RESOURCE : PROTO_CLASS_INTERNAL, "audit: the log cannot be read: %s", err_text(g->r));
	}
	if (k->req->from_seq == 0)
		audit_note_refusal(k->a->audit, &e);
	k->reply->next_seq = g->next_seq;
	k->reply_fd = g->fd;
	return PROTO_CLASS_OK;
}

static void done(void *ctx, struct jobs_item *item, bool cancelled)
{
	AUTO(reading_free_p) struct reading *g = (struct reading *)item;
	struct agent *a = ctx;

	if (cancelled)
		g->r = -ECANCELED;
	a->audits--;
	request_later_answer(a, g->later, give, g);
}

enum proto_class request_audit(struct call *k)
{
	AUTO(reading_free_p) struct reading *g = NULL;
	enum proto_class class;

	class = request_allowed_for(k, k->req->tenant, NULL);
	if (class == PROTO_CLASS_OK)
		class = request_key_free_hands(k);
	if (class != PROTO_CLASS_OK)
		return class;
	if (k->a->audits >= AGENT_AUDITS_MAX)
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "audit: others are reading the log; ask again");
	g = calloc(1, sizeof(*g));
	if (!g)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	g->item = (struct jobs_item){ .run = run, .done = done };
	g->fd = -1;
	g->dirfd = audit_dir(k->a->audit);
	if (g->dirfd < 0)
		return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "audit: the log cannot be read: %s", err_text(g->dirfd));
	memcpy(g->tenant, k->req->tenant, sizeof(g->tenant));
	g->since_ns = k->req->since_ns > INT64_MAX ? INT64_MAX : (int64_t)k->req->since_ns;
	g->from_seq = k->req->from_seq;
	g->later = request_later_new(k);
	if (!g->later || jobs_submit(k->a->jobs, &g->item) < 0) {
		if (g->later)
			request_later_free(k, g->later);
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "audit: too much is being asked for already");
	}
	k->a->audits++;
	(void)take_ptr(g);
	return PROTO_CLASS_OK;
}
