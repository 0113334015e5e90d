/* kms_azure_impl.h: the parts of the Azure provider: messages (pure), tokens. Of kms_azure*.c and their tests alone. */
#ifndef COFFER_KMS_KMS_AZURE_IMPL_H
#define COFFER_KMS_KMS_AZURE_IMPL_H

#include "kms/kms_impl.h"

#define AZURE_NAME_MAX 127
#define AZURE_VERSION_MAX 64
#define AZURE_ID_MAX 64
#define AZURE_SECRET_MAX 4096

/* Where a tenant's key is. */
struct azure_place {
	const char *tenant;
	const struct kms_conf *conf;         /* never NULL */
	char vault[URL_ORIGIN_MAX + 1];      /* https://HOST of the URI: what a key's identifier begins with */
	char origin[URL_ORIGIN_MAX + 1];     /* where requests go */
	char name[AZURE_NAME_MAX + 1];
	char version[AZURE_VERSION_MAX + 1]; /* empty: the newest */
	const char *resource, *authority;    /* whom a token is for, and who gives one */
};

/* azure-kms://HOST/keys/NAME[/VERSION]. -EINVAL. Pure. */
int kms_azure_check(const struct kms_uri *uri) must_check;
/* conf may be NULL. -EINVAL: HOST is no vault's and there is no endpoint=, or that is unusable; err says which. Pure. */
int kms_azure_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err,
		    struct azure_place *ret_place) must_check;

/* --- messages: pure. What is built is without the headers. -ENOMEM, -EINVAL. --- */

enum azure_alg { AZURE_RSA_OAEP_256, AZURE_A256KW };

/* Which key, and how it wraps: of a wrapped KEK, or what the vault says of its newest version. */
struct azure_key {
	enum azure_alg alg;
	char version[AZURE_VERSION_MAX + 1];
};

int kms_azure_build_get(const struct azure_place *p, struct http_request *ret_req) must_check;
int kms_azure_build_wrap(const struct azure_place *p, const struct azure_key *key, const struct secret *kek, struct http_request *ret_req) must_check;
/* -EUCLEAN: wrapped is none of ours. */
int kms_azure_build_unwrap(const struct azure_place *p, const uint8_t *wrapped, size_t wrapped_len, struct azure_key *ret_key,
			   struct http_request *ret_req) must_check;

/* -EUCLEAN: not the answer of this request, or about another key; -EOPNOTSUPP: a key that wraps nothing (an elliptic one). */
int kms_azure_parse_get(const struct azure_place *p, const char *body, size_t len, struct azure_key *ret_key) must_check;
/* ret_wrapped: "akv1:ALG:VERSION:VALUE", since the same version must unwrap; key_version: the key's whole identifier. */
int kms_azure_parse_wrap(const struct azure_place *p, const struct azure_key *key, const char *body, size_t len,
			 struct kms_wrapped *ret_wrapped) must_check;
/* -EKEYREJECTED: what was unwrapped is no KEK; -ENOMEM. */
int kms_azure_parse_unwrap(const struct azure_place *p, const struct azure_key *key, const char *body, size_t len,
			   struct secret **ret_kek) must_check;

/* docs/kms.md, "Azure". Pure; err gets code and message. */
enum kms_class kms_azure_classify(int status, const char *body, size_t len, struct kms_error *err);

/* --- tokens --- */

enum azure_method { AZURE_IMDS, AZURE_POD, AZURE_CLIENT, AZURE_WORKLOAD };

/* auth= and credentials= of the tenant, taken apart. */
struct azure_login {
	const char *tenant;
	const struct kms_conf *conf;
	const char *resource;
	enum azure_method method;
	char authority[URL_ORIGIN_MAX + 1];
	char directory[AZURE_ID_MAX + 1];
	char client[AZURE_ID_MAX + 1];  /* of IMDS and POD: empty, the machine's only one */
	char file[KMS_CONF_TEXT_MAX];   /* of the secret or the assertion; empty: AZURE_CLIENT_SECRET */
	char key[URL_ORIGIN_MAX + 4 * KMS_CONF_TEXT_MAX];
};
/* -errno of KMS_CONFIG. */
int kms_azure_login_parse(const struct azure_place *p, struct kms_error *err, struct azure_login *ret_login) must_check;
/* The request for a token, secret being the client's secret or its assertion. -EINVAL: IDENTITY_ENDPOINT, or a text, is unusable; -ENOMEM. */
int kms_azure_build_token(const struct azure_login *l, const struct secret *secret, struct http_request *ret_req) must_check;
/* A token, as if for the first time: struct kms_bearer_source's fetch, arg is the login. */
int kms_azure_fetch(const void *arg, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *ret_bearer) must_check;

#endif
