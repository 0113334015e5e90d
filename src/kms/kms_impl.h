/* kms_impl.h: what the providers over HTTP share. Of the kms floor alone. */
#ifndef COFFER_KMS_KMS_IMPL_H
#define COFFER_KMS_KMS_IMPL_H

#include "kms/kms.h"
#include "net/http.h"

/* One operation at a provider. classify is pure: from an answer to its class, with code and message put into err. */
struct kms_call {
	const char *tenant;
	uint64_t deadline_ms;
	enum kms_class (*classify)(int status, const char *body, size_t len, struct kms_error *err);
	int64_t *ret_date; /* NULL, or where the server's time goes, of the last answer that said it; refusals, too */
};

/* Make the request until there is an answer, by the rules of net/retry.h. 0: answered with success; the caller parses, and frees the answer. Else
 * -errno of err->class; ret_answer holds nothing. Fills err but for credential. */
int kms_call(const struct kms_call *call, struct http_request *req, struct kms_error *err,
	     struct http_answer *ret_answer) must_check;
/* Forget what is known of the providers' health. For tests. */
void kms_call_forget(void);

/* --- kms_shared.c: what is alike in all providers --- */

/* Of CLOCK_BOOTTIME: the host's, else KMS_CALL_MS from now. */
uint64_t kms_deadline(const struct kms_host *host);
/* What was wrapped, and what came back: a KEK each, and the same? */
bool kms_same_kek(const struct secret *kek, const struct secret *again) must_check;
/* What a status means where the provider's words do not say otherwise. Pure. */
enum kms_class kms_status_class(int status);
/* An answer that somebody on the way has made: a refusal whose body is not the provider's (ours false), or a redirect: TRANSIENT, said in err, with an alarm but for
 * what may pass by itself. err->class is that of the status; whose: "Vault's". false: neither. Pure. */
bool kms_foreign(int status, bool ours, const char *whose, struct kms_error *err) must_check;
/* What it means that a request could not be built: r of a build function; corrupt: what is said of -EUCLEAN, a wrapped KEK that is none. */
int kms_unbuilt(struct kms_error *err, int r, const char *corrupt) must_check;
/* Puts "SCHEME: key KEY: " before what is said of a failure, once. Returns r. */
int kms_name_key(struct kms_error *err, const char *scheme, const char *key, int r) must_check;

/* kms_count.c: one call of provider n of the list ended. */
void kms_count_ended(size_t n, enum kms_class class, uint64_t began_ns);
void kms_count_get(size_t n, struct kms_count *ret_count);

/* --- files with credentials (kms_file.c) --- */

/* The whole file, a NUL behind it, into secret memory: of 1 to max bytes, root's or the agent's user's, that nobody else may write, nor everybody read
 * but for readable. -errno of CONFIG, AUTH (it is not there) or TRANSIENT; err says which file. */
int kms_file_read(const char *path, size_t max, bool readable, struct kms_error *err, struct secret **ret_text, size_t *ret_len) must_check;
/* One word that needs no escapes in a JSON string or a header, blanks and line ends around it cut, with a NUL: of a file, or of a variable's text. */
int kms_file_word(const char *path, size_t max, bool readable, struct kms_error *err, struct secret **ret_word) must_check;
int kms_file_word_of(const char *name, const char *text, size_t max, struct kms_error *err, struct secret **ret_word) must_check;

/* --- bearer tokens (kms_bearer.c): process-wide, in secret memory --- */

#define KMS_BEARER_MAX 16384
#define KMS_BEARER_WHO_MAX 96

struct kms_bearer {
	struct secret *token;        /* NUL-terminated; the caller's copy */
	char who[KMS_BEARER_WHO_MAX]; /* which credential: its kind and public name */
	uint64_t life_s;             /* from now; of fetch */
	uint64_t generation;         /* of get */
	bool fresh;                  /* of get: just fetched */
};

/* Where a token comes from. key: tenant, issuer and everything of the configuration that decides which token it is; no token is ever used for another. */
struct kms_bearer_source {
	const char *key;
	int (*fetch)(const void *arg, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *ret_bearer);
	const void *arg;
};

/* A token that is good by all we know; one fetch at a time for a key, the others wait for it. It is fetched anew some minutes before its end, and used to its end
 * where that fails. refused: the generation of one that the service refused, or 0; -EALREADY: no other is to be had. err is filled on failure. */
int kms_bearer_get(const struct kms_bearer_source *source, uint64_t refused, uint64_t deadline_ms, struct kms_error *err,
		   struct kms_bearer *ret_bearer) must_check;
/* Wipe all of them. */
void kms_bearer_forget(void);
/* {"access_token":…,"expires_in":SECONDS} or with expires_on (since 1970; strings are taken for numbers): token and life_s. -EUCLEAN: no such
 * answer; -ENOMEM. Pure but for the time. */
int kms_bearer_parse(const char *body, size_t len, struct kms_bearer *ret_bearer) must_check;
/* What a token endpoint's refusal means: OAuth's error and error_description (RFC 6749 section 5.2), or anything else. Pure. */
enum kms_class kms_bearer_classify(int status, const char *body, size_t len, struct kms_error *err);
/* Ask for a token: req, whose answer must have the header want[0] with this value, where want[0] is set. */
int kms_bearer_ask(const char *tenant, struct http_request *req, const char *want, uint64_t deadline_ms, struct kms_error *err,
		   struct kms_bearer *ret_bearer) must_check;
/* kms_call with a token of source, as "Authorization: Bearer" (req must have a header free for it); once more with a new one where that may help. */
int kms_bearer_call(const struct kms_bearer_source *source, const struct kms_call *call, struct http_request *req, struct kms_error *err,
		    struct http_answer *ret_answer) must_check;
/* NAME=VALUE of a form's body (application/x-www-form-urlencoded) behind what is there; the body has room for max. -EINVAL: it does not fit. */
int kms_bearer_form(struct http_request *req, size_t max, const char *name, const char *value) must_check;

#endif
