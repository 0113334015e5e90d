/* store_try.c: stores by hand and for scripts; not installed. A URI and keys of [store] on the command line (key-id=, key-secret=, key-token=: the
 * credentials themselves, for tests alone; clock=SECONDS: how wrong this host's is), then one command a line on standard input, one line of answer each.
 *
 *	store_try URI [endpoint=…] [ca-file=…] [region=…] [path-style=…] [limit-upload=…] [key-id=…] [key-secret=…] …
 *
 *	put NAME FILE | putx NAME FILE    putx: STORE_EXCL
 *	putk NAME FILE | putl NAME FILE   STORE_KEEP, STORE_KEEP_LONGER
 *	lock | until NAME | hold NAME | drop NAME   store_lock_check, _until (out: hours from now), _extend, store_drop
 *	get NAME OFF MAX FILE | head NAME | delete NAME | list PREFIX | check | sweep AGE
 *	race NAME N SIZE                  N names below NAME, each put by two threads at once with different bytes: how often one won alone; what is
 *	                                  there is always what one that won has put
 *	many NAME N SIZE THREADS          N objects of SIZE bytes put by THREADS threads, and got again
 *
 * An answer: R status=N attempts=N code=TEXT id=TEXT out=NUMBER: MESSAGE. R: ok, or the errno's name */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup/store.h"
#include "base/fileio.h"
#include "net/awscred.h"
#include "net/http.h"

static struct store *s;
static struct store_error e;

/* clock=SECONDS: this host's clock is wrong by so much. */
static time_t clock_off;

time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);
time_t __wrap_time(time_t *t)
{
	time_t now = __real_time(NULL) + clock_off;

	if (t)
		*t = now;
	return now;
}

static int setting(struct store_conf *conf, const char *text)
{
	char key[64];
	const char *value = strchr(text, '=');
	struct secret **to;

	if (!value || value - text >= (int)sizeof(key))
		return -EINVAL;
	memcpy(key, text, (size_t)(value - text));
	key[value - text] = '\0';
	value++;
	if (strcmp(key, "clock") == 0) {
		clock_off = (time_t)strtoll(value, NULL, 10);
		return 0;
	}
	to = strcmp(key, "key-id") == 0     ? &conf->key_id :
	     strcmp(key, "key-secret") == 0 ? &conf->key_secret :
	     strcmp(key, "key-token") == 0  ? &conf->key_token :
					      NULL;
	return to ? secret_new_copy(value, strlen(value), to) : store_conf_set(conf, key, value);
}

static void say(int r, uint64_t out)
{
	printf("%s status=%d attempts=%u code=%s id=%s out=%llu: %s\n", r < 0 ? strerrorname_np(-r) : "ok", e.status, e.attempts, e.code, e.request_id,
	       (unsigned long long)out, e.message);
}

static int put_file(const char *name, const char *path, unsigned flags)
{
	AUTO_FREE uint8_t *data = NULL;
	size_t len;
	int r = fileio_read_at(AT_FDCWD, path, STORE_OBJECT_MAX, &data, &len);

	return r < 0 ? r : store_put(s, name, data, len, flags, &e);
}

static int get_file(const char *name, uint64_t off, size_t max, const char *path, uint64_t *ret_len)
{
	AUTO_FREE void *data = NULL;
	size_t len;
	int r = store_get(s, name, off, max, &data, &len, &e);

	if (r < 0)
		return r;
	*ret_len = len;
	return fileio_replace_at(AT_FDCWD, path, data, len, 0600);
}

static int print_one(void *arg, const char *name, uint64_t size, int64_t mtime_s)
{
	uint64_t *n = arg;

	++*n;
	printf("- %s %llu %lld\n", name, (unsigned long long)size, (long long)mtime_s);
	return 0;
}

/* --- threads --- */

struct work {
	const char *name;
	size_t size;
	unsigned first, step, n;
	unsigned flags;
	unsigned seed;   /* race: which of the two */
	bool *won;       /* race: of each name */
	unsigned failed;
	struct store_error err;
};

static void fill(uint8_t *p, size_t size, unsigned seed)
{
	uint32_t x = seed * 2654435761u + 1;
	size_t i;

	for (i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = (uint8_t)(x >> 24);
	}
}

static void *put_all(void *arg)
{
	struct work *w = arg;
	AUTO_FREE uint8_t *data = malloc(w->size + 1);
	char name[200];
	unsigned i;
	int r;

	for (i = w->first; i < w->n; i += w->step) {
		(void)snprintf(name, sizeof(name), "%.150s/%u", w->name, i);
		fill(data, w->size, w->won ? i * 2 + w->seed : i);
		r = store_put(s, name, data, w->size, w->flags, &w->err);
		if (w->won)
			w->won[i] = r == 0;
		w->failed += r < 0 && r != -EEXIST;
	}
	return NULL;
}

static void *get_all(void *arg)
{
	struct work *w = arg;
	AUTO_FREE uint8_t *data = malloc(w->size + 1);
	char name[200];
	unsigned i;

	for (i = w->first; i < w->n; i += w->step) {
		AUTO_FREE void *got = NULL;
		size_t len = 0;

		(void)snprintf(name, sizeof(name), "%.150s/%u", w->name, i);
		fill(data, w->size, i);
		if (store_get(s, name, 0, w->size + 1, &got, &len, &w->err) < 0 || len != w->size || memcmp(got, data, len) != 0)
			w->failed++;
	}
	return NULL;
}

static unsigned in_threads(void *(*run)(void *), struct work *work, unsigned threads)
{
	pthread_t thread[64];
	unsigned i, bad = 0;

	for (i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, run, &work[i]) != 0)
			abort();
	for (i = 0; i < threads; i++) {
		(void)pthread_join(thread[i], NULL);
		bad += work[i].failed;
		if (work[i].failed)
			e = work[i].err;
	}
	return bad;
}

static int many(const char *name, unsigned n, size_t size, unsigned threads)
{
	static struct work work[64];
	unsigned i;

	for (i = 0; i < threads; i++)
		work[i] = (struct work){ .name = name, .size = size, .first = i, .step = threads, .n = n };
	if (in_threads(put_all, work, threads) > 0)
		return -EIO;
	return in_threads(get_all, work, threads) > 0 ? -EIO : 0;
}

static int race(const char *name, unsigned n, size_t size, uint64_t *ret_ones)
{
	AUTO_FREE bool *won = calloc(2 * n, sizeof(bool));
	AUTO_FREE uint8_t *data = malloc(size + 1);
	struct work work[2];
	char path[200];
	unsigned i, k;

	for (i = 0; i < 2; i++)
		work[i] = (struct work){ .name = name, .size = size, .step = 1, .n = n, .flags = STORE_EXCL, .won = won + i * n, .seed = i };
	if (in_threads(put_all, work, 2) > 0)
		return -EIO;
	for (i = 0, *ret_ones = 0; i < n; i++) {
		AUTO_FREE void *got = NULL;
		size_t len = 0;

		(void)snprintf(path, sizeof(path), "%.150s/%u", name, i);
		if (store_get(s, path, 0, size + 1, &got, &len, &e) < 0 || len != size)
			return -EIO;
		for (k = 0; k < 2; k++) {
			fill(data, size, i * 2 + k);
			if (won[k * n + i] && memcmp(got, data, size) == 0)
				break;
		}
		if (k == 2)
			return -EIO; /* the bytes of nobody, or of who was told that there was another */
		*ret_ones += won[i] != won[n + i];
	}
	return 0;
}

static uint64_t hours(int64_t until)
{
	int64_t now = (int64_t)__real_time(NULL);

	return until > now ? (uint64_t)(until - now + 1800) / 3600 : 0;
}

/* Of object lock. -ENOSYS: another command. */
static int lock_command(const char *word, const char *name, const char *file, uint64_t *ret_out)
{
	int64_t until = 0;
	int r = -ENOSYS;

	if (strcmp(word, "putk") == 0)
		return put_file(name, file, STORE_KEEP);
	if (strcmp(word, "putl") == 0)
		return put_file(name, file, STORE_KEEP_LONGER);
	if (strcmp(word, "lock") == 0)
		return store_lock_check(s, &e);
	if (strcmp(word, "hold") == 0)
		return store_lock_extend(s, name, &e);
	if (strcmp(word, "until") == 0)
		r = store_lock_until(s, name, &until, &e);
	else if (strcmp(word, "drop") == 0)
		r = store_drop(s, name, &until, &e);
	*ret_out = hours(until);
	return r;
}

static int command(const char *line)
{
	char w[5][512] = { "" };
	uint64_t out = 0;
	int r = -EINVAL, n;

	e = (struct store_error){ 0 };
	n = sscanf(line, "%511s %511s %511s %511s %511s", w[0], w[1], w[2], w[3], w[4]);
	r = lock_command(w[0], w[1], w[2], &out);
	if (strcmp(w[0], "put") == 0)
		r = put_file(w[1], w[2], 0);
	else if (strcmp(w[0], "putx") == 0)
		r = put_file(w[1], w[2], STORE_EXCL);
	else if (strcmp(w[0], "get") == 0)
		r = get_file(w[1], strtoull(w[2], NULL, 10), strtoull(w[3], NULL, 10), w[4], &out);
	else if (strcmp(w[0], "head") == 0)
		r = store_head(s, w[1], &out, &e);
	else if (strcmp(w[0], "delete") == 0)
		r = store_delete(s, w[1], &e);
	else if (strcmp(w[0], "list") == 0)
		r = store_list(s, n > 1 ? w[1] : "", print_one, &out, &e);
	else if (strcmp(w[0], "check") == 0)
		r = store_excl_check(s, &e);
	else if (strcmp(w[0], "sweep") == 0)
		r = store_sweep(s, strtoull(w[1], NULL, 10), &out, &e);
	else if (strcmp(w[0], "race") == 0)
		r = race(w[1], (unsigned)strtoul(w[2], NULL, 10), strtoull(w[3], NULL, 10), &out);
	else if (strcmp(w[0], "many") == 0)
		r = many(w[1], (unsigned)strtoul(w[2], NULL, 10), strtoull(w[3], NULL, 10), (unsigned)strtoul(w[4], NULL, 10));
	say(r, out);
	return fflush(stdout);
}

int main(int argc, char **argv)
{
	struct store_conf conf;
	char line[2200];
	int i, r;

	(void)signal(SIGPIPE, SIG_IGN);
	store_conf_init(&conf);
	for (i = 2; i < argc; i++) {
		r = setting(&conf, argv[i]);
		if (r < 0) {
			(void)fprintf(stderr, "store_try: %s: %s\n", argv[i], strerror(-r));
			return 2;
		}
	}
	r = store_open(argc > 1 ? argv[1] : "", &conf, &s, &e);
	store_conf_done(&conf);
	say(r, 0);
	(void)fflush(stdout);
	while (r == 0 && fgets(line, sizeof(line), stdin))
		(void)command(line);
	store_close(s);
	http_forget(); /* so that leaks are leaks */
	awscred_forget();
	return r < 0;
}
