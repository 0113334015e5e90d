/* audit.c: append-only lines under a hash chain (docs/protocol.md, "Audit log").
 *
 * Line n holds "prev": the SHA-256 of line n - 1 with its line feed; of the first line, 64 zeros. A line torn by a crash has no
 * line feed: the next start gives it one and chains on, so that the torn bytes stay, are covered and can be seen. */
#include "agent/audit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/packet.h"
#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "crypt/digest.h"
#include "format/volume_config.h"

#define AUDIT_NAME "audit.log"
#define LINE_MAX_LEN 16384
#define HEX_DIGEST (2 * DIGEST_SHA256_LEN + 1)

struct audit {
	int fd;
	uint64_t next_seq;
	uint8_t prev[DIGEST_SHA256_LEN];
	bool torn;                 /* the file does not end with a line feed */
	uint64_t minute;           /* of the refusals counted below */
	unsigned refusals;
	uint64_t suppressed;
};

void audit_conf_default(struct audit_conf *conf)
{
	*conf = (struct audit_conf){ .required = true,
				     .retain_ms = 400ULL * 24 * 3600 * 1000,
				     .rotate_bytes = 64 << 20,
				     .rotate_ms = 7ULL * 24 * 3600 * 1000 };
}

static int end_read(struct audit *a, off_t size)
{
	AUTO_FREE char *buf = NULL;
	AUTO_JSON struct json *o = NULL;
	size_t want = size > LINE_MAX_LEN ? LINE_MAX_LEN : (size_t)size, line_len;
	char *line, *nl;
	int64_t seq;
	int r;

	if (size == 0)
		return 0;
	buf = malloc(want + 1);
	if (!buf)
		return -ENOMEM;
	if (lseek(a->fd, size - (off_t)want, SEEK_SET) < 0)
		return -errno;
	r = fileio_read_full(a->fd, buf, want);
	if (r < 0)
		return r;
	buf[want] = '\0';
	a->torn = buf[want - 1] != '\n';
	nl = memrchr(buf, '\n', a->torn ? want : want - 1);
	line = nl ? nl + 1 : buf;
	line_len = want - (size_t)(line - buf);
	if (!a->torn) {
		r = json_parse(line, line_len - 1, LINE_MAX_LEN, &o);
		if (r >= 0)
			r = json_get_int(o, "seq", &seq);
		if (r < 0 || seq < 1)
			return r == -ENOMEM ? r : -EUCLEAN;
		a->next_seq = (uint64_t)seq + 1;
		return digest_sha256(line, line_len, a->prev);
	}
	/* The torn line's number is lost with it; its predecessor tells. */
	if (!nl)
		return 0;
	*nl = '\0';
	line = memrchr(buf, '\n', (size_t)(nl - buf));
	line = line ? line + 1 : buf;
	r = json_parse(line, strlen(line), LINE_MAX_LEN, &o);
	if (r >= 0)
		r = json_get_int(o, "seq", &seq);
	if (r < 0 || seq < 1)
		return r == -ENOMEM ? r : -EUCLEAN;
	a->next_seq = (uint64_t)seq + 2;
	return 0;
}

/* Close off a torn line: give it its line feed and chain from it. */
static int torn_close(struct audit *a, off_t size)
{
	AUTO_FREE char *buf = NULL;
	off_t at = size;
	size_t len;
	char c = 0;
	int r;

	while (at > 0 && size - at < LINE_MAX_LEN) {
		if (pread(a->fd, &c, 1, at - 1) != 1)
			return -EIO;
		if (c == '\n')
			break;
		at--;
	}
	len = (size_t)(size - at);
	buf = malloc(len + 1);
	if (!buf)
		return -ENOMEM;
	if (pread(a->fd, buf, len, at) != (ssize_t)len)
		return -EIO;
	buf[len] = '\n';
	r = fileio_write_full(a->fd, "\n", 1);
	if (r < 0)
		return r;
	a->torn = false;
	return digest_sha256(buf, len + 1, a->prev);
}

int audit_open(int dirfd, struct audit **ret_a)
{
	struct audit *a = calloc(1, sizeof(*a));
	struct stat st;
	int r;

	if (!a)
		return -ENOMEM;
	a->next_seq = 1;
	a->fd = openat(dirfd, AUDIT_NAME, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (a->fd < 0) {
		r = -errno;
		goto fail;
	}
	r = fstat(a->fd, &st) < 0 ? -errno : 0;
	if (r >= 0 && !S_ISREG(st.st_mode))
		r = -EUCLEAN;
	if (r >= 0)
		r = end_read(a, st.st_size);
	if (r >= 0 && a->torn)
		r = torn_close(a, st.st_size);
	if (r >= 0 && fsync(dirfd) < 0)
		r = -errno;
	if (r < 0)
		goto fail;
	*ret_a = a;
	return 0;
fail:
	audit_free(a);
	return r;
}

void audit_free(struct audit *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		(void)close(a->fd);
	free(a);
}

static int put_opt(struct json *o, const char *key, const char *text)
{
	return text && text[0] ? json_put_str(o, key, text) : 0;
}

static int peer_put(struct json *o, const struct peer *p)
{
	AUTO_JSON struct json *v = json_new_object();
	int r;

	r = json_put_int(v, "pid", p->pid);
	if (r >= 0)
		r = json_put_int(v, "uid", (int64_t)p->uid);
	if (r >= 0)
		r = put_opt(v, "unit", p->unit);
	if (r < 0)
		return r;
	return json_put_json(o, "peer", take_ptr(v));
}

static int facts_put(struct json *o, const struct audit_event *e)
{
	char uuid[33];
	int r = 0;

	if (e->peer)
		r = peer_put(o, e->peer);
	if (r >= 0 && e->uuid) {
		volume_config_uuid_text(e->uuid, uuid);
		r = json_put_str(o, "volume", uuid);
	}
	if (r >= 0)
		r = put_opt(o, "tenant", e->tenant);
	if (r >= 0)
		r = put_opt(o, "key", e->key_uri);
	if (r >= 0)
		r = put_opt(o, "rule", e->rule);
	if (r >= 0)
		r = put_opt(o, "purpose", e->purpose);
	if (r >= 0)
		r = put_opt(o, "mountpoint", e->mountpoint);
	if (r >= 0)
		r = put_opt(o, "class", e->class);
	if (r >= 0)
		r = put_opt(o, "object", e->object);
	if (r >= 0)
		r = put_opt(o, "detail", e->detail);
	if (r >= 0 && e->count)
		r = proto_u64_put(o, "count", e->count);
	return r;
}

static int provider_put(struct json *o, const struct audit_event *e)
{
	const struct {
		const char *key, *text;
	} texts[] = {
		{ "outcome", e->outcome ? e->outcome : "ok" },
		{ "reason", e->reason },
		{ "key_version", e->key_version },
		{ "provider", e->provider },
		{ "endpoint_host", e->endpoint_host },
		{ "req_id", e->req_id },
		{ "credential_source", e->credential_source },
		{ "cache", e->cache },
		{ "config_hash", e->config_hash },
	};
	const struct {
		const char *key;
		uint64_t n;
	} numbers[] = {
		{ "http", e->http > 0 ? (uint64_t)e->http : 0 },
		{ "attempt", e->attempt },
		{ "latency_ms", e->latency_ms },
		{ "stale_for_s", e->stale_for_s },
	};
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		r = put_opt(o, texts[i].key, texts[i].text);
	for (i = 0; r >= 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].n)
			r = proto_u64_put(o, numbers[i].key, numbers[i].n);
	return r;
}

static int line_make(const struct audit *a, const struct audit_event *e, char **ret_line)
{
	AUTO_JSON struct json *o = json_new_object();
	char prev[HEX_DIGEST], at[TIME_TEXT_MAX];
	time_t now = time(NULL);
	struct tm tm;
	size_t i;
	int r;

	for (i = 0; i < DIGEST_SHA256_LEN; i++)
		(void)snprintf(prev + 2 * i, 3, "%02x", a->prev[i]);
	if (!gmtime_r(&now, &tm) || strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return -EINVAL;
	r = proto_u64_put(o, "seq", a->next_seq);
	if (r >= 0)
		r = json_put_str(o, "time", at);
	if (r >= 0)
		r = json_put_str(o, "event", e->what);
	if (r >= 0)
		r = facts_put(o, e);
	if (r >= 0)
		r = provider_put(o, e);
	if (r >= 0 && a->suppressed)
		r = proto_u64_put(o, "suppressed", a->suppressed);
	if (r >= 0)
		r = json_put_str(o, "prev", prev);
	if (r < 0)
		return r;
	return json_dump(o, ret_line);
}

int audit_append(struct audit *a, const struct audit_event *e)
{
	AUTO_FREE char *text = NULL;
	uint8_t digest[DIGEST_SHA256_LEN];
	struct stat st;
	size_t len;
	ssize_t n;
	int r;

	if (a->torn) {
		r = fstat(a->fd, &st) < 0 ? -errno : torn_close(a, st.st_size);
		if (r < 0)
			return r;
	}
	r = line_make(a, e, &text);
	if (r < 0)
		return r;
	len = strlen(text);
	if (len + 1 > LINE_MAX_LEN)
		return -EMSGSIZE;
	text[len] = '\n'; /* over the NUL: the line has len + 1 bytes and is no string any more */
	r = digest_sha256(text, len + 1, digest);
	if (r < 0)
		return r;
	n = write(a->fd, text, len + 1);
	if (n < 0)
		return -errno;
	if ((size_t)n != len + 1) {
		a->torn = true;
		a->next_seq++;
		return -EIO;
	}
	memcpy(a->prev, digest, sizeof(digest));
	a->next_seq++;
	a->suppressed = 0;
	return fdatasync(a->fd) < 0 ? -errno : 0;
}

int audit_append_refusal(struct audit *a, const struct audit_event *e)
{
	uint64_t minute = packet_now_ms() / 60000;

	if (minute != a->minute) {
		a->minute = minute;
		a->refusals = 0;
	}
	if (a->refusals >= AUDIT_REFUSALS) {
		a->suppressed++;
		return 0;
	}
	a->refusals++;
	return audit_append(a, e);
}
