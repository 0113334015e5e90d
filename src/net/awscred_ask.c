/* awscred_ask.c: files and requests of the sources.
 *
 * A file with a credential that others could have written, or that everybody can read, is refused. Files are read anew at each fetch, so that they
 * may be replaced at any time. */
#include "net/awscred_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/fileio.h"

#define TRIES 3
#define PAUSE_MS 100

static int file_check(int fd, const char *path, bool readable, struct awscred_error *err, bool *ret_open)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return awscred_fail(err, -EINVAL, "%.200s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return awscred_fail(err, -EINVAL, "%.200s: not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return awscred_fail(err, -EINVAL, "%.150s: belongs neither to root nor to the user that reads it", path);
	*ret_open = st.st_mode & S_IROTH;
	if (st.st_mode & (S_IWGRP | S_IWOTH) || (*ret_open && !readable))
		return awscred_fail(err, -EINVAL, "%.150s: has mode %04o; others may not %s it", path, (unsigned)(st.st_mode & 07777),
				    readable ? "write" : "read or write");
	if (st.st_size <= 0 || st.st_size > AWSCRED_FILE_MAX)
		return awscred_fail(err, -EINVAL, "%.150s: has %lld bytes, not 1 to %d", path, (long long)st.st_size, AWSCRED_FILE_MAX);
	return (int)st.st_size;
}

int awscred_file_read(const char *path, bool readable, struct awscred_error *err, struct secret **ret_text, size_t *ret_len, bool *ret_open)
{
	AUTO_SECRET struct secret *s = NULL;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool everybody;
	int len, r;

	if (fd < 0)
		return awscred_fail(err, errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EINVAL, "%.200s: %s", path, strerror(errno));
	len = file_check(fd, path, readable, err, &everybody);
	if (len < 0)
		return len;
	r = secret_new((size_t)len + 1, &s);
	if (r < 0)
		return awscred_fail(err, -ENOMEM, "%.200s: no locked memory", path);
	r = fileio_read_full(fd, secret_bytes(s), (size_t)len);
	if (r < 0)
		return awscred_fail(err, -EINVAL, "%.200s: %s", path, r == -ENODATA ? "is being replaced" : strerror(-r));
	*ret_text = take_ptr(s);
	*ret_len = (size_t)len;
	*ret_open = everybody;
	return 0;
}

int awscred_file_word(const char *path, size_t max, struct awscred_error *err, struct secret **ret_word)
{
	AUTO_SECRET struct secret *s = NULL;
	size_t len, i;
	bool everybody;
	char *p;
	int r;

	r = awscred_file_read(path, true, err, &s, &len, &everybody); /* pods have their tokens readable */
	if (r < 0)
		return r == -ENOENT ? -EINVAL : r;
	p = (char *)secret_bytes(s);
	while (len > 0 && strchr(" \t\r\n", p[len - 1]))
		p[--len] = '\0';
	for (i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return awscred_fail(err, -EINVAL, "%.200s: holds what cannot be a token", path);
	if (len == 0 || len > max)
		return awscred_fail(err, -EINVAL, "%.200s: has a token of %zu bytes, not 1 to %zu", path, len, max);
	*ret_word = take_ptr(s);
	return 0;
}

static void pause_before(unsigned n, uint64_t deadline_ms)
{
	uint64_t now = clock_boot_ms(), chance = 0, ms;
	struct timespec t;

	if (secret_random(&chance, sizeof(chance)) < 0)
		chance = 0;
	ms = chance % ((uint64_t)PAUSE_MS << n);
	if (deadline_ms <= now)
		return;
	ms = ms < deadline_ms - now ? ms : deadline_ms - now;
	t = (struct timespec){ .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

/* 0, -EAGAIN worth another try, or another -errno. */
static int ask_once(const struct awscred_fetch *f, struct http_request *req, uint32_t try_ms, struct http_answer *a)
{
	uint64_t now = clock_boot_ms();
	const char *host;
	int r, len;

	req->timeout_ms = f->deadline_ms <= now ? 1 : f->deadline_ms - now < try_ms ? (uint32_t)(f->deadline_ms - now) : try_ms;
	r = http_call(req, a);
	f->err->status = r < 0 ? 0 : a->status;
	if (r < 0) {
		f->err->alarm = r == -EPROTO || r == -EFBIG;
		(void)awscred_fail(f->err, r, "%s", a->message);
		return r == -ECONNREFUSED || r == -ETIMEDOUT ? -EAGAIN : f->err->alarm ? -EPROTO : r == -EINVAL ? -EINVAL : -ENOMEM;
	}
	if (a->status >= 500 || a->status == 429) {
		host = url_host(req->url.text, &len);
		return awscred_fail(f->err, -EAGAIN, "%.*s: answered %d", len, host, a->status);
	}
	return 0;
}

int awscred_ask(const struct awscred_fetch *f, struct http_request *req, uint32_t try_ms, struct http_answer *ret_a)
{
	struct http_answer a = { 0 };
	unsigned n = 0;
	int r;

	req->owner = f->conf->owner;
	req->ca_file = f->conf->ca_file;
	req->proxy = f->conf->proxy;
	for (;;) {
		r = ask_once(f, req, try_ms, &a);
		if (r != -EAGAIN || ++n == TRIES || clock_boot_ms() >= f->deadline_ms)
			break;
		http_answer_done(&a);
		pause_before(n, f->deadline_ms);
	}
	if (r < 0) {
		http_answer_done(&a);
		return r == -EPROTO ? -EAGAIN : r; /* an outage for the caller, but not one to be tried again */
	}
	*ret_a = a;
	return 0;
}
