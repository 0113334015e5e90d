/* store_s3_keys.c: who signs: the credentials of the configuration itself, or those of AWS's chain (net/awscred.h), which other stores' keys come by as
 * well. The names in a signature are Amazon's, or Google's where a condition needs its own headers: the two must not be mixed in one request. */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/awscred.h"

#define FETCH_MS 20000

struct s3_keys {
	struct awscred given;             /* access_key empty: none, the chain is asked */
	struct awscred_conf chain;        /* borrows what follows */
	char source[1024], proxy[264], region[S3_REGION_MAX + 1];
	_Atomic uint64_t used, refused;   /* generations */
};

struct s3_signed {
	struct sigv4_signed s;
	struct awscred cred;              /* of the chain */
};

static int copy_id(const struct secret *id, char ret_id[static SIGV4_ACCESS_KEY_MAX + 1])
{
	size_t n = secret_len(id), i;
	const uint8_t *p = secret_bytes_const(id);

	if (n > SIGV4_ACCESS_KEY_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return -EINVAL;
	memcpy(ret_id, p, n);
	ret_id[n] = '\0';
	return 0;
}

static int copy_token(const struct secret *token, struct secret **ret_token)
{
	size_t n = secret_len(token);
	int r;

	if (n >= SECRET_LEN_MAX || memchr(secret_bytes_const(token), '\0', n))
		return -EINVAL;
	r = secret_new(n + 1, ret_token);
	if (r == 0)
		memcpy(secret_bytes(*ret_token), secret_bytes_const(token), n);
	return r;
}

static int copy_given(const struct store_conf *conf, struct awscred *ret_c)
{
	int r;

	if (!conf->key_id || !conf->key_secret || secret_len(conf->key_secret) > SIGV4_SECRET_KEY_MAX)
		return -EINVAL;
	r = copy_id(conf->key_id, ret_c->access_key);
	if (r == 0)
		r = secret_new_copy(secret_bytes_const(conf->key_secret), secret_len(conf->key_secret), &ret_c->secret_key);
	if (r == 0 && conf->key_token)
		r = copy_token(conf->key_token, &ret_c->token);
	return r;
}

static bool source_ok(const char *source)
{
	static const char *const known[] = { "", "auto", "env", "imds", "pod", "web" };
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(source, known[i]) == 0)
			return true;
	return strncmp(source, "file:/", 6) == 0;
}

int store_s3_keys_new(const struct store_conf *conf, const struct s3_place *p, struct s3_keys **ret_k, struct store_error *err)
{
	struct s3_keys *k = calloc(1, sizeof(*k));
	int r = 0;

	if (!source_ok(conf->credentials) && !(conf->key_id && strncmp(conf->credentials, "sealed:/", 8) == 0)) {
		free(k);
		return store_fail(err, -EINVAL, "credentials=%.200s: not auto, env, file:/PATH, sealed:/PATH, imds, pod or web", conf->credentials);
	}
	if (!k)
		return store_fail(err, -ENOMEM, "s3://%s: %s", p->bucket, err_text(-ENOMEM));
	(void)snprintf(k->source, sizeof(k->source), "%s", conf->credentials[0] ? conf->credentials : "auto");
	(void)snprintf(k->proxy, sizeof(k->proxy), "%s", conf->proxy);
	(void)snprintf(k->region, sizeof(k->region), "%s", strcmp(p->region, "auto") == 0 ? "us-east-1" : p->region);
	/* The store's own ca-file is no business of STS. */
	k->chain = (struct awscred_conf){ .owner = "store", .source = k->source, .role_arn = "", .external_id = "", .region = k->region,
					  .ca_file = "", .proxy = k->proxy };
	if (conf->key_id || conf->key_secret)
		r = copy_given(conf, &k->given);
	if (r < 0) {
		store_s3_keys_free(k);
		return store_fail(err, r, "s3://%s: the credentials cannot be used: %s", p->bucket, err_text(r));
	}
	*ret_k = k;
	return 0;
}

void store_s3_keys_free(struct s3_keys *k)
{
	if (!k)
		return;
	awscred_done(&k->given);
	free(k);
}

bool store_s3_keys_expired(struct s3_keys *k)
{
	if (k->given.access_key[0])
		return false;
	k->refused = k->used;
	return true;
}

/* -ETIMEDOUT: no answer now, another try may do. */
static int chain_get(struct s3_store *s, struct awscred *ret_cred, struct store_error *err)
{
	struct s3_keys *k = s->keys;
	struct awscred_error e = { .message = "" };
	int r = awscred_get(&k->chain, k->refused, clock_boot_ms() + FETCH_MS, &e, ret_cred);

	if (r == 0) {
		k->used = ret_cred->generation;
		return 0;
	}
	if (r == -EALREADY)
		return store_fail(err, -EACCES, "%.200s: the credentials were refused, and there are no others", s->s.label);
	(void)snprintf(err->code, sizeof(err->code), "%s", e.code);
	return store_fail(err, r == -EAGAIN ? -ETIMEDOUT : r, "%.200s: no credentials: %s", s->s.label, e.message);
}

int store_s3_sign(struct s3_store *s, struct http_request *req, struct s3_signed **ret_signed, struct store_error *err)
{
	const struct awscred *c = &s->keys->given;
	struct s3_signed *g = calloc(1, sizeof(*g));
	struct sigv4_key key;
	int r;

	if (!g)
		return store_fail(err, -ENOMEM, "%.200s: the request cannot be signed: %s", s->s.label, err_text(-ENOMEM));
	if (!c->access_key[0]) {
		r = chain_get(s, &g->cred, err);
		if (r < 0) {
			free(g);
			return r;
		}
		c = &g->cred;
	}
	key = awscred_key(c, s->place.region, s->place.google ? "storage" : "s3");
	if (s->place.google)
		key.names = &sigv4_goog;
	r = sigv4_sign(&key, SIGV4_S3, (int64_t)time(NULL) + s->skew_s, NULL, req, &g->s);
	if (r < 0) {
		store_s3_signed_done(g);
		return store_fail(err, r, "%.200s: the request cannot be signed: %s", s->s.label, err_text(r));
	}
	*ret_signed = g;
	return 0;
}

void store_s3_signed_done(struct s3_signed *g)
{
	awscred_done(&g->cred);
	free(g);
}
