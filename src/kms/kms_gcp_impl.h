/* kms_gcp_impl.h: the parts of the Google provider: messages (pure), service accounts, tokens. Of kms_gcp*.c and their tests alone. */
#ifndef COFFER_KMS_KMS_GCP_IMPL_H
#define COFFER_KMS_KMS_GCP_IMPL_H

#include "kms/kms_impl.h"

#define GCP_ORIGIN "https://cloudkms.googleapis.com"
#define GCP_AUDIENCE GCP_ORIGIN "/"
#define GCP_SCOPE "https://www.googleapis.com/auth/cloudkms"
#define GCP_FILE_MAX 16384
#define GCP_EMAIL_MAX 256
#define GCP_KID_MAX 128
#define GCP_TOKEN_URI_MAX 512

/* Where a tenant's key is. */
struct gcp_place {
	const char *tenant;
	char origin[URL_ORIGIN_MAX + 1];
	char key[KMS_URI_LEN_MAX + 1]; /* projects/P/locations/L/keyRings/R/cryptoKeys/K */
	const struct kms_conf *conf;   /* never NULL */
};

/* gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K. -EINVAL. Pure. */
int kms_gcp_check(const struct kms_uri *uri) must_check;
/* conf may be NULL. -EINVAL: endpoint= is unusable; err says so. Pure. */
int kms_gcp_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err,
		  struct gcp_place *ret_place) must_check;

/* --- messages: pure. What is built is without the headers. -ENOMEM, -EINVAL. --- */

int kms_gcp_build_encrypt(const struct gcp_place *p, const struct kms_context *ctx, const struct secret *kek, struct http_request *ret_req) must_check;
int kms_gcp_build_decrypt(const struct gcp_place *p, const struct kms_context *ctx, const uint8_t *wrapped, size_t wrapped_len,
			  struct http_request *ret_req) must_check;

/* 0, or -EUCLEAN: not the answer of this request, or another key's; -EBADMSG: it, or the request as the service got it, is damaged (a checksum is wrong, or
 * not confirmed); -EKEYREJECTED: its plaintext is no KEK; -ENOMEM. */
int kms_gcp_parse_encrypt(const struct gcp_place *p, const char *body, size_t len, struct kms_wrapped *ret_wrapped) must_check;
int kms_gcp_parse_decrypt(const char *body, size_t len, struct secret **ret_kek) must_check;

/* docs/kms.md, "Google". Pure; err gets code and message. */
enum kms_class kms_gcp_classify(int status, const char *body, size_t len, struct kms_error *err);

/* --- tokens --- */

/* What a service account's file says. */
struct gcp_account {
	char email[GCP_EMAIL_MAX + 1];
	char kid[GCP_KID_MAX + 1];
	char token_uri[GCP_TOKEN_URI_MAX + 1]; /* empty: not said */
	struct secret *pem;
	size_t pem_len;
};
/* -EUCLEAN: no such file; -EOPNOTSUPP: a credential of another type; -ENOMEM. Pure. */
int kms_gcp_account_parse(const char *text, size_t len, struct gcp_account *ret_account) must_check;
void kms_gcp_account_done(struct gcp_account *a);
/* A token that the account signs for aud, of an hour from now_s: to be shown itself (scope NULL), or to be exchanged. NUL-terminated. -EINVAL: the key
 * cannot be used; -ENOMEM. Pure. */
int kms_gcp_jwt(const struct gcp_account *a, const char *aud, const char *scope, int64_t now_s, struct secret **ret_jwt) must_check;
/* The exchange at a->token_uri. -EINVAL: that is no https:// URL. Pure. */
int kms_gcp_build_exchange(const struct gcp_account *a, const struct secret *jwt, struct http_request *ret_req) must_check;

/* auth= and credentials= of the tenant, taken apart. */
struct gcp_login {
	const char *tenant;
	const struct kms_conf *conf;
	char file[KMS_CONF_TEXT_MAX]; /* of a service account; empty: the metadata service */
	bool exchange;
	char key[KMS_URI_LEN_MAX + 4 * KMS_CONF_TEXT_MAX];
};
/* -errno of KMS_CONFIG. */
int kms_gcp_login_parse(const struct gcp_place *p, struct kms_error *err, struct gcp_login *ret_login) must_check;
/* A token, as if for the first time: struct kms_bearer_source's fetch, arg is the login. */
int kms_gcp_fetch(const void *arg, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *ret_bearer) must_check;

#endif
