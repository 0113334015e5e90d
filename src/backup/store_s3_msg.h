/* store_s3_msg.h: what is said to an S3 server and what it says: where objects lie, bodies made and read, what an answer means. Pure. Answers are
 * hostile: everything has a maximum, and whatever makes no sense is -EUCLEAN. */
#ifndef COFFER_BACKUP_STORE_S3_MSG_H
#define COFFER_BACKUP_STORE_S3_MSG_H

#include "backup/store.h"
#include "net/url.h"

#define S3_BUCKET_MAX 63
#define S3_PREFIX_MAX 256
#define S3_KEY_MAX 1024
#define S3_REGION_MAX 63
#define S3_REGION "us-east-1"          /* where nothing else is known: R2 takes it for its own, servers of one's own mostly have it */
#define S3_TOKEN_MAX 1024          /* of a list that goes on */
#define S3_UPLOAD_ID_MAX 512       /* AWS's are about 130 */
#define S3_ETAG_MAX 128
#define S3_PARTS_MAX 10000
#define S3_PART ((size_t)16 << 20) /* all of one size but for the last: R2 wants that */
#define S3_ANSWER_MAX (4u << 20)   /* of XML: 1000 entries with keys of 1024 bytes, encoded */
#define S3_TEXT_MAX 160

/* Where a store lies. */
struct s3_place {
	char origin[URL_ORIGIN_MAX + 1]; /* with the bucket in front of the host when host_style */
	char bucket[S3_BUCKET_MAX + 1];
	char prefix[S3_PREFIX_MAX + 2];  /* with a '/' at its end, or empty */
	char region[S3_REGION_MAX + 1];
	bool host_style;
	bool google;                     /* GOOG4, and conditions by generation */
};

/* rest: BUCKET[/PREFIX]; endpoint: https://HOST[:PORT]; region may be empty. -EINVAL, and why in *ret_why (static). */
int store_s3_place(const char *rest, const char *endpoint, const char *region, bool host_style, struct s3_place *ret_p, const char **ret_why) must_check;
/* The URL of a key below the prefix; of the bucket when key is NULL. */
void store_s3_url(const struct s3_place *p, const char *key, struct url *ret_u);

/* An answer of the kind <Error>. Empty where it says nothing; texts are printable. */
struct s3_error {
	char code[STORE_CODE_MAX], message[S3_TEXT_MAX], region[S3_REGION_MAX + 1], request_id[STORE_ID_MAX + 1];
};
/* false: it is none. */
bool store_s3_error(const char *body, size_t len, struct s3_error *ret_e);

/* What an answer that is no success means. */
struct s3_verdict {
	int r;            /* as in store.h; -EEXIST: a condition did not hold; -ESTALE: no such upload; -ERANGE: nothing in that range */
	bool again;       /* another try may do */
	bool throttled, skewed, expired;
	const char *hint; /* for people, or NULL; static */
};
struct s3_verdict store_s3_verdict(int status, const struct s3_error *e);

/* "bytes 3-6/10". -EUCLEAN; ret_to is the last byte's offset. */
int store_s3_range(const char *text, uint64_t *ret_from, uint64_t *ret_to, uint64_t *ret_size) must_check;
/* "2026-11-25T23:51:32.000Z" as seconds since 1970. -EUCLEAN. */
int store_s3_time(const char *text, int64_t *ret_seconds) must_check;

/* A page of a list: objects, or uploads that were not completed. Keys outside of the prefix are left out, the prefix cut off others. */
struct s3_entry {
	char key[S3_KEY_MAX + 1];
	char upload_id[S3_UPLOAD_ID_MAX + 1]; /* of an upload */
	uint64_t size;                        /* of an object */
	int64_t time_s;
};
struct s3_page {
	bool more;
	char token[S3_TOKEN_MAX + 1];                   /* objects: where the next page begins */
	char marker[S3_KEY_MAX + 1], id_marker[S3_UPLOAD_ID_MAX + 1]; /* uploads: the same */
};
/* What each returns other than 0 ends it and is returned. -EUCLEAN, -ENOMEM, -EFBIG. */
typedef int s3_each(void *arg, const struct s3_entry *e);
int store_s3_objects(const struct s3_place *p, const char *body, size_t len, s3_each *each, void *arg, struct s3_page *ret_page) must_check;
int store_s3_uploads(const struct s3_place *p, const char *body, size_t len, s3_each *each, void *arg, struct s3_page *ret_page) must_check;

/* The answer to CreateMultipartUpload. -EUCLEAN. */
int store_s3_upload_id(const char *body, size_t len, char ret_id[static S3_UPLOAD_ID_MAX + 1]) must_check;
/* The body of CompleteMultipartUpload. etags: n texts of S3_ETAG_MAX + 1 bytes. Caller frees. -ENOMEM, -EINVAL. */
int store_s3_complete(const char (*etags)[S3_ETAG_MAX + 1], size_t n, char **ret_text, size_t *ret_len) must_check;
/* Its answer, of status 200: 0, or -EUCLEAN and an error in ret_e when it is one after all; neither: code is empty. */
int store_s3_completed(const char *body, size_t len, struct s3_error *ret_e) must_check;

#endif
