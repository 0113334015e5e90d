/* log.c: one message is one write(2) of one line, so that lines of threads and of processes that share
 * standard error do not mix. Too long a message is cut. No allocation: it works when memory is out. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#include "base/env.h"
#include "base/text.h"

#define LOG_TEXT_MAX 2048
#define LOG_LINE_MAX (LOG_TEXT_MAX + 128)
#define LOG_HELD_MAX (4 * LOG_TEXT_MAX)

static atomic_int log_level_now = LOG_LEVEL_INFO;
static const char *_Atomic log_ident;
static atomic_bool log_syslog;
static const char *_Atomic log_journal = JOURNAL_SOCKET;
static char log_uuid[64], log_tenant[128]; /* written before there are threads */
static atomic_bool log_has_volume;
static pthread_mutex_t log_held_m = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool log_holding;
static char log_held[LOG_HELD_MAX]; /* texts, each with its terminator; under log_held_m */
static size_t log_held_len;

void log_set_level(enum log_level level)
{
	atomic_store(&log_level_now, (int)level);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	static const struct {
		const char *name;
		enum log_level level;
	} names[] = {
		{ "err", LOG_LEVEL_ERR },
		{ "warning", LOG_LEVEL_WARNING },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i].name) == 0) {
			*ret_level = names[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

void log_set_ident(const char *ident)
{
	atomic_store(&log_ident, ident);
}

void log_to_syslog(void)
{
	const char *ident = atomic_load(&log_ident);

	openlog(ident ? ident : "coffer", LOG_PID, LOG_DAEMON);
	atomic_store(&log_syslog, true);
}

/* Is standard error the stream that systemd connected to the journal? (systemd.exec(5), JOURNAL_STREAM) */
static bool stderr_is_journal(void)
{
	const char *v = env_get(ENV_JOURNAL_STREAM);
	unsigned long long dev, ino;
	struct stat st;
	char rest;

	return v && sscanf(v, "%llu:%llu%c", &dev, &ino, &rest) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

void log_set_journal(const char *path)
{
	atomic_store(&log_journal, path);
}

void log_set_volume(const char *uuid, const char *tenant)
{
	(void)text_escape(uuid, strlen(uuid), log_uuid, sizeof(log_uuid));
	(void)text_escape(tenant, strlen(tenant), log_tenant, sizeof(log_tenant));
	atomic_store(&log_has_volume, true);
}

bool log_is_journal(void)
{
	return !atomic_load(&log_syslog) && stderr_is_journal();
}

/* False: it is to be written as any other line. */
static bool journal_write(enum log_level level, const char *text, const struct journal_field *fields, size_t count)
{
	const char *ident = atomic_load(&log_ident);
	struct journal_field all[JOURNAL_FIELDS_MAX];
	char line[LOG_TEXT_MAX];

	if ((count == 0 && !atomic_load(&log_has_volume)) || count > JOURNAL_FIELDS_MAX - 2 || !log_is_journal())
		return false;
	for (size_t i = 0; i < count; i++)
		all[i] = fields[i];
	if (atomic_load(&log_has_volume)) {
		all[count++] = (struct journal_field){ "COFFER_VOLUME", log_uuid };
		all[count++] = (struct journal_field){ "COFFER_TENANT", log_tenant };
	}
	(void)text_escape(text, strlen(text), line, sizeof(line));
	return journal_send(atomic_load(&log_journal), ident ? ident : "coffer", (int)level, line, all, count) == 0;
}

/* What does not fit is written at once. */
static bool log_wait(const char *text)
{
	size_t len = strlen(text) + 1;
	bool held;

	if (!atomic_load(&log_holding))
		return false;
	(void)pthread_mutex_lock(&log_held_m);
	held = atomic_load(&log_holding) && len <= sizeof(log_held) - log_held_len;
	if (held) {
		memcpy(log_held + log_held_len, text, len);
		log_held_len += len;
	}
	(void)pthread_mutex_unlock(&log_held_m);
	return held;
}

static void log_write(enum log_level level, const char *text)
{
	const char *ident = atomic_load(&log_ident);
	char line[LOG_LINE_MAX];
	size_t at = 0;
	ssize_t n;

	if (level == LOG_LEVEL_ERR && log_wait(text))
		return;
	if (journal_write(level, text, NULL, 0))
		return;
	if (atomic_load(&log_syslog)) {
		at += text_escape(text, strlen(text), line, sizeof(line) - 1);
		line[at] = '\0';
		syslog((int)level, "%s", line);
		return;
	}
	if (stderr_is_journal())
		at += (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
	else if (ident)
		at += (size_t)snprintf(line, sizeof(line), "%.64s: ", ident);
	at += text_escape(text, strlen(text), line + at, sizeof(line) - at - 1);
	line[at++] = '\n';
	do
		n = write(STDERR_FILENO, line, at);
	while (n < 0 && errno == EINTR);
}

void log_hold(void)
{
	atomic_store(&log_holding, true);
}

bool log_release(char *ret_first, size_t max)
{
	bool any;

	(void)pthread_mutex_lock(&log_held_m);
	atomic_store(&log_holding, false);
	any = log_held_len > 0;
	if (ret_first && any)
		(void)snprintf(ret_first, max, "%s", log_held);
	for (size_t at = 0; !ret_first && at < log_held_len; at += strlen(log_held + at) + 1)
		log_write(LOG_LEVEL_ERR, log_held + at);
	log_held_len = 0;
	(void)pthread_mutex_unlock(&log_held_m);
	return any;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	int saved = errno;
	va_list ap;

	if ((int)level > atomic_load(&log_level_now))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_write(level, text);
	errno = saved;
}

void log_fields(enum log_level level, const struct journal_field *fields, size_t count, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	int saved = errno;
	va_list ap;

	if ((int)level > atomic_load(&log_level_now))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!journal_write(level, text, fields, count))
		log_write(level, text);
	errno = saved;
}

int log_ret(int r, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	char reason[160];
	int saved = errno;
	size_t at, len;
	va_list ap;

	if (LOG_LEVEL_ERR > atomic_load(&log_level_now))
		return r;
	len = (size_t)snprintf(reason, sizeof(reason), ": %s", err_text(r));
	if (len >= sizeof(reason))
		len = sizeof(reason) - 1;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text) - len, fmt, ap);
	va_end(ap);
	at = strlen(text);
	memcpy(text + at, reason, len + 1);
	log_write(LOG_LEVEL_ERR, text);
	errno = saved;
	return r;
}
