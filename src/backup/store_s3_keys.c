/* store_s3_keys.c: who signs. The service is "s3" in the signature, the names are Amazon's, or Google's where a condition needs its own headers: the
 * two must not be mixed in one request. */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/sigv4.h"

struct s3_keys {
	char id[SIGV4_ACCESS_KEY_MAX + 1];
	struct secret *secret, *token; /* token: with a NUL; or NULL */
};

struct s3_signed {
	struct sigv4_signed s;
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

int store_s3_keys_new(const struct store_conf *conf, const struct s3_place *p, struct s3_keys **ret_k, struct store_error *err)
{
	struct s3_keys *k;
	int r = 0;

	if (!conf->key_id || !conf->key_secret)
		return store_fail(err, -EACCES, "s3://%s: no credentials", p->bucket);
	k = calloc(1, sizeof(*k));
	if (!k)
		return store_fail(err, -ENOMEM, "s3://%s: %s", p->bucket, err_text(-ENOMEM));
	r = copy_id(conf->key_id, k->id);
	if (r == 0 && secret_len(conf->key_secret) > SIGV4_SECRET_KEY_MAX)
		r = -EINVAL;
	if (r == 0)
		r = secret_new_copy(secret_bytes_const(conf->key_secret), secret_len(conf->key_secret), &k->secret);
	if (r == 0 && conf->key_token)
		r = copy_token(conf->key_token, &k->token);
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
	secret_free(k->secret);
	secret_free(k->token);
	free(k);
}

bool store_s3_keys_expired(struct s3_keys *k)
{
	(void)k;
	return false;
}

int store_s3_sign(struct s3_store *s, struct http_request *req, struct s3_signed **ret_signed, struct store_error *err)
{
	const struct s3_keys *k = s->keys;
	const struct sigv4_key key = { .names = s->place.google ? &sigv4_goog : &sigv4_aws, .access_key = k->id, .secret_key = k->secret,
				       .token = k->token, .region = s->place.region, .service = s->place.google ? "storage" : "s3" };
	struct s3_signed *g = calloc(1, sizeof(*g));
	int r = g ? 0 : -ENOMEM;

	if (r == 0)
		r = sigv4_sign(&key, SIGV4_S3, (int64_t)time(NULL) + s->skew_s, NULL, req, &g->s);
	if (r < 0) {
		free(g);
		return store_fail(err, r, "%.200s: the request cannot be signed: %s", s->s.label, err_text(r));
	}
	*ret_signed = g;
	return 0;
}

void store_s3_signed_done(struct s3_signed *g)
{
	free(g);
}
