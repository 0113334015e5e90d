/* fuzz_aws.c: answers of AWS KMS, of STS and of metadata services, and profiles. The first two bytes are the status (mod 600), the rest is the body.
 * Property: only 200 is a success; what is said of an answer is one printable line and holds no long word; a credential can stand in a header. */
#include "kms/kms_aws_impl.h"
#include "net/awscred_impl.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void printable(const char *text)
{
	for (; *text; text++)
		assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void kms(int status, const char *body, size_t len)
{
	static struct aws_place place = { .tenant = "t", .origin = "https://h", .region = "r", .arn = "arn:aws:kms:r:111122223333:key/k" };
	static struct kms_wrapped w;
	struct kms_error err = { 0 };
	struct secret *kek = NULL;
	char state[AWS_STATE_MAX];
	enum kms_class class;

	class = kms_aws_classify(status, body, len, &err);
	assert(class == err.class && (class == KMS_OK) == (status == 200));
	printable(err.message);
	printable(err.code);
	if (kms_aws_parse_encrypt(&place, body, len, &w) == 0)
		assert(w.len > 0 && w.len <= AWS_WRAPPED_MAX);
	if (kms_aws_parse_decrypt(&place, body, len, &kek) == 0)
		assert(secret_len(kek) == KEY_LEN);
	secret_free(kek);
	if (kms_aws_parse_describe(&place, body, len, state) == 0)
		printable(state);
}

static void credential(int r, struct awscred *c)
{
	const char *p;

	if (r < 0)
		return;
	printable(c->access_key);
	assert(*c->access_key && c->secret_key && secret_len(c->secret_key) <= SIGV4_SECRET_KEY_MAX);
	for (p = c->token ? (const char *)secret_bytes_const(c->token) : ""; *p; p++)
		assert(*p > 0x20 && *p < 0x7f);
	awscred_done(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const char *const keys[] = { "aws_access_key_id", "role_arn", "" };
	struct awscred c = { 0 };
	const char *body, *v;
	char code[64];
	int status;
	size_t i, n;

	if (len < 2)
		return 0;
	status = (p[0] | p[1] << 8) % 600;
	body = (const char *)p + 2;
	len -= 2;
	kms(status, body, len);
	credential(awscred_parse_sts(body, len, "AssumeRole", &c), &c);
	credential(awscred_parse_sts(body, len, "AssumeRoleWithWebIdentity", &c), &c);
	credential(awscred_parse_json(body, len, true, "imds", &c), &c);
	credential(awscred_parse_json(body, len, false, "pod", &c), &c);
	(void)awscred_classify_sts(status, body, len, code, sizeof(code));
	printable(code);
	for (i = 0; i < 3; i++) {
		v = awscred_profile(body, len, "default", keys[i], &n);
		assert(!v || (v >= body && v + n <= body + len && !memchr(v, '\n', n)));
	}
	return 0;
}
