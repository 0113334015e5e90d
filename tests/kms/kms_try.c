/* kms_try.c: the providers by hand and for scripts; not installed. A key URI and settings of [kms] on the command line, then one command a line on
 * standard input, one line of answer each; so one process can be asked before and after something was done to its KMS.
 *
 *	kms_try URI [tenant=T] [endpoint=…] [ca-file=…] [auth=…] [credentials=…] [namespace=…] [mount=…] [proxy=…] [region=…] [role-arn=…] [external-id=…]
 *		[deadline=MS]
 *
 *	prepare | wrap FILE | unwrap FILE | forget    FILE holds the wrapped KEK; forget drops connections, tokens and health
 *	other FILE                                    unwrap as another tenant
 *	many N FILE                                   N unwraps by 8 threads at once
 *	held FILE                                     unwrap, and search while the KEK is there: "1 0"
 *	search                                        how often the KEK of this process (as it is, and in base64) stands in its memory: "0 0";
 *	                                              the one copy that the program itself has is inverted
 *
 * An answer: CLASS alarm=N http=N attempts=N ms=N id=TEXT credential=TEXT code=TEXT: MESSAGE */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/b64.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "crypt/keys.h"
#include "kms/kms_vault_impl.h"
#include "net/awscred.h"

#include <fcntl.h>

static struct {
	struct kms_uri uri;
	struct kms_conf conf;
	struct kms_host host;
	uint64_t deadline;
	uint8_t inverted[KEY_LEN]; /* the KEK, so that search does not find it here */
	bool planted;
} t;

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3, 4 };

static int setting(const char *text)
{
	const struct {
		const char *name;
		char *to;
		size_t max;
	} known[] = {
		{ "tenant=", t.conf.tenant, sizeof(t.conf.tenant) },
		{ "endpoint=", t.conf.endpoint, sizeof(t.conf.endpoint) },
		{ "ca-file=", t.conf.ca_file, sizeof(t.conf.ca_file) },
		{ "auth=", t.conf.auth, sizeof(t.conf.auth) },
		{ "credentials=", t.conf.credentials, sizeof(t.conf.credentials) },
		{ "namespace=", t.conf.ns, sizeof(t.conf.ns) },
		{ "mount=", t.conf.mount, sizeof(t.conf.mount) },
		{ "proxy=", t.conf.proxy, sizeof(t.conf.proxy) },
		{ "region=", t.conf.region, sizeof(t.conf.region) },
		{ "role-arn=", t.conf.role_arn, sizeof(t.conf.role_arn) },
		{ "external-id=", t.conf.external_id, sizeof(t.conf.external_id) },
	};
	size_t i, n;

	if (strncmp(text, "deadline=", 9) == 0) {
		t.deadline = strtoull(text + 9, NULL, 10);
		return 0;
	}
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		n = strlen(known[i].name);
		if (strncmp(text, known[i].name, n) == 0 && strlen(text + n) < known[i].max) {
			memcpy(known[i].to, text + n, strlen(text + n) + 1);
			return 0;
		}
	}
	return -EINVAL;
}

static struct kms_host host_now(void)
{
	struct kms_host h = t.host;

	h.deadline_ms = t.deadline ? clock_boot_ms() + t.deadline : 0;
	return h;
}

static void say(int r, const struct kms_error *err)
{
	(void)printf("%s%s alarm=%d http=%d attempts=%u ms=%u id=%s credential=%s code=%s: %s\n", kms_class_text(err->class),
		     r != kms_class_errno(err->class) ? " WRONG-ERRNO" : "", err->alarm, err->http_status, err->attempts,
		     err->latency_ms, err->request_id, err->credential, err->code, err->message);
}

static int wrap(const struct kms_context *ctx, const char *file, struct kms_error *err)
{
	static struct kms_wrapped wrapped;
	AUTO_SECRET struct secret *kek = NULL;
	struct kms_host host = host_now();
	size_t i;
	int r;

	r = secret_new(KEY_LEN, &kek);
	if (r >= 0)
		r = secret_random(secret_bytes(kek), KEY_LEN);
	if (r < 0)
		return r;
	r = kms_wrap(&host, &t.uri, ctx, kek, err, &wrapped);
	if (r < 0)
		return r;
	for (i = 0; i < KEY_LEN; i++)
		t.inverted[i] = (uint8_t)~secret_bytes(kek)[i];
	t.planted = true;
	(void)snprintf(err->message, sizeof(err->message), "version %.200s", wrapped.key_version);
	return fileio_replace_at(AT_FDCWD, file, wrapped.bytes, wrapped.len, 0600);
}

static int unwrap(const struct kms_context *ctx, const char *file, struct kms_error *err, void (*meanwhile)(void))
{
	AUTO_SECRET struct secret *kek = NULL;
	struct kms_host host = host_now();
	AUTO_FREE uint8_t *p = NULL;
	size_t len, i;
	int r;

	r = fileio_read_at(AT_FDCWD, file, KMS_WRAPPED_MAX, &p, &len);
	if (r >= 0)
		r = kms_unwrap(&host, &t.uri, ctx, p, len, err, &kek);
	for (i = 0; r >= 0 && t.planted && i < KEY_LEN; i++)
		if ((secret_bytes(kek)[i] ^ t.inverted[i]) != 0xff)
			abort();
	if (r >= 0 && meanwhile)
		meanwhile();
	return r;
}

struct many {
	pthread_t thread;
	const struct kms_context *ctx;
	const char *file;
	unsigned n, good;
};

static void *many_thread(void *arg)
{
	struct many *m = arg;
	struct kms_error err;

	while (m->n-- > 0)
		m->good += unwrap(m->ctx, m->file, &err, NULL) >= 0;
	return NULL;
}

static void many(const struct kms_context *ctx, const char *text)
{
	struct many m[8] = { 0 };
	unsigned good = 0, i;
	char *file;
	uint64_t start = clock_boot_ms();
	unsigned n = (unsigned)strtoul(text, &file, 10);

	for (i = 0; i < 8; i++) {
		m[i] = (struct many){ .ctx = ctx, .file = file + 1, .n = n / 8 };
		if (pthread_create(&m[i].thread, NULL, many_thread, &m[i]) != 0)
			abort();
	}
	for (i = 0; i < 8; i++) {
		pthread_join(m[i].thread, NULL);
		good += m[i].good;
	}
	(void)printf("OK: %u of %u in %llu ms\n", good, n / 8 * 8, (unsigned long long)(clock_boot_ms() - start));
}

/* How often the inverted needle stands in [p, end). */
static unsigned count(const volatile uint8_t *p, const volatile uint8_t *end, const uint8_t *inverted, size_t n)
{
	unsigned found = 0;
	size_t i;

	for (; p + n <= end; p++) {
		for (i = 0; i < n && (p[i] ^ inverted[i]) == 0xff; i++)
			;
		found += i == n;
	}
	return found;
}

static void search(void)
{
	static uint8_t b64_inverted[B64_LEN(KEY_LEN) + 1];
	const size_t b64_n = KEY_LEN / 3 * 4; /* the last characters depend on the padding */
	unsigned raw = 0, b64 = 0;
	unsigned long from, to;
	uint8_t key[KEY_LEN];
	char line[512], mode[8];
	size_t i;
	FILE *f;

	for (i = 0; i < KEY_LEN; i++)
		key[i] = (uint8_t)~t.inverted[i];
	b64_encode(key, KEY_LEN, (char *)b64_inverted);
	for (i = 0; i < sizeof(b64_inverted); i++)
		b64_inverted[i] = (uint8_t)~b64_inverted[i];
	secret_wipe(key, sizeof(key));
	f = fopen("/proc/self/maps", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[0] != 'r' || strstr(line, "[v"))
			continue;
		raw += count((const uint8_t *)from, (const uint8_t *)to, t.inverted, KEY_LEN);
		b64 += count((const uint8_t *)from, (const uint8_t *)to, b64_inverted, b64_n);
	}
	if (f)
		(void)fclose(f);
	(void)printf("%u %u\n", raw, b64);
}

static void command(char *line)
{
	struct kms_context ctx = { .tenant = t.conf.tenant, .uuid = uuid };
	struct kms_host host = host_now();
	struct kms_error err = { 0 };
	char *arg = strchr(line, ' ');
	int r;

	if (arg)
		*arg++ = '\0';
	if (strcmp(line, "search") == 0) {
		search();
		return;
	}
	if (strcmp(line, "many") == 0 && arg) {
		many(&ctx, arg);
		return;
	}
	if (strcmp(line, "forget") == 0) {
		http_forget();
		kms_vault_token_forget();
		kms_bearer_forget();
		awscred_forget();
		kms_call_forget();
		(void)puts("OK");
		return;
	}
	if (strcmp(line, "held") == 0 && arg) {
		if (unwrap(&ctx, arg, &err, search) < 0)
			say(kms_class_errno(err.class), &err);
		return;
	}
	if (strcmp(line, "prepare") == 0)
		r = kms_prepare(&host, &t.uri, &err);
	else if (strcmp(line, "wrap") == 0 && arg)
		r = wrap(&ctx, arg, &err);
	else if (strcmp(line, "other") == 0 && arg)
		r = unwrap(&(struct kms_context){ .tenant = "other", .uuid = uuid }, arg, &err, NULL);
	else if (strcmp(line, "unwrap") == 0 && arg)
		r = unwrap(&ctx, arg, &err, NULL);
	else
		r = -EINVAL;
	say(r, &err);
}

int main(int argc, char **argv)
{
	char line[1024];
	int i;

	(void)signal(SIGPIPE, SIG_IGN); /* as the agent */
	(void)snprintf(t.conf.tenant, sizeof(t.conf.tenant), "acme");
	t.host = (struct kms_host){ .conf = &t.conf, .key_dirfd = -1 };
	if (keys_openssl_heap_init() < 0 || argc < 2 || kms_uri_parse(argv[1], &t.uri) < 0) {
		(void)fprintf(stderr, "usage: kms_try URI [SETTING=VALUE]...\n");
		return 2;
	}
	for (i = 2; i < argc; i++) {
		if (setting(argv[i]) < 0) {
			(void)fprintf(stderr, "kms_try: what is %s?\n", argv[i]);
			return 2;
		}
	}
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		command(line);
		(void)fflush(stdout);
	}
	return 0;
}
