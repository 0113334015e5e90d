/* credsock_load.c: who connected, what it may have, and its secret. Decided when it is accepted and once more before the secret is written: rules, locks and the process may be
 * others by then. The row cred.open is durable first. */
#include "agent/credsock_impl.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/credkeys.h"
#include "agent/credrules.h"
#include "agent/jobs.h"
#include "agent/request.h"
#include "base/fileio.h"
#include "base/log.h"

void credsock_load_free(struct load *l)
{
	peer_done(&l->peer);
	secret_free(l->plain);
	free(l->file);
	free(l->cred);
	if (l->fd >= 0)
		(void)close(l->fd);
	free(l);
}

/* --- refusals --- */

void credsock_refuse(struct agent *a, struct load *l, const char *what, enum proto_class class, const char *fmt, ...)
{
	char text[PROTO_MESSAGE_MAX];
	struct audit_event e = { .what = what, .outcome = "refused", .peer = l->peer.pidfd >= 0 ? &l->peer : NULL, .tenant = l->tenant[0] ? l->tenant : NULL,
				 .class = proto_class_text(class), .object = l->name.id, .purpose = "LoadCredential", .reason = text };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_info("LoadCredential of %s in %s: refused: %s", l->name.id[0] ? l->name.id : "?", l->peer.unit[0] ? l->peer.unit : "no unit", text);
	audit_note_refusal(a->audit, &e);
	credsock_answer(a, l);
}

/* --- the secret --- */

/* Who it is and what it may have; again, when time has passed. */
static enum proto_class load_decide(const struct agent *a, struct load *l, const struct tenant_credential **ret_c, char message[static PROTO_MESSAGE_MAX])
{
	const struct tenant *t;
	int r;

	message[0] = '\0';
	r = credrules_unit(a->tenants, l->peer.unit, l->name.id, &t, ret_c);
	if (r < 0) {
		(void)snprintf(message, PROTO_MESSAGE_MAX, r == -EEXIST ? "two tenants have it for this unit" : "no tenant has it for this unit");
		return PROTO_CLASS_DENIED;
	}
	if (l->tenant[0] && strcmp(l->tenant, t->name) != 0) {
		(void)snprintf(message, PROTO_MESSAGE_MAX, "the rules have changed; it is tenant %s's now", t->name);
		return PROTO_CLASS_DENIED;
	}
	memcpy(l->tenant, t->name, sizeof(l->tenant));
	return credrules_locked(a, l->tenant, message);
}

static int load_open(struct agent *a, struct load *l, const struct credkeys_answer *answer, char message[static PROTO_MESSAGE_MAX], enum proto_class *ret_class)
{
	struct audit_event e = { .what = "cred.open", .peer = &l->peer, .tenant = l->tenant, .object = l->name.id, .purpose = "LoadCredential",
				 .key_uri = l->cred->key.uri, .key_version = l->cred->key.version, .cache = answer->cache };
	char detail[64];
	int r;

	r = credential_open(answer->key, l->cred, l->file, l->file_len, &l->plain);
	if (r < 0) {
		*ret_class = credrules_failed(r, message);
		return r;
	}
	(void)snprintf(detail, sizeof(detail), "version %llu", (unsigned long long)l->cred->version);
	e.detail = detail;
	request_record_kms(&e, answer->kms);
	r = audit_append(a->audit, &e);
	if (r >= 0 || !audit_required(a->audit))
		return 0;
	secret_free(take_ptr(l->plain));
	*ret_class = PROTO_CLASS_AUDIT;
	(void)snprintf(message, PROTO_MESSAGE_MAX, "the audit log cannot be written: %s", err_text(r));
	return r;
}

/* What held it has come back: is it still waited for? */
static bool load_back(struct load *l)
{
	l->held = false;
	if (l->fd < 0)
		credsock_load_free(l);
	else if (l->state != LOAD_WRITE)
		return true;
	return false;
}

static void key_arrived(struct agent *a, void *arg, const struct credkeys_answer *answer)
{
	const struct tenant_credential *rule;
	char message[PROTO_MESSAGE_MAX];
	struct load *l = arg;
	enum proto_class class;

	if (!load_back(l))
		return;
	class = load_decide(a, l, &rule, message);
	if (class == PROTO_CLASS_OK)
		class = credrules_check(a, l->tenant, l->name.id, l->cred, message);
	if (class == PROTO_CLASS_OK && answer->class != PROTO_CLASS_OK) {
		class = answer->class;
		(void)snprintf(message, sizeof(message), "%s", answer->message);
	}
	if (class == PROTO_CLASS_OK && peer_check(&l->peer) < 0) {
		class = PROTO_CLASS_DENIED;
		(void)snprintf(message, sizeof(message), "the process that connected is gone");
	}
	if (class == PROTO_CLASS_OK && load_open(a, l, answer, message, &class) >= 0)
		credsock_answer(a, l);
	else
		credsock_refuse(a, l, "cred.open", class, "%s", message);
}

/* --- the file --- */

struct reading {
	struct jobs_item item;          /* first */
	struct load *load;
	uid_t agent_uid;
	char *path;
	int r;
	uint8_t *file;
	size_t len;
};

/* Root's or the agent's own, and nobody else writes it. */
static int file_read(struct reading *j)
{
	AUTO_CLOSE int fd = open(j->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	AUTO_FREE uint8_t *p = NULL;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != j->agent_uid) || (st.st_mode & 022))
		return -EPERM;
	if (st.st_size < 1 || (uint64_t)st.st_size > CREDENTIAL_FILE_MAX)
		return -EUCLEAN;
	p = malloc((size_t)st.st_size);
	if (!p)
		return -ENOMEM;
	r = fileio_read_full(fd, p, (size_t)st.st_size);
	if (r < 0)
		return r;
	j->len = (size_t)st.st_size;
	j->file = take_ptr(p);
	return 0;
}

static void file_run(struct jobs_item *item)
{
	struct reading *j = (struct reading *)item;

	j->r = file_read(j);
}

static enum proto_class file_failed(int r, char message[static PROTO_MESSAGE_MAX])
{
	if (r == -EUCLEAN)
		return credrules_failed(r, message);
	if (r == -EPERM)
		(void)snprintf(message, PROTO_MESSAGE_MAX, "its file is not a regular one of root or the agent's user that nobody else writes");
	else
		(void)snprintf(message, PROTO_MESSAGE_MAX, "its file cannot be read: %s", err_text(r));
	return PROTO_CLASS_CONFIG;
}

/* The job is over; what it read is the load's. */
static void file_arrived(struct agent *a, struct load *l, int r)
{
	const struct tenant_credential *rule;
	char message[PROTO_MESSAGE_MAX] = "";
	enum proto_class class = PROTO_CLASS_OK;

	if (r < 0)
		class = file_failed(r, message);
	if (class == PROTO_CLASS_OK)
		r = credential_parse(l->file, l->file_len, l->cred);
	if (class == PROTO_CLASS_OK && r < 0)
		class = credrules_failed(r, message);
	if (class == PROTO_CLASS_OK)
		class = load_decide(a, l, &rule, message);
	if (class == PROTO_CLASS_OK)
		class = credrules_check(a, l->tenant, l->name.id, l->cred, message);
	if (class != PROTO_CLASS_OK) {
		credsock_refuse(a, l, "cred.open", class, "%s", message);
		return;
	}
	l->state = LOAD_KEY;
	l->held = true;
	r = credkeys_open(a, l->tenant, &l->cred->key, key_arrived, l);
	if (r >= 0)
		return; /* it may be gone already */
	l->held = false;
	credsock_refuse(a, l, "cred.open", PROTO_CLASS_BUSY, "too many keys are being asked for already: %s", err_text(r));
}

static void file_done(void *ctx, struct jobs_item *item, bool cancelled)
{
	struct reading *j = (struct reading *)item;
	struct load *l = j->load;

	if (load_back(l)) {
		l->file = take_ptr(j->file);
		l->file_len = j->len;
		file_arrived(ctx, l, cancelled ? -ECANCELED : j->r);
	}
	free(j->file);
	free(j->path);
	free(j);
}

static int file_ask(struct agent *a, struct load *l, const char *path)
{
	struct reading *j = calloc(1, sizeof(*j));
	int r = -ENOMEM;

	if (!j)
		return r;
	j->item = (struct jobs_item){ .run = file_run, .done = file_done };
	j->load = l;
	j->agent_uid = a->policy.agent_uid;
	j->path = strdup(path);
	if (j->path)
		r = jobs_submit(a->jobs, &j->item);
	l->held = r >= 0;
	if (r < 0) {
		free(j->path);
		free(j);
	}
	return r;
}

/* --- someone has connected --- */

/* Why this peer gets nothing at all; NULL: it is who it says. */
static const char *stranger(struct load *l)
{
	struct sockaddr_un sa = { 0 };
	socklen_t len = sizeof(sa);

	if (peer_identify(l->fd, &l->peer) < 0) {
		l->peer.pidfd = -1;
		return "who it is cannot be known";
	}
	if (l->peer.uid != 0)
		return "not root";
	if (!peer_shares_users(&l->peer))
		return "root of another user namespace";
	if (getpeername(l->fd, (struct sockaddr *)&sa, &len) < 0 || credname_parse(&sa, len, &l->name) < 0)
		return "its address names no unit and credential";
	if (strcmp(l->name.unit, l->peer.unit) != 0)
		return "its address names another unit than it is in";
	return NULL;
}

void credsock_load_begin(struct agent *a, struct load *l)
{
	const struct tenant_credential *rule;
	char message[PROTO_MESSAGE_MAX];
	const char *why = stranger(l);
	enum proto_class class;
	int r;

	if (why) {
		credsock_refuse(a, l, "peer.denied", PROTO_CLASS_DENIED, "%s", why);
		return;
	}
	class = load_decide(a, l, &rule, message);
	if (class != PROTO_CLASS_OK) {
		credsock_refuse(a, l, class == PROTO_CLASS_DENIED ? "peer.denied" : "cred.open", class, "%s", message);
		return;
	}
	r = file_ask(a, l, rule->file);
	if (r < 0)
		credsock_refuse(a, l, "cred.open", PROTO_CLASS_BUSY, "too much is being read already: %s", err_text(r));
}
