/* store.h: where backups lie: objects with names, written whole or not at all, never changed. An object is bytes without meaning here: what is
 * put is ciphertext already, and what is got is hostile until its reader has checked it.
 *
 *   file:///DIR            a directory that exists (nobody wants a backup on the root disk because the other one was not mounted). What follows
 *                          file:// is the path as it stands, without %XX.
 *   s3://BUCKET[/PREFIX]   Cloudflare R2, AWS, Google, anything that speaks S3: docs/stores.md
 *
 * Names are relative: components of A-Z a-z 0-9 . _ - joined by '/', none of them empty or with a '.' in front, at most STORE_NAME_MAX bytes and
 * STORE_DEPTH_MAX components of STORE_COMPONENT_MAX bytes. No name is also the directory of another one ("a" and "a/b").
 *
 * All functions but open and close may be called by many threads at once; each blocks until it is done or has given up. Besides what is said
 * there, they return
 *   -EINVAL        a name, URI or size that cannot be; or the configuration
 *   -EACCES        refused: credentials, rights, a clock that is wrong
 *   -ETIMEDOUT -ECONNREFUSED  unreachable, after all tries
 *   -EBUSY         the store says that it has too much to do, after all tries
 *   -ENOSPC -EDQUOT -EROFS -EIO  of the filesystem
 *   -EPROTO        TLS, the certificate, or an answer that makes no sense
 *   -ENODEV        there is no such bucket
 *   -EUCLEAN       something stands under the name that is no object (a link, a directory)
 *   -ENOMEM
 * and then say why in ret_err, for people; it may be NULL. Nothing logs. */
#ifndef COFFER_BACKUP_STORE_H
#define COFFER_BACKUP_STORE_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_NAME_MAX 512
#define STORE_DEPTH_MAX 16
#define STORE_COMPONENT_MAX 200
#define STORE_URI_MAX 4096
#define STORE_OBJECT_MAX ((size_t)1 << 30) /* of one put or get: it is in memory */
#define STORE_EXCL_MAX ((size_t)32 << 20)  /* of one put with STORE_EXCL: one request, since not every server takes conditions with parts */
#define STORE_MESSAGE_MAX 512
#define STORE_CODE_MAX 64
#define STORE_ID_MAX 80

struct store;

/* No secret in it. */
struct store_error {
	char message[STORE_MESSAGE_MAX]; /* "OBJECT: what failed: reason" */
	char code[STORE_CODE_MAX];       /* the store's own word for it ("AccessDenied"); empty: it said none */
	char request_id[STORE_ID_MAX + 1];
	int status;                      /* of HTTP; 0: none */
	unsigned attempts;
};

/* How to reach it: volumes.d [store], the command line, or both; file: looks at the limits alone. */
struct store_conf {
	char endpoint[264];    /* https://HOST[:PORT]; empty: as the environment says (net/awshost.h), else AWS by region */
	char region[64];       /* empty: AWS_REGION, AWS_DEFAULT_REGION, else auto at Cloudflare and Google, us-east-1 elsewhere */
	char credentials[1024]; /* of net/awscred.h: auto, env, file:PATH, imds, pod, web; empty: auto; or sealed:PATH, whose keys the caller brings by
				 * store_conf_keys. Not looked at when there are keys below */
	char ca_file[1024];    /* empty: the system's authorities */
	char proxy[264];       /* http://HOST:PORT; empty: none */
	bool host_style;       /* https://BUCKET.HOST/ instead of https://HOST/BUCKET/ */
	struct secret *key_id, *key_secret, *key_token; /* owned; text without a NUL; key_token may be NULL */
	uint64_t limit_upload, limit_download;          /* bytes a second of all threads together; 0: none */
	enum store_lock { STORE_LOCK_NONE, STORE_LOCK_GOVERNANCE, STORE_LOCK_COMPLIANCE } lock; /* object lock of what is put with STORE_KEEP */
	unsigned lock_days;
};

/* All defaults. */
void store_conf_init(struct store_conf *conf);
void store_conf_done(struct store_conf *conf);
/* One key of [store]: endpoint, region, credentials, ca-file, proxy, path-style (yes, no), object-lock (governance or compliance, a blank, days),
 * limit-upload, limit-download (SIZE a second: a number and K, M or G, or none). -ENOENT no such key, -EINVAL not a value for it. */
int store_conf_set(struct store_conf *conf, const char *key, const char *value) must_check;
/* The keys of a text in AWS's format, profile "default". -ENOENT: it has none, -EINVAL, -ENOMEM. */
int store_conf_keys(struct store_conf *conf, const struct secret *text) must_check;
/* Such a SIZE; at least 1. -EINVAL. Pure. */
int store_rate_parse(const char *text, uint64_t *ret_bytes) must_check;

/* conf is not kept, NULL means all defaults. Nothing is asked of a server yet; of a directory, whether it is there: -ENOENT. */
int store_open(const char *uri, const struct store_conf *conf, struct store **ret_s, struct store_error *ret_err) must_check;
/* No call may be under way. NULL is fine. */
void store_close(struct store *s);
DEFINE_AUTO(struct store, store_close)
/* What it is, for people: the URI, with the host where it lies. */
const char *store_label(const struct store *s);

/* Is this a name? Pure. */
bool store_name_ok(const char *name) must_check;
/* May it be the beginning of a name, "" and "a/" included? Pure. */
bool store_prefix_ok(const char *prefix) must_check;

/* Nobody's object is replaced: -EEXIST, and the one that is there is whole and durable. Of two that put at once, one gets it. -EOPNOTSUPP: the server ignores conditions (store_excl_check). An
 * object with the very same bytes may count as one's own (the answer to the first try was lost), so what must differ between writers differs in it. */
#define STORE_EXCL 1u
/* Where the conf says object lock: nobody, whatever his rights (governance: but for those that may lift it), takes this object away before its time. */
#define STORE_KEEP 2u
/* And a quarter longer, a day at least: what later puts may name again, so that not each of them must hold it anew (store_lock_extend). */
#define STORE_KEEP_LONGER (STORE_KEEP | 4u)

/* Put len bytes under name: whole or not at all, durable when it returns 0. Without STORE_EXCL an object there is replaced, as a whole. */
int store_put(struct store *s, const char *name, const void *data, size_t len, unsigned flags, struct store_error *ret_err) must_check;
/* At most max (1..STORE_OBJECT_MAX) bytes from off on; fewer at the object's end alone, none at it or behind. Caller frees *ret_data, which is
 * never NULL. -ENOENT. */
int store_get(struct store *s, const char *name, uint64_t off, size_t max, void **ret_data, size_t *ret_len, struct store_error *ret_err) must_check;
/* -ENOENT. */
int store_head(struct store *s, const char *name, uint64_t *ret_size, struct store_error *ret_err) must_check;

/* Each object whose name begins with prefix, in any order; what has a name that is none of ours is left out. each returns 0 to go on, anything else
 * ends it and is returned; it may call the store. mtime_s: when it was put, seconds since 1970. What is put or deleted meanwhile may be in it. */
typedef int store_each(void *arg, const char *name, uint64_t size, int64_t mtime_s);
int store_list(struct store *s, const char *prefix, store_each *each, void *arg, struct store_error *ret_err) must_check;

/* 0 also when there is none. Not durable by itself: after a crash of the host of a directory it may be there again. */
int store_delete(struct store *s, const char *name, struct store_error *ret_err) must_check;

/* Does STORE_EXCL keep its word here? A server is tried out once (an object is put twice, and deleted), the answer kept. 0, -EOPNOTSUPP. */
int store_excl_check(struct store *s, struct store_error *ret_err) must_check;
/* Clear away what puts that were killed more than age_s ago have left: parts of uploads that were never completed, temporary files. */
int store_sweep(struct store *s, uint64_t age_s, uint64_t *ret_n, struct store_error *ret_err) must_check;

/* --- object lock: "held" until a time before which the server lets nobody take it away. Without it in the conf nothing is asked: nothing is held --- */

bool store_locks(const struct store *s);
/* Does the bucket have it? Tried out once: an object is put and looked at. 0, -EOPNOTSUPP. */
int store_lock_check(struct store *s, struct store_error *ret_err) must_check;
/* Seconds since 1970; 0: not held; INT64_MAX: by a legal hold. -ENOENT. */
int store_lock_until(struct store *s, const char *name, int64_t *ret_until, struct store_error *ret_err) must_check;
/* Hold what was put before for as long as if it were put now. -ENOENT. */
int store_lock_extend(struct store *s, const char *name, struct store_error *ret_err) must_check;
/* Take it away for good, no version of it stays; 0 also when there is none. -EPERM: it is held until *ret_until. */
int store_drop(struct store *s, const char *name, int64_t *ret_until, struct store_error *ret_err) must_check;

#endif
