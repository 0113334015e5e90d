/* awscred.h: the credentials that sign requests to AWS, and to stores that speak its language: from where its own tools take them (docs/kms.md, "AWS"),
 * for each tenant apart, in secret memory, fetched anew some minutes before they end.
 *
 *	source     auto: the first of env, web, files, pod, imds that this host has; or one of env, web, file:PATH, pod, imds
 *	role       role_arn: the role that these assume, with external_id (web: the role itself where the environment names none)
 *
 * A source that is set up but fails ends the search: another identity than the one meant must not be used by accident. Thread safe; waits for the
 * network up to the deadline. */
#ifndef COFFER_NET_AWSCRED_H
#define COFFER_NET_AWSCRED_H

#include "base/err.h"
#include "net/sigv4.h"

#include <stdbool.h>
#include <stdint.h>

#define AWSCRED_TOKEN_MAX 8192
#define AWSCRED_MESSAGE_MAX 256

/* Texts, none NULL; empty: not said. Borrowed during calls. */
struct awscred_conf {
	const char *owner;       /* the tenant: nothing is ever shared between two */
	const char *source;
	const char *role_arn, *external_id;
	const char *region;      /* where STS is asked; not empty when it may be */
	const char *ca_file, *proxy;
};

struct awscred {
	char access_key[SIGV4_ACCESS_KEY_MAX + 1]; /* no secret: it names the credential */
	struct secret *secret_key;
	struct secret *token;       /* NUL-terminated; NULL: none */
	int64_t expires;            /* seconds since 1970; 0: does not */
	const char *kind;           /* "env", "web", "file", "pod", "imds", or that and "+role" */
	uint64_t generation;
	int64_t skew_s;             /* what awscred_skew was told */
	bool fresh;                 /* fetched by this call */
};

struct awscred_error {
	char message[AWSCRED_MESSAGE_MAX]; /* for people; no secret */
	char code[64];                     /* of STS */
	int status;                        /* of HTTP; 0: no answer */
	bool alarm;                        /* TLS, a certificate, an answer that is none */
};

/* Credentials that are good by all we know; one fetch at a time for a conf, the others wait for it. refused: the generation of those that the service
 * refused, or 0; then others are got.
 * -EINVAL: the configuration or a file is not usable; -EACCES: there are none, or STS refuses; -EAGAIN: no answer now; -ENOMEM; and -EALREADY: what
 * was refused is all there is. err is filled but for -EALREADY. Call awscred_done. */
int awscred_get(const struct awscred_conf *conf, uint64_t refused, uint64_t deadline_ms, struct awscred_error *err, struct awscred *ret_cred) must_check;
void awscred_done(struct awscred *cred);
/* The keys of profile "default" in a text of AWS's format, which somebody else has brought. -ENOENT: it has none; -EINVAL: they cannot be keys; -ENOMEM. Pure. */
int awscred_read(const struct secret *text, struct awscred *ret_cred) must_check;
/* The clock of the service that conf's credentials are for is this far before ours; used for STS, too. */
void awscred_skew(const struct awscred_conf *conf, int64_t skew_s);
/* The key to sign with, and the time to sign at. Borrows from cred. */
struct sigv4_key awscred_key(const struct awscred *cred, const char *region, const char *service);
int64_t awscred_now(const struct awscred *cred);

/* Wipe all that are kept. */
void awscred_forget(void);

#endif
