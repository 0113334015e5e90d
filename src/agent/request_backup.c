/* request_backup.c: sign for a backup, so that who reads a store can tell this host's snapshots from those that somebody else has put there. The key is the host's, and
 * signs nothing else; each signature is a row of the audit log first. */
#include "agent/request.h"

#include <stdio.h>
#include <string.h>

#include "agent/host_key.h"
#include "base/log.h"
#include "crypt/backup_statement.h"
#include "crypt/sign.h"

static enum proto_class sign(struct call *k)
{
	AUTO_SECRET struct secret *seed = NULL;
	int r;

	r = host_key(k->a->state_dirfd, HOST_KEY_BACKUP, true, &seed);
	if (r >= 0)
		r = sign_public(seed, k->reply->public_key);
	if (r >= 0)
		r = sign_make(seed, k->req->statement, strlen(k->req->statement), k->reply->signature);
	if (r >= 0)
		return PROTO_CLASS_OK;
	log_err(HOST_KEY_BACKUP ": %s", err_text(r));
	return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "backup-sign: the host's backup key cannot be used: %s", err_text(r));
}

enum proto_class request_backup_sign(struct call *k)
{
	struct audit_event e = { .what = "backup.sign", .peer = &k->c->peer, .uuid = k->req->instance.uuid };
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	char detail[96], uuid[33];
	enum proto_class class;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_allowed(k, NULL);
	if (class == PROTO_CLASS_OK)
		class = request_pin_find(k, p);
	if (class == PROTO_CLASS_OK)
		class = request_allowed(k, p->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	volume_config_uuid_text(p->instance.uuid, uuid);
	if (!backup_statement_ok(k->req->statement, uuid))
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "backup-sign: not a statement about a backup of this volume");
	/* Its last line: the manifest's SHA-256. */
	(void)snprintf(detail, sizeof(detail), "manifest %.64s", k->req->statement + strlen(k->req->statement) - 65);
	e.tenant = p->tenant;
	e.detail = detail;
	class = request_record(k, &e);
	return class == PROTO_CLASS_OK ? sign(k) : class;
}
