/* awscred_msg.c: what the sources answer, and profiles; pure. Nothing of an answer is copied but what is asked for, and that into secret memory. */
#include "net/awscred_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/jsonscan.h"
#include "base/text.h"
#include "net/xml.h"

#define KEY_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* What goes into a header: printable, without blanks. */
static bool word_ok(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] <= 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

int awscred_make(const char *access_key, const char *secret_key, size_t secret_len, const char *token, size_t token_len, const char *kind,
		 struct awscred *ret_cred)
{
	size_t n = strlen(access_key);
	struct awscred c = { .kind = kind };
	int r;

	if (n == 0 || n > SIGV4_ACCESS_KEY_MAX || access_key[strspn(access_key, KEY_CHARS)] != '\0' || secret_len == 0 ||
	    secret_len > SIGV4_SECRET_KEY_MAX || !word_ok(secret_key, secret_len) || token_len > AWSCRED_TOKEN_MAX ||
	    (token_len > 0 && !word_ok(token, token_len)))
		return -EINVAL;
	memcpy(c.access_key, access_key, n + 1);
	r = secret_new_copy(secret_key, secret_len, &c.secret_key);
	if (r >= 0 && token_len > 0) {
		r = secret_new(token_len + 1, &c.token);
		if (r >= 0)
			memcpy(secret_bytes(c.token), token, token_len);
	}
	if (r < 0) {
		awscred_done(&c);
		return r;
	}
	*ret_cred = c;
	return 0;
}

static bool number(const char **at, size_t digits, int *ret_n)
{
	int n = 0;

	for (; digits > 0; digits--, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		n = n * 10 + (**at - '0');
	}
	*ret_n = n;
	return true;
}

static bool literal(const char **at, char c)
{
	return *(*at)++ == c;
}

int awscred_time(const char *text, int64_t *ret_seconds)
{
	struct tm tm = { 0 };
	const char *p = text;

	if (!number(&p, 4, &tm.tm_year) || !literal(&p, '-') || !number(&p, 2, &tm.tm_mon) || !literal(&p, '-') || !number(&p, 2, &tm.tm_mday) ||
	    !literal(&p, 'T') || !number(&p, 2, &tm.tm_hour) || !literal(&p, ':') || !number(&p, 2, &tm.tm_min) || !literal(&p, ':') ||
	    !number(&p, 2, &tm.tm_sec))
		return -EUCLEAN;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (strcmp(p, "Z") != 0 || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return -EUCLEAN;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret_seconds = (int64_t)timegm(&tm);
	return 0;
}

/* --- STS --- */

static int sts_text(const char *body, size_t len, const char *result, const char *name, size_t max, char *out)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/%sResponse/%sResult/Credentials/%s", result, result, name);
	return xml_text(body, len, path, max, out);
}

int awscred_parse_sts(const char *body, size_t len, const char *result, struct awscred *ret_cred)
{
	char key[SIGV4_ACCESS_KEY_MAX + 1], time[64];
	AUTO_SECRET struct secret *s = NULL;
	char *secret, *token;
	int64_t expires;
	int r;

	r = secret_new(SIGV4_SECRET_KEY_MAX + AWSCRED_TOKEN_MAX + 2, &s);
	if (r < 0)
		return r;
	secret = (char *)secret_bytes(s);
	token = secret + SIGV4_SECRET_KEY_MAX + 1;
	r = sts_text(body, len, result, "AccessKeyId", sizeof(key), key);
	if (r >= 0)
		r = sts_text(body, len, result, "SecretAccessKey", SIGV4_SECRET_KEY_MAX + 1, secret);
	if (r >= 0)
		r = sts_text(body, len, result, "SessionToken", AWSCRED_TOKEN_MAX + 1, token);
	if (r >= 0)
		r = sts_text(body, len, result, "Expiration", sizeof(time), time);
	if (r >= 0)
		r = awscred_time(time, &expires);
	if (r < 0)
		return r == -ENOMEM ? r : -EUCLEAN;
	r = awscred_make(key, secret, strlen(secret), token, strlen(token), "role", ret_cred);
	if (r >= 0)
		ret_cred->expires = expires;
	return r == -EINVAL ? -EUCLEAN : r;
}

int awscred_classify_sts(int status, const char *body, size_t len, char *ret_code, size_t max)
{
	static const char *const passing[] = { "IDPCommunicationError", "Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable",
					       "InternalFailure" };
	char code[64] = "";
	size_t i;

	if (xml_text(body, len, "/ErrorResponse/Error/Code", sizeof(code), code) < 0 &&
	    xml_text(body, len, "/ErrorResponse/Errors/Error/Code", sizeof(code), code) < 0)
		code[0] = '\0';
	(void)text_escape(code, strlen(code), ret_code, max);
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strcmp(code, passing[i]) == 0)
			return -EAGAIN;
	return status >= 500 || status == 429 || code[0] == '\0' ? -EAGAIN : -EACCES;
}

/* --- JSON --- */

/* A string of the object, its escapes undone, of at most max - 1 bytes. */
static int json_string(const struct jsonscan *o, const char *name, char *out, size_t max, size_t *ret_len)
{
	struct jsonscan v;

	if (jsonscan_member(o, name, &v) < 0 || v.type != '"' || v.len >= max)
		return -EUCLEAN;
	*ret_len = jsonscan_text(&v, out, max);
	return 0;
}

int awscred_parse_json(const char *body, size_t len, bool code, const char *kind, struct awscred *ret_cred)
{
	char key[SIGV4_ACCESS_KEY_MAX + 1], text[64];
	AUTO_SECRET struct secret *s = NULL;
	size_t n, secret_len, token_len;
	char *secret, *token;
	struct jsonscan all;
	int64_t expires;
	int r;

	r = secret_new(SIGV4_SECRET_KEY_MAX + AWSCRED_TOKEN_MAX + 2, &s);
	if (r < 0)
		return r;
	secret = (char *)secret_bytes(s);
	token = secret + SIGV4_SECRET_KEY_MAX + 1;
	if (jsonscan_check(body, len, &all) < 0 || all.type != '{')
		return -EUCLEAN;
	if (code && (json_string(&all, "Code", text, sizeof(text), &n) < 0 || strcmp(text, "Success") != 0))
		return -EACCES;
	if (json_string(&all, "AccessKeyId", key, sizeof(key), &n) < 0 ||
	    json_string(&all, "SecretAccessKey", secret, SIGV4_SECRET_KEY_MAX + 1, &secret_len) < 0 ||
	    json_string(&all, "Token", token, AWSCRED_TOKEN_MAX + 1, &token_len) < 0 ||
	    json_string(&all, "Expiration", text, sizeof(text), &n) < 0 || awscred_time(text, &expires) < 0)
		return -EUCLEAN;
	r = awscred_make(key, secret, secret_len, token, token_len, kind, ret_cred);
	if (r >= 0)
		ret_cred->expires = expires;
	return r == -EINVAL ? -EUCLEAN : r;
}

/* --- profiles --- */

static void trim(const char **p, size_t *n)
{
	while (*n > 0 && strchr(" \t\r", **p)) {
		(*p)++;
		(*n)--;
	}
	while (*n > 0 && strchr(" \t\r", (*p)[*n - 1]))
		(*n)--;
}

static bool is(const char *p, size_t n, const char *text)
{
	return strlen(text) == n && memcmp(p, text, n) == 0;
}

/* "[NAME]" or "[profile NAME]"; a line that begins with a blank belongs to the value before, which is none of ours. */
static bool header_is(const char *p, size_t n, const char *profile)
{
	trim(&p, &n);
	if (n < 2 || p[n - 1] != ']')
		return false;
	p++;
	n -= 2;
	trim(&p, &n);
	if (n > 8 && memcmp(p, "profile ", 8) == 0) {
		p += 8;
		n -= 8;
		trim(&p, &n);
	}
	return is(p, n, profile);
}

const char *awscred_profile(const char *text, size_t len, const char *profile, const char *key, size_t *ret_len)
{
	const char *end = text + len, *line, *equals, *value;
	bool in = false;
	size_t n, name_len;

	for (line = text; line < end; line += n + 1) {
		const char *nl = memchr(line, '\n', (size_t)(end - line));

		n = nl ? (size_t)(nl - line) : (size_t)(end - line);
		if (n > 0 && *line == '[')
			in = header_is(line, n, profile);
		equals = memchr(line, '=', n);
		if (!in || !equals || strchr("[#; \t", *line))
			continue;
		value = line;
		name_len = (size_t)(equals - line);
		trim(&value, &name_len);
		if (!is(value, name_len, key))
			continue;
		value = equals + 1;
		*ret_len = n - (size_t)(value - line);
		trim(&value, ret_len);
		return value;
	}
	return NULL;
}
