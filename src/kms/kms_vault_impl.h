/* kms_vault_impl.h: the parts of the Vault provider: messages (pure), logging in, tokens. Of kms_vault*.c and their tests alone. */
#ifndef COFFER_KMS_KMS_VAULT_IMPL_H
#define COFFER_KMS_KMS_VAULT_IMPL_H

#include "kms/kms_impl.h"

#define VAULT_MOUNT_MAX 256
#define VAULT_NAME_MAX 128
#define VAULT_TOKEN_MAX 4096      /* also of a secret_id */
#define VAULT_JWT_MAX 16384
#define VAULT_ACCESSOR_MAX 64

/* Where a tenant's key is: from the URI, and the host's configuration, which wins. */
struct vault_place {
	const char *tenant;
	char origin[URL_ORIGIN_MAX + 1];
	char mount[VAULT_MOUNT_MAX + 1];
	char key[VAULT_NAME_MAX + 1];
	const struct kms_conf *conf;  /* never NULL */
};

/* hcvault://HOST[:PORT]/MOUNT…/keys/NAME. -EINVAL. Pure. */
int kms_vault_check(const struct kms_uri *uri) must_check;
/* conf may be NULL. -EINVAL: endpoint=, mount= or namespace= is unusable; err says which. Pure. */
int kms_vault_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err,
		    struct vault_place *ret_place) must_check;

/* --- messages: pure. What is built is without the headers of kms_vault_headers. -ENOMEM, -EINVAL. --- */

/* token: NUL-terminated, or NULL; it and id must outlive the request. */
void kms_vault_headers(const struct vault_place *p, const struct secret *token, const char *id, struct http_request *req);
int kms_vault_build_encrypt(const struct vault_place *p, const struct kms_context *ctx, const struct secret *kek,
			    struct http_request *ret_req) must_check;
/* -EUCLEAN: wrapped is no ciphertext of Transit. */
int kms_vault_build_decrypt(const struct vault_place *p, const struct kms_context *ctx, const uint8_t *wrapped,
			    size_t wrapped_len, struct http_request *ret_req) must_check;

/* 0, or -EUCLEAN: not the answer of this request; -EKEYREJECTED: its plaintext is no KEK. */
int kms_vault_parse_encrypt(const char *body, size_t len, struct kms_wrapped *ret_wrapped) must_check;
int kms_vault_parse_decrypt(const char *body, size_t len, struct secret **ret_kek) must_check;

/* What a login, a renewal (of_auth) or lookup-self says of a token. */
struct vault_auth {
	struct secret *token;        /* NUL-terminated; NULL from lookup-self */
	char accessor[VAULT_ACCESSOR_MAX + 1];
	uint64_t lease_s;            /* 0: does not end */
	bool renewable;
};
int kms_vault_parse_auth(const char *body, size_t len, bool of_auth, struct vault_auth *ret_auth) must_check;
/* request_id of any answer; "" when there is none. */
void kms_vault_parse_id(const char *body, size_t len, char *ret_id, size_t max);

/* KMS.md's table: docs/kms.md, "Vault". The second is for what a login answers. Pure; err gets code and message. */
enum kms_class kms_vault_classify(int status, const char *body, size_t len, struct kms_error *err);
enum kms_class kms_vault_classify_login(int status, const char *body, size_t len, struct kms_error *err);
/* A refusal whose words say that the token itself is not valid (any more). Pure. */
bool kms_vault_token_refused(const struct kms_error *err);

/* --- logging in --- */

enum vault_method { VAULT_TOKEN, VAULT_APPROLE, VAULT_JWT };

/* auth= and credentials= of the tenant, taken apart. */
struct vault_login {
	enum vault_method method;
	char mount[VAULT_MOUNT_MAX + 1];  /* below auth/ */
	char role[VAULT_NAME_MAX + 1];    /* of AppRole: empty when it is in role_file */
	char role_file[KMS_CONF_TEXT_MAX];
	char file[KMS_CONF_TEXT_MAX];     /* empty: the environment's token */
};
/* Pure. -errno of KMS_CONFIG. */
int kms_vault_login_parse(const struct kms_conf *conf, struct kms_error *err, struct vault_login *ret_login) must_check;
/* Log in (or read the token), as if for the first time. Fills err also on success. */
int kms_vault_login(const struct vault_place *p, const char *id, uint64_t deadline_ms, struct kms_error *err,
		    struct vault_auth *ret_auth) must_check;
/* Prolong token, or look at it (renew false), filling auth but for the token itself. */
int kms_vault_token_ask(const struct vault_place *p, const struct secret *token, bool renew, uint64_t asked_s,
			uint64_t deadline_ms, struct kms_error *err, struct vault_auth *ret_auth) must_check;

/* --- tokens: one for each tenant, server, namespace and way of logging in; process-wide, in secret memory --- */

struct vault_token {
	struct secret *token;        /* the caller's copy */
	char accessor[VAULT_ACCESSOR_MAX + 1];
	enum vault_method method;
	uint64_t generation;
	bool fresh;                  /* just logged in */
};
/* A token that is good by all we know, renewed when two thirds of its lease are over; one login at a time, the others wait for it.
 * refused: the generation of one that the server refused, or 0: then a new one is got, and an -EALREADY says that there is no other
 * (a token file that has not changed). */
int kms_vault_token_get(const struct vault_place *p, uint64_t refused, const char *id, uint64_t deadline_ms,
			struct kms_error *err, struct vault_token *ret_token) must_check;
/* Wipe all of them. */
void kms_vault_token_forget(void);

#endif
