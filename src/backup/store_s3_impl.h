/* store_s3_impl.h: between the files of the S3 store. */
#ifndef COFFER_BACKUP_STORE_S3_IMPL_H
#define COFFER_BACKUP_STORE_S3_IMPL_H

#include "backup/store_impl.h"
#include "backup/store_s3_msg.h"
#include "net/http.h"

#include <stdatomic.h>

#define S3_PATIENCE_MS 120000      /* how long a call is tried again */
#define S3_PATIENCE_FIRST_MS 15000 /* the same before the server has answered at all: a wrong endpoint is told soon */
#define S3_STALL_MS 120000         /* a server may think about a large upload that is completed */
#define S3_ERROR_BODY_MAX 65536

struct s3_keys;

struct s3_store {
	struct store s;
	struct s3_place place;
	char ca_file[1024], proxy[264];
	struct s3_keys *keys;
	_Atomic int64_t skew_s;    /* the server's clock minus ours */
	_Atomic bool answered;
	_Atomic int excl;          /* 0 not known; 1 conditions hold; -1 they are ignored */
	const char *lock_mode;     /* object lock, as the server calls it; NULL: none */
	unsigned lock_days;
	_Atomic int lock_seen;     /* 0 not known; 1 the bucket has it; -1 it has not */
};

static inline struct s3_store *store_s3_of(struct store *s)
{
	return (struct s3_store *)s;
}

/* --- store_s3_keys.c: who signs --- */

/* From conf, or by its credentials=. -EACCES, -EINVAL with err filled. */
int store_s3_keys_new(const struct store_conf *conf, const struct s3_place *p, struct s3_keys **ret_k, struct store_error *err) must_check;
void store_s3_keys_free(struct s3_keys *k);

/* Sign req as it stands. s must outlive the request; call store_s3_signed_done behind it. -EACCES and more with err filled. */
struct s3_signed;
int store_s3_sign(struct s3_store *s, struct http_request *req, struct s3_signed **ret_signed, struct store_error *err) must_check;
void store_s3_signed_done(struct s3_signed *g);
/* The server said that they have expired: true when there may be newer ones now. */
bool store_s3_keys_expired(struct s3_keys *k);

/* --- store_s3_call.c: one request, with all its tries --- */

struct s3_call {
	struct http_request req;  /* method, url, headers, data, body_max, want: the caller's; the rest is filled in */
	const char *key;          /* NULL: the bucket */
	const char *object, *what; /* "OBJECT: WHAT: why" of the message */
	bool once;                /* no second try */
	bool parse;               /* a 200 may hold an error: the caller's check, below */
	bool unsure;              /* out: a try before the last one may have been done by the server */
};

/* A call of a method on a key, or on the bucket when NULL; queries are added to req.url. */
void store_s3_call_init(struct s3_store *s, struct s3_call *c, const char *method, const char *key, const char *object, const char *what);
void store_s3_header(struct s3_call *c, const char *name, const char *value);
/* 0: a success, in *ret_a (http_answer_done). Else as in store.h and s3_verdict.r, with err filled; *ret_a is empty. */
int store_s3_send(struct s3_store *s, struct s3_call *c, struct http_answer *ret_a, struct store_error *err) must_check;
/* A success whose body makes no sense. */
int store_s3_nonsense(const struct s3_call *c, struct http_answer *a, struct store_error *err);

/* --- store_s3_lock.c --- */

/* The headers of a put that is held for so many days, and of its body, which stays the caller's. */
struct s3_lock_headers {
	char until[32], sum[48];
};
int store_s3_lock_headers(struct s3_store *s, struct s3_call *c, unsigned days, struct s3_lock_headers *h) must_check;
/* For how long objects are held beyond the days, so that not each run must hold them anew. */
unsigned store_s3_lock_more(unsigned days);
int store_s3_lock_check(struct store *s, struct store_error *err) must_check;
int store_s3_lock_until(struct store *s, const char *name, int64_t *ret_until, struct store_error *err) must_check;
int store_s3_lock_extend(struct store *s, const char *name, struct store_error *err) must_check;
int store_s3_drop(struct store *s, const char *name, int64_t *ret_until, struct store_error *err) must_check;

/* --- the operations --- */

int store_s3_put_parts(struct store *s, const char *name, const void *data, size_t len, struct store_error *err) must_check;
int store_s3_get(struct store *s, const char *name, uint64_t off, size_t max, void **ret_data, size_t *ret_len, struct store_error *err) must_check;
/* Does the object hold exactly these bytes? -EEXIST: no. */
int store_s3_is(struct store *s, const char *name, const void *data, size_t len, struct store_error *err) must_check;
int store_s3_list(struct store *s, const char *prefix, store_each *each, void *arg, struct store_error *err) must_check;
/* Does a list show that nothing has this key? */
bool store_s3_is_missing(struct s3_store *s, const char *key);
int store_s3_sweep(struct store *s, uint64_t age_s, uint64_t *ret_n, struct store_error *err) must_check;

#endif
