/* kms_aws_impl.h: the parts of the AWS provider: place, messages and classes, all pure. Of kms_aws*.c and their tests alone. */
#ifndef COFFER_KMS_KMS_AWS_IMPL_H
#define COFFER_KMS_KMS_AWS_IMPL_H

#include "kms/kms_impl.h"

#define AWS_REGION_MAX 32
#define AWS_WRAPPED_MAX 6144
#define AWS_STATE_MAX 32

/* Where a tenant's key is: from the URI; the host's configuration and environment say how it is reached. */
struct aws_place {
	const char *tenant;
	const struct kms_conf *conf;      /* never NULL */
	const char *ca_file;
	char origin[URL_ORIGIN_MAX + 1];
	char region[AWS_REGION_MAX + 1];  /* that is signed for */
	char arn[KMS_URI_LEN_MAX + 1];
};

/* aws-kms://arn:PARTITION:kms:REGION:ACCOUNT:key/ID: a key itself, never an alias, which its owner could point elsewhere. -EINVAL. */
int kms_aws_check(const struct kms_uri *uri) must_check;
/* conf may be NULL. -errno of KMS_CONFIG, with err filled. */
int kms_aws_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err, struct aws_place *ret_place)
	must_check;

/* Requests, unsigned. -ENOMEM, -EINVAL. decrypt: -EUCLEAN: no ciphertext of KMS is so long. */
int kms_aws_build_encrypt(const struct aws_place *p, const struct kms_context *ctx, const struct secret *kek, struct http_request *ret_req) must_check;
int kms_aws_build_decrypt(const struct aws_place *p, const struct kms_context *ctx, const uint8_t *wrapped, size_t wrapped_len,
			  struct http_request *ret_req) must_check;
int kms_aws_build_describe(const struct aws_place *p, struct http_request *ret_req) must_check;

/* 0, or -EUCLEAN: not the answer of this request, or of another key; -EKEYREJECTED: its plaintext is no KEK; -ENOMEM. */
int kms_aws_parse_encrypt(const struct aws_place *p, const char *body, size_t len, struct kms_wrapped *ret_wrapped) must_check;
int kms_aws_parse_decrypt(const struct aws_place *p, const char *body, size_t len, struct secret **ret_kek) must_check;
/* KeyState. */
int kms_aws_parse_describe(const struct aws_place *p, const char *body, size_t len, char ret_state[static AWS_STATE_MAX]) must_check;

/* The tables of docs/kms.md, "AWS". err gets code and message; nothing of an answer stands there but its code and, of a few codes, its words with
 * whatever may be more than a word masked: a service has been seen to put the plaintext into them. */
enum kms_class kms_aws_classify(int status, const char *body, size_t len, struct kms_error *err);
/* KMSInvalidStateException that did not say which state: DescribeKey can. */
bool kms_aws_state_unknown(const struct kms_error *err);
/* What a key in this state means. */
enum kms_class kms_aws_state_class(const char *state);
/* A refusal of the signature, or of its time: the clocks may differ. */
bool kms_aws_time_refused(const struct kms_error *err);

#endif
