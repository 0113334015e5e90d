/* request_seal.c: seal and unseal: a tenant's secret into a file, and back (docs/protocol.md, "Sealed credentials"). In two halves, like an unlock: what is decided before the
 * KMS is asked, and once more when it has answered. The row of the audit log is durable before a secret, or a file that holds one, leaves; the secret itself travels as a
 * descriptor, both ways. */
#include "agent/request.h"

#include <stdio.h>
#include <string.h>

#include "agent/credkeys.h"
#include "agent/credrules.h"
#include "agent/credstore.h"
#include "agent/packet.h"
#include "base/log.h"

struct seal {
	struct request_later *later;
	struct secret *plain;          /* seal */
	uint8_t *file;                 /* unseal */
	size_t len;
	struct credential *cred;       /* what it is, or shall be */
	int out;                       /* the answer's descriptor, or -1 */
};

static void seal_free(struct agent *a, struct seal *s)
{
	a->seals--;
	secret_free(s->plain);
	free(s->file);
	free(s->cred);
	if (s->out >= 0)
		(void)close(s->out);
	free(s);
}

static struct seal *seal_new(struct agent *a)
{
	struct seal *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	a->seals++;
	s->out = -1;
	s->cred = calloc(1, sizeof(*s->cred));
	if (s->cred)
		return s;
	seal_free(a, s);
	return NULL;
}

/* A row about it, but for the outcome; texts that it points to are filled in. */
static void row_begin(const struct call *k, const struct credential *c, struct audit_event *e, char detail[static 64])
{
	const bool seals = k->req->op == PROTO_OP_SEAL;

	*e = (struct audit_event){ .what = seals ? "cred.seal" : "cred.open", .peer = &k->c->peer, .tenant = k->req->tenant, .object = k->req->name,
				   .purpose = seals ? NULL : "unseal", .key_uri = c->key.uri, .key_version = c->key.version };
	detail[0] = '\0';
	if (c->version)
		(void)snprintf(detail, 64, "version %llu", (unsigned long long)c->version);
	e->detail = detail;
}

static void refused(const struct call *k, const struct credential *c, enum proto_class class, const struct kms_error *kms)
{
	struct audit_event e;
	char detail[64];

	row_begin(k, c, &e, detail);
	e.outcome = class == PROTO_CLASS_UNTRUSTED || class == PROTO_CLASS_OLDER || class == PROTO_CLASS_DENIED || class == PROTO_CLASS_LOCKED ? "refused" : "failed";
	e.class = proto_class_text(class);
	e.reason = k->reply->message;
	request_record_kms(&e, kms);
	audit_note_refusal(k->a->audit, &e);
}

static enum proto_class allowed(struct call *k)
{
	enum proto_class class = request_allowed_for(k, k->req->tenant, NULL);

	return class == PROTO_CLASS_OK ? credrules_locked(k->a, k->req->tenant, k->reply->message) : class;
}

static enum proto_class begin_check(struct call *k)
{
	enum proto_class class = allowed(k);

	if (class == PROTO_CLASS_OK)
		class = request_key_free_hands(k);
	if (class == PROTO_CLASS_OK && k->a->seals >= AGENT_SEALS_MAX)
		class = request_refuse(k->reply, PROTO_CLASS_BUSY, "%s: too many secrets are on their way already", proto_op_text(k->req->op));
	return class;
}

/* go is given what it may give away, if and only if it returns OK. */
static enum proto_class start(struct call *k, enum proto_class (*go)(struct call *k, struct seal *s))
{
	enum proto_class class = begin_check(k);
	struct seal *s;

	if (class != PROTO_CLASS_OK)
		return class;
	s = seal_new(k->a);
	if (!s)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = go(k, s);
	if (class != PROTO_CLASS_OK)
		seal_free(k->a, s);
	return class;
}

/* --- seal --- */

static enum proto_class store_load(struct call *k, struct credstore **ret_s)
{
	int r = credstore_load(k->a->creds_dirfd, k->req->tenant, ret_s);

	if (r == -ENOENT)
		r = credstore_new(k->req->tenant, ret_s);
	if (r >= 0)
		return PROTO_CLASS_OK;
	log_err("credentials/%s.json: %s", k->req->tenant, err_text(r));
	return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "seal: credentials/%s.json in the agent's state cannot be read: %s; without it nothing is lost but which versions were sealed",
			      k->req->tenant, err_text(r));
}

static enum proto_class version_take(struct call *k, const struct credstore *store, uint64_t *ret_version)
{
	uint64_t newest = credstore_newest(store, k->req->name);

	if (!k->req->version && newest == INT64_MAX)
		return request_refuse(k->reply, PROTO_CLASS_EXISTS, "seal: there is no version above %llu", (unsigned long long)newest);
	*ret_version = k->req->version ? k->req->version : newest + 1;
	if (*ret_version > newest)
		return PROTO_CLASS_OK;
	return request_refuse(k->reply, PROTO_CLASS_EXISTS, "seal: version %llu of it has been sealed here already; versions rise", (unsigned long long)newest);
}

static enum proto_class store_keep(struct call *k, struct credstore *store, const struct credential *c)
{
	int r;

	if (memcmp(store->key.id, c->key.id, sizeof(c->key.id)) != 0) {
		store->key = c->key;
		request_time_text(store->created);
	}
	r = credstore_sealed(store, c->name, c->version);
	if (r == -ENOSPC)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "seal: tenant %s has %d credentials here already", store->tenant, CREDSTORE_NAMES_MAX);
	if (r >= 0)
		r = credstore_save(k->a->creds_dirfd, store);
	if (r >= 0)
		return PROTO_CLASS_OK;
	log_err("credentials/%s.json: %s", store->tenant, err_text(r));
	return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "seal: the agent's state cannot be written: %s", err_text(r));
}

static enum proto_class seal_file(struct call *k, struct seal *s, const struct secret *key)
{
	int r = credential_seal(key, s->cred, s->plain, &s->file, &s->len);

	if (r >= 0)
		r = packet_seal(s->file, s->len, &s->out);
	if (r < 0)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "seal: %s", err_text(r));
	k->reply_fd = s->out;
	k->reply->credential_version = s->cred->version;
	return PROTO_CLASS_OK;
}

struct arrived {
	struct seal *s;
	const struct credkeys_answer *answer;
};

static enum proto_class seal_finish(struct call *k, const void *arg)
{
	const struct arrived *got = arg;
	AUTO_CREDSTORE struct credstore *store = NULL;
	struct credential *c = got->s->cred;
	enum proto_class class = allowed(k);
	struct audit_event e;
	char detail[64];

	if (class == PROTO_CLASS_OK && got->answer->class != PROTO_CLASS_OK)
		class = request_refuse(k->reply, got->answer->class, "%s", got->answer->message);
	if (class == PROTO_CLASS_OK)
		class = store_load(k, &store);
	if (class == PROTO_CLASS_OK)
		class = version_take(k, store, &c->version);
	if (class != PROTO_CLASS_OK) {
		refused(k, c, class, got->answer->kms);
		return class;
	}
	c->key = *got->answer->wrapped;
	row_begin(k, c, &e, detail);
	e.cache = got->answer->cache;
	request_record_kms(&e, got->answer->kms);
	class = request_record(k, &e);
	if (class == PROTO_CLASS_OK)
		class = store_keep(k, store, c);
	return class == PROTO_CLASS_OK ? seal_file(k, got->s, got->answer->key) : class;
}

static void seal_arrived(struct agent *a, void *arg, const struct credkeys_answer *answer)
{
	const struct arrived got = { .s = arg, .answer = answer };

	request_later_answer(a, got.s->later, seal_finish, &got);
	seal_free(a, got.s);
}

/* The key that this host seals with, while it is wrapped by the one that the rules put first; else a new one. */
static int key_ask(struct call *k, struct seal *s, const struct credstore *store, const char *uri)
{
	if (store->key.uri[0] && kms_uri_text_equal(store->key.uri, uri))
		return credkeys_open(k->a, k->req->tenant, &store->key, seal_arrived, s);
	return credkeys_make(k->a, k->req->tenant, uri, seal_arrived, s);
}

static enum proto_class secret_take(struct call *k, struct seal *s)
{
	int r;

	if (k->req->size < 1 || k->req->size > CREDENTIAL_MAX)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "seal: a secret has 1 byte to 1 MiB");
	r = k->fd < 0 ? -EPROTO : packet_read_secret(k->fd, (size_t)k->req->size, &s->plain);
	if (r == -EPROTO)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "seal: no secret of that size beside the request");
	return r < 0 ? request_refuse(k->reply, PROTO_CLASS_RESOURCE, "seal: no locked memory: %s", err_text(r)) : PROTO_CLASS_OK;
}

/* s is given away if and only if the class is OK. */
static enum proto_class seal_go(struct call *k, struct seal *s)
{
	AUTO_CREDSTORE struct credstore *store = NULL;
	char uri[KMS_URI_MAX + 1] = "";
	enum proto_class class;

	class = secret_take(k, s);
	if (class == PROTO_CLASS_OK)
		class = store_load(k, &store);
	if (class == PROTO_CLASS_OK)
		class = version_take(k, store, &s->cred->version);
	if (class != PROTO_CLASS_OK)
		return class;
	if (credrules_key_for(k->a->tenants, k->req->tenant, uri) < 0)
		return request_refuse(k->reply, PROTO_CLASS_CONFIG, "seal: each kms= of tenant %s ends in *; name the key that shall wrap in a line before", k->req->tenant);
	memcpy(s->cred->tenant, k->req->tenant, sizeof(s->cred->tenant));
	memcpy(s->cred->name, k->req->name, sizeof(s->cred->name));
	s->later = request_later_new(k);
	if (s->later && key_ask(k, s, store, uri) >= 0)
		return PROTO_CLASS_OK;
	if (s->later)
		request_later_free(k, s->later);
	return request_refuse(k->reply, PROTO_CLASS_BUSY, "seal: too many keys are being asked for already");
}

enum proto_class request_seal_start(struct call *k)
{
	return start(k, seal_go);
}

/* --- unseal --- */

static enum proto_class open_file(struct call *k, struct seal *s, const struct credkeys_answer *answer)
{
	struct audit_event e;
	enum proto_class class;
	char detail[64];
	int r;

	r = credential_open(answer->key, s->cred, s->file, s->len, &s->plain);
	if (r < 0)
		return credrules_failed(r, k->reply->message);
	row_begin(k, s->cred, &e, detail);
	e.cache = answer->cache;
	request_record_kms(&e, answer->kms);
	class = request_record_key(k, &e);
	if (class != PROTO_CLASS_OK)
		return class;
	k->reply->credential_version = s->cred->version;
	k->reply->size = secret_len(s->plain);
	return request_key_hand_over(k, s->plain);
}

static enum proto_class unseal_finish(struct call *k, const void *arg)
{
	const struct arrived *got = arg;
	enum proto_class class = allowed(k);

	if (class == PROTO_CLASS_OK)
		class = credrules_check(k->a, k->req->tenant, k->req->name, got->s->cred, k->reply->message);
	if (class == PROTO_CLASS_OK && got->answer->class != PROTO_CLASS_OK)
		class = request_refuse(k->reply, got->answer->class, "%s", got->answer->message);
	if (class == PROTO_CLASS_OK)
		class = open_file(k, got->s, got->answer);
	if (class != PROTO_CLASS_OK)
		refused(k, got->s->cred, class, got->answer->kms);
	return class;
}

static void unseal_arrived(struct agent *a, void *arg, const struct credkeys_answer *answer)
{
	const struct arrived got = { .s = arg, .answer = answer };

	request_later_answer(a, got.s->later, unseal_finish, &got);
	seal_free(a, got.s);
}

static enum proto_class unseal_go(struct call *k, struct seal *s)
{
	enum proto_class class;
	int r;

	if (k->fd < 0)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "unseal: no file beside the request");
	r = packet_read_sealed(k->fd, CREDENTIAL_FILE_MAX, &s->file, &s->len);
	if (r == -EPROTO)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "the descriptor is no sealed memory file of the size of a sealed credential");
	if (r >= 0)
		r = credential_parse(s->file, s->len, s->cred);
	if (r < 0) {
		class = credrules_failed(r, k->reply->message);
		memset(s->cred, 0, sizeof(*s->cred)); /* half read */
	} else {
		class = credrules_check(k->a, k->req->tenant, k->req->name, s->cred, k->reply->message);
	}
	if (class != PROTO_CLASS_OK) {
		refused(k, s->cred, class, NULL);
		return class;
	}
	s->later = request_later_new(k);
	if (s->later && credkeys_open(k->a, k->req->tenant, &s->cred->key, unseal_arrived, s) >= 0)
		return PROTO_CLASS_OK;
	if (s->later)
		request_later_free(k, s->later);
	return request_refuse(k->reply, PROTO_CLASS_BUSY, "unseal: too many keys are being asked for already");
}

enum proto_class request_seal_unseal(struct call *k)
{
	return start(k, unseal_go);
}
