/* awscred_impl.h: between the files of awscred.h, and for their tests. */
#ifndef COFFER_NET_AWSCRED_IMPL_H
#define COFFER_NET_AWSCRED_IMPL_H

#include "net/awscred.h"

#include <stddef.h>

#define AWSCRED_FILE_MAX 65535
#define AWSCRED_ROLE_MAX 2048
#define AWSCRED_PROFILES_MAX 4   /* profiles that lead to each other */

/* One fetch. What a source returns beside awscred_get's: -ENOENT: it is not set up here. */
struct awscred_fetch {
	const struct awscred_conf *conf;
	uint64_t deadline_ms;
	int64_t skew_s;
	struct awscred_error *err;
};

/* Fill err->message and return r. */
int awscred_fail(struct awscred_error *err, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A credential of these texts. -EINVAL: one cannot be a credential; -ENOMEM. token may be NULL or empty. */
int awscred_make(const char *access_key, const char *secret_key, size_t secret_len, const char *token, size_t token_len, const char *kind,
		 struct awscred *ret_cred) must_check;

/* By conf: the source, and the role. */
int awscred_fetch(const struct awscred_fetch *f, struct awscred *ret_cred) must_check;

/* --- sources --- */
int awscred_env(const struct awscred_fetch *f, struct awscred *ret_cred) must_check;
int awscred_web(const struct awscred_fetch *f, struct awscred *ret_cred) must_check;
/* path NULL: the files of the environment, and AWS_PROFILE; else this file and its profile "default". */
int awscred_files(const struct awscred_fetch *f, const char *path, struct awscred *ret_cred) must_check;
int awscred_pod(const struct awscred_fetch *f, struct awscred *ret_cred) must_check;
int awscred_imds(const struct awscred_fetch *f, struct awscred *ret_cred) must_check;

/* --- STS (awscred_sts.c) --- */
/* With these credentials, for role; session NULL: a name of ours. */
int awscred_assume(const struct awscred_fetch *f, const struct awscred *with, const char *role_arn, const char *external_id, const char *session,
		   struct awscred *ret_cred) must_check;
/* With the token in that file. */
int awscred_assume_web(const struct awscred_fetch *f, const char *token_file, const char *role_arn, const char *session, struct awscred *ret_cred)
	must_check;

/* --- pure --- */

/* When credentials that live this long are fetched anew: 5 to 10 minutes before their end, or when half of less than that is over; not within 10 s. */
uint64_t awscred_due_in(uint64_t life_ms, uint64_t chance);
/* 2026-11-23T20:34:47Z, or with a fraction; seconds since 1970. -EUCLEAN. */
int awscred_time(const char *text, int64_t *ret_seconds) must_check;
/* An answer of STS: result is "AssumeRole" or "AssumeRoleWithWebIdentity". -EUCLEAN, -ENOMEM. */
int awscred_parse_sts(const char *body, size_t len, const char *result, struct awscred *ret_cred) must_check;
/* Code of an error of STS, "" when it is none; printable. Returns -EACCES, or -EAGAIN for one that may pass. */
int awscred_classify_sts(int status, const char *body, size_t len, char *ret_code, size_t max);
/* What IMDS (Code must be "Success") and the containers' agents answer. -EUCLEAN, -EACCES (another Code), -ENOMEM. */
int awscred_parse_json(const char *body, size_t len, bool code, const char *kind, struct awscred *ret_cred) must_check;
/* The value of key in a section of an INI file as AWS's tools read it: sections "[NAME]" or "[profile NAME]". Points into text; NULL: none. */
const char *awscred_profile(const char *text, size_t len, const char *profile, const char *key, size_t *ret_len);

/* --- files and requests (awscred_ask.c) --- */

/* A file into secret memory with a NUL behind it. readable: everybody may read it. -EINVAL refused, -ENOENT not there (err is filled), -ENOMEM. */
int awscred_file_read(const char *path, bool readable, struct awscred_error *err, struct secret **ret_text, size_t *ret_len, bool *ret_open) must_check;
/* The same, one word, blanks and line ends around it cut; at most max bytes. */
int awscred_file_word(const char *path, size_t max, struct awscred_error *err, struct secret **ret_word) must_check;
/* A request, tried up to three times within the deadline, each at most try_ms. 0: answered, whatever the status but 5xx and 429; *ret_a is the caller's.
 * -EAGAIN, -EINVAL with err filled. */
int awscred_ask(const struct awscred_fetch *f, struct http_request *req, uint32_t try_ms, struct http_answer *ret_a) must_check;

#endif
