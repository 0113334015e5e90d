/* fuzz_store_s3.c: what object stores answer. The first byte chooses the reader, the next two are the status of an error; the rest is the body. Property:
 * every text is within its maximum, printable where people see it, and only what is a success by its form is one. */
#include "backup/store_s3_msg.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static const struct s3_place place = { .prefix = "p/" };

static void printable(const char *text)
{
	for (; *text; text++)
		assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static int each(void *arg, const struct s3_entry *e)
{
	unsigned *n = arg;

	assert(e->key[0] != '\0' && memchr(e->key, '\0', sizeof(e->key)) && memchr(e->upload_id, '\0', sizeof(e->upload_id)));
	assert(e->size <= INT64_MAX);
	return ++*n > 1000 ? 1 : 0;
}

static void errors(int status, const char *body, size_t len)
{
	struct s3_verdict v;
	struct s3_error e;
	bool is = store_s3_error(body, len, &e);

	assert(is == (e.code[0] != '\0'));
	printable(e.code);
	printable(e.message);
	printable(e.region);
	printable(e.request_id);
	v = store_s3_verdict(status, &e);
	assert(v.r < 0 && !(v.throttled && !v.again));
}

static void texts(const char *body, size_t len)
{
	uint64_t from, to, size;
	char text[256];
	int64_t t;

	if (len >= sizeof(text))
		return;
	memcpy(text, body, len);
	text[len] = '\0';
	if (store_s3_range(text, &from, &to, &size) == 0)
		assert(from <= to && to < size);
	if (store_s3_time(text, &t) == 0)
		assert(t >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	const char *body = (const char *)p + 3;
	struct s3_page page = { 0 };
	char id[S3_UPLOAD_ID_MAX + 1];
	struct s3_error e;
	unsigned n = 0;

	if (len < 3)
		return 0;
	len -= 3;
	switch (p[0] % 6) {
	case 0:
		errors((p[1] << 8 | p[2]) % 600, body, len);
		break;
	case 1:
		if (store_s3_objects(&place, body, len, each, &n, &page) == 0)
			assert(!page.more || page.token[0] != '\0');
		break;
	case 2:
		if (store_s3_uploads(&place, body, len, each, &n, &page) == 0)
			assert(!page.more || page.marker[0] != '\0');
		break;
	case 3:
		if (store_s3_upload_id(body, len, id) == 0)
			assert(id[0] != '\0' && memchr(id, '\0', sizeof(id)));
		break;
	case 4:
		if (store_s3_completed(body, len, &e) == 0)
			assert(memmem(body, len, "CompleteMultipartUploadResult", 29) && !store_s3_error(body, len, &e));
		break;
	default:
		texts(body, len);
	}
	return 0;
}
