/* sigv4_try.c: the signer for tests/kms/test_sigv4.py; not installed. One JSON object a line on standard input, one line of answer each:
 * method, path, query, headers [[name, value]], hash, flags, date, access, secret, token (or ""), region, service, goog (boolean)
 * -> canonical and authorization, or error. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "net/sigv4.h"

#define LINE_MAX_LEN (1 << 20)

static const char *text(const struct json *o, const char *key)
{
	const char *p = "";

	return json_get_str(o, key, &p) < 0 ? "" : p;
}

static size_t headers(const struct json *o, struct http_header *h)
{
	const struct json *list, *pair;
	size_t i;

	if (json_get_array(o, "headers", &list) < 0)
		return 0;
	for (i = 0; i < json_array_len(list) && i < SIGV4_HEADERS_MAX; i++) {
		pair = json_array_at(list, i);
		h[i] = (struct http_header){ json_text(json_array_at(pair, 0)), json_text(json_array_at(pair, 1)) };
	}
	return i;
}

static int sign(const struct json *o, char *canonical, char *authorization)
{
	static char names[SIGV4_CANONICAL_MAX / 64];
	struct http_header h[SIGV4_HEADERS_MAX];
	struct sigv4_request req = { text(o, "method"), text(o, "path"), text(o, "query"), h, headers(o, h), text(o, "hash") };
	struct sigv4_key key = { .names = &sigv4_aws, .access_key = text(o, "access"), .region = text(o, "region"), .service = text(o, "service") };
	AUTO_SECRET struct secret *secret = NULL;
	int64_t flags = 0;
	bool goog = false;
	int r;

	r = secret_new_copy(text(o, "secret"), strlen(text(o, "secret")), &secret);
	if (r < 0 || json_get_int(o, "flags", &flags) < 0 || json_get_bool(o, "goog", &goog) < 0)
		return -EINVAL;
	key.secret_key = secret;
	key.names = goog ? &sigv4_goog : &sigv4_aws;
	r = sigv4_canonical(&req, (unsigned)flags, SIGV4_CANONICAL_MAX, canonical, names);
	if (r < 0)
		return r;
	return sigv4_authorization(&key, text(o, "date"), &req, (unsigned)flags, authorization);
}

static int answer(const char *line)
{
	static char canonical[SIGV4_CANONICAL_MAX], authorization[SIGV4_AUTHORIZATION_MAX];
	AUTO_JSON struct json *o = NULL, *a = json_new_object();
	AUTO_FREE char *out = NULL;
	int r;

	r = json_parse(line, strlen(line), LINE_MAX_LEN, &o);
	if (r >= 0)
		r = sign(o, canonical, authorization);
	if (r < 0)
		r = json_put_str(a, "error", err_text(r));
	else if (json_put_str(a, "canonical", canonical) < 0)
		r = -ENOMEM;
	else
		r = json_put_str(a, "authorization", authorization);
	if (r < 0 || json_dump(a, &out) < 0)
		return 1;
	(void)printf("%s\n", out);
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(void)
{
	static char line[LINE_MAX_LEN];

	while (fgets(line, sizeof(line), stdin))
		if (answer(line) != 0)
			return 1;
	return 0;
}
