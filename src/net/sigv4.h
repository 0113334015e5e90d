/* sigv4.h: AWS Signature Version 4, and the same under Google's names: what KMS, STS and object stores want of a request. Our own signer, since
 * libcurl's goes wrong on what S3 needs (docs/kms.md, "Signatures"). Pure: time, key and request come in, the signature comes out.
 *
 * The path and the query are those of the URL, as url.h wrote them: encoded once. A service other than S3 wants the path normalised and encoded
 * once more (SIGV4_OTHER); S3 wants it as it is (SIGV4_S3) and the hash of the body in a header. A character that a URL cannot hold is encoded on
 * the way, '%' is taken for the beginning of an encoded one. */
#ifndef COFFER_NET_SIGV4_H
#define COFFER_NET_SIGV4_H

#include "base/err.h"
#include "base/secret.h"
#include "net/http.h"

#include <stddef.h>
#include <stdint.h>

#define SIGV4_ACCESS_KEY_MAX 128
#define SIGV4_SECRET_KEY_MAX 256
#define SIGV4_NAME_MAX 64               /* a region, a service */
#define SIGV4_HEADERS_MAX (HTTP_HEADERS_MAX + 1)
#define SIGV4_PARAMETERS_MAX 64
#define SIGV4_CANONICAL_MAX 32768
#define SIGV4_DATE_LEN 16               /* 20150830T123600Z */
#define SIGV4_HASH_LEN 64
#define SIGV4_AUTHORIZATION_MAX 1024
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/* Whose names: X-Amz-Date or X-Goog-Date, and so on. They must not be mixed in one request. */
struct sigv4_names {
	const char *algorithm, *prefix, *terminator;
	const char *date, *token, *content; /* names of headers, lower case */
};
extern const struct sigv4_names sigv4_aws, sigv4_goog;

/* Who signs, for what. Borrowed: it must outlive the call. */
struct sigv4_key {
	const struct sigv4_names *names;
	const char *access_key;
	const struct secret *secret_key;
	const struct secret *token;     /* NUL-terminated; NULL: none */
	const char *region, *service;
};

enum sigv4_flags {
	SIGV4_TWICE = 1,     /* encode the path once more */
	SIGV4_NORMALIZE = 2, /* no "//", ".", ".." in the path */
	SIGV4_CONTENT = 4,   /* the body's hash goes into a header */
	SIGV4_S3 = SIGV4_CONTENT,
	SIGV4_OTHER = SIGV4_TWICE | SIGV4_NORMALIZE,
};

/* A request as it is signed. Every header given is signed; host is among them. */
struct sigv4_request {
	const char *method;
	const char *path;    /* "/..." */
	const char *query;   /* without '?'; empty: none */
	const struct http_header *headers;
	size_t header_count;
	const char *hash;    /* of the body: 64 lower-case hexadecimal digits, or SIGV4_UNSIGNED */
};

/* The canonical request, and the names of its headers joined by ';'. -EINVAL: too many headers or parameters, or longer than its maximum;
 * what was written then is of no use. It may hold the session token: the caller wipes. */
int sigv4_canonical(const struct sigv4_request *req, unsigned flags, size_t max, char *ret_text, char ret_names[static SIGV4_CANONICAL_MAX / 64])
	must_check;
/* "20150830T123600Z". -EINVAL: not a year of four digits. */
int sigv4_date(int64_t now_seconds, char ret_date[static SIGV4_DATE_LEN + 1]) must_check;
/* The value of Authorization. date is what sigv4_date made, and stands in the request, too. -EINVAL, -ENOMEM. */
int sigv4_authorization(const struct sigv4_key *key, const char *date, const struct sigv4_request *req, unsigned flags,
			char ret_value[static SIGV4_AUTHORIZATION_MAX]) must_check;

/* What the headers of a signed http_request point to. */
struct sigv4_signed {
	char date[SIGV4_DATE_LEN + 1];
	char hash[SIGV4_HASH_LEN + 1];
	char host[URL_HOST_MAX + 7];
	char authorization[SIGV4_AUTHORIZATION_MAX];
};
/* Sign req as it stands: method, URL, headers, body or data (hash NULL: computed; else given, SIGV4_UNSIGNED is one). Adds the headers, which point
 * into s and key->token, so both must outlive req; signing again replaces them. A body's Content-Type must be among the headers to be signed.
 * -EINVAL: no room for the headers, or not to be signed; -ENOMEM. */
int sigv4_sign(const struct sigv4_key *key, unsigned flags, int64_t now_seconds, const char *hash, struct http_request *req, struct sigv4_signed *s)
	must_check;

#endif
