/* store_s3_msg.c: the XML of lists and of uploads in parts. */
#include "backup/store_s3_msg.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/xml.h"

/* --- numbers and times --- */

static int number(const char **p, uint64_t *ret_v)
{
	size_t n = strspn(*p, "0123456789"), i;
	uint64_t v = 0;

	if (n == 0 || n > 18)
		return -EUCLEAN;
	for (i = 0; i < n; i++)
		v = v * 10 + (uint64_t)((*p)[i] - '0');
	*p += n;
	*ret_v = v;
	return 0;
}

int store_s3_range(const char *text, uint64_t *ret_from, uint64_t *ret_to, uint64_t *ret_size)
{
	uint64_t from, to, size;
	const char *p = text + 6;

	if (strncmp(text, "bytes ", 6) != 0 || number(&p, &from) < 0 || *p++ != '-' || number(&p, &to) < 0 || *p++ != '/' || number(&p, &size) < 0 ||
	    *p != '\0' || from > to || to >= size)
		return -EUCLEAN;
	*ret_from = from;
	*ret_to = to;
	*ret_size = size;
	return 0;
}

/* n digits at p, within bounds; -1: they are not. */
static int digits(const char *p, size_t n, int least, int most)
{
	int v = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v < least || v > most ? -1 : v;
}

int store_s3_time(const char *text, int64_t *ret_seconds)
{
	struct tm tm = { 0 };
	size_t len = strlen(text);
	const char *p = text + 19;

	if (len < 20 || len > 40 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
		return -EUCLEAN;
	tm.tm_year = digits(text, 4, 1970, 9999) - 1900;
	tm.tm_mon = digits(text + 5, 2, 1, 12) - 1;
	tm.tm_mday = digits(text + 8, 2, 1, 31);
	tm.tm_hour = digits(text + 11, 2, 0, 23);
	tm.tm_min = digits(text + 14, 2, 0, 59);
	tm.tm_sec = digits(text + 17, 2, 0, 60);
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (tm.tm_year < 70 || tm.tm_mon < 0 || tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0 || strcmp(p, "Z") != 0)
		return -EUCLEAN;
	*ret_seconds = (int64_t)timegm(&tm);
	return 0;
}

/* --- lists --- */

struct reading {
	const struct s3_place *place;
	const char *root, *entry; /* "/ListBucketResult/", "Contents" */
	s3_each *each;
	void *arg;
	struct s3_entry e;
	bool has_key, has_size, has_id, ours;
	struct s3_page page;
	int stopped;              /* what each said */
};

static int set(char *to, size_t max, const char *text, size_t len)
{
	if (len >= max)
		return -EUCLEAN;
	memcpy(to, text, len + 1);
	return 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Keys come with %XX, since encoding-type=url was asked for; a server that does not know that sends them as they are, and ours have no '%'. */
static size_t decode(char *p)
{
	char *to = p;
	const char *from;

	for (from = p; *from; from++) {
		int high = from[0] == '%' ? hex_digit(from[1]) : -1, low = high < 0 ? -1 : hex_digit(from[2]);

		if (low >= 0 && (high | low) != 0) {
			*to++ = (char)(high * 16 + low);
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return (size_t)(to - p);
}

/* A key longer than any of ours, or outside of the prefix, is somebody else's. */
static int take_key(struct reading *x, const char *text, size_t len)
{
	char key[3 * S3_KEY_MAX + 1];
	size_t n = strlen(x->place->prefix), key_len;

	x->has_key = true;
	x->ours = false;
	if (len >= sizeof(key))
		return -EUCLEAN;
	memcpy(key, text, len + 1);
	key_len = decode(key);
	if (key_len > S3_KEY_MAX || key_len <= n || strncmp(key, x->place->prefix, n) != 0)
		return 0;
	memcpy(x->e.key, key + n, key_len - n + 1);
	x->ours = true;
	return 0;
}

static int take_field(struct reading *x, const char *name, const char *text, size_t len)
{
	if (strcmp(name, "Key") == 0)
		return take_key(x, text, len);
	if (strcmp(name, "Size") == 0) {
		x->has_size = true;
		return number(&text, &x->e.size) < 0 || *text ? -EUCLEAN : 0;
	}
	if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0)
		return store_s3_time(text, &x->e.time_s);
	if (strcmp(name, "UploadId") == 0) {
		x->has_id = true;
		return set(x->e.upload_id, sizeof(x->e.upload_id), text, len);
	}
	return 0;
}

static int entry_end(struct reading *x)
{
	bool whole = x->has_key && (x->has_size || x->has_id);
	int r = whole ? 0 : -EUCLEAN;

	if (whole && x->ours)
		r = x->stopped = x->each(x->arg, &x->e);
	x->has_key = x->has_size = x->has_id = x->ours = false;
	x->e = (struct s3_entry){ 0 };
	return r > 0 ? -ECANCELED : r;
}

static int take(void *arg, const char *path, const char *text, size_t len)
{
	struct reading *x = arg;
	size_t n = strlen(x->root), entry = strlen(x->entry);

	if (strncmp(path, x->root, n) != 0)
		return strchr(path + 1, '/') ? -EUCLEAN : 0; /* another root */
	path += n;
	if (strncmp(path, x->entry, entry) == 0 && path[entry] == '\0')
		return text ? -EUCLEAN : entry_end(x);
	if (!text)
		return 0;
	if (strncmp(path, x->entry, entry) == 0 && path[entry] == '/')
		return take_field(x, path + entry + 1, text, len);
	if (strcmp(path, "IsTruncated") == 0)
		x->page.more = strcmp(text, "true") == 0;
	else if (strcmp(path, "NextContinuationToken") == 0)
		return set(x->page.token, sizeof(x->page.token), text, len);
	else if (strcmp(path, "NextKeyMarker") == 0)
		return set(x->page.marker, sizeof(x->page.marker), text, len);
	else if (strcmp(path, "NextUploadIdMarker") == 0)
		return set(x->page.id_marker, sizeof(x->page.id_marker), text, len);
	return 0;
}

static int read_list(struct reading *x, const char *body, size_t len, struct s3_page *ret_page)
{
	int r = xml_read(body, len, take, x);

	if (x->stopped != 0)
		return x->stopped;
	if (r < 0)
		return r;
	*ret_page = x->page;
	return 0;
}

static int has_root(const char *body, size_t len, const char *name)
{
	/* An empty list may be a leaf, which is reported with its path alone; so what is read must at least name its root. */
	return memmem(body, len, name, strlen(name)) ? 0 : -EUCLEAN;
}

int store_s3_objects(const struct s3_place *p, const char *body, size_t len, s3_each *each, void *arg, struct s3_page *ret_page)
{
	struct reading x = { .place = p, .root = "/ListBucketResult/", .entry = "Contents", .each = each, .arg = arg };
	int r = has_root(body, len, "ListBucketResult");

	if (r == 0)
		r = read_list(&x, body, len, ret_page);
	return r == 0 && ret_page->more && ret_page->token[0] == '\0' ? -EUCLEAN : r;
}

int store_s3_uploads(const struct s3_place *p, const char *body, size_t len, s3_each *each, void *arg, struct s3_page *ret_page)
{
	struct reading x = { .place = p, .root = "/ListMultipartUploadsResult/", .entry = "Upload", .each = each, .arg = arg };
	int r = has_root(body, len, "ListMultipartUploadsResult");

	if (r == 0)
		r = read_list(&x, body, len, ret_page);
	if (r == 0 && ret_page->more)
		(void)decode(ret_page->marker); /* it came encoded as the keys did, and goes back as it is */
	return r == 0 && ret_page->more && ret_page->marker[0] == '\0' ? -EUCLEAN : r;
}

/* --- uploads in parts --- */

int store_s3_upload_id(const char *body, size_t len, char ret_id[static S3_UPLOAD_ID_MAX + 1])
{
	int r = xml_text(body, len, "/InitiateMultipartUploadResult/UploadId", S3_UPLOAD_ID_MAX + 1, ret_id);

	if (r < 0)
		return r == -ENOMEM ? r : -EUCLEAN;
	return ret_id[0] == '\0' ? -EUCLEAN : 0;
}

int store_s3_complete(const char (*etags)[S3_ETAG_MAX + 1], size_t n, char **ret_text, size_t *ret_len)
{
	size_t max = 64 + n * (S3_ETAG_MAX + 80), len, i;
	char *text;

	if (n == 0 || n > S3_PARTS_MAX)
		return -EINVAL;
	text = malloc(max);
	if (!text)
		return -ENOMEM;
	len = (size_t)snprintf(text, max, "<CompleteMultipartUpload>");
	for (i = 0; i < n; i++) {
		if (strpbrk(etags[i], "<>&")) {
			free(text);
			return -EINVAL;
		}
		len += (size_t)snprintf(text + len, max - len, "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1, etags[i]);
	}
	len += (size_t)snprintf(text + len, max - len, "</CompleteMultipartUpload>");
	*ret_text = text;
	*ret_len = len;
	return 0;
}

static int take_root(void *arg, const char *path, const char *text, size_t len)
{
	bool *done = arg;

	(void)text;
	(void)len;
	if (strncmp(path, "/CompleteMultipartUploadResult", 30) == 0 && (path[30] == '\0' || path[30] == '/'))
		*done = true;
	return 0;
}

int store_s3_completed(const char *body, size_t len, struct s3_error *ret_e)
{
	bool done = false;
	int r;

	if (store_s3_error(body, len, ret_e))
		return -EUCLEAN;
	r = len == 0 || len > S3_ANSWER_MAX ? -EUCLEAN : xml_read(body, len, take_root, &done);
	if (r == -ENOMEM)
		return r;
	return r < 0 || !done ? -EUCLEAN : 0;
}
