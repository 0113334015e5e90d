/* log.h: what we tell the operator. err = someone must act; warning = we went on; info = lifecycle;
 * debug = free. Lines go to standard error, or to the journal when that is what it is: with fields
 * where there are any, else with the "<N>" prefix of sd-daemon(3); bytes that are not printable ASCII or well-formed UTF-8 are escaped. Pure modules never log (STYLE E5).
 * Key bytes are never passed to any of these, names inside a volume only to log_debug. Thread safe. */
#ifndef COFFER_BASE_LOG_H
#define COFFER_BASE_LOG_H

#include "base/err.h"
#include "base/journal.h"

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Messages above this level are dropped; LOG_LEVEL_INFO until set. */
void log_set_level(enum log_level level);
/* Parse "err", "warning", "info" or "debug"; -EINVAL for anything else. */
int log_level_parse(const char *text, enum log_level *ret_level) __attribute__((warn_unused_result));
/* Text before each message, e.g. "coffer-agent"; not copied. NULL: none. */
void log_set_ident(const char *ident);

/* From now on to syslog(3) instead of standard error: a daemon that has left its terminal. */
void log_to_syslog(void);

/* From now on errors wait, so that a command can tell a failure in one line. */
void log_hold(void);
/* End of that. With ret_first (max bytes) what waits is dropped but for the first error, which lands there; false: there was none.
 * With NULL what waits is written. */
bool log_release(char *ret_first, size_t max);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line that carries values for programs: in the journal fields of their own (values without line feeds), elsewhere the line alone. */
void log_fields(enum log_level level, const struct journal_field *fields, size_t count, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* For a process that serves one volume, before it has threads: each of its lines carries these in the journal. Copied. */
void log_set_volume(const char *uuid, const char *tenant);
/* Do lines go to the journal? */
bool log_is_journal(void);
/* Where the journal's socket is, if not at JOURNAL_SOCKET; not copied. For tests. */
void log_set_journal(const char *path);

#define log_err(...) log_line(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Logs "text: reason of -r" as an error and returns r (0 > r). return log_ret(r, "coffer.state"); */
int log_ret(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
