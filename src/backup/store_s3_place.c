/* store_s3_place.c: s3://BUCKET/PREFIX, an endpoint and a region become the URLs of objects. */
#include <stdio.h>
#include <string.h>

#include "backup/store_s3_msg.h"

static bool ends_with(const char *host, const char *tail)
{
	size_t n = strcspn(host, ":"), t = strlen(tail);

	return n >= t && strncmp(host + n - t, tail, t) == 0 && (n == t || host[n - t - 1] == '.');
}

/* As AWS has them, which all others take. */
static bool bucket_ok(const char *p, size_t n)
{
	return n >= 3 && n <= S3_BUCKET_MAX && strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789.-") >= n && p[0] != '.' && p[0] != '-' &&
	       p[n - 1] != '.' && p[n - 1] != '-' && !memmem(p, n, "..", 2);
}

static bool region_ok(const char *region)
{
	return strlen(region) <= S3_REGION_MAX && strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(region);
}

static int put_prefix(const char *prefix, struct s3_place *p)
{
	size_t n = strlen(prefix);

	if (n > 0 && prefix[n - 1] == '/')
		n--;
	if (n == 0)
		return 0;
	if (n > S3_PREFIX_MAX)
		return -EINVAL;
	memcpy(p->prefix, prefix, n);
	p->prefix[n] = '\0';
	if (!store_name_ok(p->prefix))
		return -EINVAL;
	p->prefix[n] = '/';
	p->prefix[n + 1] = '\0';
	return 0;
}

/* The signature's region: what the server wants to see; most that are not AWS do not look. */
static int put_origin(const char *endpoint, const char *region, struct s3_place *p)
{
	char inner[2 * URL_ORIGIN_MAX];
	const char *host;

	(void)snprintf(p->region, sizeof(p->region), "%s", region);
	if (url_origin_parse(endpoint, p->origin) < 0)
		return -EINVAL;
	host = p->origin + 8;
	p->google = ends_with(host, "storage.googleapis.com");
	if (p->region[0] == '\0')
		(void)snprintf(p->region, sizeof(p->region), "%s",
			       p->google || ends_with(host, "r2.cloudflarestorage.com") ? "auto" : S3_REGION);
	if (!p->host_style)
		return 0;
	(void)snprintf(inner, sizeof(inner), "https://%s.%s", p->bucket, host);
	return url_origin_parse(inner, p->origin);
}

int store_s3_place(const char *rest, const char *endpoint, const char *region, bool host_style, struct s3_place *ret_p, const char **ret_why)
{
	size_t n = strcspn(rest, "/");
	struct s3_place p = { .host_style = host_style };

	if (!bucket_ok(rest, n)) {
		*ret_why = "not a bucket's name (3 to 63 of a-z 0-9 - and .)";
		return -EINVAL;
	}
	memcpy(p.bucket, rest, n);
	if (put_prefix(rest[n] == '/' ? rest + n + 1 : "", &p) < 0) {
		*ret_why = "not a prefix (A-Z a-z 0-9 . _ - and /, no component empty or with a dot in front)";
		return -EINVAL;
	}
	if (host_style && strchr(p.bucket, '.')) {
		*ret_why = "no certificate fits BUCKET.HOST when the bucket's name has a dot: path-style=yes";
		return -EINVAL;
	}
	if (!region_ok(region)) {
		*ret_why = "the region is not one";
		return -EINVAL;
	}
	if (put_origin(endpoint, region, &p) < 0) {
		*ret_why = "the endpoint is not https://HOST or https://HOST:PORT";
		return -EINVAL;
	}
	*ret_p = p;
	return 0;
}

void store_s3_url(const struct s3_place *p, const char *key, struct url *ret_u)
{
	char text[S3_PREFIX_MAX + STORE_NAME_MAX + 3];
	int n;

	url_start(ret_u, p->origin);
	if (!p->host_style)
		url_component(ret_u, p->bucket);
	if (!key) {
		if (p->host_style) { /* "/" alone is no component */
			(void)snprintf(text, sizeof(text), "%s/", p->origin);
			url_start(ret_u, text);
		}
		return;
	}
	n = snprintf(text, sizeof(text), "%s%s", p->prefix, key);
	if (n < 0 || (size_t)n >= sizeof(text))
		ret_u->failed = true;
	else
		url_path(ret_u, text);
}
